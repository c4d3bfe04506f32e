#pragma once
// One HTTP request and its answer: whole, and then its size is bounded whatever the server says it
// is, or as it comes.

#include <kj/compat/http.h>

namespace ww {

// Where a server is that an operator named: http or https, a host, and a path at most, which may be
// a key and is shown to nobody.
struct ServerUrl {
  kj::String text;  // without a slash at its end
  kj::String name;  // scheme, host and port
  kj::String host;  // and port

  // Throws for what is none. `what` is a word for errors: "a gateway".
  static ServerUrl parse(kj::StringPtr text, kj::StringPtr what);
};

struct HttpAnswer {
  kj::uint status = 0;
  kj::Maybe<kj::String> type, location;  // of its header
  kj::Array<kj::byte> body;
};

// An answer whose body is still to be read. The client outlives it.
struct HttpOpened {
  kj::uint status = 0;
  kj::Maybe<kj::String> type, location, retryAfter;  // of its header
  kj::Own<kj::AsyncInputStream> body;    // ends DISCONNECTED where it is cut off
};

void requireStatus(kj::uint status);  // throws for one that is none, or an interim one

// Rejects where there is no answer, or its status is none that requireStatus() takes. Sets no limit
// of time. `body` lives until all is read, the client longer; `url` and `headers` are done with
// when this returns.
kj::Promise<HttpOpened> openHttp(kj::HttpClient& client, kj::HttpMethod method, kj::StringPtr url,
                                 const kj::HttpHeaders& headers, kj::ArrayPtr<const kj::byte> body);

// Why there was no answer, or not to its end, for a person: `e` is what the above rejected with, or
// what its body did.
kj::String httpReason(const kj::Exception& e);

// The rest of one. What its body rejects with is passed on where it is DISCONNECTED or OVERLOADED.
kj::Promise<HttpAnswer> readHttp(HttpOpened opened, size_t maxBytes);

// Redirects are an answer like any other. Rejects where there is none, or its body is more than
// `maxBytes`; DISCONNECTED where it ends before its end. Sets no limit of time. `body` lives until
// it resolves, the client longer; `url` and `headers` are done with when this returns.
kj::Promise<HttpAnswer> callHttp(kj::HttpClient& client, kj::HttpMethod method, kj::StringPtr url,
                                 const kj::HttpHeaders& headers, kj::ArrayPtr<const kj::byte> body,
                                 size_t maxBytes);

// What is wrong with a URL's host (HOST, HOST:PORT, an IPv6 address in []), if anything is: "has no
// host".
kj::Maybe<kj::StringPtr> findHostProblem(kj::StringPtr host);

}  // namespace ww
