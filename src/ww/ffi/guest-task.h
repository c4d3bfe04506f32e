#pragma once
// A guest: one running component, driven by this event loop. Dropping it ends the guest wherever
// it is and frees its memory; its pipes live on until their host ends are gone, so that what it
// wrote can still be read.
//
// Never drop it from within a callback of the engine; from an event of the loop it is always safe.

#include <kj/async-io.h>
#include <kj/list.h>
#include <kj/one-of.h>
#include <kj/string.h>
#include <ww/ffi/component.h>
#include <ww/ffi/pipe-channel.h>
#include <ww/ffi/pipe-stream.h>

struct WwCell;

namespace ww::ffi {

class Engine;

struct EnvVar {
  kj::StringPtr name;
  kj::StringPtr value;
};

struct GuestOptions {
  kj::ArrayPtr<const kj::StringPtr> args;  // verbatim; valid UTF-8, no NUL
  kj::ArrayPtr<const EnvVar> env;
  size_t pipeBytes = 64 * 1024;            // of each pipe
  uint64_t memoryBytes = 256ull << 20;     // over all linear memories
  uint64_t tableElements = 65536;          // over all tables
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

using GuestEnd = kj::OneOf<GuestExit, GuestTrap, GuestRefusal>;

class GuestTask final: private kj::_::Event {
 public:
  // Starts at once: the first poll is an event of its own. Throws `overloaded: cells` at
  // EngineOptions::maxGuests.
  GuestTask(Engine& engine, const Component& component, const GuestOptions& options);
  ~GuestTask() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(GuestTask);

  uint64_t getId() const { return id; }  // of its engine, from 1

  // Resolves to true when the component's `run` is entered, to false if it ended before. Once.
  kj::Promise<bool> onInstantiated() { return kj::mv(instantiatedPromise); }

  // How it ended. Never resolves if it is dropped first. Once.
  kj::Promise<GuestEnd> onEnd() { return kj::mv(endPromise); }

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
  void setDeadline(uint64_t ns);
  kj::Promise<void> ringAt(uint64_t ns);

  Engine& engine;
  const uint64_t id;
  kj::Own<const Component> component;
  WwCell* raw;
  bool polling = false;
  bool wokenWhilePolling = false;
  bool instantiated = false;
  uint64_t deadlineNs = kj::maxValue;  // the guest wants to be polled again by then
  uint64_t alarmNs = kj::maxValue;     // when the alarm rings: never later than the deadline
  kj::Promise<void> alarm = nullptr;
  kj::Promise<bool> instantiatedPromise = nullptr;
  kj::Own<kj::PromiseFulfiller<bool>> instantiatedFulfiller;
  kj::Promise<GuestEnd> endPromise = nullptr;
  kj::Own<kj::PromiseFulfiller<GuestEnd>> endFulfiller;
  kj::ListLink<GuestTask> queueLink;
};

}  // namespace ww::ffi
