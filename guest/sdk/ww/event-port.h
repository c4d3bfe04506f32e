#pragma once
// A kj::EventPort over wasi:io/poll and wasi:clocks/monotonic-clock: where a guest waits. While it
// does, it is parked in the host and costs no processor time.

#include <kj/async.h>
#include <kj/list.h>
#include <kj/timer.h>
#include <kj/vector.h>
#include "ww/wasi.h"

namespace ww {

class EventPort final: public kj::EventPort {
 public:
  EventPort();
  KJ_DISALLOW_COPY_AND_MOVE(EventPort);

  kj::Timer& timer() { return clock; }

  // Resolves when the host says that `pollable` is ready, which it may say too early: look, and
  // wait again. Dropping the promise ends the wait; the pollable must outlive it.
  kj::Promise<void> whenReady(wasi::Handle pollable);

  bool wait() override;
  bool poll() override;

  // What is waited for without a promise for each wait: the connection to the host.
  class Source {
   public:
    // Called before each wait: writes what is to be written. Afterwards waitsFor() says which
    // pollables matter, each NO_HANDLE if it does not.
    virtual void beforeWait() = 0;
    struct Pollables {
      wasi::Handle handles[2];
    };
    virtual Pollables waitsFor() = 0;
    virtual void onReady() = 0;  // one of them, or so it seems

    // Nothing else is waited for: waits for input in a way that is cheaper, if that is all.
    virtual bool waitAlone() = 0;
  };

  // At most one at a time.
  void setSource(kj::Maybe<Source&> newSource) { source = newSource; }

 private:
  struct Waiter {
    Waiter(kj::PromiseFulfiller<void>& fulfiller, EventPort& port, wasi::Handle pollable);
    ~Waiter() noexcept(false);
    void fire();

    kj::PromiseFulfiller<void>& fulfiller;
    EventPort& port;
    const wasi::Handle pollable;
    kj::ListLink<Waiter> link;
  };

  void pollAll(kj::Maybe<kj::TimePoint> until);
  size_t addSource();  // how many handles that were

  // Counts from the time at which it is asked, not from the last wait.
  class Clock final: public kj::Timer {
   public:
    explicit Clock(kj::TimerImpl& timers): timers(timers) {}
    kj::TimePoint now() const override;
    kj::Promise<void> atTime(kj::TimePoint time) override { return timers.atTime(time); }
    kj::Promise<void> afterDelay(kj::Duration delay) override {
      return timers.atTime(now() + delay);
    }

   private:
    kj::TimerImpl& timers;
  };

  kj::TimerImpl timerImpl;
  Clock clock{timerImpl};
  kj::List<Waiter, &Waiter::link> waiters;
  kj::Maybe<Source&> source;

  // Kept between waits, so that waiting allocates nothing.
  kj::Vector<wasi::Handle> handles;
  kj::Vector<Waiter*> polled;
  kj::Vector<uint32_t> readyIndices;
};

}  // namespace ww
