#pragma once
// What a node tells its operator of itself, as Prometheus reads it. The values are read when they
// are asked for, and are kept where they come about. No guest and no peer chooses a label.

#include <kj/string.h>
#include <ww/node/client-links.h>

namespace ww {

class NodeMetrics final {
 public:
  static constexpr kj::StringPtr CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"_kj;

  // References outlive it.
  NodeMetrics(Node& node, ClientLinks& clients, Swarm& swarm, kj::StringPtr version)
      : node(node), clients(clients), swarm(swarm), version(version) {}
  KJ_DISALLOW_COPY_AND_MOVE(NodeMetrics);

  kj::String toText();

 private:
  Node& node;
  ClientLinks& clients;
  Swarm& swarm;
  const kj::StringPtr version;
};

}  // namespace ww
