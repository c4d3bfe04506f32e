#include <ww/image/http-endpoint.h>

#include <kj/compat/url.h>
#include <string.h>
#include <ww/base/error.h>
#include <ww/base/text.h>

namespace ww {
namespace {

enum Status: kj::uint {
  OK = 200, MOVED = 301, FOUND = 302, SEE_OTHER = 303, TEMPORARY = 307, PERMANENT = 308
};

bool isRedirect(kj::uint status) {
  return status == MOVED || status == FOUND || status == SEE_OTHER || status == TEMPORARY ||
         status == PERMANENT;
}

bool contains(kj::StringPtr text, kj::StringPtr part) {
  return strstr(text.cStr(), part.cStr()) != nullptr;
}

[[noreturn]] void refuse(kj::StringPtr why) { kj::throwFatalException(badInput(why)); }

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

bool isHtml(const HttpAnswer& answer) {
  return answer.type.map([](const kj::String& type) {
    return contains(type, "text/html");
  }).orDefault(false);
}

}  // namespace

HttpEndpoint::HttpEndpoint(HttpReach reach, kj::StringPtr text, kj::StringPtr what): reach(reach) {
  auto parsed = kj::Url::tryParse(text);
  KJ_IF_MAYBE(url, parsed) {
    if (url->scheme != "http" && url->scheme != "https") {
      refuse(kj::str(what, " is reached by http or https, not by ", url->scheme));
    }
    if (url->userInfo != nullptr || url->query.size() > 0 || url->fragment != nullptr) {
      refuse(kj::str(what, "'s URL is a scheme, a host and a path at most, without a user's name "
                     "and without what follows a ? or # (", url->host, ")"));
    }
    KJ_IF_MAYBE(problem, findHostProblem(url->host)) {
      refuse(kj::str(what, "'s URL ", *problem, ": `", url->host, "`"));
    }
    url->hasTrailingSlash = false;
    base = url->toString();
    while (base.endsWith("/")) base = kj::str(base.slice(0, base.size() - 1));
    name = nameOf(*url);
    isPrivate = isPrivateHost(url->host);
    return;
  }
  refuse(kj::str("this is no URL of ", what, ", such as https://HOST or http://127.0.0.1:8080"));
}

kj::Promise<kj::Array<const kj::byte>> HttpEndpoint::call(Call call) {
  return callInTime(kj::mv(call)).exclusiveJoin(
      reach.timer.afterDelay(TIMEOUT).then([]() -> kj::Array<const kj::byte> {
    refuse(kj::str("no answer within ", TIMEOUT));
  }));
}

kj::HttpClient& HttpEndpoint::clientFor(kj::StringPtr url) {
  return isPrivate || nameOf(url) == name ? reach.any : reach.publicOnly;
}

kj::Promise<kj::Array<const kj::byte>> HttpEndpoint::callInTime(Call call) {
  auto url = kj::str(base, call.path);
  kj::HttpHeaders headers(reach.table);
  headers.add("Accept", call.accept);
  headers.add("User-Agent", "wetware");
  for (kj::uint redirects = 0;; redirects++) {
    auto answer = co_await callHttp(clientFor(url), call.method, url, headers, nullptr,
                                    call.maxBytes).catch_(
        [&](kj::Exception&& e) -> HttpAnswer { explain(e, url); });
    if (isRedirect(answer.status) && call.followsRedirects) {
      if (redirects == MAX_REDIRECTS) {
        refuse(kj::str("it redirects more than ", MAX_REDIRECTS, " times"));
      }
      url = follow(url, answer);
      continue;
    }
    if (answer.status != OK) {
      auto text = kj::heapString(answer.body.asChars());
      auto said = isHtml(answer) || text.size() == 0 ? kj::String()
                                                     : kj::str(": `", shorten(text), "`");
      refuse(kj::str("HTTP ", answer.status, said));
    }
    if (isHtml(answer)) refuse("it sends a page of HTML, and not what was asked for");
    co_return kj::mv(answer.body);
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
    refuse(kj::str("it redirects to what is no server: `", shorten(*location), "`"));
  }
  refuse("it redirects, and does not say where to");
}

void HttpEndpoint::explain(const kj::Exception& e, kj::StringPtr url) {
  auto text = e.getDescription();
  auto reason = contains(text, "): ") ? systemReason(e) : kj::str(text);
  auto where = nameOf(url);
  bool isOther = where != name;
  if (contains(reason, PRIVATE_PEER)) {
    refuse(kj::str("it redirects to ", where, ", which is no public address"));
  }
  auto prefix = isOther ? kj::str("it redirects to ", where, ": ") : kj::String();
  if (e.getType() == kj::Exception::Type::DISCONNECTED && contains(reason, "EOF")) {
    refuse(kj::str(prefix, "its answer was cut off"));
  }
  refuse(kj::str(prefix, shorten(reason)));
}

}  // namespace ww
