#include <ww/link/wait-graph.h>

#include <ww/base/error.h>

namespace ww {

// Whatever can be reached from a node has a longer chain above it: so what leads back to this one
// is found before it is passed by, and how often a node is looked at is bounded by `most`.
void WaitGraph::Node::waitFor(Node& other, kj::uint steps, kj::uint most) {
  struct Reached {
    Node* node;
    kj::uint above;
  };
  kj::Vector<Reached> left;
  steps = kj::min(steps, most + 1);
  left.add(Reached{&other, above + steps});
  while (!left.empty()) {
    auto [node, length] = left.back();
    left.removeLast();
    if (node == this) kj::throwFatalException(badInput("a call or promise that waits for itself"));
    if (length > most) kj::throwFatalException(overloaded("pipelining"));
    if (node->above >= length) continue;
    node->above = length;
    for (auto& edge: node->on) left.add(Reached{edge.to.get(), length + edge.steps});
  }
  on.add(Edge{kj::addRef(other), steps});
  ++graph.entries;
}

void WaitGraph::Node::settle() {
  graph.entries -= on.size();
  on = kj::Vector<Edge>();
}

}  // namespace ww
