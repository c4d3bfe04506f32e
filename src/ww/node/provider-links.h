#pragma once
// Connections to a chain's providers, by http, https, ws or wss, each at a bounded rate and with
// guarded frames (stem/guarded-network.h). Lives on one event loop.

#include <kj/async-io.h>
#include <kj/compat/http.h>
#include <kj/compat/tls.h>
#include <ww/stem/json-rpc.h>

namespace ww {

// Throws for what is no such URL, without saying what may be secret in it.
void requireProviderUrl(kj::StringPtr url);

class ProviderLinks final {
 public:
  explicit ProviderLinks(kj::AsyncIoProvider& io);  // outlives it
  KJ_DISALLOW_COPY_AND_MOVE(ProviderLinks);

  // A provider, who never says what may be secret in its URL. Throws for what is no such URL. Ends
  // before this does.
  kj::Own<JsonRpc> open(kj::StringPtr url);

 private:
  struct Entropy final: public kj::EntropySource {
    void generate(kj::ArrayPtr<kj::byte> buffer) override;
  };

  kj::Timer& timer;
  Entropy entropy;
  kj::HttpHeaderTable table;
  kj::TlsContext tls;
  kj::Own<kj::Network> network, tlsNetwork, wsNetwork, wssNetwork;
  kj::Own<kj::HttpClient> client, wsClient;
};

}  // namespace ww
