#include <ww/stem/web-socket-rpc.h>

#include <ww/base/error.h>
#include <ww/base/text.h>

namespace ww {
namespace {

kj::Exception lost(kj::StringPtr why) {
  return KJ_EXCEPTION(DISCONNECTED, kj::str("the connection is lost: ", why));
}

}  // namespace

// Until something fails: then all its calls do, and it is good for nothing more.
class WebSocketRpc::Connection final: public kj::Refcounted {
 public:
  Connection(kj::Own<kj::WebSocket> socket,
             kj::Function<void(kj::Own<Json>, size_t)> onPushed)
      : socket(kj::mv(socket)), onPushed(kj::mv(onPushed)),
        reading(read().catch_([this](kj::Exception&& e) { fail(kj::mv(e)); })
                    .eagerlyEvaluate(nullptr)) {}

  bool isBroken() const { return failure != nullptr; }

  kj::Promise<RpcAnswer> call(uint64_t id, kj::String text) {
    KJ_IF_MAYBE(e, failure) return kj::cp(*e);
    if (calls.size() >= MAX_CALLS) return badInput("too many calls wait for this provider");
    auto paf = kj::newPromiseAndFulfiller<RpcAnswer>();
    calls.insert(id, kj::mv(paf.fulfiller));
    sending = sending.then([this, text = kj::mv(text)]() mutable {
      auto sent = socket->send(text.asArray());
      return sent.attach(kj::mv(text));
    }).catch_([this](kj::Exception&& e) { giveUp(kj::mv(e)); }).eagerlyEvaluate(nullptr);
    return paf.promise.attach(kj::defer([self = kj::addRef(*this), id]() mutable {
      self->calls.erase(id);
    }));
  }

  // Nothing is read of it from then on. Not from within a read.
  void giveUp(kj::Exception&& why) {
    fail(kj::mv(why));
    reading = nullptr;
  }

  void onLost(kj::Function<void(const kj::Exception&)> told) { this->told = kj::mv(told); }

 private:
  kj::Promise<void> read() {
    for (;;) {
      auto message = co_await socket->receive(MAX_ANSWER_BYTES);
      KJ_SWITCH_ONEOF(message) {
        KJ_CASE_ONEOF(text, kj::String) { take(kj::heap<Json>(text), text.size()); }
        KJ_CASE_ONEOF(bytes, kj::Array<kj::byte>) {
          kj::throwFatalException(lost("it sent what is no text"));
        }
        KJ_CASE_ONEOF(close, kj::WebSocket::Close) {
          kj::throwFatalException(lost(kj::str("it was closed (", close.code, ") `",
                                               shorten(close.reason), "`")));
        }
      }
    }
  }

  void take(kj::Own<Json> message, size_t bytes) {
    if (findField(message->get(), "method") != nullptr) return onPushed(kj::mv(message), bytes);
    KJ_IF_MAYBE(id, findField(message->get(), "id")) {
      if (!id->isNumber() || !(id->getNumber() >= 0 && id->getNumber() < 1e15)) return;
      auto number = uint64_t(id->getNumber());
      KJ_IF_MAYBE(call, calls.find(number)) {
        auto& fulfiller = **call;
        fulfiller.rejectIfThrows([&]() { fulfiller.fulfill(readAnswer(kj::mv(message), number)); });
      }
    }
  }

  void fail(kj::Exception&& exception) {
    if (failure != nullptr) return;
    failure = kj::cp(exception);
    for (auto& call: calls) call.value->reject(kj::cp(exception));
    KJ_IF_MAYBE(t, told) (*t)(exception);
  }

