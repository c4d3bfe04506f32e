#include <ww/image/http-endpoint.h>

#include <errno.h>
#include <kj/compat/url.h>
#include <string.h>
#include <ww/base/error.h>
#include <ww/base/text.h>
#include <ww/image/patience.h>

namespace ww {
namespace {

enum Status: kj::uint {
  OK = 200, MOVED = 301, FOUND = 302, SEE_OTHER = 303, TEMPORARY = 307, PERMANENT = 308,
  BAD_REQUEST = 400, UNAUTHORIZED = 401, FORBIDDEN = 403, NOT_ACCEPTABLE = 406, UNSUPPORTED = 415,
  TOO_MANY = 429, NOT_IMPLEMENTED = 501, UNAVAILABLE = 503
};

bool isRedirect(kj::uint status) {
  return status == MOVED || status == FOUND || status == SEE_OTHER || status == TEMPORARY ||
         status == PERMANENT;
}

// It does not give what it is asked for, and will not. What is of one content (404, 410, 451) is
// not: it may have the next.
bool isForGood(kj::uint status) {
  switch (status) {
    case BAD_REQUEST: case UNAUTHORIZED: case FORBIDDEN: case NOT_ACCEPTABLE: case UNSUPPORTED:
    case NOT_IMPLEMENTED: return true;
    default: return false;
  }
}

bool contains(kj::StringPtr text, kj::StringPtr part) {
  return strstr(text.cStr(), part.cStr()) != nullptr;
}

// It would at every other time.
constexpr auto FOR_GOOD = kj::Exception::Type::UNIMPLEMENTED;

[[noreturn]] void refuse(kj::StringPtr why, kj::Exception::Type type) {
  kj::throwFatalException(kj::Exception(type, __FILE__, __LINE__, kj::str(why)));
}

// How long it asks not to be asked.
kj::Maybe<kj::Duration> findPause(const HttpOpened& opened) {
  constexpr uint32_t LONGEST = 86400;  // no second less than it says, and no overflow
  if (opened.status != TOO_MANY && opened.status != UNAVAILABLE) return nullptr;
  KJ_IF_MAYBE(text, opened.retryAfter) {
    KJ_IF_MAYBE(seconds, text->tryParseAs<uint32_t>()) {
      return kj::max(kj::min(*seconds, LONGEST), 1u) * kj::SECONDS;
    }
  }
  return nullptr;
}

// HOST without its port.
kj::String hostOf(kj::StringPtr host) {
  if (host.startsWith("[")) {
    return kj::str(host.slice(1, host.findFirst(']').orDefault(host.size())));
  }
  return kj::str(host.slice(0, host.findFirst(':').orDefault(host.size())));
}

// As it is written: a name is looked up when it is called, and may stand for anything.
bool isPrivateHost(kj::StringPtr hostAndPort) {
  auto host = hostOf(hostAndPort);
  if (host == "localhost" || host.endsWith(".localhost") || host.endsWith(".local")) return true;
  for (auto prefix: {"127.", "10.", "192.168.", "169.254.", "::1", "fc", "fd", "fe80:"}) {
    bool isAddress = contains(host, ":") ||
                     strspn(host.cStr(), "0123456789.") == host.size();
    if (isAddress && host.startsWith(prefix)) return true;
  }
  for (kj::uint i = 16; i < 32; i++) {
    if (host.startsWith(kj::str("172.", i, ".")) &&
        strspn(host.cStr(), "0123456789.") == host.size()) return true;
  }
  return false;
}

kj::String nameOf(const kj::Url& url) { return kj::str(url.scheme, "://", url.host); }

kj::String nameOf(kj::StringPtr text) {
  KJ_IF_MAYBE(url, kj::Url::tryParse(text)) return nameOf(*url);
  return kj::str("another server");
}

bool isHtml(const kj::Maybe<kj::String>& type) {
  return type.map([](const kj::String& text) {
    auto lower = kj::str(text);
    for (auto& c: lower) {
      if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
    }
    return contains(lower, "text/html");
  }).orDefault(false);
}

// A body that is late where nothing of it comes.
class TimedBody final: public kj::AsyncInputStream {
 public:
  TimedBody(kj::Own<kj::AsyncInputStream> inner, kj::Timer& timer, size_t maxBytes)
      : inner(kj::mv(inner)), timer(timer),
        patience(timer.now(), HttpEndpoint::TIMEOUT, HttpEndpoint::LEAST_RATE, maxBytes) {}

  kj::Maybe<uint64_t> tryGetLength() override { return inner->tryGetLength(); }

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override {
    auto place = reinterpret_cast<kj::byte*>(buffer);
    size_t done = 0;
    while (done < minBytes) {
      auto count = co_await inner->tryRead(place + done, 1, maxBytes - done)
          .exclusiveJoin(untilLate());
      if (count == 0) break;
      patience.hear(count, timer.now());
      done += count;
    }
    co_return done;
  }

 private:
  kj::Own<kj::AsyncInputStream> inner;
  kj::Timer& timer;
  Patience patience;

  kj::Promise<size_t> untilLate() {
    co_await timer.atTime(patience.getEnd());
    kj::throwFatalException(late("its answer stalls"));
  }
};

}  // namespace

// Says why it fails as the endpoint does.
class HttpEndpoint::Body final: public kj::AsyncInputStream {
 public:
  Body(HttpEndpoint& endpoint, Found found) : endpoint(endpoint), found(kj::mv(found)) {}

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override {
    return found.answer.body->tryRead(buffer, minBytes, maxBytes).catch_(
        [this](kj::Exception&& e) -> size_t { endpoint.explain(e, found.url); });
  }

