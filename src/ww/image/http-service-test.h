#pragma once
// Servers on the internet, as sources of blocks see them: what each answers is a test's business.

#include <kj/compat/http.h>
#include <kj/debug.h>
#include <kj/function.h>
#include <kj/map.h>
#include <ww/image/http-endpoint.h>

namespace ww {

struct FakeAnswer {
  kj::uint status = 200;
  kj::String type = kj::str("application/octet-stream");
  kj::Array<kj::byte> body;
  kj::Maybe<kj::String> location = nullptr, retryAfter = nullptr;
  enum { PLAIN, CHUNKED, LONG, SILENCE, HALF_AND_SILENCE } how = PLAIN;
};

// All hosts there are. A host is public or not; who reaches public ones alone fails for others as
// KJ's own network does.
class FakeInternet final {
 public:
  using Handler = kj::Function<FakeAnswer(kj::StringPtr path)>;

  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  kj::HttpHeaderTable table;
  kj::Vector<kj::String> asked;  // METHOD URL, in order

  // `host` as in a URL: scheme and all.
  void serve(kj::StringPtr host, bool isPublic, Handler handler) {
    hosts.upsert(kj::str(host), Host{isPublic, kj::mv(handler)},
                 [](Host& old, Host&& now) { old = kj::mv(now); });
  }
  HttpReach reach() { return {*any, *publicOnly, table, timer}; }

  // Why it fails, however long that takes.
  template <typename T>
  kj::String failureOf(kj::Promise<T> promise) {
    for (int i = 0; i < 1000 && !promise.poll(waitScope); i++) {
      timer.advanceTo(timer.now() + 1 * kj::SECONDS);
    }
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { promise.wait(waitScope); })) {
      return kj::str(e->getDescription());
    }
    return kj::str("nothing went wrong");
  }

 private:
  struct Host {
    bool isPublic;
    Handler handler;
  };

  class Service final: public kj::HttpService {
   public:
    Service(FakeInternet& internet, bool publicOnly)
        : internet(internet), publicOnly(publicOnly) {}

    kj::Promise<void> request(kj::HttpMethod method, kj::StringPtr url, const kj::HttpHeaders&,
                              kj::AsyncInputStream&, Response& response) override {
      internet.asked.add(kj::str(method, ' ', url));
      size_t end = kj::StringPtr("https://").size();
      while (end < url.size() && url[end] != '/') end++;
      auto host = kj::str(url.slice(0, end));
      KJ_IF_MAYBE(found, internet.hosts.find(host)) {
        if (publicOnly && !found->isPublic) {
          return KJ_EXCEPTION(FAILED, "connect() blocked by restrictPeers()");
        }
        return send(found->handler(url.slice(end)), response);
      }
      return KJ_EXCEPTION(FAILED, "connect(): Connection refused");
    }

   private:
    FakeInternet& internet;
    const bool publicOnly;

    kj::Promise<void> send(FakeAnswer answer, Response& response) {
      if (answer.how == FakeAnswer::SILENCE) co_await kj::Promise<void>(kj::NEVER_DONE);
      kj::HttpHeaders headers(internet.table);
      headers.set(kj::HttpHeaderId::CONTENT_TYPE, kj::mv(answer.type));
      KJ_IF_MAYBE(location, answer.location) {
        headers.set(kj::HttpHeaderId::LOCATION, kj::mv(*location));
      }
      KJ_IF_MAYBE(pause, answer.retryAfter) headers.add("Retry-After", kj::mv(*pause));
      kj::Maybe<uint64_t> size;
      if (answer.how != FakeAnswer::CHUNKED) size = answer.body.size();
      if (answer.how == FakeAnswer::LONG) size = uint64_t(1) << 40;
      auto body = response.send(answer.status, "Because", headers, size);
      auto part = answer.how == FakeAnswer::HALF_AND_SILENCE ? answer.body.size() / 2
                                                             : answer.body.size();
      co_await body->write(answer.body.begin(), part);
      bool isEnd = answer.how == FakeAnswer::PLAIN || answer.how == FakeAnswer::CHUNKED;
      if (!isEnd) co_await kj::Promise<void>(kj::NEVER_DONE);
    }
  };

  kj::HashMap<kj::String, Host> hosts;
  Service toAny{*this, false}, toPublic{*this, true};
  kj::Own<kj::HttpClient> any = kj::newHttpClient(toAny);
  kj::Own<kj::HttpClient> publicOnly = kj::newHttpClient(toPublic);
};

}  // namespace ww
