#include <ww/stem/provider-url.h>

#include <kj/compat/url.h>
#include <ww/base/error.h>

namespace ww {

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
    if (url->host.size() == 0) {
      kj::throwFatalException(badInput("a provider's URL has no host"));
    }
    auto name = kj::str(url->scheme, "://", url->host);
    url->fragment = nullptr;
    url->scheme = kj::str(isSecure ? "https" : "http");
    return {url->toString(), kj::mv(name), isWebSocket};
  }
  kj::throwFatalException(badInput("this is no URL of a provider, such as "
                                   "https://HOST/v2/KEY or ws://127.0.0.1:8546"));
}

}  // namespace ww
