#pragma once
// What of a DAG is still wanted, while its blocks come depth first, each after the one that links
// to it and in the order of its links: as `order=dfs` means it. Takes those into a store, and
// refuses the first that is not the next.
//
// A block is left out where it has come before (`dups=n`) or is here: so what the store has is
// passed over, with all below it. Memory is that of the nodes that lead to the next block, bounded
// as a walk's. For the files of this room only.

#include <kj/function.h>
#include <vector>
#include <ww/ffi/content.h>
#include <ww/image/block.h>
#include <ww/image/car-reader.h>

namespace ww {

class WantedDag final: public BlockStore {
 public:
  // Of blocks that are in the store already it takes so many bytes, and is done then: what is left
  // is better asked for by itself.
  static constexpr uint64_t MAX_KNOWN_BYTES = 1 << 20;

  // `left` is what may still come, and becomes less. `onBlock` is told of each that was put. All
  // outlive it.
  WantedDag(BlockStore& store, const Cid& root, CarLimits& left,
            kj::Function<void(const Cid&)> onBlock)
      : store(store), root(root.clone()), left(left), onBlock(kj::mv(onBlock)) {}

  // Throws for one that is not the next, one that is too much, and for the first that leads to too
  // many known ones: then isEnough(). What the store throws is kept too: findStoreFailure().
  void put(const Cid& cid, kj::ArrayPtr<const kj::byte> block) override;

  kj::Maybe<kj::Array<const kj::byte>> find(const Cid& cid) override { return store.find(cid); }

  // Throws, naming one, where blocks are still wanted, as far as it looks.
  void requireAll();

  bool isEnough() const { return enough; }
  kj::Maybe<const kj::Exception&> findStoreFailure() const { return storeFailure; }

 private:
  struct Node {
    ffi::Node node;
    size_t next = 0;  // of its links
  };
  kj::Maybe<Cid> findNext();
  void take();  // the next
  void descend(const Cid& cid, kj::ArrayPtr<const kj::byte> block);
  bool passOver(const Cid& cid);
  void keep(const Cid& cid, kj::ArrayPtr<const kj::byte> block);

  BlockStore& store;
  kj::Maybe<Cid> root;      // until it came
  std::vector<Node> nodes;  // each is below the one before
  CarLimits& left;
  kj::Function<void(const Cid&)> onBlock;
  uint64_t held = 0, known = 0;
  bool enough = false;
  kj::Maybe<kj::Exception> storeFailure;
};

}  // namespace ww
