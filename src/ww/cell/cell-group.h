#pragma once
// Who belongs and counts together: the cells that one session, or one other cell, started.
//
// A group keeps its running cells alive, of which some may run on other loops; ending it ends them
// all. It lives on the loop of whoever starts cells in it. What its cells have to know of it goes
// with them to whichever loop they run on: CellTerms.

#include <kj/async.h>
#include <kj/function.h>
#include <kj/map.h>
#include <kj/refcount.h>
#include <kj/vector.h>
#include <ww/base/recycled.h>
#include <ww/cell/cell-count.h>
#include <ww/cell/far-cell.h>
#include <ww/cell/limit-hits.h>
#include <ww/ffi/guest-task.h>

namespace ww {

class Cell;

// On whose account cells are: that of a cell, which starts them, or of a client's key, whose
// descendants are all on it. Any thread.
class CellAccount final: public kj::AtomicRefcounted {
 public:
  CellAccount() {}
  // A key's: it holds so many, which have so much memory together.
  CellAccount(kj::uint most, kj::Own<const ffi::GuestBudget> budget)
      : most(most), budget(kj::mv(budget)) {}
  KJ_DISALLOW_COPY_AND_MOVE(CellAccount);

  bool isKeys() const { return most != nullptr; }

  // Cells of which somebody holds anything: an ended one, or its output, too.
  const CellCount& held() const { return *count; }

  const kj::Maybe<kj::uint> most;  // of them; none: Limits says
  const kj::Maybe<kj::Own<const ffi::GuestBudget>> budget;

 private:
  kj::Own<const CellCount> count = kj::atomicRefcounted<CellCount>();
};

// What the cells of a group go by. May be moved to another thread.
struct CellTerms {
  uint64_t parent = 0;
  kj::Maybe<kj::Own<const ffi::GuestBudget>> budget;  // what each of them has a part of
  kj::uint depth = 0;  // generations from here up to pid0, or to a client's session
  kj::Own<const CellCount> tree;  // those that run, of the session that the group belongs to
  kj::Own<const CellAccount> account;

  CellTerms clone() const;
  kj::Maybe<const ffi::GuestBudget&> findBudget() const {
    return budget.map([](auto& b) -> const ffi::GuestBudget& { return *b; });
  }

  // Of the children of a cell of the group.
  CellTerms ofChildren(uint64_t cell, const ffi::GuestBudget& budget) const;
};

class CellGroup final: public kj::Refcounted,
                       public Recycled<CellGroup>,
                       private kj::TaskSet::ErrorHandler {
 public:
  // Of cells that no other cell started; they have a part of `budget`.
  explicit CellGroup(kj::Maybe<kj::Own<const ffi::GuestBudget>> budget = nullptr);

  explicit CellGroup(CellTerms terms);

  // A session's, within `of`, on the account of a key if there is one.
  explicit CellGroup(CellGroup& of, kj::Maybe<const CellAccount&> key = nullptr);
  ~CellGroup() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(CellGroup);

  // Kills all of its cells, with their descendants, and takes no more.
  void end();

  // Throws `ended:` after end() and after endAttached().
  void requireOpen() const;

  // A group that ends with this one, and may end before. A session's: what is started in it, and
  // by that, counts together.
  kj::Own<CellGroup> makeSubgroup(kj::Maybe<const CellAccount&> key = nullptr);

  const CellTerms& getTerms() const { return terms; }
  uint64_t getParent() const { return terms.parent; }

  // Cells that outlive the link of whoever started them.
  bool hasDetached() const;

  // Kills the others, and takes no more: one that is being started now would be nobody's. Resolves
  // once the detached ones have ended.
  kj::Promise<void> endAttached();

  // Those that run, its subgroups' among them, descendants not.
  size_t size() const;

  // A cell of this loop, while it runs.
  void add(kj::Own<Cell> cell);

  // `told` before the first cell of its own. Most sessions never have one.
  void onFirst(kj::Function<void()> told) { first = kj::mv(told); }

  // One that is about to be on the loop of `home`, where the ticket goes.
  FarCell::Ticket addFar(const LoopInbox& home);

  CellHits hits;  // where it is no cell that starts one

 private:
  struct Far {
    kj::Own<const FarCell> cell;
    kj::Vector<kj::Own<kj::PromiseFulfiller<void>>> awaited;  // told of its end
  };
  void leave(uint64_t id);
  void open();  // throws where it has ended; the first cell is about to come
  void taskFailed(kj::Exception&& exception) override;

  const CellTerms terms;
  bool ended = false, closed = false;
  kj::Maybe<kj::Function<void()>> first;
  kj::HashMap<uint64_t, kj::Own<Cell>> cells;
  kj::Vector<uint64_t> left;  // of them: to be erased
  kj::HashMap<const FarCell*, Far> farCells;
  kj::Vector<kj::Own<CellGroup>> subgroups;
  size_t pruneAt = 8;  // so many of them
  kj::TaskSet removals;
};

}  // namespace ww
