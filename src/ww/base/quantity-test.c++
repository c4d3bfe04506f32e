#include <ww/base/quantity.h>

#include <kj/test.h>

namespace ww {
namespace {

KJ_TEST("sizes") {
  struct {
    kj::StringPtr text;
    uint64_t bytes;
  } cases[] = {{"0", 0}, {"7", 7}, {"7b", 7}, {"7B", 7}, {"64k", 64 << 10}, {"64KB", 64 << 10},
               {"256m", 256 << 20}, {"2g", uint64_t(2) << 30}, {"2GB", uint64_t(2) << 30},
               {"17179869183g", uint64_t(17179869183) << 30}};
  for (auto& c: cases) {
    auto size = parseSize(c.text);
    KJ_EXPECT(size.orDefault(1) == c.bytes, c.text);
  }
  for (kj::StringPtr text: {"", "m", "-1", "1.5m", "1 m", "m1", "1mm", "1bb", "1mib", "1t", "0x10",
                            "17179869184g", "9999999999999999999", " 1", "1 "}) {
    KJ_EXPECT(parseSize(text) == nullptr, text);
  }
}

KJ_TEST("durations") {
  struct {
    kj::StringPtr text;
    kj::Duration time;
  } cases[] = {{"1ns", 1 * kj::NANOSECONDS}, {"2us", 2 * kj::MICROSECONDS},
               {"3ms", 3 * kj::MILLISECONDS}, {"4s", 4 * kj::SECONDS}, {"5m", 5 * kj::MINUTES},
               {"6h", 6 * kj::HOURS}, {"1h30m", 90 * kj::MINUTES},
               {"1.5s", 1500 * kj::MILLISECONDS}, {"1m0.25s", 60250 * kj::MILLISECONDS},
               {"0h1s", 1 * kj::SECONDS}};
  for (auto& c: cases) {
    auto time = parseDuration(c.text);
    KJ_EXPECT(time.orDefault(0 * kj::SECONDS) == c.time, c.text);
  }
  for (kj::StringPtr text: {"", "1", "s", "0s", "-1s", "1.s", ".5s", "1 s", "1d", "1s2", "9000h",
                            "99999999999999999999s", "1e3s", "0x1s", "1S"}) {
    KJ_EXPECT(parseDuration(text) == nullptr, text);
  }
}

KJ_TEST("a size as a person reads it") {
  struct { uint64_t bytes; kj::StringPtr shown; } cases[] = {
      {0, "0 B"}, {1023, "1023 B"}, {1024, "1.0 KiB"}, {1535, "1.4 KiB"}, {1536, "1.5 KiB"},
      {(1 << 20) - 1, "1023.9 KiB"}, {1 << 20, "1.0 MiB"}, {uint64_t(5) << 29, "2.5 GiB"},
      {UINT64_MAX, "17179869183.9 GiB"}};
  for (auto& c: cases) KJ_EXPECT(showSize(c.bytes) == c.shown, c.bytes, showSize(c.bytes));
}

}  // namespace
}  // namespace ww
