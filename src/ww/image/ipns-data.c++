#include <ww/image/ipns-data.h>

#include <chrono>
#include <ww/base/error.h>

namespace ww {
namespace {

[[noreturn]] void refuse(kj::StringPtr why) {
  kj::throwFatalException(badInput(kj::str("what the record has signed is no map of IPNS: ", why)));
}

// CBOR as DAG-CBOR restricts it, as far as it is used here.
class Cbor {
 public:
  enum Type: kj::byte { NUMBER = 0, NEGATIVE = 1, BYTES = 2, TEXT = 3, ARRAY = 4, MAP = 5 };

  explicit Cbor(kj::ArrayPtr<const kj::byte> rest): rest(rest) {}

  bool isDone() const { return rest.size() == 0; }

  // The number with an item of this type: itself, a length, or a count.
  uint64_t take(Type type) {
    auto first = takeBytes(1)[0];
    if (first >> 5 != type) refuse("a field of another type");
    kj::byte info = first & 0x1f;
    if (info < 24) return info;
    if (info > 27) refuse("a length that is none");
    uint64_t value = 0;
    for (auto byte: takeBytes(size_t(1) << (info - 24))) value = value << 8 | byte;
    return value;
  }

  kj::ArrayPtr<const kj::byte> takeString(Type type) { return takeBytes(take(type)); }

  // An item of any type that holds no others.
  void skip() {
    if (isDone()) refuse("it ends within a field");
    auto type = Type(rest[0] >> 5);
    if (type == BYTES || type == TEXT) {
      takeString(type);
    } else if (type == NUMBER || type == NEGATIVE) {
      take(type);
    } else {
      refuse("a field of another type");
    }
  }

 private:
  kj::ArrayPtr<const kj::byte> rest;

  kj::ArrayPtr<const kj::byte> takeBytes(uint64_t size) {
    if (size > rest.size()) refuse("it ends within a field");
    auto taken = rest.slice(0, size);
    rest = rest.slice(size, rest.size());
    return taken;
  }
};

}  // namespace

IpnsData readIpnsData(kj::ArrayPtr<const kj::byte> bytes) {
  enum Seen: kj::uint { VALUE = 1, VALIDITY = 2, TYPE = 4, SEQUENCE = 8, ALL = 15 };
  IpnsData data;
  kj::uint seen = 0;
  auto see = [&](Seen field) {
    if (seen & field) refuse("a field twice");
    seen |= field;
  };
  Cbor cbor(bytes);
  for (auto count = cbor.take(Cbor::MAP); count > 0; count--) {
    auto key = cbor.takeString(Cbor::TEXT);
    if (key == "Value"_kj.asBytes()) {
      see(VALUE);
      data.value = cbor.takeString(Cbor::BYTES);
    } else if (key == "Validity"_kj.asBytes()) {
      see(VALIDITY);
      data.validity = cbor.takeString(Cbor::BYTES);
    } else if (key == "ValidityType"_kj.asBytes()) {
      see(TYPE);
      data.validityType = cbor.take(Cbor::NUMBER);
    } else if (key == "Sequence"_kj.asBytes()) {
      see(SEQUENCE);
      data.sequence = cbor.take(Cbor::NUMBER);
    } else {
      cbor.skip();
    }
  }
  if (!cbor.isDone()) refuse("something follows it");
  if (seen != ALL) refuse("a field is missing");
  return data;
}

kj::Maybe<int64_t> parseIpnsTime(kj::StringPtr text) {
  constexpr kj::StringPtr SHAPE = "dddd-dd-ddTdd:dd:dd"_kj;
  if (text.size() <= SHAPE.size() || text.size() > SHAPE.size() + 32) return nullptr;
  auto isDigit = [&](size_t i) { return text[i] >= '0' && text[i] <= '9'; };
  for (size_t i = 0; i < SHAPE.size(); i++) {
    if (SHAPE[i] == 'd' ? !isDigit(i) : text[i] != SHAPE[i]) return nullptr;
  }
  auto end = SHAPE.size();
  if (text[end] == '.') {
    for (end++; end < text.size() && isDigit(end); end++) {}
    if (end == SHAPE.size() + 1) return nullptr;
  }
  if (end + 1 != text.size() || text[end] != 'Z') return nullptr;
  auto number = [&](size_t begin, size_t size) {
    unsigned value = 0;
    for (size_t i = begin; i < begin + size; i++) value = value * 10 + unsigned(text[i] - '0');
    return value;
  };
  std::chrono::year_month_day day{std::chrono::year(int(number(0, 4))),
                                  std::chrono::month(number(5, 2)), std::chrono::day(number(8, 2))};
  auto hours = number(11, 2), minutes = number(14, 2), seconds = number(17, 2);
  if (!day.ok() || hours > 23 || minutes > 59 || seconds > 60) return nullptr;
  auto days = std::chrono::sys_days(day).time_since_epoch().count();
  return int64_t(days) * 86400 + hours * 3600 + minutes * 60 + seconds;
}

}  // namespace ww
