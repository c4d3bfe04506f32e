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
  kj::List<Writer, &Writer::link> writers;
  kj::List<GuestTask, &GuestTask::queueLink> tasks;

  bool empty() const { return writers.empty() && tasks.empty(); }
};

RunQueue::RunQueue(kj::Timer& timer, kj::WaitScope& waitScope)
    : kj::_::Event(kj::SourceLocation()), timer(timer), waitScope(waitScope),
      lists(kj::heap<Lists>()) {
  waitScope.setBusyPollInterval(POLL_INTERVAL);
}

RunQueue::~RunQueue() noexcept(false) {}

void RunQueue::add(Writer& writer) {
  if (!writer.link.isLinked()) {
    if (lists->writers.empty()) writersSinceNs = ww_clock_now();
    lists->writers.add(writer);
  }
  schedule();
}

void RunQueue::remove(Writer& writer) {
  if (writer.link.isLinked()) lists->writers.remove(writer);
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
  armLast();
}

void RunQueue::rest() {
  state = RESTING;
  turns = 0;
  auto paf = kj::newPromiseAndCrossThreadFulfiller<void>();
  waking = paf.promise.then([this]() {
    if (state != RESTING) return;
    state = IDLE;
    schedule();
  }).eagerlyEvaluate(nullptr);
  paf.fulfiller->fulfill();
}

void RunQueue::onOtherPoll() { hurry(); }

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
  auto since = kj::min(lists->writers.empty() ? never : writersSinceNs,
                       lists->tasks.empty() ? never : tasksSinceNs);
  auto now = ww_clock_now();
  if (since > now || now - since < uint64_t(PATIENCE / kj::NANOSECONDS)) return;
  overdue = true;
  state = ARMED;
  disarm();
  armBreadthFirst();
}

// True if there was anything to write.
bool RunQueue::write() {
  // Each of those that are here now: a writer may add itself again.
  auto left = lists->writers.size();
  bool any = left > 0;
  for (; left > 0 && !lists->writers.empty(); left--) {
    auto& writer = lists->writers.front();
    lists->writers.remove(writer);
    writer.onTurn();
  }
  return any;
}

kj::Maybe<kj::Own<kj::_::Event>> RunQueue::fire() {
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
