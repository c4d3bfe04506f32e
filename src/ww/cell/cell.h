#pragma once
// One running component, from its bytes to its exit status, and the tree it belongs to.
//
// A cell belongs to a CellGroup: the cells that one session, or one other cell, started. A group
// keeps its running cells alive; ending the group ends them all, and a cell that ends ends its own
// group: nothing is orphaned. A Cell object outlives the running of its component for whoever holds
// a reference (a Process capability): it then answers for the exit code and the output left over.
//
// All of it lives on one event loop. Ending a cell or a group is safe at any time, even from a call
// that the cell itself made, but not from within the engine's poll of a guest (where no code of
// this room runs).

#include <capnp/capability.h>
#include <kj/function.h>
#include <kj/refcount.h>
#include <kj/timer.h>
#include <ww/base/line-quota.h>
#include <ww/cell/cell-list.h>
#include <ww/cell/limit-hits.h>
#include <ww/cell/limits.h>
#include <ww/cell/pipe-end.h>
#include <ww/ffi/compiler.h>
#include <ww/ffi/guest-task.h>
#include <ww/link/rpc-link.h>

namespace ww {

// Exit codes that no guest chose.
constexpr int32_t EXIT_TIMEOUT = 124;  // out of time, or of its CPU budget
constexpr int32_t EXIT_TRAP = 134;
constexpr int32_t EXIT_KILLED = 137;

constexpr int32_t EXIT_NOT_RUNNABLE = 126;  // no component, or one that cannot run here

// Of whoever runs a component as a program: the exit code for why start() rejected. Nothing where
// the node is to blame.
kj::Maybe<int32_t> findExitCode(const kj::Exception& startFailure);

class Cell;
struct CellParts;

// On whose account cells are: that of a cell, which starts them, or of a client's key, whose
// descendants are all on it.
class CellAccount final: public kj::Refcounted {
 public:
  CellAccount() {}
  // A key's: it holds so many, which have so much memory together.
  CellAccount(kj::uint most, kj::Own<ffi::GuestBudget> budget)
      : most(most), budget(kj::mv(budget)) {}

  bool isKeys() const { return most != nullptr; }

  size_t held = 0;  // cells of which somebody holds anything: an ended one, or its output, too
  const kj::Maybe<kj::uint> most;  // of them; none: Limits says
  kj::Maybe<kj::Own<ffi::GuestBudget>> budget;
};

class CellGroup final: public kj::Refcounted, private kj::TaskSet::ErrorHandler {
 public:
  // Of cells that no other cell started; they have a part of `budget`.
  explicit CellGroup(kj::Maybe<kj::Own<ffi::GuestBudget>> budget = nullptr);

  // Of the children of a cell of `of`.
  CellGroup(uint64_t parent, kj::Own<ffi::GuestBudget> budget, CellGroup& of);

  // A session's, within `of`, on the account of a key if there is one.
  explicit CellGroup(CellGroup& of, kj::Maybe<CellAccount&> key = nullptr);
  ~CellGroup() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(CellGroup);

  // Kills all of its cells, with their descendants, and takes no more.
  void end();

  // Throws `ended:` after end().
  void requireOpen() const;

  // A group that ends with this one, and may end before. A session's: what is started in it, and
  // by that, counts together.
  kj::Own<CellGroup> makeSubgroup(kj::Maybe<CellAccount&> key = nullptr);

  // Cells that run, of the session that this group belongs to.
  kj::uint sessionCount() const { return tree->value; }

  // Generations from here up to pid0, or to a client's session.
  kj::uint getDepth() const { return depth; }

  // What a cell of this group has a part of.
  kj::Maybe<const ffi::GuestBudget&> findBudget() const {
    return budget.map([](auto& b) -> const ffi::GuestBudget& { return *b; });
  }

  uint64_t getParent() const { return parent; }

  // Cells that outlive the link of whoever started them.
  bool hasDetached() const;

  // Kills the others. Resolves once the detached ones have ended.
  kj::Promise<void> endAttached();

  // Those that run, its subgroups' among them, descendants not.
  size_t size() const;

  const CellAccount& getAccount() const { return *account; }

 private:
  friend class CellBuilder;
  struct Count: public kj::Refcounted {
    size_t value = 0;
  };
  struct Place: public kj::Refcounted {
    explicit Place(kj::Own<CellAccount> of): of(kj::mv(of)) { ++this->of->held; }
    ~Place() noexcept(false) { --of->held; }
    kj::Own<CellAccount> of;
  };
  struct Running: public kj::Refcounted {
    explicit Running(kj::Own<Count> of): of(kj::mv(of)) { ++this->of->value; }
    ~Running() noexcept(false) { --of->value; }
    kj::Own<Count> of;
  };

  void add(kj::Own<Cell> cell);
  void taskFailed(kj::Exception&& exception) override;

  const uint64_t parent = 0;
  kj::Maybe<kj::Own<ffi::GuestBudget>> budget;  // the parent's
  const kj::uint depth = 0;
  kj::Own<Count> tree = kj::refcounted<Count>();
  CellHits hits;  // where it is no cell that starts one
  bool ended = false;
  kj::Own<CellAccount> account;
  kj::HashMap<uint64_t, kj::Own<Cell>> cells;
  kj::Vector<kj::Own<CellGroup>> subgroups;
  kj::TaskSet removals;
};

class Cell final: public kj::Refcounted {
 public:
  // For CellBuilder.
  Cell(uint64_t id, kj::Own<ffi::GuestTask> task, LineQuota& log, CellList& list, CellGroup& group);
  ~Cell() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Cell);

