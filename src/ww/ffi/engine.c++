#include <ww/ffi/engine.h>

#include <kj/debug.h>
#include <ww/ffi/fence.h>
#include <ww/ffi/guest-task.h>

namespace ww::ffi {
namespace {

WakeInbox& asInbox(void* hub) { return *static_cast<WakeInbox*>(hub); }

constexpr uint64_t LONG_NS = 100'000;

WwEngineOptions rawOptions(const EngineOptions& options) {
  return {uint64_t(options.slice / kj::MICROSECONDS), options.wasmStackBytes, options.debugInfo,
          options.maxGuests};
}

}  // namespace

void ThreadCpuClock::begin() { begun = ww_clock_now(); }

uint64_t ThreadCpuClock::endNs() {
  auto passed = ww_clock_now() - begun;
  if (passed < LONG_NS) return passed;
  auto cpu = ww_clock_cpu();
  auto computed = cpu - lastCpu;  // since the last long one, at least
  lastCpu = cpu;
  return kj::min(passed, computed);
}

// ------------------------------------------------------------------------------- EngineHandle

bool GuestCounts::tryAdd(kj::uint most) const {
  if (running.fetch_add(1, std::memory_order_relaxed) < most) return true;
  remove();
  return false;
}

EngineHandle::EngineHandle(const EngineOptions& options, WakeInbox& inbox)
    : counts(kj::atomicRefcounted<GuestCounts>()) {
  WwHooks hooks{
    [](void* task) noexcept { static_cast<GuestTask*>(task)->wake(); },
    [](void* hub, uint64_t id) noexcept { asInbox(hub).wake(id); },
    [](void* hub) noexcept { asInbox(hub).ref(); },
    [](void* hub) noexcept { asInbox(hub).unref(); },
    &PipeListener::tell,
  };
  auto raw = rawOptions(options);
  WwError error{};
  this->raw = ww_engine_new(&raw, &hooks, &inbox, &error);
  if (this->raw == nullptr) kj::throwFatalException(takeError(error));
}

EngineHandle::EngineHandle(const EngineHandle& first, WakeInbox& inbox)
    : counts(kj::atomicAddRef(*first.counts)) {
  WwError error{};
  raw = ww_engine_share(first.raw, &inbox, &error);
  if (raw == nullptr) kj::throwFatalException(takeError(error));
}

EngineHandle::~EngineHandle() noexcept(false) { ww_engine_drop(raw); }

kj::Array<kj::byte> makeArtifact(const EngineOptions& options, kj::ArrayPtr<const kj::byte> wasm) {
  auto raw = rawOptions(options);
  WwError error{};
  WwBytes artifact{};
  if (!ww_compile(&raw, slice(wasm), &artifact, &error)) {
    kj::throwFatalException(takeError(error));
  }
  return kj::Array<kj::byte>(artifact.ptr, artifact.len, kj::NullArrayDisposer::instance)
      .attach(kj::defer([artifact]() { ww_bytes_drop(artifact); }));
}

kj::String EngineHandle::version() const { return takeText(ww_engine_version(raw)); }

// ------------------------------------------------------------------------------------- Engine

Engine::Engine(EngineOptions options, kj::Timer& timer, kj::WaitScope& waitScope)
    : Engine(options, kj::Maybe<const EngineHandle&>(), timer, waitScope) {}

Engine::Engine(EngineOptions options, const EngineHandle& first, kj::Timer& timer,
               kj::WaitScope& waitScope)
    : Engine(options, kj::Maybe<const EngineHandle&>(first), timer, waitScope) {}

Engine::Engine(EngineOptions options, kj::Maybe<const EngineHandle&> first, kj::Timer& timer,
               kj::WaitScope& waitScope)
    : options(options),
      cpuClock(options.cpuClock.orDefault(threadClock)), timer(timer),
      handle(makeHandle(first)),
      runQueue(kj::refcounted<RunQueue>(timer, waitScope)),
      draining(drainInbox().eagerlyEvaluate([](kj::Exception&& exception) {
        KJ_LOG(ERROR, "wakes from other threads stopped", exception);
      })) {}

kj::Own<const EngineHandle> Engine::makeHandle(kj::Maybe<const EngineHandle&> first) {
  KJ_IF_MAYBE(f, first) return kj::atomicRefcounted<EngineHandle>(*f, *inbox);
  return kj::atomicRefcounted<EngineHandle>(options, *inbox);
}

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
