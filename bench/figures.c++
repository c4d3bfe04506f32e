#include "bench.h"

#include <algorithm>
#include <kj/debug.h>
#include <kj/time.h>
#include <math.h>

namespace ww::bench {
namespace {

kj::String format(const char* pattern, double value) {
  char text[64];
  snprintf(text, sizeof(text), pattern, value);
  return kj::str(text);
}

bool isMoreBetter(Unit unit) {
  return unit == Unit::PER_SECOND || unit == Unit::BYTES_PER_SECOND || unit == Unit::COUNT;
}

kj::StringPtr nameOf(Unit unit) {
  switch (unit) {
    case Unit::SECONDS: return "s"_kj;
    case Unit::PER_SECOND: return "1/s"_kj;
    case Unit::BYTES: return "B"_kj;
    case Unit::BYTES_PER_SECOND: return "B/s"_kj;
    case Unit::PERCENT: return "%"_kj;
    case Unit::COUNT: return ""_kj;
  }
  KJ_UNREACHABLE;
}

kj::String show(double value, Unit unit) {
  switch (unit) {
    case Unit::SECONDS:
      if (value < 1e-7) return format("%.1f ns", value * 1e9);
      return value < 1e-2 ? format("%.1f us", value * 1e6) : format("%.1f ms", value * 1e3);
    case Unit::PER_SECOND: return format("%.1f k/s", value / 1e3);
    case Unit::BYTES: return value < (1 << 30) ? format("%.0f KiB", value / 1024)
                                               : format("%.2f GiB", value / (1 << 30));
    case Unit::BYTES_PER_SECOND: return format("%.2f GiB/s", value / (1 << 30));
    case Unit::PERCENT: return format("%.2f %%", value);
    case Unit::COUNT: return format("%.0f", value);
  }
  KJ_UNREACHABLE;
}

// How much of its ceiling a figure reaches.
kj::Maybe<double> partOf(const Figure& figure) {
  KJ_IF_MAYBE(part, figure.part) return *part;
  KJ_IF_MAYBE(ceiling, figure.ceiling) {
    if (ceiling->unit != figure.unit) return nullptr;
    auto part = isMoreBetter(figure.unit) ? figure.value / ceiling->value
                                          : ceiling->value / figure.value;
    if (isfinite(part)) return part;  // not of nothing
  }
  return nullptr;
}

bool isMet(const Figure& figure) {
  auto bound = figure.target.bound;
  switch (figure.target.of) {
    case Target::Of::NONE: return true;
    case Target::Of::PART: return KJ_ASSERT_NONNULL(partOf(figure)) >= bound;
    case Target::Of::TIMES: return KJ_ASSERT_NONNULL(partOf(figure)) * bound >= 1;
    case Target::Of::LEAST: return figure.value >= bound;
    case Target::Of::MOST: return figure.value <= bound;
  }
  KJ_UNREACHABLE;
}

kj::String show(const Target& target, Unit unit) {
  switch (target.of) {
    case Target::Of::NONE: return nullptr;
    case Target::Of::PART: return format(">= %.2f of it", target.bound);
    case Target::Of::TIMES: return format("<= %g times it", target.bound);
    case Target::Of::LEAST: return kj::str(">= ", show(target.bound, unit));
    case Target::Of::MOST: return kj::str("<= ", show(target.bound, unit));
  }
  KJ_UNREACHABLE;
}

// As JSON; names and reasons are one line each.
kj::String quoted(kj::StringPtr text) {
  kj::Vector<char> out;
  for (auto c: text) {
    if (c == '"' || c == '\\') out.add('\\');
    out.add(uint8_t(c) < ' ' ? ' ' : c);
  }
  return kj::str('"', out, '"');
}

}  // namespace

double timed(kj::FunctionParam<void()> work) {
  auto& clock = kj::systemPreciseMonotonicClock();
  auto begin = clock.now();
  work();
  return (clock.now() - begin) / kj::NANOSECONDS * 1e-9;
}

double best(kj::FunctionParam<double()> trial) {
  double result = INFINITY;
  for (int i = 0; i < TRIALS; i++) result = kj::min(result, trial());
  return result;
}

double middle(kj::ArrayPtr<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Round median(kj::ArrayPtr<const Round> rounds) {
  kj::Vector<Round> sorted;
  sorted.addAll(rounds);
  std::sort(sorted.begin(), sorted.end(),
            [](const Round& a, const Round& b) { return a.ratio < b.ratio; });
  return sorted[sorted.size() / 2];
}

Round Rounds::median(size_t value, size_t ceiling, double times) const {
  return bench::median(KJ_MAP(row, rows) { return Round{row[value], row[ceiling] * times}; });
}

Figure rate(kj::String name, Round seconds, kj::StringPtr ceiling, Target target) {
  return {kj::mv(name), Unit::PER_SECOND, 1 / seconds.value,
          Ceiling{kj::str(ceiling), 1 / seconds.ceiling, Unit::PER_SECOND}, target,
          1 / seconds.ratio};
}

Figure time(kj::String name, Round seconds, kj::StringPtr ceiling, Target target) {
  return {kj::mv(name), Unit::SECONDS, seconds.value,
          Ceiling{kj::str(ceiling), seconds.ceiling, Unit::SECONDS}, target, 1 / seconds.ratio};
}

Figure flow(kj::String name, Round bytes, kj::StringPtr ceiling, Target target) {
  return {kj::mv(name), Unit::BYTES_PER_SECOND, bytes.value,
          Ceiling{kj::str(ceiling), bytes.ceiling, Unit::BYTES_PER_SECOND}, target, bytes.ratio};
}

void Report::begin(kj::StringPtr name) {
  part = kj::str(name);
  printf("%-58s %12s   %-36s %12s %6s   %s\n", name.cStr(), "value", "ceiling", "value", "part",
         "target");
}

void Report::add(const Figure& figure) {
  auto value = show(figure.value, figure.unit);
  auto fields = kj::str("\"figure\":", quoted(figure.name), ",\"unit\":\"", nameOf(figure.unit),
                        "\",\"value\":", figure.value, ",\"shown\":", quoted(value));
  kj::String ceilingName, ceilingValue, ratio, target;
  KJ_IF_MAYBE(ceiling, figure.ceiling) {
    ceilingName = kj::str(ceiling->name);
    ceilingValue = show(ceiling->value, ceiling->unit);
    fields = kj::str(fields, ",\"ceiling\":{\"name\":", quoted(ceilingName), ",\"value\":",
                     ceiling->value, ",\"shown\":", quoted(ceilingValue), "}");
  }
  KJ_IF_MAYBE(part, partOf(figure)) {
    ratio = format("%.2f", *part);
    fields = kj::str(fields, ",\"part_of_ceiling\":", *part);
  }
  if (figure.target.of != Target::Of::NONE) {
    auto bound = show(figure.target, figure.unit);
    target = kj::str(bound, isMet(figure) ? ": met" : ": NOT MET");
    fields = kj::str(fields, ",\"target\":", quoted(bound),
                     ",\"met\":", isMet(figure) ? "true" : "false");
  }
  if (figure.note != nullptr) fields = kj::str(fields, ",\"note\":", quoted(figure.note));
  printf("%-58s %12s   %-36s %12s %6s   %s%s\n", figure.name.cStr(), value.cStr(),
         ceilingName.cStr(), ceilingValue.cStr(), ratio.cStr(), target.cStr(), figure.note.cStr());
  write(fields);
}

void Report::cannot(kj::StringPtr name, kj::StringPtr why) {
  printf("%-58s cannot: %s\n", name.cStr(), why.cStr());
  write(kj::str("\"figure\":", quoted(name), ",\"cannot\":", quoted(why)));
}

void Report::write(kj::StringPtr fields) {
  fflush(stdout);
  if (json == nullptr) return;
  fprintf(json, "{\"part\":\"%s\",%s}\n", part.cStr(), fields.cStr());
  fflush(json);
}

}  // namespace ww::bench
