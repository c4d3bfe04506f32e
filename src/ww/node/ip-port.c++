#include <ww/node/ip-port.h>

#include <arpa/inet.h>
#include <kj/debug.h>
#include <ww/base/error.h>
#include <ww/base/text.h>

namespace ww {

kj::String IpPort::toText() const {
  return isIp6 ? kj::str('[', ip, "]:", port) : kj::str(ip, ':', port);
}

bool IpPort::isLoopback() const {
  in6_addr address;
  if (!isIp6) return ip.startsWith("127.");
  return inet_pton(AF_INET6, ip.cStr(), &address) == 1 && IN6_IS_ADDR_LOOPBACK(&address);
}

bool IpPort::isUnspecified() const {
  in6_addr address;
  if (!isIp6) return ip == "0.0.0.0";
  return inet_pton(AF_INET6, ip.cStr(), &address) == 1 && IN6_IS_ADDR_UNSPECIFIED(&address);
}

IpPort parseIpPort(kj::StringPtr option, kj::StringPtr text, uint16_t port) {
  auto fail = [&]() {
    kj::throwFatalException(badInput(kj::str(option, " ", shorten(text), ": no address; it takes "
        "IP:PORT, such as 127.0.0.1:", port, ", [::1]:", port, " or, on loopback, :", port)));
  };
  IpPort place;
  place.port = port;
  kj::ArrayPtr<const char> ip = text, digits;
  auto colon = text.findLast(':');
  bool bare = !text.startsWith("[") && text.findFirst(':') != colon;  // an IPv6 address alone
  KJ_IF_MAYBE(at, colon) {
    if (!bare && !text.endsWith("]")) {
      ip = text.slice(0, *at);
      digits = text.slice(*at + 1);
      if (digits.size() == 0) fail();
    }
  }
  place.isIp6 = bare;
  if (ip.size() > 1 && ip.front() == '[' && ip.back() == ']') {
    ip = ip.slice(1, ip.size() - 1);
    place.isIp6 = true;
  }
  place.ip = ip.size() == 0 ? kj::str("127.0.0.1") : kj::heapString(ip);
  kj::byte binary[sizeof(in6_addr)];
  if (inet_pton(place.isIp6 ? AF_INET6 : AF_INET, place.ip.cStr(), binary) != 1) fail();
  if (digits.size() == 0) return place;
  for (char c: digits) {
    if (c < '0' || c > '9') fail();  // or hexadecimal would do
  }
  auto number = kj::heapString(digits).tryParseAs<uint16_t>();
  if (number == nullptr || (digits.size() > 1 && digits[0] == '0')) fail();
  place.port = KJ_ASSERT_NONNULL(number);
  return place;
}

}  // namespace ww
