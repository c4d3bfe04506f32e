#pragma once
// The engine as one event loop sees it: guests are Rust futures that this loop polls.
//
// A guest's waker arms the guest's event, at once from this thread, through a doorbell from any
// other. A guest that used up its slice goes to the run queue, behind all that wait: so a busy
// neighbour costs a guest that mostly waits one slice at the most, however many there are. The run
// queue still gets its share (RunQueue::PATIENCE) where the others never rest.
//
// One per event loop; those of one node share the engine itself, whose components each of them
// runs. Guests must be gone before it is, and components before the last is; wakers and a
// compiler's thread may outlive it.

#include <atomic>
#include <kj/async.h>
#include <kj/map.h>
#include <kj/mutex.h>
#include <kj/refcount.h>
#include <kj/timer.h>
#include <ww/ffi/run-queue.h>
#include <ww/ffi/wake-inbox.h>

struct WwEngine;

namespace ww::ffi {

class GuestTask;

// How long the loop's thread has computed, between a begin and an end. An interface, so that a test
// can say.
class CpuClock {
 public:
  virtual void begin() = 0;
  virtual uint64_t endNs() = 0;
};

// By the clock on the wall where it is short. The thread's own clock takes a call of the system's:
// it is asked after a long while, so that what the machine did meanwhile does not count.
class ThreadCpuClock final: public CpuClock {
 public:
  void begin() override;
  uint64_t endNs() override;

 private:
  uint64_t begun = 0;
  uint64_t lastCpu = 0;
};

struct EngineOptions {
  kj::Duration slice = 1 * kj::MILLISECONDS;  // a running guest yields after it, or half of it
  size_t wasmStackBytes = 512 * 1024;         // of each guest
  bool debugInfo = false;  // source lines in traps' backtraces, where a component has them
  kj::Maybe<CpuClock&> cpuClock;  // in place of the thread's; outlives the engine
  kj::uint maxGuests = 2048;  // at a time; each costs some 4 us at the start, and at the end
};

// What Component::artifact() gives of these bytes under an engine with these options, made without
// one. Throws as Component::compile() does. Any thread.
kj::Array<kj::byte> makeArtifact(const EngineOptions& options, kj::ArrayPtr<const kj::byte> wasm);

// The guests of all loops that share an engine. What all of them write is beside nothing else.
class alignas(128) GuestCounts final: public kj::AtomicRefcounted {
 public:
  uint64_t nextId() const { return ids.fetch_add(1, std::memory_order_relaxed) + 1; }
  kj::uint count() const { return running.load(std::memory_order_relaxed); }

  // One more, unless there are so many.
  bool tryAdd(kj::uint most) const;
  void remove() const { running.fetch_sub(1, std::memory_order_relaxed); }

 private:
  mutable std::atomic<uint64_t> ids{0};
  mutable std::atomic<kj::uint> running{0};
};

// The engine itself: shared by count with what may outlive the loop's view of it.
class EngineHandle final: public kj::AtomicRefcounted {
 public:
  EngineHandle(const EngineOptions& options, WakeInbox& inbox);

  // The same engine, for the loop of another inbox.
  EngineHandle(const EngineHandle& first, WakeInbox& inbox);
  ~EngineHandle() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(EngineHandle);

  WwEngine* getRaw() const { return raw; }

  // Of the engine, its version and its settings: code compiled under one is good under no other.
  kj::String version() const;

  const GuestCounts& guests() const { return *counts; }

 private:
  kj::Own<const GuestCounts> counts;
  WwEngine* raw;
};

class Engine {
 public:
  // Throws if the machine cannot run the engine at all.
  Engine(EngineOptions options, kj::Timer& timer, kj::WaitScope& waitScope);

  // For a loop of another thread: shares the engine of `first`, which outlives it or not.
  Engine(EngineOptions options, const EngineHandle& first, kj::Timer& timer,
         kj::WaitScope& waitScope);
  ~Engine() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Engine);

  const EngineHandle& getHandle() const { return *handle; }
  size_t getStackBytes() const { return options.wasmStackBytes; }  // of each guest
  kj::uint guestCount() const { return handle->guests().count(); }  // of all loops
  kj::uint getMaxGuests() const { return options.maxGuests; }
  kj::Own<RunQueue::Busy> beBusy() { return kj::heap<RunQueue::Busy>(*runQueue); }
  uint64_t pollCount() const { return polls; }  // of this loop's guests, ever

 private:
  friend class GuestTask;
  kj::Promise<void> drainInbox();
  kj::Own<const EngineHandle> makeHandle(kj::Maybe<const EngineHandle&> first);
  Engine(EngineOptions options, kj::Maybe<const EngineHandle&> first, kj::Timer& timer,
         kj::WaitScope& waitScope);

  const EngineOptions options;
  ThreadCpuClock threadClock;
  CpuClock& cpuClock;
  kj::Timer& timer;
  WakeInbox::Ref inbox;
  kj::Own<const EngineHandle> handle;
  kj::Own<RunQueue> runQueue;
  kj::HashMap<uint64_t, GuestTask*> tasks;  // the living, by their number
  uint64_t polls = 0;
  kj::Promise<void> draining;
};

}  // namespace ww::ffi
