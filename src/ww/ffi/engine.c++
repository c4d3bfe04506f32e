#include <ww/ffi/engine.h>

#include <kj/debug.h>
#include <kj/list.h>
#include <ww/ffi/fence.h>
#include <ww/ffi/guest-task.h>

namespace ww::ffi {
namespace {

// How many events KJ may run before it looks at timers and sockets, so that chains of events that
// never end (two cells in conversation) do not keep the others waiting.
constexpr kj::uint POLL_INTERVAL = 256;
constexpr kj::uint POLL_INTERVAL_BUSY = 1;  // an event may be a whole slice

WakeInbox& asInbox(void* hub) { return *static_cast<WakeInbox*>(hub); }

}  // namespace

// ------------------------------------------------------------------------------- EngineHandle

EngineHandle::EngineHandle(const EngineOptions& options, WakeInbox& inbox) {
  WwHooks hooks{
    [](void* task) { static_cast<GuestTask*>(task)->wake(); },
    [](void* hub, uint64_t id) { asInbox(hub).wake(id); },
    [](void* hub) { asInbox(hub).ref(); },
    [](void* hub) { asInbox(hub).unref(); },
    &PipeListener::tell,
  };
  WwEngineOptions raw{uint64_t(options.slice / kj::MICROSECONDS), options.wasmStackBytes,
                      options.debugInfo};
  WwError error{};
  this->raw = ww_engine_new(&raw, &hooks, &inbox, &error);
  if (this->raw == nullptr) kj::throwFatalException(takeError(error));
}

EngineHandle::~EngineHandle() noexcept(false) { ww_engine_drop(raw); }

kj::String EngineHandle::version() const { return takeText(ww_engine_version(raw)); }

// ----------------------------------------------------------------------------------- RunQueue

struct RunQueue::Tasks {
  kj::List<GuestTask, &GuestTask::queueLink> list;
};

RunQueue::RunQueue(kj::WaitScope& waitScope)
    : kj::_::Event(kj::SourceLocation()), waitScope(waitScope), tasks(kj::heap<Tasks>()) {
  waitScope.setBusyPollInterval(POLL_INTERVAL);
}

RunQueue::~RunQueue() noexcept(false) {}

void RunQueue::add(GuestTask& task) {
  if (task.queueLink.isLinked()) return;
  if (tasks->list.empty()) waitScope.setBusyPollInterval(POLL_INTERVAL_BUSY);
  tasks->list.add(task);
  schedule();
}

void RunQueue::remove(GuestTask& task) {
  tasks->list.remove(task);
  if (tasks->list.empty()) waitScope.setBusyPollInterval(POLL_INTERVAL);
}

void RunQueue::schedule() {
  if (tasks->list.empty()) return;
  armLast();
  waitingSinceNs = ww_clock_now();
}

void RunQueue::onOtherPoll() {
  if (tasks->list.empty()) return;
  if (ww_clock_now() - waitingSinceNs < uint64_t(PATIENCE / kj::NANOSECONDS)) return;
  disarm();
  armBreadthFirst();
}

kj::Maybe<kj::Own<kj::_::Event>> RunQueue::fire() {
  if (!tasks->list.empty()) {
    auto& task = tasks->list.front();
    remove(task);
    task.poll();  // puts it back at the end, if it used up this slice too
  }
  schedule();
  return nullptr;
}

// ------------------------------------------------------------------------------------- Engine

Engine::Engine(EngineOptions options, kj::Timer& timer, kj::WaitScope& waitScope)
    : options(options), timer(timer), handle(kj::atomicRefcounted<EngineHandle>(options, *inbox)),
      runQueue(waitScope), draining(drainInbox().eagerlyEvaluate([](kj::Exception&& exception) {
        KJ_LOG(ERROR, "wakes from other threads stopped", exception);
      })) {}

Engine::~Engine() noexcept(false) {
  inbox->close();
  KJ_ASSERT(tasks.size() == 0, "guests outlive their engine");
}

kj::Promise<void> Engine::drainInbox() {
  for (;;) {
    co_await inbox->onWake();
    for (auto id: inbox->take()) {
      KJ_IF_MAYBE(task, tasks.find(id)) (*task)->wake();
    }
  }
}

}  // namespace ww::ffi
