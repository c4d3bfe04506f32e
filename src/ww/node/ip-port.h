#pragma once
// A place to listen, as an operator writes it: IP:PORT, with brackets around an IPv6 address that
// has a port; without an IP it is loopback.

#include <kj/string.h>
#include <stdint.h>

namespace ww {

struct IpPort {
  kj::String ip;
  bool isIp6 = false;
  uint16_t port = 0;

  // IP:PORT or [IP]:PORT.
  kj::String toText() const;
  bool isLoopback() const;
  bool isUnspecified() const;
};

// `port` where the text has none. Throws what is wrong, with an example, naming the option.
IpPort parseIpPort(kj::StringPtr option, kj::StringPtr text, uint16_t port);

}  // namespace ww
