#pragma once
// Where a provider of a chain is: http, https, ws or wss.

#include <kj/array.h>
#include <kj/string.h>

namespace ww {

struct ProviderUrl {
  kj::String url;   // as an HTTP client takes it: http or https, for ws and wss too
  kj::String name;  // scheme, host and port: a path may hold a secret, and is shown to nobody
  bool isWebSocket = false;
  kj::Array<kj::String> secrets;  // what of it may be one: the longer ones first

  // Throws for what is no such URL, without saying what may be secret in it.
  static ProviderUrl parse(kj::StringPtr text);
};

}  // namespace ww
