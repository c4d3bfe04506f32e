#include <ww/ffi/run-queue.h>

#include <ww/ffi/fence.h>
#include <ww/ffi/guest-task.h>

namespace ww::ffi {
namespace {

// How many events KJ may run before it looks at timers and sockets, so that chains of events that
// never end (two cells in conversation) do not keep the others waiting.
constexpr kj::uint POLL_INTERVAL = 256;
constexpr kj::uint POLL_INTERVAL_BUSY = 16;  // some events may be whole slices

// Of writing, before others that are armed to be last have theirs.
constexpr kj::uint MAX_TURNS = 64;

}  // namespace

struct RunQueue::Lists {
  kj::List<Writer, &Writer::link> writers[3];  // by their place; in its row is one at the most
  kj::List<GuestTask, &GuestTask::queueLink> tasks;

  bool hasWriters() const {
    for (auto& list: writers) {
      if (!list.empty()) return true;
    }
    return false;
  }
  bool empty() const { return !hasWriters() && tasks.empty(); }
};

RunQueue::RunQueue(kj::Timer& timer, kj::WaitScope& waitScope)
    : kj::_::Event(kj::SourceLocation()), timer(timer), waitScope(waitScope),
      lists(kj::heap<Lists>()) {
  waitScope.setBusyPollInterval(POLL_INTERVAL);
}

RunQueue::~RunQueue() noexcept(false) {}

void RunQueue::add(Writer& writer) {
  if (!writer.link.isLinked()) {
    if (!lists->hasWriters()) writersSinceNs = ww_clock_now();
    if (!isLatest(writer)) writer.place = Writer::FRESH;
    else writer.place = isRowOver() ? Writer::HAD_ITS_ROW : Writer::IN_ITS_ROW;
    lists->writers[writer.place].add(writer);
  }
  schedule();
}

bool RunQueue::isRowOver() const {
  return inARow >= MOST_IN_A_ROW || rowNs >= uint64_t(LONGEST_ROW / kj::NANOSECONDS);
}

bool RunQueue::isLatest(const Writer& writer) const {
  KJ_IF_MAYBE(w, latest) return w == &writer;
  return false;
}

void RunQueue::remove(Writer& writer) {
  if (writer.link.isLinked()) lists->writers[writer.place].remove(writer);
  if (isLatest(writer)) latest = nullptr;
}

void RunQueue::add(GuestTask& task) {
  if (task.queueLink.isLinked()) return;
  if (lists->tasks.empty()) tasksSinceNs = ww_clock_now();
  lists->tasks.add(task);
  setInterval();
  schedule();
  if (isPatient) return;
  isPatient = true;
  patience = bePatient().eagerlyEvaluate(nullptr);
}

void RunQueue::remove(GuestTask& task) {
  lists->tasks.remove(task);
  setInterval();
}

void RunQueue::setInterval() {
  bool isBusy = busy > 0 || !lists->tasks.empty();
  waitScope.setBusyPollInterval(isBusy ? POLL_INTERVAL_BUSY : POLL_INTERVAL);
}

void RunQueue::schedule() {
  if (state != IDLE || lists->empty()) return;
  // Also where a conversation never has two messages queued, and so the queue is empty in between.
  if (turns >= MAX_TURNS) return rest();
  state = ARMED;
  if (hastyUntilNs > 0 && ww_clock_now() < hastyUntilNs) return armBreadthFirst();
  hastyUntilNs = 0;
  armLast();
}

// Until the loop has nothing else left than what was armed to be last before, and that was served;
// it may never come to that.
void RunQueue::rest() {
  state = RESTING;
  turns = 0;
  armLast();
  waking = timer.afterDelay(PATIENCE).then([this]() { wake(); }).eagerlyEvaluate(nullptr);
}

// From outside of the loop's queue: those others are next in it.
void RunQueue::wakeBehindOthers() {
  auto paf = kj::newPromiseAndCrossThreadFulfiller<void>();
  waking = paf.promise.then([this]() { wake(); }).eagerlyEvaluate(nullptr);
  paf.fulfiller->fulfill();
}

void RunQueue::wake() {
  if (state != RESTING) return;
  disarm();
  state = IDLE;
  schedule();
}

void RunQueue::onOtherPoll(uint64_t cpuNs) {
  rowNs += cpuNs;
  hurry();
}

// The loop may serve others for ever without polling a guest, or coming to rest.
kj::Promise<void> RunQueue::bePatient() {
  KJ_DEFER(isPatient = false);
  while (!lists->tasks.empty()) {
    co_await timer.afterDelay(PATIENCE);
    hurry();
  }
}

void RunQueue::hurry() {
  if (state == IDLE || state == FIRING || overdue) return;
  uint64_t never = kj::maxValue;
  auto since = kj::min(lists->hasWriters() ? writersSinceNs : never,
                       lists->tasks.empty() ? never : tasksSinceNs);
  auto now = ww_clock_now();
  if (since > now || now - since < uint64_t(PATIENCE / kj::NANOSECONDS)) return;
  overdue = true;
  hastyUntilNs = now + uint64_t(PATIENCE / kj::NANOSECONDS);
  state = ARMED;
  disarm();
  armBreadthFirst();
}

// True if there was anything to write.
bool RunQueue::write() {
  if (!lists->hasWriters()) return false;
  auto place = Writer::IN_ITS_ROW;
  if (lists->writers[place].empty()) {
    bool areFresh = !lists->writers[Writer::FRESH].empty();
    bool areOthers = !lists->writers[Writer::HAD_ITS_ROW].empty();
    place = areFresh && (isFreshNext || !areOthers) ? Writer::FRESH : Writer::HAD_ITS_ROW;
    isFreshNext = !(areOthers && place == Writer::FRESH);
    inARow = 0;
    rowNs = 0;
  }
  auto& writer = lists->writers[place].front();
  lists->writers[place].remove(writer);
  ++inARow;
  latest = writer;
  writer.onTurn();
  writersSinceNs = ww_clock_now();
  return true;
}

kj::Maybe<kj::Own<kj::_::Event>> RunQueue::fire() {
  if (state == RESTING) {
    wakeBehindOthers();
    return nullptr;
  }
  bool late = overdue;
  state = FIRING;
  overdue = false;
  bool wrote = write();
  ++turns;
  if (!lists->tasks.empty() && (late || !wrote)) {
    auto& task = lists->tasks.front();
    remove(task);
    task.poll();  // puts it back at the end, if it used up this slice too
    tasksSinceNs = ww_clock_now();
    turns = MAX_TURNS;
  }
  state = IDLE;
  schedule();
  return nullptr;
}

}  // namespace ww::ffi
