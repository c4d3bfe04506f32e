#pragma once
// Which of a peer's calls and promises wait for which others of them: a call for what it is made
// on, and for what it was given; a promise for what it became. The RPC system frees such a chain by
// recursion, and one that comes back to itself it never frees: neither may come to be.
//
// One event loop. Outlives its nodes.

#include <kj/refcount.h>
#include <kj/vector.h>
#include <stdint.h>

namespace ww {

class WaitGraph final {
 public:
  // A call or a promise. It stays while anything waits for it, whatever the peer has finished.
  class Node final: public kj::Refcounted {
   public:
    explicit Node(WaitGraph& graph): graph(graph) { ++graph.entries; }
    ~Node() noexcept(false) {
      settle();
      --graph.entries;
      graph.heldBytes -= heldBytes;
    }
    KJ_DISALLOW_COPY_AND_MOVE(Node);

    // Throws to end the link: the chain comes back to this, or has more than `most` steps.
    void waitFor(Node& other, kj::uint steps, kj::uint most);

    // Until its end, so many bytes more.
    void hold(uint64_t bytes) {
      heldBytes += bytes;
      graph.heldBytes += bytes;
    }

    // It waits for nothing any more.
    void settle();

   private:
    struct Edge {
      kj::Own<Node> to;
      kj::uint steps;
    };
    WaitGraph& graph;
    uint64_t heldBytes = 0;
    kj::uint above = 0;  // steps of the longest chain that has ever waited for it
    kj::Vector<Edge> on;
  };

  WaitGraph() {}
  KJ_DISALLOW_COPY_AND_MOVE(WaitGraph);

  kj::Own<Node> makeNode() { return kj::refcounted<Node>(*this); }

  // All that is kept: calls and promises, and for how many each waits.
  size_t size() const { return entries; }

  uint64_t getHeld() const { return heldBytes; }

 private:
  size_t entries = 0;
  uint64_t heldBytes = 0;
};

}  // namespace ww
