#pragma once
// What one loop does once nothing else is to be done, and in which order: a write to a guest, if
// there is one to be written to, or a slice for a guest that used up its last one. What comes of it
// is served before the next.
//
// A guest whose calls are answered at once is written to again, MOST_IN_A_ROW times: what its calls
// touch lies in the caches by then, and of a thousand such guests that is most of what a call
// costs. Those that come anew and those that had their row are served by turns.
//
// One event for all of it. KJ serves the last event armed to be last first, so that one which arms
// itself again and again would keep those from ever being served that were armed before: the
// writes of a link over a socket, say. So it rests after each slice, and after some turns of
// writing, until all else is done: it is woken then from outside of the loop's queue, behind those.
//
// Counted by reference: a channel may outlive its engine. Lives on one event loop.

#include <kj/async.h>
#include <kj/list.h>
#include <kj/refcount.h>
#include <kj/timer.h>

namespace ww::ffi {

class GuestTask;

class RunQueue final: public kj::Refcounted, private kj::_::Event {
 public:
  // Whose onTurn() is called once for an add(). Removes itself before it goes.
  class Writer {
   public:
    virtual void onTurn() = 0;

   protected:
    ~Writer() = default;

   private:
    friend class RunQueue;
    kj::ListLink<Writer> link;
    enum { IN_ITS_ROW, FRESH, HAD_ITS_ROW } place = FRESH;  // since it was added
  };

  // Times, without another writer between; a row ends before if guests computed for so long in it.
  static constexpr kj::uint MOST_IN_A_ROW = 16;
  static constexpr kj::Duration LONGEST_ROW = 250 * kj::MICROSECONDS;

  // With guests queued the loop never comes to rest, and KJ looks at timers and sockets only then:
  // `waitScope` is told to look in between, often while a guest is queued. Both outlive it, and so
  // every channel that holds it.
  RunQueue(kj::Timer& timer, kj::WaitScope& waitScope);
  ~RunQueue() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(RunQueue);

  void add(Writer& writer);    // fine if it is there
  void remove(Writer& writer);  // fine if it is not
  void add(GuestTask& task);
  void remove(GuestTask& task);  // must be there

  // While any of these is held, KJ looks at timers and sockets as often: of who does something
  // long in pieces.
  class Busy {
   public:
    explicit Busy(RunQueue& queue): queue(kj::addRef(queue)) { ++queue.busy; queue.setInterval(); }
    ~Busy() noexcept(false) { --queue->busy; queue->setInterval(); }
    KJ_DISALLOW_COPY_AND_MOVE(Busy);

   private:
    kj::Own<RunQueue> queue;
  };

  // A guest that is not queued was polled, and computed for so long: has the queue waited for too
  // long?
  void onOtherPoll(uint64_t cpuNs);

  // So long at the most does what is next wait for what never rests: guests, or, a slice, calls of
  // others that are answered at once. Then, for as long, one is served in each turn of the others.
  static constexpr kj::Duration PATIENCE = 10 * kj::MILLISECONDS;

 private:
  struct Lists;

  kj::Maybe<kj::Own<kj::_::Event>> fire() override;
  void traceEvent(kj::_::TraceBuilder& builder) override {}
  bool write();
  bool isLatest(const Writer& writer) const;
  bool isRowOver() const;
  void setInterval();
  void schedule();
  void rest();
  void wakeBehindOthers();
  void wake();
  void hurry();
  kj::Promise<void> bePatient();

  kj::Timer& timer;
  kj::WaitScope& waitScope;
  kj::Own<Lists> lists;
  enum { IDLE, ARMED, FIRING, RESTING } state = IDLE;
  bool overdue = false;  // and armed to be served in turn with the others
  uint64_t hastyUntilNs = 0;  // so it is armed each time until then; it may wait in vain again
  kj::uint turns = 0;    // since it rested
  kj::Maybe<Writer&> latest;  // that was served
  kj::uint inARow = 0;        // how often
  uint64_t rowNs = 0;         // that guests have computed meanwhile
  bool isFreshNext = true;    // where there are others, too
  uint64_t writersSinceNs = 0;  // the next of them waits
  uint64_t tasksSinceNs = 0;    // the guest whose turn is next waits
  kj::uint busy = 0;
  bool isPatient = false;
  kj::Promise<void> patience = nullptr;
  kj::Promise<void> waking = nullptr;  // from a rest
};

}  // namespace ww::ffi
