#include <ww/node/limit-table.h>

#include <unistd.h>
#include <ww/base/quantity.h>

namespace ww {
namespace {

constexpr uint64_t KIB = 1 << 10, MIB = 1 << 20, GIB = 1 << 30;
constexpr uint64_t MS = 1'000'000, S = 1000 * MS, HOUR = 3600 * S;
constexpr uint64_t YEAR = 365 * 24 * HOUR;

enum class Unit { COUNT, BYTES, TIME };  // times in nanoseconds; 0: none

struct Limit {
  kj::StringPtr name;
  Unit unit;
  uint64_t least, most;
  uint64_t (*get)(const NodeLimits&);
  void (*set)(NodeLimits&, uint64_t);
  kj::StringPtr of;
  bool mayBeNone = false;
};

uint64_t toNs(kj::Duration time) { return time / kj::NANOSECONDS; }
kj::Duration fromNs(uint64_t ns) { return int64_t(ns) * kj::NANOSECONDS; }

#define WW_FIELD(place) \
  [](const NodeLimits& l) -> uint64_t { return l.place; }, \
      [](NodeLimits& l, uint64_t value) { l.place = decltype(l.place)(value); }
#define WW_TIME(place) \
  [](const NodeLimits& l) -> uint64_t { return toNs(l.place); }, \
      [](NodeLimits& l, uint64_t value) { l.place = fromNs(value); }
#define WW_MAYBE_TIME(place) \
  [](const NodeLimits& l) -> uint64_t { return toNs(l.place.orDefault(0 * kj::SECONDS)); }, \
      [](NodeLimits& l, uint64_t value) { \
        if (value == 0) l.place = nullptr; \
        else l.place = fromNs(value); \
      }
// Of a cell's link, and of a client's.
#define WW_LINK(place) \
  [](const NodeLimits& l) -> uint64_t { return l.cell.link.place; }, \
      [](NodeLimits& l, uint64_t value) { \
        l.cell.link.place = l.clients.after.place = decltype(l.cell.link.place)(value); \
      }

const Limit LIMITS[] = {
  // A cell.
  {"memory", Unit::BYTES, 64 * KIB, 1024 * GIB, WW_FIELD(cell.memoryBytes),
   "linear memory of a cell and all that it starts"},
  {"tables", Unit::COUNT, 1, 100'000'000, WW_FIELD(cell.tableElements),
   "table elements, likewise"},
  {"memories", Unit::COUNT, 1, 100, WW_FIELD(cell.memories), "memories of a cell"},
  {"instances", Unit::COUNT, 1, 10'000, WW_FIELD(cell.instances), "core instances of a cell"},
  {"resources", Unit::COUNT, 10, 10'000'000, WW_FIELD(cell.resources), "WASI resources of a cell"},
  {"hostcallBytes", Unit::BYTES, 4 * KIB, GIB, WW_FIELD(cell.hostcallBytes),
   "what one call hands to the host"},
  {"randomBytes", Unit::BYTES, 1, 64 * MIB, WW_FIELD(cell.randomBytes),
   "random bytes that one call asks for"},
  {"stack", Unit::BYTES, 64 * KIB, 64 * MIB, WW_FIELD(stackBytes),
   "stack of a cell"},
  {"pipe", Unit::BYTES, 4 * KIB, 64 * MIB, WW_FIELD(cell.pipeBytes), "what one of its pipes holds"},
  {"slice", Unit::TIME, MS / 10, S, WW_TIME(slice),
   "computing before others have their turn"},
  {"cpu", Unit::TIME, MS, YEAR, WW_MAYBE_TIME(cell.cpu), "computing of a cell in all", true},
  {"timeout", Unit::TIME, MS, YEAR, WW_MAYBE_TIME(cell.wall), "passing time of a cell in all",
   true},
  {"compileTime", Unit::TIME, S, HOUR, WW_TIME(cell.compile.cpu), "computing to compile one"},
  {"compileMemory", Unit::BYTES, 256 * MIB, 64 * GIB, WW_FIELD(cell.compile.memoryBytes),
   "address space to compile one"},
  {"instantiation", Unit::TIME, MS, HOUR, WW_TIME(cell.instantiation),
   "passing time before a cell runs"},
  // Cells together.
  {"nodeMemory", Unit::BYTES, MIB, 1024 * 1024 * GIB, WW_FIELD(cell.nodeMemoryBytes),
   "linear memory of all cells; at first 3/4 of the machine's"},
  {"descendants", Unit::COUNT, 0, 100'000, WW_FIELD(cell.descendants),
   "cells that run in one session"},
  {"depth", Unit::COUNT, 1, 100, WW_FIELD(cell.depth), "generations of cells, pid0 the first"},
  {"cells", Unit::COUNT, 1, 1'000'000, WW_FIELD(cell.held),
   "cells of one parent that somebody holds"},
  {"cellsOfNode", Unit::COUNT, 1, 16'000, WW_FIELD(cells),
   "cells that run, in all; each takes some 4 us at the node's start and end"},
  {"cellsOfKey", Unit::COUNT, 1, 1'000'000, WW_FIELD(cell.heldOfKey),
   "cells of one key that somebody holds"},
  {"memoriesOfKey", Unit::COUNT, 1, 10'000, WW_FIELD(cell.cellsWorthOfKey),
   "memory of one key's cells, in what one cell may have"},
  // A link.
  {"calls", Unit::COUNT, 1, 1'000'000, WW_LINK(quota.calls), "unanswered calls of a link"},
  {"answers", Unit::COUNT, 1, 1'000'000, WW_LINK(quota.answers), "unfinished answers of a link"},
  {"heldBytes", Unit::BYTES, 64 * KIB, 16 * GIB, WW_LINK(quota.heldBytes), "what both hold"},
  {"message", Unit::BYTES, 64 * KIB, 64 * MIB, WW_LINK(quota.messageBytes),
   "a call, but for a component's bytes"},
  {"pipelining", Unit::COUNT, 1, 1000, WW_LINK(quota.depth),
   "calls and fields in one chain of pipelining"},
  {"exports", Unit::COUNT, 16, 10'000'000, WW_LINK(quota.exports),
   "capabilities of a link not released, each way"},
  {"stalled", Unit::TIME, 100 * MS, HOUR,
   [](const NodeLimits& l) -> uint64_t { return toNs(l.cell.link.patience); },
   [](NodeLimits& l, uint64_t value) {
     l.cell.link.patience = l.clients.first.patience = l.clients.after.patience = fromNs(value);
   }, "passing time in the middle of a message"},
  {"unsentBytes", Unit::BYTES, 64 * KIB, 16 * GIB, WW_FIELD(cell.link.unsentBytes),
   "what a cell does not read of its link"},
  {"unsentBytesOfClient", Unit::BYTES, 64 * KIB, 16 * GIB, WW_FIELD(clients.after.unsentBytes),
   "what a client does not read of its link"},
  // Clients.
  {"links", Unit::COUNT, 1, 10'000, WW_FIELD(clients.linksOfKey), "links of one key"},
  {"ungrafted", Unit::COUNT, 1, 10'000, WW_FIELD(clients.ungrafted),
   "links that have not grafted, in all"},
  {"ungraftedOfPeer", Unit::COUNT, 1, 1000, WW_FIELD(clients.ungraftedOfPeer),
   "links of one peer that have not grafted"},
  {"graft", Unit::TIME, 100 * MS, HOUR, WW_TIME(clients.toGraft), "passing time to graft"},
  {"dials", Unit::COUNT, 1, 1000, WW_FIELD(dial.maxPending), "dials at a time, of one holder"},
  {"dialsPerMinute", Unit::COUNT, 1, 100'000, WW_FIELD(dial.maxPerMinute),
   "dials begun in a minute, likewise"},
};

#undef WW_FIELD
#undef WW_TIME
#undef WW_MAYBE_TIME
#undef WW_LINK

kj::Maybe<uint64_t> parse(Unit unit, kj::StringPtr text) {
  switch (unit) {
    case Unit::COUNT: return text.tryParseAs<uint64_t>();
    case Unit::BYTES: return parseSize(text);
    case Unit::TIME: {
      if (text == "0" || text == "none") return uint64_t(0);
      return parseDuration(text).map(toNs);
    }
  }
  KJ_UNREACHABLE;
}

kj::StringPtr exampleOf(Unit unit) {
  switch (unit) {
    case Unit::COUNT: return "a number, such as 100";
    case Unit::BYTES: return "a size: a whole number and k, m or g, such as 64m";
    case Unit::TIME: return "a duration: numbers and ns, us, ms, s, m or h, such as 1.5s or 1h30m";
  }
  KJ_UNREACHABLE;
}

kj::String show(Unit unit, uint64_t value) {
  struct Part {
    uint64_t size;
    kj::StringPtr letter;
  };
  constexpr Part SIZES[] = {{GIB, "g"_kj}, {MIB, "m"_kj}, {KIB, "k"_kj}, {1, ""_kj}};
  constexpr Part TIMES[] = {{HOUR, "h"_kj}, {S, "s"_kj}, {MS, "ms"_kj}, {1000, "us"_kj}};
  if (unit == Unit::COUNT) return kj::str(value);
  if (unit == Unit::TIME && value == 0) return kj::str("none");
  for (auto& part: unit == Unit::BYTES ? SIZES : TIMES) {
    if (value >= part.size && value % part.size == 0) {
      return kj::str(value / part.size, part.letter);
    }
  }
  return kj::str(value);
}

}  // namespace

Limits mostOfTheMachine() {
  Limits limits;
  auto pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
  if (pages > 0 && size > 0) limits.nodeMemoryBytes = uint64_t(pages) * uint64_t(size) / 4 * 3;
  return limits;
}

kj::Maybe<kj::String> setLimit(NodeLimits& limits, kj::StringPtr text) {
  KJ_IF_MAYBE(equals, text.findFirst('=')) {
    auto name = text.slice(0, *equals);
    auto value = text.slice(*equals + 1);
    for (auto& limit: LIMITS) {
      if (name != limit.name.asArray()) continue;
      KJ_IF_MAYBE(number, parse(limit.unit, value)) {
        bool isNone = limit.mayBeNone && *number == 0;
        if (isNone || (*number >= limit.least && *number <= limit.most)) {
          limit.set(limits, *number);
          return nullptr;
        }
        return kj::str(text, ": ", limit.name, " is between ", show(limit.unit, limit.least),
                       " and ", show(limit.unit, limit.most));
      }
      return kj::str(text, ": ", limit.name, " takes ", exampleOf(limit.unit));
    }
    if (findLimitKind(kj::heapString(name)) != nullptr) {
      return kj::str(text, ": that limit is fixed; `ww limits` lists those that can be set");
    }
    return kj::str(text, ": there is no such limit; `ww limits` lists them");
  }
  return kj::str(text, " has no `=`: it takes NAME=VALUE, as `ww limits` lists them");
}

kj::Array<LimitLine> listLimits(const NodeLimits& limits) {
  auto lines = kj::heapArrayBuilder<LimitLine>(kj::size(LIMITS));
  for (auto& limit: LIMITS) {
    lines.add(LimitLine{limit.name, show(limit.unit, limit.get(limits)), limit.of});
  }
  return lines.finish();
}

}  // namespace ww
