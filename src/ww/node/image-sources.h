#pragma once
// Who may have blocks and names, as an operator listed them: gateways and an IPFS node over HTTP,
// each reached by whatever address its URL names; and whom they redirect to, at public addresses.

#include <kj/async-io.h>
#include <kj/compat/tls.h>
#include <ww/image/http-endpoint.h>
#include <ww/image/ipns.h>
#include <ww/image/block.h>

namespace ww {

struct SourceOptions {
  kj::Array<kj::String> gateways;  // URLs, in the order in which they are asked
  kj::Maybe<kj::String> ipfs;      // URL or multiaddr of an IPFS node's RPC
};

// What is wrong with these, naming the option, if anything is.
kj::Maybe<kj::String> findProblem(const SourceOptions& options);

class ImageSources final {
 public:
  // `peers`: a source that is asked before the others. Throws what findProblem() finds. The
  // provider outlives it.
  ImageSources(const SourceOptions& options, kj::AsyncIoProvider& io,
               kj::Maybe<kj::Own<BlockSource>> peers = nullptr);
  KJ_DISALLOW_COPY_AND_MOVE(ImageSources);

  // Peers, gateways in their order, the IPFS node.
  kj::ArrayPtr<kj::Own<BlockSource>> getBlocks() { return blocks; }
  kj::ArrayPtr<IpnsSource* const> getNames() const { return names; }
  kj::Timer& getTimer() { return timer; }

 private:
  HttpReach reach();

  kj::Timer& timer;
  kj::HttpHeaderTable table;
  kj::TlsContext tls;
  kj::Network& network;
  kj::Own<kj::Network> tlsNetwork, publicNetwork, publicTlsNetwork;
  kj::Own<kj::HttpClient> any, publicOnly;
  kj::Vector<kj::Own<BlockSource>> blocks;
  kj::Vector<IpnsSource*> names;
};

}  // namespace ww
