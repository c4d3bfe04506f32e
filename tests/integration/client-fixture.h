#pragma once
// A node with a policy of keys, and clients of it over pipes.

#include <capnp/rpc-twoparty.h>
#include <kj/test.h>
#include <ww/base/random.h>
#include <ww/membrane/key-signer.h>
#include <ww/membrane/signed-graft-policy.h>
#include <ww/net/identity.h>
#include <ww/node/client-links.h>
#include "test-node.h"

namespace ww {

constexpr kj::Duration GRACE = 5 * kj::SECONDS;

struct Fixture {
  kj::TimerImpl clock{kj::origin<kj::TimePoint>()};
  Identity client = Identity::generate(), other = Identity::generate();  // both are allowed
  AllowedKeys keys;
  TestNode node;
  kj::Own<SignedGraftPolicy> policy;
  ClientLinks links;

  explicit Fixture(NodeOptions options = {})
      : node(options, clock),
        policy(kj::heap<SignedGraftPolicy>(node.swarm.getPeerId().toText(), keys, clock,
                                           randomNonce)),
        links(node.node, node.swarm, *policy, clock, node.logger) {
    allow();
  }
  ~Fixture() noexcept(false) { node.waitScope.poll(); }

  void allow(bool node = false) {
    auto list = kj::heapArray<AllowedKey>(2);
    list[0] = {client.getKey().getPublicKey(), node};
    list[1] = {other.getKey().getPublicKey(), false};
    keys.set(kj::mv(list));
  }

  kj::Own<kj::AsyncIoStream> connect(const PeerId& id, kj::StringPtr from = "a test"_kj) {
    auto pipe = kj::newTwoWayPipe();
    links.servePeer({id.clone(), kj::str(from), kj::mv(pipe.ends[1])});
    return kj::mv(pipe.ends[0]);
  }
  kj::Own<kj::AsyncIoStream> connect() { return connect(client.getPeerId()); }

  stem::Signer::Client signer(const Identity& who) {
    return makeSigner(SecretKey(who.getKey().getSeed()), node.swarm.getPeerId().toText());
  }
  stem::Signer::Client signer() { return signer(client); }

  void advance(kj::Duration time) { clock.advanceTo(clock.now() + time); }

  kj::String failure(kj::Promise<void> promise) {
    return promise.then([]() { return kj::str(); }, [](kj::Exception&& e) {
      return kj::str(e.getDescription());
    }).wait(node.waitScope);
  }
};

struct Client {
  kj::Own<kj::AsyncIoStream> stream;
  capnp::TwoPartyClient rpc;
  Membrane::Client membrane;

  explicit Client(kj::Own<kj::AsyncIoStream> raw)
      : stream(kj::mv(raw)), rpc(*stream), membrane(rpc.bootstrap().castAs<Membrane>()) {}

  // `offered`: for the node to ask early.
  Client(kj::Own<kj::AsyncIoStream> raw, stem::Signer::Client offered)
      : stream(kj::mv(raw)), rpc(*stream, kj::mv(offered)),
        membrane(rpc.bootstrap().castAs<Membrane>()) {}

  auto graft(stem::Signer::Client signer) {
    auto request = membrane.graftRequest();
    request.setSigner(kj::mv(signer));
    return request.send();
  }
};

// A signer that does not answer before it is told to.
class SlowSigner final: public stem::Signer::Server {
 public:
  kj::Promise<void> sign(SignContext) override { return kj::NEVER_DONE; }
};

inline bool isGone(Fixture& f, Client& client) {
  auto gone = client.rpc.onDisconnect();
  return gone.poll(f.node.waitScope);
}

inline Process::Client runOn(peer::Executor::Client executor, kj::StringPtr name, Words args) {
  auto request = executor.runBytesRequest();
  auto wasm = component(name);
  request.setWasm(wasm);
  auto list = request.initArgs(args.size());
  kj::uint i = 0;
  for (auto arg: args) list.set(i++, arg);
  return request.send().getProcess();
}

}  // namespace ww
