#include <ww/node/limit-table.h>

#include <kj/test.h>
#include <ww/cell/limit-hits.h>

namespace ww {
namespace {

KJ_TEST("what is listed can be set, and is then what is listed") {
  NodeLimits limits;
  auto lines = listLimits(limits);
  for (auto& line: lines) {
    auto problem = setLimit(limits, kj::str(line.name, '=', line.value));
    KJ_EXPECT(problem == nullptr, line.name);
  }
  auto again = listLimits(limits);
  for (size_t i = 0; i < lines.size(); i++) {
    KJ_EXPECT(again[i].value == lines[i].value, lines[i].name, lines[i].value, again[i].value);
  }
}

KJ_TEST("each sets its own, of cells and of clients") {
  NodeLimits limits;
  for (auto text: {"memory=1g", "cpu=1m30s", "resources=7000", "stack=1m", "calls=17", "stalled=2s",
                   "dials=3", "links=5"}) {
    KJ_EXPECT(setLimit(limits, text) == nullptr, text);
  }
  KJ_EXPECT(limits.cell.memoryBytes == 1u << 30);
  KJ_EXPECT(KJ_ASSERT_NONNULL(limits.cell.cpu) == 90 * kj::SECONDS);
  KJ_EXPECT(limits.cell.resources == 7000);
  KJ_EXPECT(limits.stackBytes == 1u << 20);
  KJ_EXPECT(limits.cell.link.quota.calls == 17 && limits.clients.after.quota.calls == 17);
  KJ_EXPECT(limits.clients.first.quota.calls == 16, "before a graft it is as it was");
  KJ_EXPECT(limits.clients.first.patience == 2 * kj::SECONDS);
  KJ_EXPECT(limits.dial.maxPending == 3);
  KJ_EXPECT(limits.clients.linksOfKey == 5);
}

KJ_TEST("what cannot be set is said, and nothing is changed") {
  NodeLimits limits;
  auto problem = [&](kj::StringPtr text) {
    return setLimit(limits, text).orDefault([]() { return kj::str("none"); });
  };
  KJ_EXPECT(problem("memory") ==
            "memory has no `=`: it takes NAME=VALUE, as `ww limits` lists them");
  KJ_EXPECT(problem("Memory=1g") == "Memory=1g: there is no such limit; `ww limits` lists them");
  KJ_EXPECT(problem("memory=") ==
            "memory=: memory takes a size: a whole number and k, m or g, such as 64m");
  KJ_EXPECT(problem("memory=1k") == "memory=1k: memory is between 64k and 1024g");
  KJ_EXPECT(problem("calls=1.5") == "calls=1.5: calls takes a number, such as 100");
  KJ_EXPECT(problem("calls=-1") == "calls=-1: calls takes a number, such as 100");
  KJ_EXPECT(problem("slice=0") == "slice=0: slice is between 100us and 1s");
  KJ_EXPECT(problem("timeout=never") == "timeout=never: timeout takes a duration: "
            "numbers and ns, us, ms, s, m or h, such as 1.5s or 1h30m");
  KJ_EXPECT(problem("reads=20") ==
            "reads=20: that limit is fixed; `ww limits` lists those that can be set");
  KJ_EXPECT(problem("timeout=none") == "none" && limits.cell.wall == nullptr);
  KJ_EXPECT(limits.cell.memoryBytes == NodeLimits().cell.memoryBytes);
}

KJ_TEST("however many clients hit limits, few lines are logged of them, and all of others") {
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  MemoryLogger logger;
  LineQuota lines(logger, timer);
  LimitHits hits(lines);
  for (uint64_t i = 1; i <= 100; i++) {
    CellHits ofClient, ofCell;
    auto name = kj::str("client", i);
    hits.hit(LimitKind::LINK_CALLS, {0, 0, name}, "1000", ofClient);
    hits.hit(LimitKind::LINK_CALLS, {i, 0, nullptr, 70 + i / 10}, "1000", ofCell);
  }
  KJ_EXPECT(hits.count(LimitKind::LINK_CALLS) == 200);
  KJ_EXPECT(logger.getLines().size() == LineQuota::LINES + 100, logger.getLines().size());
}

// So that an operator who reads of one in the log can look for it here.
KJ_TEST("what is counted has the name of a limit, unless it is fixed") {
  NodeLimits limits;
  auto names = KJ_MAP(line, listLimits(limits)) { return line.name; };
  auto all = kj::str(' ', kj::strArray(names, " "), " segments promises sentCaps reads "
                    "compilations detached sessions grafts wasm args env ");
  for (size_t i = 0; i < LIMIT_KINDS; i++) {
    auto name = kj::str(' ', nameOf(LimitKind(i)), ' ');
    bool isListed = strstr(all.cStr(), name.cStr()) != nullptr;
    KJ_EXPECT(isListed, name);
  }
}

}  // namespace
}  // namespace ww
