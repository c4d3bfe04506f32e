#pragma once
// A guest: one running component, driven by this event loop. Dropping it ends the guest wherever
// it is and frees its memory; its pipes live on until their host ends are gone, so that what it
// wrote can still be read.
//
// Never drop it from within a callback of the engine; from an event of the loop it is always safe.

#include <atomic>
#include <kj/async-io.h>
#include <kj/function.h>
#include <kj/list.h>
#include <kj/one-of.h>
#include <kj/refcount.h>
#include <kj/string.h>
#include <ww/ffi/component.h>
#include <ww/ffi/pipe-channel.h>
#include <ww/ffi/pipe-stream.h>

struct WwBudget;
struct WwCell;
struct WwPipe;

namespace ww::ffi {

class Engine;

struct EnvVar {
  kj::StringPtr name;
  kj::StringPtr value;
};

// What a guest may have of memory and tables, and with it all that it starts. It may outlive the
// guest. Any thread.
class GuestBudget final: public kj::AtomicRefcounted {
 public:
  explicit GuestBudget(WwBudget* raw): raw(raw) {}

  // Of no guest, for several to have a part of; itself a part of `parent`.
  static kj::Own<const GuestBudget> make(uint64_t memoryBytes, uint64_t tableElements,
                                         kj::Maybe<const GuestBudget&> parent = nullptr);
  ~GuestBudget() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(GuestBudget);

  // Bytes of memory that the guest itself has, and had at most: linear memory, files in memory.
  uint64_t getMemory() const;
  uint64_t getMemoryPeak() const;

 private:
  friend class GuestTask;
  WwBudget* const raw;
};

// What a guest has used, for whoever asks, on any thread.
class GuestMeter final: public kj::AtomicRefcounted {
 public:
  // Of a cell that lives.
  explicit GuestMeter(WwCell* cell);
  ~GuestMeter() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(GuestMeter);

  const GuestBudget& getBudget() const { return *budget; }
  kj::Duration getCpuTime() const {
    return int64_t(cpuNs.load(std::memory_order_relaxed)) * kj::NANOSECONDS;
  }

  // Bytes over all its pipes, its connection among them.
  struct Traffic {
    uint64_t toGuest, fromGuest;
  };
  Traffic getTraffic() const;

 private:
  friend class GuestTask;
  kj::Own<const GuestBudget> budget;
  WwPipe* toGuest[2];
  WwPipe* fromGuest[3];
  mutable std::atomic<uint64_t> cpuNs{0};  // its loop's thread alone writes it
};

// A folder of the host that a guest has under `path`. What leads out of it leads nowhere.
struct GuestFolder {
  int fd;               // used until the guest is made
  kj::StringPtr path;   // valid UTF-8, no NUL
  bool writable;
  bool foreign;         // others put there what they like
};

struct GuestOptions {
  kj::ArrayPtr<const kj::StringPtr> args;  // verbatim; valid UTF-8, no NUL
  kj::ArrayPtr<const EnvVar> env;
  size_t pipeBytes = 64 * 1024;            // of each pipe
  uint64_t memoryBytes = 256ull << 20;     // over all linear memories
  uint64_t tableElements = 65536;          // over all tables
  kj::uint memories = 8;
  kj::uint instances = 100;
  kj::uint resources = 10'000;
  uint64_t hostcallBytes = 4 << 20;        // of one call
  uint64_t randomBytes = 64 * 1024;        // of one call
  kj::Maybe<kj::Duration> cpu;             // that it may compute
  kj::Maybe<const GuestBudget&> parent;    // whose memory it has a part of
  kj::ArrayPtr<const GuestFolder> folders;
  kj::Maybe<kj::StringPtr> scratch;        // where it has a folder in memory
};

struct GuestExit {
  int32_t code;
};

struct GuestTrap {
  kj::String cause;      // one line
  kj::String backtrace;  // many lines; may be empty
};

// Not begun: it asks for more than it may have.
struct GuestRefusal {
  kj::String cause;  // one line
};

// It has computed as long as it may.
struct GuestSpent {};

using GuestEnd = kj::OneOf<GuestExit, GuestTrap, GuestRefusal, GuestSpent>;

// What it was refused, and went on without: of memory and tables, its own or what it has a part of.
// What it was ended by: the rest.
struct GuestHits {
  bool memory, tables;
  bool sharedMemory, nodeMemory;  // a budget's that was made; one's without a parent
  bool memories, instances, resources, hostcallBytes, randomBytes, stack;
};

class GuestTask final: private kj::_::Event {
 public:
  // Starts at once: the first poll is an event of its own. Throws `overloaded: cells` at
  // EngineOptions::maxGuests.
  GuestTask(Engine& engine, const Component& component, const GuestOptions& options);
  ~GuestTask() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(GuestTask);

  static const WwBudget* rawOf(const GuestBudget& budget) { return budget.raw; }

  uint64_t getId() const { return id; }  // of its engine, on whichever loop, from 1

  // Resolves to true when the component's `run` is entered, to false if it ended before. Once.
  kj::Promise<bool> onInstantiated() { return kj::mv(instantiatedPromise); }

  // Resolves once it has ended; never if it is dropped first. Once.
  kj::Promise<void> onEnd() { return kj::mv(endPromise); }
  GuestEnd takeEnd();  // how; once

  // From now on `handler` is told of each turn in which a limit was hit. It must not drop this.
  void onHits(kj::Function<void(GuestHits)> handler) { hitHandler = kj::mv(handler); }

  const GuestMeter& getMeter() const { return *meter; }

  // The host's ends. Each may be taken once.
  kj::Own<PipeChannel> takeConnection();
  kj::Own<PipeStream> takeStdin();
  kj::Own<PipeStream> takeStdout();
  kj::Own<PipeStream> takeStderr();

 private:
  friend class Engine;
  friend class EngineHandle;
  friend class RunQueue;

  kj::Maybe<kj::Own<kj::_::Event>> fire() override;
  void traceEvent(kj::_::TraceBuilder& builder) override {}

  // Called by the guest's waker, perhaps from within poll().
  void wake();
  void poll();
  void finish(GuestEnd how);
  bool isSpent() const { return cpuNs >= cpuLimitNs; }
  void tellHits(uint32_t hits);
  void setDeadline(uint64_t ns);
  kj::Promise<void> ringAt(uint64_t ns);

  Engine& engine;
  const uint64_t id;
  kj::Own<const Component> component;
  WwCell* raw;
  bool polling = false;
  bool wokenWhilePolling = false;
  bool instantiated = false;
  uint64_t cpuNs = 0;
  const uint64_t cpuLimitNs;
  kj::Own<const GuestMeter> meter;
  kj::Maybe<kj::Function<void(GuestHits)>> hitHandler;
  uint64_t deadlineNs = kj::maxValue;  // the guest wants to be polled again by then
  uint64_t alarmNs = kj::maxValue;     // when the alarm rings: never later than the deadline
  kj::Promise<void> alarm = nullptr;
  kj::Promise<bool> instantiatedPromise = nullptr;
  kj::Own<kj::PromiseFulfiller<bool>> instantiatedFulfiller;
  kj::Maybe<GuestEnd> end;
  kj::Promise<void> endPromise = nullptr;
  kj::Own<kj::PromiseFulfiller<void>> endFulfiller;
  kj::ListLink<GuestTask> queueLink;
};

}  // namespace ww::ffi
