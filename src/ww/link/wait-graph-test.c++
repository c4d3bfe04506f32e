#include <ww/link/wait-graph.h>

#include <kj/test.h>

namespace ww {
namespace {

constexpr kj::uint MOST = 10;

KJ_TEST("what comes back to itself is refused, whatever had been above it") {
  WaitGraph graph;
  auto high = graph.makeNode(), a = graph.makeNode(), b = graph.makeNode(), c = graph.makeNode();
  high->waitFor(*a, 7, MOST);
  a->waitFor(*b, 0, MOST);
  b->waitFor(*c, 1, MOST);
  KJ_EXPECT_THROW_MESSAGE("waits for itself", c->waitFor(*a, 1, MOST));
  KJ_EXPECT_THROW_MESSAGE("waits for itself", a->waitFor(*a, 1, MOST));
  c->waitFor(*graph.makeNode(), 1, MOST);
}

KJ_TEST("a chain is as long as it is, in whatever order it came to be") {
  for (bool upwards: {false, true}) {
    WaitGraph graph;
    kj::Vector<kj::Own<WaitGraph::Node>> nodes;
    for (kj::uint i = 0; i <= MOST + 1; i++) nodes.add(graph.makeNode());
    for (kj::uint i = 0; i < MOST; i++) {
      auto at = upwards ? MOST - i : i + 1;
      nodes[at]->waitFor(*nodes[at + 1], 1, MOST);
    }
    KJ_EXPECT_THROW_MESSAGE("overloaded: pipelining", nodes[0]->waitFor(*nodes[1], 1, MOST));
    nodes[5]->settle();
    nodes[0]->waitFor(*nodes[1], 1, MOST);
  }
}

KJ_TEST("what is waited for stays, and nothing else") {
  WaitGraph graph;
  auto top = graph.makeNode();
  {
    auto middle = graph.makeNode(), bottom = graph.makeNode();
    top->waitFor(*middle, 1, MOST);
    middle->waitFor(*bottom, 1, MOST);
  }
  KJ_EXPECT(graph.size() == 3 + 2);
  top->settle();
  KJ_EXPECT(graph.size() == 1);
}

}  // namespace
}  // namespace ww
