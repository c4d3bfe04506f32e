#pragma once
// A node of several loops, and where its cells are.

#include <kj/test.h>
#include "test-node.h"

namespace ww {

inline NodeOptions onLoops(kj::uint threads, NodeOptions options = {}) {
  options.threads = threads;
  return options;
}

inline uint64_t idOf(TestNode& node, Process::Client process) {
  return process.infoRequest().send().wait(node.waitScope).getInfo().getId();
}

inline kj::uint loopOf(TestNode& node, uint64_t id) {
  return KJ_ASSERT_NONNULL(node.node.getCells().find(id))->getFacts().loop;
}
inline kj::uint loopOf(TestNode& node, Process::Client process) {
  return loopOf(node, idOf(node, process));
}

// A cell that waits on the first loop, so that what comes next runs on the second.
inline Process::Client occupyFirst(TestNode& node) {
  auto process = node.run("cell-plain", {"park"});
  KJ_ASSERT(loopOf(node, process) == 0);
  return process;
}

// The number of cells that run on each loop.
inline kj::String loadsOf(TestNode& node) {
  auto& loads = node.node.getLoads();
  kj::Vector<kj::uint> counts;
  for (kj::uint i = 0; i < loads.loopCount(); i++) counts.add(loads.count(i));
  return kj::strArray(counts, " ");
}

// Turns the loop until the others have come so far.
template <typename Condition>
void until(TestNode& node, Condition&& condition) {
  while (!condition()) {
    kj::evalLater([]() {}).wait(node.waitScope);
    node.waitScope.poll(1);
  }
}

}  // namespace ww
