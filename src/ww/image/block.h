#pragma once
// Blocks under their content ids: where they are kept, and who may have one.
//
// Nothing that a source says is believed: BlockFetcher checks each block against its content id as
// it arrives. A wrong one names the source that sent it, which is asked no more for this image, and
// the next source is tried; where it came among others in one answer, that source gives no more of
// those for this image, and may give single blocks yet. All live on one event loop.

#include <kj/async.h>
#include <kj/map.h>
#include <kj/vector.h>
#include <ww/base/log.h>
#include <ww/image/cid.h>

namespace ww {

// A block is no larger: what bitswap carries, with room for what is put around it.
constexpr size_t MAX_BLOCK_BYTES = 2 << 20;

// Keeps blocks, whole or not at all. Only what was checked against its content id is put.
class BlockStore {
 public:
  virtual ~BlockStore() noexcept(false) {}

  virtual kj::Maybe<kj::Array<const kj::byte>> find(const Cid& cid) = 0;
  virtual void put(const Cid& cid, kj::ArrayPtr<const kj::byte> block) = 0;

  // Whether it is there; it is not looked at.
  virtual bool has(const Cid& cid) { return find(cid) != nullptr; }
};

// The fake, and what a .car file is read into where nothing is kept.
class MemoryBlockStore final: public BlockStore {
 public:
  // Of all blocks together; put() throws when they are more.
  explicit MemoryBlockStore(uint64_t maxBytes = uint64_t(1) << 30): maxBytes(maxBytes) {}

  kj::Maybe<kj::Array<const kj::byte>> find(const Cid& cid) override;
  void put(const Cid& cid, kj::ArrayPtr<const kj::byte> block) override;
  bool has(const Cid& cid) override { return blocks.find(cid) != nullptr; }
  void remove(const Cid& cid) { blocks.erase(cid); }
  size_t getCount() const { return blocks.size(); }

 private:
  const uint64_t maxBytes;
  uint64_t bytes = 0;  // that were put
  kj::HashMap<Cid, kj::Array<const kj::byte>> blocks;
};

// Somebody who may have blocks: a gateway, a node, peers.
class BlockSource {
 public:
  virtual ~BlockSource() noexcept(false) {}

  virtual kj::StringPtr getName() const = 0;  // for a person

  // What it says the block is, at most MAX_BLOCK_BYTES of it; unverified. Rejects where it does not
  // have it, or fails; with late() (error.h) where it does not answer in the time that it is given.
  // Dropping the promise ends it.
  virtual kj::Promise<kj::Array<const kj::byte>> fetch(const Cid& cid) = 0;

  // Whether it asked to be left alone for a while that is not over. fetch() waits for its end then;
  // where it learns of it, it rejects, so that others can be asked meanwhile.
  virtual bool isResting() { return false; }

  // The same, of a block of the DAG of `root`: who looks for others that have it looks for the
  // root's.
  virtual kj::Promise<kj::Array<const kj::byte>> fetchOf(const Cid& root, const Cid& cid) {
    return fetch(cid);
  }

  // The block and all below it, depth first, each put into `store` as it comes, checked against
  // its content id and for nothing else: what put() throws ends it. Resolves when it says that
  // this is all. Rejects with UNIMPLEMENTED where it gives nothing so, with DISCONNECTED where it
  // just does not, or not to the end; with anything else where what it sends is wrong. Nothing
  // where it never does. `store` outlives the promise.
  virtual kj::Maybe<kj::Promise<void>> fetchDag(const Cid& root, BlockStore& store) {
    return nullptr;
  }
};

class DagFetch;

// The store first, then each source in the order given, each block verified. What was fetched is
// put into the store. A source that was late, or has lacked so many blocks in a row as MAX_LACKED
// says, is asked after the others from then on: it costs its time once, and not with each block.
// One that asks to be left alone is, until no other has the block.
// The first block that is asked for is the root of what is fetched.
class BlockFetcher final {
 public:
  // What is asked for: blocks, or the DAG below each too, since all of it is about to be read. That
  // is had in one answer where a source gives it, and comes into the store while it is read.
  enum class Reads { BLOCKS, DAGS };

  // All outlive it.
  BlockFetcher(BlockStore& store, kj::ArrayPtr<kj::Own<BlockSource>> sources, Logger& logger,
               Reads reads = Reads::BLOCKS);
  ~BlockFetcher() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(BlockFetcher);

  // Rejects with each source's name and reason where none had it. Outlives the promise.
  kj::Promise<kj::Array<const kj::byte>> get(const Cid& cid);

 private:
  static constexpr kj::uint MAX_LACKED = 3;

  struct Source {
    BlockSource& source;
    bool sentWrong = false;
    bool wasLate = false;
    kj::uint lacked = 0;  // blocks, in a row

    bool isLast() const { return wasLate || lacked >= MAX_LACKED; }
  };
  // One of those who are asked for a block.
  struct Turn {
    Source* from;
    bool wasLate;   // when the order was chosen
    bool isPutOff;  // to be asked once all others were; then once it was
  };
  kj::Vector<Turn> inOrder();
  void failed(Source& source, const kj::Exception& exception);
  kj::Promise<kj::Array<const kj::byte>> fetch(Cid cid);
  kj::Promise<kj::Maybe<kj::Array<const kj::byte>>> ask(Turn& turn, const Cid& cid,
                                                        kj::Vector<kj::String>& reasons);
  kj::Maybe<kj::String> whyNot(Source& from, const Cid& cid, kj::ArrayPtr<const kj::byte> block);

  BlockStore& store;
  kj::Vector<Source> sources;
  Logger& logger;
  kj::Maybe<Cid> root;
  kj::Maybe<kj::Own<DagFetch>> dags;
};

}  // namespace ww