 private:
  HttpEndpoint& endpoint;
  Found found;
};

HttpEndpoint::HttpEndpoint(HttpReach reach, kj::StringPtr text, kj::StringPtr what): reach(reach) {
  auto url = ServerUrl::parse(text, what);
  isPrivate = isPrivateHost(url.host);
  base = kj::mv(url.text);
  name = kj::mv(url.name);
}

template <typename T>
kj::Promise<T> HttpEndpoint::inTime(kj::Promise<T> promise) {
  return promise.exclusiveJoin(reach.timer.afterDelay(TIMEOUT).then([]() -> T {
    kj::throwFatalException(late(kj::str("no answer within ", TIMEOUT)));
  }));
}

kj::Promise<kj::Array<const kj::byte>> HttpEndpoint::call(Call call) {
  auto maxBytes = call.maxBytes;
  auto found = co_await inTime(find(kj::mv(call)));
  found.answer.body = kj::heap<TimedBody>(kj::mv(found.answer.body), reach.timer, maxBytes);
  auto answer = co_await readHttp(kj::mv(found.answer), maxBytes).catch_(
      [&](kj::Exception&& e) -> HttpAnswer { explain(e, found.url); });
  co_return kj::mv(answer.body);
}

kj::Promise<kj::Own<kj::AsyncInputStream>> HttpEndpoint::open(Call call) {
  auto found = co_await inTime(find(kj::mv(call)));
  co_return kj::heap<Body>(*this, kj::mv(found));
}

kj::HttpClient& HttpEndpoint::clientFor(kj::StringPtr url) {
  return isPrivate || nameOf(url) == name ? reach.any : reach.publicOnly;
}

// The answer with status 200, whoever gives it.
kj::Promise<HttpEndpoint::Found> HttpEndpoint::find(Call call) {
  auto url = kj::str(base, call.path);
  kj::HttpHeaders headers(reach.table);
  headers.add("Accept", call.accept);
  headers.add("User-Agent", "wetware");
  auto end = reach.timer.now() + TIMEOUT;
  if (call.waits && isResting()) co_await reach.timer.atTime(restEnd);
  for (kj::uint redirects = 0;;) {
    auto opened = co_await openHttp(clientFor(url), call.method, url, headers, nullptr).catch_(
        [&](kj::Exception&& e) -> HttpOpened { explain(e, url); });
    if (opened.status == OK) {
      if (isHtml(opened.type)) {
        refuse("it sends a page of HTML, and not what was asked for", FOR_GOOD);
      }
      co_return Found{kj::mv(opened), kj::mv(url)};
    }
    auto rest = reach.timer.now() + findPause(opened).orDefault(TIMEOUT);
    if (rest < end) {
      restEnd = kj::max(restEnd, rest);
      if (call.waits) {
        opened.body = nullptr;
        co_await reach.timer.atTime(rest);
        continue;
      }
    }
    auto answer = co_await readHttp(kj::mv(opened), call.maxBytes).catch_(
        [&](kj::Exception&& e) -> HttpAnswer { explain(e, url); });
    if (isRedirect(answer.status) && call.followsRedirects) {
      if (redirects++ == MAX_REDIRECTS) {
        refuse(kj::str("it redirects more than ", MAX_REDIRECTS, " times"), FOR_GOOD);
      }
      url = follow(url, answer);
      continue;
    }
    auto text = kj::heapString(answer.body.asChars());
    auto said = isHtml(answer.type) || text.size() == 0 ? kj::String()
                                                        : kj::str(": `", shorten(text), "`");
    refuse(kj::str("HTTP ", answer.status, said),
           isForGood(answer.status) ? FOR_GOOD : kj::Exception::Type::FAILED);
  }
}

kj::String HttpEndpoint::follow(kj::StringPtr from, const HttpAnswer& answer) {
  KJ_IF_MAYBE(location, answer.location) {
    auto base = kj::Url::parse(from);
    kj::Maybe<kj::Url> target;
    kj::runCatchingExceptions([&]() { target = base.tryParseRelative(*location); });
    KJ_IF_MAYBE(url, target) {
      bool isGood = (url->scheme == "http" || url->scheme == "https") && url->userInfo == nullptr &&
                    findHostProblem(url->host) == nullptr;
      if (isGood) {
        url->fragment = nullptr;
        return url->toString();
      }
    }
    refuse(kj::str("it redirects to what is no server: `", shorten(*location), "`"), FOR_GOOD);
  }
  refuse("it redirects, and does not say where to", FOR_GOOD);
}

void HttpEndpoint::explain(const kj::Exception& e, kj::StringPtr url) {
  using Type = kj::Exception::Type;
  bool isSystems = contains(e.getDescription(), "): ");
  auto reason = httpReason(e);
  auto type = e.getType() == Type::OVERLOADED || e.getType() == Type::DISCONNECTED ? e.getType()
                                                                                   : Type::FAILED;
  // Of the same type is what this process lacks: descriptors, memory.
  if (type == Type::OVERLOADED && isSystems && !contains(reason, strerror(ETIMEDOUT))) {
    type = Type::FAILED;
    reason = kj::str("it cannot be asked from here: ", reason);
  }
  auto where = nameOf(url);
  bool isOther = where != name;
  if (contains(reason, PRIVATE_PEER)) {
    refuse(kj::str("it redirects to ", where, ", which is no public address"), FOR_GOOD);
  }
  auto prefix = isOther ? kj::str("it redirects to ", where, ": ") : kj::String();
  refuse(kj::str(prefix, shorten(reason)), type);
}

}  // namespace ww
