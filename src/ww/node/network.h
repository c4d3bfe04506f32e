#pragma once
// The node's network, from what an operator wrote.

#include <kj/timer.h>
#include <ww/base/log.h>
#include <ww/net/identity.h>
#include <ww/net/multiaddr.h>
#include <ww/net/swarm.h>

namespace ww {

struct NetworkOptions {
  bool enabled = false;           // else nothing is listened on or dialled
  kj::Array<kj::String> listen;   // multiaddrs; none: every interface, TCP and QUIC, on port 2020
  kj::Array<kj::String> bootstrap;  // multiaddrs that end in /p2p/ID
  kj::Maybe<kj::String> privateNetwork;  // a file with a key, as Kubo's swarm.key
  kj::Duration dialTimeout = 10 * kj::SECONDS;
  kj::String dht = kj::str("auto");  // auto, client or server
  bool mdns = true;
  // Of cells, and of what peers ask to have dialled: the DHT, AutoNAT, hole punching. Those who
  // share a key may as it is.
  bool dialPrivate = false;
  kj::Maybe<kj::String> rpc;         // [IP][:PORT]: where RPC is served without a swarm
};

// Listens before it returns. Throws what was wrong, naming the option, and what to do. References
// outlive the swarm.
kj::Own<Swarm> makeSwarm(const NetworkOptions& options, const Identity& identity,
                         kj::Timer& timer, kj::UnixEventPort& port, Logger& logger);

// Resolves once each peer of --bootstrap is connected, or its dial has failed: they can be asked
// then.
kj::Promise<void> meetBootstrap(const NetworkOptions& options, Swarm& swarm);

// Where a swarm listens. Throws what is wrong, naming the option. For makeSwarm().
kj::Array<Multiaddr> listenAddrs(const NetworkOptions& options);

// The multiaddr of an [IP][:PORT] as --rpc takes it: loopback without an IP, port 2021 without a
// port. Throws what is wrong, with an example.
kj::String rpcAddr(kj::StringPtr text);

// The key in a file of Kubo's form: two lines that name it, and 64 hexadecimal digits. Throws what
// is wrong. For makeSwarm().
kj::Array<kj::byte> parseNetworkKey(kj::StringPtr text);

}  // namespace ww
