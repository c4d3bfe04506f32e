#include <ww/stem/provider-url.h>

#include <algorithm>
#include <kj/compat/url.h>
#include <kj/encoding.h>
#include <kj/vector.h>
#include <ww/base/error.h>
#include <ww/base/http-call.h>

namespace ww {
namespace {

// A shorter one, v2 say, is none, and would be missed in what people read.
constexpr size_t SHORTEST_SECRET = 8;

void requireHost(kj::StringPtr host) {
  KJ_IF_MAYBE(problem, findHostProblem(host)) {
    kj::throwFatalException(badInput(kj::str("a provider's URL ", *problem, ": `", host, "`")));
  }
}

// The parts of its path and query, decoded, encoded, and as they are sent: a server may tell of
// any.
kj::Array<kj::String> secretsOf(const kj::Url& url) {
  kj::Vector<kj::String> found;
  auto add = [&](kj::ArrayPtr<const char> text) {
    if (text.size() >= SHORTEST_SECRET) found.add(kj::heapString(text));
  };
  auto addDecoded = [&](kj::StringPtr text) {
    add(text);
    if (text.size() >= SHORTEST_SECRET) add(kj::encodeUriComponent(text));
  };
  for (auto& part: url.path) addDecoded(part);
  for (auto& parameter: url.query) {
    addDecoded(parameter.name);
    addDecoded(parameter.value);
  }
  auto sent = url.toString(kj::Url::HTTP_REQUEST);  // without the host
  for (size_t begin = 0, i = 0; i <= sent.size(); i++) {
    if (i < sent.size() && sent[i] != '/' && sent[i] != '?' && sent[i] != '&') continue;
    auto part = sent.asArray().slice(begin, i);
    add(part);
    for (size_t j = 0; j < part.size(); j++) {
      if (part[j] != '=') continue;
      add(part.slice(j + 1, part.size()));
      break;
    }
    begin = i + 1;
  }
  std::sort(found.begin(), found.end(), [](const kj::String& a, const kj::String& b) {
    return a.size() != b.size() ? a.size() > b.size() : a < b;
  });
  kj::Vector<kj::String> once;
  for (auto& text: found) {
    if (once.empty() || once.back() != text) once.add(kj::mv(text));
  }
  return once.releaseAsArray();
}

}  // namespace

ProviderUrl ProviderUrl::parse(kj::StringPtr text) {
  auto parsed = kj::Url::tryParse(text);
  KJ_IF_MAYBE(url, parsed) {
    bool isWebSocket = url->scheme == "ws" || url->scheme == "wss";
    bool isSecure = url->scheme == "https" || url->scheme == "wss";
    if (!isWebSocket && !isSecure && url->scheme != "http") {
      kj::throwFatalException(badInput(kj::str("a provider is reached by http, https, ws or wss, "
                                               "not by ", url->scheme)));
    }
    if (url->userInfo != nullptr) {
      kj::throwFatalException(badInput(kj::str("a provider's URL with a user's name is not "
          "supported: give one whose secret is in its path (", url->host, ")")));
    }
    requireHost(url->host);
    auto name = kj::str(url->scheme, "://", url->host);
    url->fragment = nullptr;
    url->scheme = kj::str(isSecure ? "https" : "http");
    return {url->toString(), kj::mv(name), isWebSocket, secretsOf(*url)};
  }
  kj::throwFatalException(badInput("this is no URL of a provider, such as "
                                   "https://HOST/v2/KEY or ws://127.0.0.1:8546"));
}

}  // namespace ww