  kj::Own<kj::WebSocket> socket;
  kj::Function<void(kj::Own<Json>, size_t bytes)> onPushed;
  kj::Maybe<kj::Function<void(const kj::Exception&)>> told;
  kj::Maybe<kj::Exception> failure;
  kj::HashMap<uint64_t, kj::Own<kj::PromiseFulfiller<RpcAnswer>>> calls;
  kj::Promise<void> sending = kj::READY_NOW;
  kj::Promise<void> reading;
};

WebSocketRpc::WebSocketRpc(kj::HttpClient& client, const kj::HttpHeaderTable& table,
                           kj::Timer& timer, kj::String url)
    : client(client), table(table), timer(timer), url(kj::mv(url)) {}
WebSocketRpc::~WebSocketRpc() noexcept(false) {}

kj::Promise<RpcAnswer> WebSocketRpc::call(kj::StringPtr method, kj::String params) {
  auto answer = callOver(method, kj::mv(params));
  return answer.exclusiveJoin(timer.afterDelay(TIMEOUT).then([this]() -> RpcAnswer {
    // Nobody may be there any more: the next call makes a new one.
    KJ_IF_MAYBE(c, connection) (*c)->giveUp(lost("a call was not answered in time"));
    kj::throwFatalException(badInput(kj::str("no answer within ", TIMEOUT)));
  }));
}

kj::Promise<RpcAnswer> WebSocketRpc::callOver(kj::StringPtr method, kj::String params) {
  auto to = co_await connect();
  auto id = ++lastId;
  co_return co_await to->call(id, renderCall(id, method, params)).attach(kj::addRef(*to));
}

kj::Promise<kj::Own<WebSocketRpc::Connection>> WebSocketRpc::connect() {
  KJ_IF_MAYBE(c, connection) {
    if (!(*c)->isBroken()) return kj::addRef(**c);
  }
  if (opening == nullptr) {
    opening = open().exclusiveJoin(timer.afterDelay(TIMEOUT).then([]() {
      kj::throwFatalException(badInput(kj::str("no connection within ", TIMEOUT)));
    })).fork();
  }
  return KJ_ASSERT_NONNULL(opening).addBranch().then([this]() {
    opening = nullptr;
    return kj::addRef(*KJ_ASSERT_NONNULL(connection));
  }, [this](kj::Exception&& e) -> kj::Own<Connection> {
    opening = nullptr;
    kj::throwFatalException(kj::mv(e));
  });
}

kj::Promise<void> WebSocketRpc::open() {
  kj::HttpHeaders headers(table);
  auto response = co_await client.openWebSocket(url, headers);
  KJ_SWITCH_ONEOF(response.webSocketOrBody) {
    KJ_CASE_ONEOF(socket, kj::Own<kj::WebSocket>) {
      auto made = kj::refcounted<Connection>(kj::mv(socket),
                                             [this](kj::Own<Json> message, size_t bytes) {
        push(kj::mv(message), bytes);
      });
      made->onLost([this](const kj::Exception& e) {
        if (waiting.get() != nullptr) waiting->reject(kj::cp(e));
      });
      pushed.clear();
      pushedBytes = 0;
      ++connections;
      connection = kj::mv(made);
    }
    KJ_CASE_ONEOF(body, kj::Own<kj::AsyncInputStream>) {
      kj::throwFatalException(badInput(kj::str("HTTP ", response.statusCode,
                                               ", and not a WebSocket")));
    }
  }
}

void WebSocketRpc::push(kj::Own<Json> message, size_t bytes) {
  if (waiting.get() != nullptr && waiting->isWaiting()) return waiting->fulfill(kj::mv(message));
  pushed.push_back(Pushed{kj::mv(message), bytes});
  pushedBytes += bytes;
  while (pushed.size() > MAX_PUSHED || (pushedBytes > MAX_PUSHED_BYTES && pushed.size() > 1)) {
    pushedBytes -= pushed.front().bytes;
    pushed.pop_front();
  }
}

kj::Promise<kj::Own<Json>> WebSocketRpc::nextPushed() {
  if (!pushed.empty()) {
    auto first = kj::mv(pushed.front());
    pushed.pop_front();
    pushedBytes -= first.bytes;
    return kj::mv(first.message);
  }
  KJ_IF_MAYBE(c, connection) {
    if ((*c)->isBroken()) return lost("nothing is pushed");
    auto paf = kj::newPromiseAndFulfiller<kj::Own<Json>>();
    waiting = kj::mv(paf.fulfiller);
    return kj::mv(paf.promise);
  }
  return lost("nothing is pushed");
}

}  // namespace ww
