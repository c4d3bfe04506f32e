#pragma once
// Metrics and health over HTTP, for whoever watches the node: GET /metrics, /healthz, /readyz. It
// answers to the address that it is bound to (`localhost`, on loopback; any IP address, where it is
// bound to all) and no other name, so that no web page reaches it through a browser. Nothing is
// read but heads of requests. A few connections at a time: above that the oldest that has asked for
// nothing makes room. Who asks wrongly learns that, and nothing of this process.
//
// One event loop.

#include <kj/compat/http.h>
#include <ww/base/log.h>
#include <ww/node/ip-port.h>
#include <ww/node/metrics.h>

namespace ww {

class MetricsServer final: private kj::HttpServerErrorHandler,
                           private kj::TaskSet::ErrorHandler {
 public:
  static constexpr kj::uint MAX_CONNECTIONS = 16;
  static constexpr uint16_t PORT = 2030;  // where the address has none

  // References outlive it.
  MetricsServer(kj::Timer& timer, Logger& logger);
  ~MetricsServer() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(MetricsServer);

  // What /metrics says from now on; nothing before.
  void setMetrics(kj::Function<kj::String()> toText) { this->toText = kj::mv(toText); }

  // What the node waits for, until setReady().
  void setWaiting(kj::StringPtr what) {
    findProblem = [what = kj::str(what)]() -> kj::Maybe<kj::String> { return kj::str(what); };
  }
  void setWaitingFor(kj::Function<kj::String()> what) {
    findProblem = [what = kj::mv(what)]() mutable -> kj::Maybe<kj::String> { return what(); };
  }

  // pid0 runs from now on: the node is ready, unless `findProblem` knows why it is not.
  void setReady(kj::Function<kj::Maybe<kj::String>()> findProblem) {
    this->findProblem = kj::mv(findProblem);
  }

  // IP:PORT, as `--rpc` takes it. Listens when this returns, and says where; throws if it cannot.
  // The promise does not resolve.
  kj::Promise<void> serve(kj::Network& network, kj::StringPtr address);

 private:
  class Connection;
  using Response = kj::HttpService::Response;

  kj::Promise<void> answer(kj::HttpMethod method, kj::StringPtr url,
                           const kj::HttpHeaders& headers, Response& response);
  kj::HttpServerSettings settings();
  bool makeRoom();
  kj::Promise<void> handleClientProtocolError(kj::HttpHeaders::ProtocolError error,
                                              Response& response) override;
  kj::Promise<void> handleApplicationError(kj::Exception exception,
                                           kj::Maybe<Response&> response) override;
  kj::Promise<void> handleNoResponse(Response& response) override;
  bool isMeant(kj::StringPtr name) const;
  kj::Promise<void> talk(kj::Own<kj::AsyncIoStream> stream);
  void taskFailed(kj::Exception&& exception) override;

  kj::Timer& timer;
  Logger& logger;
  kj::Function<kj::String()> toText = []() { return kj::String(); };
  kj::Function<kj::Maybe<kj::String>()> findProblem = []() -> kj::Maybe<kj::String> {
    return kj::str("pid0 does not run yet");
  };
  IpPort place;
  kj::HttpHeaderTable headerTable;
  struct Connections;
  kj::Own<Connections> connections;  // the oldest first
  kj::TaskSet tasks;
};

}  // namespace ww
