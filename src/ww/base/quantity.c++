#include <ww/base/quantity.h>

namespace ww {
namespace {

constexpr uint64_t YEAR_NS = uint64_t(365) * 24 * 3600 * 1'000'000'000;
constexpr kj::uint MOST_DIGITS = 18;  // so that nothing overflows before it is compared

bool isDigit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; }

// The number that `text` begins with, which is cut off. Nothing where there is none.
kj::Maybe<uint64_t> takeNumber(kj::StringPtr& text) {
  size_t end = 0;
  uint64_t value = 0;
  while (isDigit(text.size() > end ? text[end] : '\0')) {
    if (end == MOST_DIGITS) return nullptr;
    value = value * 10 + uint64_t(text[end++] - '0');
  }
  if (end == 0) return nullptr;
  text = text.slice(end);
  return value;
}

// How many nanoseconds it has; the unit is cut off.
kj::Maybe<uint64_t> takeUnit(kj::StringPtr& text) {
  struct Unit {
    kj::StringPtr name;
    uint64_t ns;
  };
  constexpr Unit UNITS[] = {{"ns"_kj, 1}, {"us"_kj, 1000}, {"ms"_kj, 1'000'000},
                            {"s"_kj, 1'000'000'000}, {"m"_kj, 60'000'000'000},
                            {"h"_kj, 3'600'000'000'000}};
  for (auto& unit: UNITS) {
    if (!text.startsWith(unit.name)) continue;
    text = text.slice(unit.name.size());
    return unit.ns;
  }
  return nullptr;
}

}  // namespace

kj::Maybe<uint64_t> parseSize(kj::StringPtr text) {
  auto number = takeNumber(text);
  KJ_IF_MAYBE(value, number) {
    kj::uint shift = 0;
    if (text.size() > 0) {
      switch (lower(text[0])) {
        case 'b': break;
        case 'k': shift = 10; break;
        case 'm': shift = 20; break;
        case 'g': shift = 30; break;
        default: return nullptr;
      }
      text = text.slice(1);
      if (shift > 0 && text.size() > 0 && lower(text[0]) == 'b') text = text.slice(1);
    }
    if (text.size() > 0 || *value > uint64_t(kj::maxValue) >> shift) return nullptr;
    return *value << shift;
  }
  return nullptr;
}

kj::String showSize(uint64_t bytes) {
  struct Unit {
    kj::StringPtr name;
    kj::uint bits;
  };
  for (auto unit: {Unit{"GiB"_kj, 30}, Unit{"MiB"_kj, 20}, Unit{"KiB"_kj, 10}}) {
    if (bytes >> unit.bits == 0) continue;
    auto rest = bytes & ((uint64_t(1) << unit.bits) - 1);
    return kj::str(bytes >> unit.bits, '.', (rest * 10) >> unit.bits, ' ', unit.name);
  }
  return kj::str(bytes, " B");
}

kj::Maybe<kj::Duration> parseDuration(kj::StringPtr text) {
  uint64_t total = 0;
  do {
    uint64_t whole = 0, fraction = 0, parts = 1;
    KJ_IF_MAYBE(value, takeNumber(text)) whole = *value;
    else return nullptr;
    if (text.startsWith(".")) {
      text = text.slice(1);
      auto before = text.size();
      KJ_IF_MAYBE(value, takeNumber(text)) fraction = *value;
      else return nullptr;
      for (auto digits = before - text.size(); digits > 0; digits--) parts *= 10;
    }
    KJ_IF_MAYBE(unit, takeUnit(text)) {
      if (whole > YEAR_NS / *unit) return nullptr;
      total += whole * *unit + uint64_t(double(fraction) / double(parts) * double(*unit));
    } else {
      return nullptr;
    }
    if (total > YEAR_NS) return nullptr;
  } while (text.size() > 0);
  if (total == 0) return nullptr;
  return int64_t(total) * kj::NANOSECONDS;
}

}  // namespace ww
