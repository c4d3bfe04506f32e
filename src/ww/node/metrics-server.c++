#include <ww/node/metrics-server.h>

#include <ww/base/accept.h>
#include <ww/base/error.h>

namespace ww {
namespace {

struct Answer {
  kj::uint status;
  kj::StringPtr text;
};
constexpr Answer OK{200, "OK"_kj}, BAD_REQUEST{400, "Bad Request"_kj},
    NOT_FOUND{404, "Not Found"_kj}, WRONG_METHOD{405, "Method Not Allowed"_kj},
    WRONG_HOST{421, "Misdirected Request"_kj}, NOT_READY{503, "Service Unavailable"_kj};

constexpr auto PLAIN_TEXT = "text/plain; charset=utf-8"_kj;
// For a reader to take an answer.
constexpr kj::Duration TO_ANSWER = 30 * kj::SECONDS;

constexpr auto GET_ALONE = "GET alone"_kj;

kj::HttpHeaders headersOf(const kj::HttpHeaderTable& table, Answer with, kj::StringPtr type) {
  kj::HttpHeaders headers(table);
  headers.set(kj::HttpHeaderId::CONTENT_TYPE, type);
  if (with.status == WRONG_METHOD.status) headers.add("Allow"_kj, "GET"_kj);
  return headers;
}

kj::Promise<void> send(kj::HttpService::Response& response, const kj::HttpHeaderTable& table,
                       Answer with, kj::StringPtr type, kj::String text) {
  auto body = response.send(with.status, with.text, headersOf(table, with, type), text.size());
  co_await body->write(text.begin(), text.size());
}

}  // namespace

class MetricsServer::Connection final: public kj::HttpService {
 public:
  Connection(MetricsServer& server, kj::PromiseFulfillerPair<void> paf)
      : server(server), leave(kj::mv(paf.fulfiller)), left(kj::mv(paf.promise)) {}

  bool isIdle() const { return answering == 0; }
  bool isLeaving() const { return leaving; }
  void giveWay() {
    leaving = true;
    leave->fulfill();
  }
  kj::Promise<void> onGiveWay() { return kj::mv(left); }

  kj::ListLink<Connection> link;

 private:
  kj::Promise<void> request(kj::HttpMethod method, kj::StringPtr url,
                            const kj::HttpHeaders& headers, kj::AsyncInputStream&,
                            Response& response) override {
    ++answering;
    auto answer = server.answer(method, url, headers, response);
    return server.timer.timeoutAfter(TO_ANSWER, kj::mv(answer)).attach(kj::defer([this]() {
      --answering;
    }));
  }

  kj::Promise<void> connect(kj::StringPtr, const kj::HttpHeaders&, kj::AsyncIoStream&,
                            ConnectResponse& response, kj::HttpConnectSettings) override {
    auto headers = headersOf(server.headerTable, WRONG_METHOD, PLAIN_TEXT);
    auto body = response.reject(WRONG_METHOD.status, WRONG_METHOD.text, headers, GET_ALONE.size());
    co_await body->write(GET_ALONE.begin(), GET_ALONE.size());
  }

  MetricsServer& server;
  kj::uint answering = 0;
  bool leaving = false;
  kj::Own<kj::PromiseFulfiller<void>> leave;
  kj::Promise<void> left;
};

struct MetricsServer::Connections {
  kj::List<Connection, &Connection::link> list;
};

MetricsServer::MetricsServer(kj::Timer& timer, Logger& logger)
    : timer(timer), logger(logger), connections(kj::heap<Connections>()),
      tasks(*this) {}

MetricsServer::~MetricsServer() noexcept(false) {}

kj::HttpServerSettings MetricsServer::settings() {
  kj::HttpServerSettings settings;
  settings.headerTimeout = 5 * kj::SECONDS;
  settings.pipelineTimeout = 30 * kj::SECONDS;  // between scrapes nobody needs a connection
  settings.errorHandler = *this;
  return settings;
}

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
  co_await acceptAll(*receiver, timer, [this](kj::Own<kj::AsyncIoStream> stream) {
    tasks.add(talk(kj::mv(stream)));
  });
}

kj::Promise<void> MetricsServer::talk(kj::Own<kj::AsyncIoStream> stream) {
  if (!makeRoom()) co_return;
  Connection connection(*this, kj::newPromiseAndFulfiller<void>());
  connections->list.add(connection);
  KJ_DEFER(connections->list.remove(connection));
  kj::HttpServer server(timer, headerTable, connection, settings());
  co_await server.listenHttp(kj::mv(stream)).exclusiveJoin(connection.onGiveWay());
}

// False where all are being answered.
bool MetricsServer::makeRoom() {
  kj::uint count = 0;
  kj::Maybe<Connection&> oldestIdle;
  for (auto& connection: connections->list) {
    if (connection.isLeaving()) continue;
    ++count;
    if (connection.isIdle() && oldestIdle == nullptr) oldestIdle = connection;
  }
  if (count < MAX_CONNECTIONS) return true;
  KJ_IF_MAYBE(oldest, oldestIdle) {
    oldest->giveWay();
    return true;
  }
  return false;
}

kj::Promise<void> MetricsServer::answer(kj::HttpMethod method, kj::StringPtr url,
                                        const kj::HttpHeaders& headers, Response& response) {
  auto say = [&](Answer with, kj::StringPtr text) {
    return send(response, headerTable, with, PLAIN_TEXT, kj::str(text, '\n'));
  };
  if (!isMeant(headers.get(kj::HttpHeaderId::HOST).orDefault(nullptr))) {
    return say(WRONG_HOST, kj::str("ask for ", place.toText(), place.isUnspecified()
        ? ", or an IP address of this machine" : "", "; it answers to no other name"));
  }
  if (method != kj::HttpMethod::GET) return say(WRONG_METHOD, GET_ALONE);
  if (url == "/metrics") {
    return send(response, headerTable, OK, NodeMetrics::CONTENT_TYPE, toText());
  }
  if (url == "/healthz") return say(OK, "ok");
  if (url == "/readyz") {
    KJ_IF_MAYBE(problem, findProblem()) return say(NOT_READY, *problem);
    return say(OK, "ready");
  }
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

kj::Promise<void> MetricsServer::handleClientProtocolError(kj::HttpHeaders::ProtocolError,
                                                           Response& response) {
  return send(response, headerTable, BAD_REQUEST, PLAIN_TEXT, kj::str("this is no request\n"));
}

kj::Promise<void> MetricsServer::handleApplicationError(kj::Exception exception,
                                                        kj::Maybe<Response&> response) {
  taskFailed(kj::mv(exception));
  KJ_IF_MAYBE(r, response) {
    return send(*r, headerTable, BAD_REQUEST, PLAIN_TEXT, kj::str("this cannot be answered\n"));
  }
  return kj::READY_NOW;
}

kj::Promise<void> MetricsServer::handleNoResponse(Response& response) {
  return send(response, headerTable, BAD_REQUEST, PLAIN_TEXT, kj::str("this has no answer\n"));
}

void MetricsServer::taskFailed(kj::Exception&& exception) {
  logger.log(LogLevel::DEBUG, "a connection for metrics failed",
             {{"cause", kj::str(exception.getDescription())}});
}

}  // namespace ww
