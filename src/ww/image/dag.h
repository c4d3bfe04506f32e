#pragma once
// One walk over a DAG of UnixFS: the blocks and the memory that it has taken, against its limits.
// For the files of this room only.

#include <deque>
#include <kj/one-of.h>
#include <ww/ffi/content.h>
#include <ww/image/breath.h>
#include <ww/image/tree.h>

namespace ww {

// A block that was read: bytes of a file, or a node.
using DagBlock = kj::OneOf<kj::Array<const kj::byte>, ffi::Node>;

// Of a block that is neither raw nor dag-pb: throws. `path` names, in refusals, what is read.
DagBlock readDagBlock(kj::StringPtr path, const Cid& cid, kj::Array<const kj::byte> block);

// `e`, saying whose trouble it is.
kj::Exception inPath(kj::StringPtr path, kj::Exception&& e);
[[noreturn]] void refuse(kj::StringPtr path, kj::StringPtr why);

class DagWalk final {
 public:
  // Both outlive it; it outlives what it promises.
  DagWalk(BlockFetcher& blocks, const TreeLimits& limits): blocks(blocks), limits(limits) {}
  KJ_DISALLOW_COPY_AND_MOVE(DagWalk);

  kj::Promise<kj::Array<const kj::byte>> get(kj::StringPtr path, const Cid& cid);
  kj::Promise<DagBlock> load(kj::StringPtr path, const Cid& cid);

  const TreeLimits& getLimits() const { return limits; }

  // Memory of what leads to what is read, for as long as it lives.
  class Hold {
   public:
    Hold(DagWalk& walk, kj::StringPtr path): walk(walk), path(path) {}
    ~Hold() noexcept(false) { walk.held -= bytes; }
    KJ_DISALLOW_COPY_AND_MOVE(Hold);
    void add(size_t more);
    void drop(size_t less) { bytes -= less, walk.held -= less; }

   private:
    DagWalk& walk;
    kj::StringPtr path;
    size_t bytes = 0;
  };

  // A node's links, one after the other, some asked for before they are taken: MOST_AHEAD at a
  // time, whichever node's they are.
  class Ahead {
   public:
    static constexpr kj::uint MOST_AHEAD = 8;

    Ahead(DagWalk& walk, kj::StringPtr path, kj::ArrayPtr<const ffi::Link> links)
        : walk(walk), path(path), links(links) {}
    ~Ahead() noexcept(false) { walk.ahead -= waiting.size(); }
    KJ_DISALLOW_COPY_AND_MOVE(Ahead);

    struct Taken {
      Cid cid;
      kj::Promise<kj::Array<const kj::byte>> block;
    };
    Taken take();  // as often as there are links

   private:
    DagWalk& walk;
    kj::StringPtr path;
    kj::ArrayPtr<const ffi::Link> links;
    size_t asked = 0;
    std::deque<Taken> waiting;
  };

 private:
  BlockFetcher& blocks;
  const TreeLimits& limits;
  uint64_t visited = 0, visitedBytes = 0;
  uint64_t held = 0;
  size_t ahead = 0;
  Breath breath;
};

}  // namespace ww
