#include <ww/net/multiaddr.h>

#include <kj/debug.h>
#include <kj/encoding.h>
#include <kj/vector.h>
#include <ww/base/base58.h>
#include <ww/base/text.h>
#include <ww/net/peer-id.h>

namespace ww {
namespace {

using Bytes = kj::ArrayPtr<const kj::byte>;

enum class Value { NONE, IP4, IP6, PORT, NUMBER, TEXT, PEER, BINARY };

struct Protocol {
  uint64_t code;
  kj::StringPtr name;
  Value value;
};

// The multiformats table, as far as libp2p nodes use it.
constexpr Protocol PROTOCOLS[] = {
  {4, "ip4"_kj, Value::IP4},          {6, "tcp"_kj, Value::PORT},
  {41, "ip6"_kj, Value::IP6},         {42, "ip6zone"_kj, Value::TEXT},
  {53, "dns"_kj, Value::TEXT},        {54, "dns4"_kj, Value::TEXT},
  {55, "dns6"_kj, Value::TEXT},       {56, "dnsaddr"_kj, Value::TEXT},
  {273, "udp"_kj, Value::PORT},       {280, "webrtc-direct"_kj, Value::NONE},
  {281, "webrtc"_kj, Value::NONE},    {290, "p2p-circuit"_kj, Value::NONE},
  {421, "p2p"_kj, Value::PEER},       {443, "https"_kj, Value::NONE},
  {448, "tls"_kj, Value::NONE},       {449, "sni"_kj, Value::TEXT},
  {454, "noise"_kj, Value::NONE},     {460, "quic"_kj, Value::NONE},
  {461, "quic-v1"_kj, Value::NONE},   {465, "webtransport"_kj, Value::NONE},
  {466, "certhash"_kj, Value::BINARY}, {477, "ws"_kj, Value::NONE},
  {478, "wss"_kj, Value::NONE},       {480, "http"_kj, Value::NONE},
  {777, "memory"_kj, Value::NUMBER},
};

kj::Maybe<const Protocol&> findProtocol(uint64_t code) {
  for (auto& protocol: PROTOCOLS) {
    if (protocol.code == code) return protocol;
  }
  return nullptr;
}

struct Part {
  const Protocol& protocol;
  Bytes value;
};

// Reads a multiaddr part by part; after a failure, `problem` says what and where.
class Cursor {
 public:
  explicit Cursor(Bytes bytes): rest(bytes) {}

  bool atEnd() const { return rest.size() == 0; }
  kj::String problem;

  kj::Maybe<Part> next() {
    KJ_IF_MAYBE(code, varint()) {
      KJ_IF_MAYBE(protocol, findProtocol(*code)) {
        auto part = value(*protocol);
        previous = protocol->name;
        return part;
      }
      return fail(kj::str("unknown protocol ", *code));
    }
    return fail(kj::str("truncated"));
  }

 private:
  Bytes rest;
  kj::StringPtr previous;

  kj::Maybe<Part> fail(kj::String what) {
    problem = previous.size() > 0 ? kj::str(what, " after /", previous) : kj::mv(what);
    return nullptr;
  }

