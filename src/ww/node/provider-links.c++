#include <ww/node/provider-links.h>

#include <string.h>
#include <ww/base/random.h>
#include <ww/stem/discreet-rpc.h>
#include <ww/stem/guarded-network.h>
#include <ww/stem/http-rpc.h>
#include <ww/stem/provider-url.h>
#include <ww/stem/web-socket-rpc.h>

namespace ww {

void requireProviderUrl(kj::StringPtr url) { ProviderUrl::parse(url); }

void ProviderLinks::Entropy::generate(kj::ArrayPtr<kj::byte> buffer) {
  while (buffer.size() > 0) {
    auto random = randomNonce();
    auto size = kj::min(buffer.size(), sizeof(random));
    memcpy(buffer.begin(), &random, size);
    buffer = buffer.slice(size, buffer.size());
  }
}

ProviderLinks::ProviderLinks(kj::AsyncIoProvider& io)
    : timer(io.getTimer()),
      network(wrapStreams(io.getNetwork(), [&timer = timer](auto stream) {
        return throttle(kj::mv(stream), timer);
      })),
      tlsNetwork(tls.wrapNetwork(*network)) {
  auto guarded = [&timer = timer](kj::Network& inner) {
    return wrapStreams(inner, [&timer](auto stream) {
      return guardFrames(kj::mv(stream), timer);
    });
  };
  wsNetwork = guarded(*network);
  wssNetwork = guarded(*tlsNetwork);
  client = kj::newHttpClient(timer, table, *network, *tlsNetwork);
  kj::HttpClientSettings settings;
  settings.entropySource = entropy;
  wsClient = kj::newHttpClient(timer, table, *wsNetwork, *wssNetwork, kj::mv(settings));
}

kj::Own<JsonRpc> ProviderLinks::open(kj::StringPtr url) {
  auto parsed = ProviderUrl::parse(url);
  kj::Own<JsonRpc> rpc;
  if (parsed.isWebSocket) {
    rpc = kj::heap<WebSocketRpc>(*wsClient, table, timer, kj::mv(parsed.url));
  } else {
    rpc = kj::heap<HttpRpc>(*client, table, timer, kj::mv(parsed.url));
  }
  return kj::heap<DiscreetRpc>(kj::mv(rpc), kj::mv(parsed.secrets));
}

}  // namespace ww
