#include <ww/base/http-call.h>

#include <kj/compat/url.h>
#include <string.h>
#include <strings.h>
#include <ww/base/error.h>

namespace ww {
namespace {

constexpr kj::StringPtr CUT = "its answer was cut off"_kj;

bool isOfHttp(const kj::Exception& e) {
  return kj::StringPtr(e.getFile()).endsWith("compat/http.c++");
}

}  // namespace

ServerUrl ServerUrl::parse(kj::StringPtr text, kj::StringPtr what) {
  auto refuse = [&](auto&&... why) {
    kj::throwFatalException(badInput(kj::str(what, why...)));
  };
  auto parsed = kj::Url::tryParse(text);
  KJ_IF_MAYBE(url, parsed) {
    if (url->scheme != "http" && url->scheme != "https") {
      refuse(" is reached by http or https, not by ", url->scheme);
    }
    if (url->userInfo != nullptr || url->query.size() > 0 || url->fragment != nullptr) {
      refuse("'s URL is a scheme, a host and a path at most, without a user's name and without "
             "what follows a ? or # (", url->host, ")");
    }
    KJ_IF_MAYBE(problem, findHostProblem(url->host)) {
      refuse("'s URL ", *problem, ": `", url->host, "`");
    }
    url->hasTrailingSlash = false;
    auto whole = url->toString();
    while (whole.endsWith("/")) whole = kj::str(whole.slice(0, whole.size() - 1));
    return {kj::mv(whole), kj::str(url->scheme, "://", url->host), kj::mv(url->host)};
  }
  kj::throwFatalException(badInput(kj::str("this is no URL of ", what, ", such as https://HOST or "
                                           "http://127.0.0.1:8080")));
}

void requireStatus(kj::uint status) {
  constexpr kj::uint LEAST = 100, LEAST_FINAL = 200, MOST = 999;
  if (status >= LEAST_FINAL && status <= MOST) return;
  if (status >= LEAST && status < LEAST_FINAL) {  // KJ reads none that comes after it
    kj::throwFatalException(badInput(kj::str("it answers with an interim HTTP ", status,
        ", which is not understood here: have it answer at once, or name another")));
  }
  kj::throwFatalException(badInput("its answer has a status that HTTP does not know"));
}

kj::Promise<HttpOpened> openHttp(kj::HttpClient& client, kj::HttpMethod method, kj::StringPtr url,
                                 const kj::HttpHeaders& headers,
                                 kj::ArrayPtr<const kj::byte> body) {
  auto request = client.request(method, url, headers, uint64_t(body.size()));
  // A server may answer before it has read all of this, and close.
  auto sending = body.size() == 0 ? kj::Promise<void>(kj::READY_NOW)
      : request.body->write(body.begin(), body.size());
  auto sent = sending.attach(kj::mv(request.body)).catch_([](kj::Exception&&) {})
      .eagerlyEvaluate(nullptr);
  auto response = co_await request.response;
  auto copy = [&](kj::HttpHeaderId id) {
    return response.headers->get(id).map([](kj::StringPtr value) { return kj::str(value); });
  };
  requireStatus(response.statusCode);
  HttpOpened opened;
  opened.status = response.statusCode;
  opened.type = copy(kj::HttpHeaderId::CONTENT_TYPE);
  opened.location = copy(kj::HttpHeaderId::LOCATION);
  response.headers->forEach([&](kj::StringPtr name, kj::StringPtr value) {
    if (strcasecmp(name.cStr(), "Retry-After") == 0) opened.retryAfter = kj::str(value);
  });
  opened.body = response.body.attach(kj::mv(sent));
  co_return kj::mv(opened);
}

// By where it was thrown: the library's words are for who programs with it.
kj::String httpReason(const kj::Exception& e) {
  constexpr kj::StringPtr REASON = "reason = "_kj;
  kj::StringPtr file = e.getFile(), text = e.getDescription();
  bool isCut = e.getType() == kj::Exception::Type::DISCONNECTED;
  auto contains = [&](kj::StringPtr part) { return strstr(text.cStr(), part.cStr()) != nullptr; };
  if (contains("DNS lookup failed")) return kj::str("its host's name is not known: check its URL");
  if (contains("stream disconnected prematurely")) return kj::str(CUT);
  if (isOfHttp(e)) {
    return isCut ? kj::str(CUT) : kj::str("what it answers is no HTTP: check its URL");
  }
  if (file.endsWith("compat/tls.c++")) {
    auto reason = strstr(text.cStr(), REASON.cStr());
    if (contains("certificate is not trusted") && reason != nullptr) {
      return kj::str("its certificate is not trusted: ", reason + REASON.size());
    }
    return isCut ? kj::str(CUT) : kj::str("it speaks no TLS that is known here: check its URL");
  }
  return contains("): ") ? systemReason(e) : kj::str(text);
}

kj::Promise<HttpAnswer> readHttp(HttpOpened opened, size_t maxBytes) {
  KJ_IF_MAYBE(length, opened.body->tryGetLength()) {
    if (*length > maxBytes) {
      kj::throwFatalException(badInput(kj::str("an answer of ", *length, " bytes; the limit is ",
                                               maxBytes)));
    }
  }
  HttpAnswer answer;
  answer.status = opened.status;
  answer.type = kj::mv(opened.type);
  answer.location = kj::mv(opened.location);
  answer.body = co_await opened.body->readAllBytes(maxBytes).catch_(
      [maxBytes](kj::Exception&& e) -> kj::Array<kj::byte> {
    if (e.getType() != kj::Exception::Type::FAILED) kj::throwFatalException(kj::mv(e));
    if (isOfHttp(e)) kj::throwFatalException(badInput(httpReason(e)));
    kj::throwFatalException(badInput(kj::str("an answer of more than ", maxBytes,
                                             " bytes, which is the limit")));
  });
  co_return answer;
}

kj::Promise<HttpAnswer> callHttp(kj::HttpClient& client, kj::HttpMethod method, kj::StringPtr url,
                                 const kj::HttpHeaders& headers, kj::ArrayPtr<const kj::byte> body,
                                 size_t maxBytes) {
  co_return co_await readHttp(co_await openHttp(client, method, url, headers, body), maxBytes);
}

kj::Maybe<kj::StringPtr> findHostProblem(kj::StringPtr host) {
  kj::ArrayPtr<const char> rest = host.asArray();
  if (host.startsWith("[")) {
    KJ_IF_MAYBE(end, host.findFirst(']')) {
      rest = host.slice(*end + 1).asArray();
      if (rest.size() > 0 && rest[0] != ':') return "has a host that is none"_kj;
    } else {
      return "has a host without its `]`"_kj;
    }
  }
  for (size_t i = 0; i < rest.size(); i++) {
    if (rest[i] != ':') continue;
    auto port = kj::heapString(rest.slice(i + 1, rest.size()));
    bool isPort = port.size() > 0 && port.size() <= 5;
    for (auto c: port) isPort = isPort && c >= '0' && c <= '9';
    if (!isPort || port.parseAs<uint32_t>() == 0 || port.parseAs<uint32_t>() > 65535) {
      return "has a port that is none"_kj;
    }
    break;
  }
  if (host.size() == 0 || host.startsWith(":")) return "has no host"_kj;
  return nullptr;
}

}  // namespace ww