  kj::Maybe<uint64_t> varint() {
    uint64_t result = 0;
    for (kj::uint shift = 0; shift < 63 && rest.size() > 0; shift += 7) {
      auto byte = rest[0];
      rest = rest.slice(1, rest.size());
      result |= uint64_t(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return result;
    }
    return nullptr;
  }

  kj::Maybe<Part> value(const Protocol& protocol) {
    auto truncated = [&]() { return fail(kj::str("truncated in /", protocol.name)); };
    size_t size = 0;
    switch (protocol.value) {
      case Value::NONE: break;
      case Value::IP4: size = 4; break;
      case Value::IP6: size = 16; break;
      case Value::PORT: size = 2; break;
      case Value::NUMBER: size = 8; break;
      case Value::TEXT:
      case Value::PEER:
      case Value::BINARY:
        KJ_IF_MAYBE(length, varint()) size = kj::min(*length, uint64_t(Multiaddr::MAX_BYTES));
        else return truncated();
        break;
    }
    if (size > rest.size()) return truncated();
    auto bytes = rest.slice(0, size);
    rest = rest.slice(size, rest.size());
    if (protocol.value == Value::TEXT && !isName(bytes)) {
      return fail(kj::str("a malformed name in /", protocol.name));
    }
    if (protocol.value == Value::PEER && PeerId::parse(bytes) == nullptr) {
      return fail(kj::str("a malformed peer id in /", protocol.name));
    }
    return Part{protocol, bytes};
  }

  static bool isName(Bytes bytes) {
    if (bytes.size() == 0 || !isUtf8(bytes)) return false;
    for (auto byte: bytes) {
      if (byte <= ' ' || byte == '/' || byte == 0x7f) return false;
    }
    return true;
  }
};

kj::String showIp6(Bytes bytes) {
  auto groups = kj::heapArrayBuilder<kj::String>(8);
  for (size_t i = 0; i < 16; i += 2)
    groups.add(kj::str(kj::hex(uint16_t(bytes[i] << 8 | bytes[i + 1]))));
  return kj::strArray(groups, ":");
}

uint64_t bigEndian(Bytes bytes) {
  uint64_t value = 0;
  for (auto byte: bytes) value = value << 8 | byte;
  return value;
}

kj::String showValue(const Part& part) {
  auto& bytes = part.value;
  switch (part.protocol.value) {
    case Value::NONE: return kj::String();
    case Value::IP4: return kj::str('/', bytes[0], '.', bytes[1], '.', bytes[2], '.', bytes[3]);
    case Value::IP6: return kj::str('/', showIp6(bytes));
    case Value::PORT:
    case Value::NUMBER: return kj::str('/', bigEndian(bytes));
    case Value::TEXT: return kj::str('/', escapeText(kj::str(bytes.asChars())));
    case Value::PEER: return kj::str('/', encodeBase58(bytes));
    case Value::BINARY: return kj::str('/', kj::encodeHex(bytes));
  }
  KJ_UNREACHABLE;
}

struct Range {
  kj::StringPtr name;
  kj::byte prefix[16];
  kj::uint bits;
};

// IANA's special-purpose registries: what is not the public internet.
constexpr Range IP4_RANGES[] = {
  {"unspecified"_kj, {0}, 8},             {"private"_kj, {10}, 8},
  {"shared"_kj, {100, 64}, 10},           {"loopback"_kj, {127}, 8},
  {"link-local"_kj, {169, 254}, 16},      {"private"_kj, {172, 16}, 12},
  {"special"_kj, {192, 0, 0}, 24},        {"documentation"_kj, {192, 0, 2}, 24},
  {"private"_kj, {192, 168}, 16},         {"benchmarking"_kj, {198, 18}, 15},
  {"documentation"_kj, {198, 51, 100}, 24}, {"documentation"_kj, {203, 0, 113}, 24},
  {"multicast"_kj, {224}, 4},             {"reserved"_kj, {240}, 4},
};
constexpr Range IP6_RANGES[] = {
  {"unspecified"_kj, {0}, 128},
  {"loopback"_kj, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128},
  {"discard"_kj, {1}, 64},                {"documentation"_kj, {0x20, 0x01, 0x0d, 0xb8}, 32},
  {"private"_kj, {0xfc}, 7},              {"link-local"_kj, {0xfe, 0x80}, 10},
  {"site-local"_kj, {0xfe, 0xc0}, 10},    {"multicast"_kj, {0xff}, 8},
  {"private"_kj, {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48},  // a local NAT64
  {"tunnel"_kj, {0x20, 0x01, 0, 0}, 32},                     // Teredo
  {"documentation"_kj, {0x3f, 0xff}, 20}, {"special"_kj, {0x5f}, 16},  // segment routing
};
// Prefixes under which an IPv4 address stands in an IPv6 one, and where.
struct Embedding {
  kj::byte prefix[16];
  kj::uint bits;
  size_t offset;
};
constexpr Embedding EMBEDDINGS[] = {
  {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, 12},  // mapped
  {{0}, 96, 12},                                         // compatible
  {{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, 12},        // translated
  {{0x00, 0x64, 0xff, 0x9b}, 96, 12},                    // NAT64
  {{0x20, 0x02}, 16, 2},                                 // 6to4
};

bool hasPrefix(Bytes address, const kj::byte* prefix, kj::uint bits) {
  for (kj::uint i = 0; i < bits; i++) {
    if (((address[i / 8] ^ prefix[i / 8]) >> (7 - i % 8)) & 1) return false;
  }
  return true;
}

template <size_t n>
kj::Maybe<kj::StringPtr> findRange(const Range (&ranges)[n], Bytes address) {
  for (auto& range: ranges) {
    if (hasPrefix(address, range.prefix, range.bits)) return range.name;
  }
  return nullptr;
}

// ISATAP: under any prefix, an IPv4 address behind this.
bool isIsatap(Bytes address) {
  constexpr kj::byte MARK[] = {0, 0, 0x5e, 0xfe}, MARK_UNIVERSAL[] = {2, 0, 0x5e, 0xfe};
  auto interface = address.slice(8, 16);
  return hasPrefix(interface, MARK, 32) || hasPrefix(interface, MARK_UNIVERSAL, 32);
}

kj::Maybe<kj::StringPtr> findIp6Range(Bytes address) {
  KJ_IF_MAYBE(name, findRange(IP6_RANGES, address)) return *name;
  if (isIsatap(address)) return findRange(IP4_RANGES, address.slice(12, 16));
  for (auto& embedding: EMBEDDINGS) {
    if (hasPrefix(address, embedding.prefix, embedding.bits)) {
      return findRange(IP4_RANGES, address.slice(embedding.offset, embedding.offset + 4));
    }
  }
  return nullptr;
}

}  // namespace

kj::OneOf<Multiaddr, kj::String> Multiaddr::parse(Bytes bytes) {
  if (bytes.size() == 0) return kj::str("empty");
  if (bytes.size() > MAX_BYTES) {
    return kj::str("of ", bytes.size(), " bytes; the limit is ", MAX_BYTES);
  }
  Cursor cursor(bytes);
  while (!cursor.atEnd()) {
    if (cursor.next() == nullptr) return kj::mv(cursor.problem);
  }
  return Multiaddr(kj::heapArray<kj::byte>(bytes));
}

Multiaddr Multiaddr::memory(uint64_t number) {
  auto bytes = kj::heapArray<kj::byte>(10);
  bytes[0] = 0x80 | (777 & 0x7f);
  bytes[1] = 777 >> 7;
  for (size_t i = 0; i < 8; i++) bytes[2 + i] = number >> (8 * (7 - i));
  return Multiaddr(kj::mv(bytes));
}

kj::String Multiaddr::toText() const {
  kj::Vector<kj::String> parts;
  Cursor cursor(bytes);
  while (!cursor.atEnd()) {
    auto part = KJ_ASSERT_NONNULL(cursor.next());
    parts.add(kj::str('/', part.protocol.name, showValue(part)));
  }
  return kj::strArray(parts, "");
}

kj::String Multiaddr::toText(const PeerId& who) const {
  auto last = findPeer();
  KJ_IF_MAYBE(peer, last) {
    if (*peer == who) return toText();
  }
  return kj::str(toText(), "/p2p/", who.toText());
}

kj::Maybe<uint64_t> Multiaddr::findMemory() const {
  Cursor cursor(bytes);
  auto first = KJ_ASSERT_NONNULL(cursor.next());
  if (first.protocol.value != Value::NUMBER || !cursor.atEnd()) return nullptr;
  return bigEndian(first.value);
}

kj::Maybe<PeerId> Multiaddr::findPeer() const {
  Cursor cursor(bytes);
  kj::Maybe<PeerId> last;
  while (!cursor.atEnd()) {
    auto part = KJ_ASSERT_NONNULL(cursor.next());
    last = nullptr;
    if (part.protocol.value == Value::PEER) last = PeerId::parse(part.value);
  }
  return last;
}

kj::Maybe<kj::StringPtr> Multiaddr::findObstacle(Use use) const {
  kj::Vector<Part> parts;
  Cursor cursor(bytes);
  while (!cursor.atEnd()) parts.add(KJ_ASSERT_NONNULL(cursor.next()));
  size_t at = 0;
  auto take = [&](kj::StringPtr name) {
    bool here = at < parts.size() && parts[at].protocol.name == name;
    at += here;
    return here;
  };
  auto isZero = [](Bytes value) {
    for (auto byte: value) if (byte != 0) return false;
    return true;
  };

  bool ip = take("ip4") || take("ip6");
  if (ip && use == Use::DIAL && isZero(parts[0].value)) return "nobody is at that IP address"_kj;
  bool name = !ip && (take("dns") || take("dns4") || take("dns6"));
  bool whole = !ip && !name && take("dnsaddr");  // the record says the rest
  if (!ip && !name && !whole) return "it begins with neither an IP address nor a name"_kj;
  if (!ip && use == Use::LISTEN) return "a node listens on IP addresses"_kj;
  if (take("tcp") || take("udp")) {
    if (use == Use::DIAL && isZero(parts[at - 1].value)) return "nobody is at port 0"_kj;
    if (parts[at - 1].protocol.name == "udp" && !take("quic-v1")) {
      return "over UDP there is but QUIC: /udp/PORT/quic-v1"_kj;
    }
  } else if (!whole) {
    return "its transport is neither /tcp/PORT nor /udp/PORT/quic-v1"_kj;
  }
  bool peer = take("p2p");
  if (peer && take("p2p-circuit")) {
    take("p2p");
  } else if (peer && use == Use::LISTEN) {
    return "who is there is this node; leave /p2p/PEERID out"_kj;
  }
  if (at < parts.size()) return "there is more to it than a transport and who is there"_kj;
  return nullptr;
}

kj::Maybe<kj::StringPtr> Multiaddr::findPrivateRange() const {
  Cursor cursor(bytes);
  while (!cursor.atEnd()) {
    auto part = KJ_ASSERT_NONNULL(cursor.next());
    kj::Maybe<kj::StringPtr> range;
    if (part.protocol.value == Value::IP4) range = findRange(IP4_RANGES, part.value);
    if (part.protocol.value == Value::IP6) range = findIp6Range(part.value);
    if (range != nullptr) return range;
  }
  return nullptr;
}

}  // namespace ww
