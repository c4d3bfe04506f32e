#include "campaign.h"

#include <dirent.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

namespace ww {

void say(kj::StringPtr line) {
  printf("%s\n", line.cStr());
  fflush(stdout);
}

uint64_t residentBytes() {
  malloc_trim(0);
  int raw;
  KJ_SYSCALL(raw = open("/proc/self/statm", O_RDONLY | O_CLOEXEC));
  kj::AutoCloseFd file(raw);
  auto text = kj::FdInputStream(file.get()).readAllText();
  auto pages = strtoull(text.begin() + KJ_ASSERT_NONNULL(text.findFirst(' ')), nullptr, 10);
  return pages * uint64_t(sysconf(_SC_PAGESIZE));
}

kj::uint openDescriptors() {
  auto folder = opendir("/proc/self/fd");
  KJ_ASSERT(folder != nullptr);
  KJ_DEFER(closedir(folder));
  kj::uint count = 0;
  while (readdir(folder) != nullptr) ++count;
  return count;
}

Victim::Victim(TestNode& node, bool mayEnd)
    : process(node.run("cell-plain", {"cat"})), in(TestNode::stdin(process)),
      out(TestNode::stdout(process)), going(goOn().eagerlyEvaluate([this, mayEnd](
          kj::Exception&& e) {
        failed = true;
        KJ_EXPECT(mayEnd, "the victim failed", e);
      })) {}

kj::Promise<void> Victim::goOn() {
  constexpr auto WORDS = "there?"_kj;
  auto& clock = kj::systemPreciseMonotonicClock();
  for (;;) {
    auto begun = clock.now();
    auto write = in.writeRequest();
    write.setData(WORDS.asBytes());
    co_await write.send();
    auto read = out.readRequest();
    read.setMaxBytes(100);
    auto response = co_await read.send();
    KJ_ASSERT(response.getData() == WORDS.asBytes());
    ++served;
    auto waited = clock.now() - begun;
    longest = kj::max(longest, waited);
    ++waits[kj::min(size_t(waited / TENTH), WAITS - 1)];
    KJ_IF_MAYBE(t, told) (*t)();
  }
}

kj::Duration Victim::getMostlyBelow() const {
  kj::uint above = 0;
  for (auto at = WAITS; at > 0; at--) {
    above += waits[at - 1];
    if (above * 100ul > served) return at < WAITS ? int64_t(at) * TENTH : longest;
  }
  return 0 * kj::SECONDS;
}

void campaign(kj::StringPtr name, TestNode& node, kj::Function<void()> attack, bool mayEnd) {
  uint64_t resident = 0;
  kj::uint descriptors = 0, served = 0;
  kj::String waited;
  auto round = [&]() {
    {
      Victim victim(node, mayEnd);
      attack();
      served = victim.getServed();
      waited = kj::str(victim.getMostlyBelow(), " at the most for 99 % of them, ",
                       victim.getLongest(), " for the longest");
      KJ_EXPECT(served > 0, name, "the victim was not served");
      while (victim.isServed() && victim.getServed() == served) {
        kj::evalLater([]() {}).wait(node.waitScope);
        node.waitScope.poll(1);
      }
    }
    node.waitScope.poll();
    node.logger.clear();
    resident = residentBytes();
    descriptors = openDescriptors();
  };
  round();
  auto firstResident = resident;
  auto firstDescriptors = descriptors;
  round();
  say(kj::str(name, ": ", served, " answers to the victim, which waited ", waited, "; ",
              firstResident >> 10, " and then ", resident >> 10, " KiB, ", firstDescriptors,
              " and then ", descriptors, " descriptors"));
  KJ_EXPECT(resident <= firstResident + firstResident / 20, name, firstResident, resident);
  KJ_EXPECT(descriptors == firstDescriptors, name, firstDescriptors, descriptors);
  KJ_EXPECT(node.answers(), name);
}

}  // namespace ww
