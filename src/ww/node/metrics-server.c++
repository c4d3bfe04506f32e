#include <ww/node/metrics-server.h>

#include <ww/base/error.h>

namespace ww {
namespace {

kj::HttpServerSettings settings() {
  kj::HttpServerSettings settings;
  settings.headerTimeout = 5 * kj::SECONDS;
  settings.pipelineTimeout = 30 * kj::SECONDS;  // between scrapes nobody needs a connection
  return settings;
}

struct Answer {
  kj::uint status;
  kj::StringPtr text;
};
constexpr Answer OK{200, "OK"_kj}, NOT_FOUND{404, "Not Found"_kj},
    WRONG_METHOD{405, "Method Not Allowed"_kj}, WRONG_HOST{421, "Misdirected Request"_kj},
    NOT_READY{503, "Service Unavailable"_kj};

kj::Promise<void> answer(kj::HttpService::Response& response, const kj::HttpHeaderTable& table,
                         Answer with, kj::StringPtr type, kj::String text) {
  kj::HttpHeaders headers(table);
  headers.set(kj::HttpHeaderId::CONTENT_TYPE, type);
  if (with.status == WRONG_METHOD.status) headers.add("Allow"_kj, "GET"_kj);
  auto body = response.send(with.status, with.text, headers, text.size());
  co_await body->write(text.begin(), text.size());
}

}  // namespace

MetricsServer::MetricsServer(kj::Timer& timer, NodeMetrics& metrics, Logger& logger)
    : metrics(metrics), logger(logger), server(timer, headerTable, *this, settings()),
      tasks(*this) {}

kj::Promise<void> MetricsServer::serve(kj::Network& network, kj::StringPtr address) {
  place = parseIpPort("--metrics", address, PORT);
  auto parsed = co_await network.parseAddress(place.toText());
  kj::Own<kj::ConnectionReceiver> receiver;
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { receiver = parsed->listen(); })) {
    kj::throwFatalException(badInput(kj::str("--metrics ", address, ": cannot listen there: ",
                                             systemReason(*e))));
  }
  place.port = receiver->getPort();
  logger.log(LogLevel::INFO, "metrics are served",
             {{"url", kj::str("http://", place.toText(), "/metrics")}});
  co_await acceptAll(kj::mv(receiver));
}

kj::Promise<void> MetricsServer::acceptAll(kj::Own<kj::ConnectionReceiver> receiver) {
  for (;;) {
    auto stream = co_await receiver->accept();
    if (connections < MAX_CONNECTIONS) tasks.add(talk(kj::mv(stream)));
  }
}

kj::Promise<void> MetricsServer::talk(kj::Own<kj::AsyncIoStream> stream) {
  ++connections;
  KJ_DEFER(--connections);
  co_await server.listenHttp(kj::mv(stream));
}

kj::Promise<void> MetricsServer::request(kj::HttpMethod method, kj::StringPtr url,
                                         const kj::HttpHeaders& headers, kj::AsyncInputStream&,
                                         Response& response) {
  auto say = [&](Answer with, kj::StringPtr text) {
    return answer(response, headerTable, with, "text/plain; charset=utf-8"_kj,
                  kj::str(text, '\n'));
  };
  if (!isMeant(headers.get(kj::HttpHeaderId::HOST).orDefault(nullptr))) {
    return say(WRONG_HOST, kj::str("this is ", place.toText(), ", and no other name"));
  }
  if (method != kj::HttpMethod::GET) return say(WRONG_METHOD, "GET alone");
  if (url == "/metrics") {
    return answer(response, headerTable, OK, NodeMetrics::CONTENT_TYPE, metrics.toText());
  }
  if (url == "/healthz") return say(OK, "ok");
  if (url == "/readyz") return isReady ? say(OK, "ready") : say(NOT_READY, "pid0 does not run yet");
  return say(NOT_FOUND, "there are /metrics, /healthz and /readyz");
}

// A name could be anybody's, and lead here by its owner's choice; but for one.
bool MetricsServer::isMeant(kj::StringPtr name) const {
  if (name == place.toText()) return true;
  if (place.isLoopback() && name == kj::str("localhost:", place.port)) return true;
  if (!place.isUnspecified()) return false;
  bool isIp = false;
  kj::runCatchingExceptions([&]() {
    auto other = parseIpPort("Host", name, 80);
    isIp = name.size() > 0 && name[0] != ':' && other.port == place.port;
  });
  return isIp;
}

void MetricsServer::taskFailed(kj::Exception&& exception) {
  logger.log(LogLevel::DEBUG, "a connection for metrics failed",
             {{"cause", kj::str(exception.getDescription())}});
}

}  // namespace ww
