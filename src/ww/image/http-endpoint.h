#pragma once
// An HTTP server that an operator named, as sources of blocks call it. It and whoever it redirects
// to are hostile: answers are bounded in size and time, and a redirect leads to public addresses
// alone, unless the operator's own URL is of a private one, or to that URL's own host.

#include <kj/timer.h>
#include <ww/base/http-call.h>

namespace ww {

// Ways out of this process; each takes absolute URLs, and outlives who uses it.
struct HttpReach {
  kj::HttpClient& any;         // wherever the operator says
  kj::HttpClient& publicOnly;  // fails with PRIVATE_PEER in its reason for any other address
  const kj::HttpHeaderTable& table;
  kj::Timer& timer;
};
constexpr kj::StringPtr PRIVATE_PEER = "restrictPeers()"_kj;  // as KJ says it

class HttpEndpoint final {
 public:
  static constexpr kj::uint MAX_REDIRECTS = 4;

  // For an answer to begin, redirects and all, and what it asks to be left alone for meanwhile
  // (Retry-After, in seconds, with 429 or 503); and then without a byte of it.
  static constexpr kj::Duration TIMEOUT = 30 * kj::SECONDS;
  static constexpr uint64_t LEAST_RATE = 4 << 10;  // bytes a second, after that

  // `what` is a word for errors: "a gateway". Throws for what is no URL of a server: http or https,
  // a host, a path at most. What may be secret in it, its path, is shown to nobody.
  HttpEndpoint(HttpReach reach, kj::StringPtr url, kj::StringPtr what);
  KJ_DISALLOW_COPY_AND_MOVE(HttpEndpoint);

  kj::StringPtr getName() const { return name; }  // scheme, host and port

  struct Call {
    kj::HttpMethod method = kj::HttpMethod::GET;
    kj::String path;             // what follows the URL, from `/` on
    kj::StringPtr accept;        // a literal
    size_t maxBytes = 0;
    bool followsRedirects = true;
    bool waits = true;           // where it asks to be left alone; else it rejects
  };

  // Whether it asked to be left alone for a while that is not over: a call that waits begins then.
  bool isResting() const { return reach.timer.now() < restEnd; }

  // The body of an answer with status 200. Rejects, with the reason and without this server's name,
  // for any other, for HTML, for what is too long or cut: with UNIMPLEMENTED where it does not
  // give such a thing, and will not (its status says so, or its redirects are refused); with
  // DISCONNECTED where it is not there, or not to the end; with late() (error.h) for what is. It
  // has as long as it goes on coming (patience.h). Outlives the promise.
  kj::Promise<kj::Array<const kj::byte>> call(Call call);

  // The same, of which TIMEOUT is for its beginning, and `maxBytes` for what is no answer with
  // status 200: the body as it comes, however long. Reads reject as call() does where it is cut.
  // Outlives the stream.
  kj::Promise<kj::Own<kj::AsyncInputStream>> open(Call call);

 private:
  class Body;
  struct Found {
    HttpOpened answer;
    kj::String url;  // where it came from
  };
  kj::Promise<Found> find(Call call);
  template <typename T>
  kj::Promise<T> inTime(kj::Promise<T> promise);
  kj::HttpClient& clientFor(kj::StringPtr url);
  kj::String follow(kj::StringPtr url, const HttpAnswer& answer);
  [[noreturn]] void explain(const kj::Exception& exception, kj::StringPtr url);

  const HttpReach reach;
  kj::String base;  // without a slash at its end
  kj::String name;
  kj::TimePoint restEnd = kj::origin<kj::TimePoint>();
  bool isPrivate;   // its host is one of the operator's own network, as it is written
};

}  // namespace ww
