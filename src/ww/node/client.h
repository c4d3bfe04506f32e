#pragma once
// A link to a node from outside of it: to the local one through its socket, to another over the
// network. What comes of it is that node's Membrane, and the signer that a graft there needs.

#include <kj/async-io.h>
#include <kj/debug.h>
#include <membrane.capnp.h>
#include <stem.capnp.h>
#include <ww/base/log.h>
#include <ww/net/identity.h>
#include <ww/node/image-store.h>

namespace ww {

using MembraneClient = stem::Membrane<membrane::WetwareSession>::Client;
using GraftResults = stem::Membrane<membrane::WetwareSession>::GraftResults;
using GraftRequest = capnp::Request<stem::Membrane<membrane::WetwareSession>::GraftParams,
                                    GraftResults>;

// What a node said that was stopped, or has much else to do: nothing.
kj::Exception noAnswer(kj::Duration timeout);

class NodeClient {
 public:
  virtual ~NodeClient() noexcept(false) {}

  // A graft, with the signer that it needs there.
  virtual GraftRequest graftRequest() = 0;

  // Must the graft have been answered before a large message is sent? True where the node holds
  // links to little until it knows who is there.
  virtual bool mustGraftFirst() const = 0;

  // Resolves when the link is gone.
  virtual kj::Promise<void> onDisconnect() = 0;

  // The same promise, which rejects, saying so, when the link goes first. Whichever notices: the
  // link, or a call on it.
  template <typename T>
  kj::Promise<T> untilGone(kj::Promise<T>&& promise) {
    return promise.exclusiveJoin(onDisconnect().then([]() -> kj::Promise<T> {
      return KJ_EXCEPTION(DISCONNECTED, "it was closed");
    })).catch_([](kj::Exception&& e) -> kj::Promise<T> { return linkGone(kj::mv(e)); });
  }

 private:
  static kj::Exception linkGone(kj::Exception&& exception);
};

// Images that the node may fetch from here while there is a link to it, as from any peer.
struct OfferedImages {
  ImageStore& store;
  kj::Function<void(const Cid& block, size_t bytes)> onSent;  // to it
};

struct ClientOptions {
  kj::StringPtr option = "--on"_kj;  // by which a person named the target
  kj::String target;     // a multiaddr that ends in /p2p/ID, a peer id, a socket, or its folder
  kj::String local;      // the socket or folder of the local node, which may know where a peer is
  kj::Duration timeout = 10 * kj::SECONDS;
  kj::Maybe<OfferedImages> offered = nullptr;  // of no use to the local node
};

// `identity` is whom the client proves to be, asked for only where it has to. References outlive
// the client. Rejects, saying what to do.
kj::Promise<kj::Own<NodeClient>> connectToNode(kj::AsyncIoContext& io, ClientOptions options,
                                               kj::Function<Identity()> identity, Logger& logger);

}  // namespace ww