  // Of this process, from 1.
  uint64_t getId() const { return id; }

  // The exit code, for any number of callers, before or after the end.
  kj::Promise<int32_t> wait();

  // Did it end since it had computed, or run, for as long as it may?
  bool wasOutOfTime() const { return isOutOfTime; }

  // Ends it, and what it started, with this exit code; does nothing once it has ended.
  void end(int32_t code);

  // From now on it outlives the link that it was started over, and its output goes to a log.
  // Throws `denied:` for a cell that another one started and for pid0, `overloaded: detached`.
  // Again: nothing.
  void detach();

  bool isDetached() const { return record->log != nullptr; }

  const CellRecord& getRecord() const { return *record; }

  // What it has used up to now, or to its end.
  CellUsage getUsage() const;

  bool isRunning() const { return exitCode == nullptr; }

  // Why it trapped, or was refused at its start, in one line, if it was.
  kj::Maybe<kj::StringPtr> findTrapCause() const;

  PipeEnd& getStdin() { return *in; }
  PipeEnd& getStdout() { return *out; }
  PipeEnd& getStderr() { return *err; }

 private:
  friend class CellBuilder;
  friend class CellGroup;
  kj::Promise<int32_t> onExit() { return exitPromise.addBranch(); }
  void onGuestEnd(ffi::GuestEnd end);
  void logTrap(const ffi::GuestTrap& trap);
  void logDropped(PipeEnd& pipe, kj::StringPtr name);
  void countWaiter(int difference);
  void watch(CellParts& parts);

  const uint64_t id;
  LineQuota& log;
  CellList& list;
  kj::Maybe<LimitHits&> limitHits;  // while it is watched
  kj::Own<CellRecord> record;
  kj::Own<void> place;    // among those that are held
  kj::Own<void> running;  // among those of its session that run
  kj::Own<CellGroup> children;
  kj::Own<PipeEnd> in, out, err;
  kj::Maybe<kj::Own<ffi::GuestTask>> task;  // while it runs
  bool isOutOfTime = false;
  kj::Maybe<kj::Own<RpcLink>> link;         // while it runs
  kj::Maybe<int32_t> exitCode;
  kj::Maybe<kj::String> trapCause;
  bool refused = false;  // before it ever ran
  int waiters = 0;
  kj::Own<kj::PromiseFulfiller<int32_t>> exitFulfiller;
  kj::ForkedPromise<int32_t> exitPromise;
  kj::Promise<void> following = nullptr;
  kj::Maybe<kj::Function<void()>> onSpent;
  kj::Promise<void> clock = nullptr;

  Cell(uint64_t id, kj::Own<ffi::GuestTask> task, LineQuota& log, CellList& list,
       CellGroup& group, kj::PromiseFulfillerPair<int32_t> paf);
};

// What all cells of a node are made with. Everything outlives the cells.
struct CellParts {
  ffi::Engine& engine;
  ffi::Compiler& compiler;
  kj::Timer& timer;
  LineQuota& log;
  CellList& list;
  LimitHits& hits;
  Limits limits;
};

// Makes the bootstrap capability of a new cell. `children` is the group of what that cell will
// start. The factory decides what the capability is; this room only serves it.
using BootstrapFactory = kj::Function<capnp::Capability::Client(CellGroup& children)>;

class CellBuilder final {
 public:
  explicit CellBuilder(CellParts parts): parts(parts) {}

  // The argument list, verbatim. Each throws a failure that names the index for an entry that is
  // not UTF-8 or holds a NUL; env() also for one without `=`.
  void args(kj::Array<kj::String> values);
  void env(kj::Array<kj::String> variables);

  void bootstrap(BootstrapFactory factory) { bootstrapFactory = kj::mv(factory); }

  // Whose it is; the node's own by default.
  void origin(kj::Own<CellOrigin> value) { cellOrigin = kj::mv(value); }

  // Called once more after the compilation, right before the cell comes to be: may throw.
  void beforeStart(kj::Function<void()> check) { startCheck = kj::mv(check); }

  // That who starts it in this group came up against a limit.
  void hit(LimitKind kind, CellGroup& group, kj::StringPtr limit);

  // Compiles and starts the component as a cell of `group`; resolves when its `run` was entered, or
  // when it exited before that. Rejects, and nothing is left behind, when the bytes are no
  // component (ffi::isComponentProblem() holds), when it traps before `run`, is not instantiated in
  // time, or with `overloaded: cells`. Dropping the promise ends what was begun. Once.
  kj::Promise<kj::Own<Cell>> start(kj::Array<const kj::byte> wasm, kj::Own<CellGroup> group);

 private:
  kj::Promise<kj::Own<const ffi::Component>> compile(kj::Array<const kj::byte> wasm,
                                                     CellGroup& group);
  void requireRoom(CellGroup& group);
  kj::Own<Cell> makeCell(const ffi::Component& component, CellGroup& group);

  CellParts parts;
  kj::Array<kj::String> argValues;
  kj::Array<kj::String> envNames, envValues;
  kj::Own<CellOrigin> cellOrigin = kj::refcounted<CellOrigin>(0, nullptr);
  kj::Maybe<BootstrapFactory> bootstrapFactory;
  kj::Maybe<kj::Function<void()>> startCheck;
};

}  // namespace ww
