#include <ww/cell/cell-group.h>

#include <kj/debug.h>
#include <ww/base/error.h>
#include <ww/cell/cell.h>

namespace ww {
namespace {

using Budget = kj::Own<const ffi::GuestBudget>;

Budget addRef(const Budget& budget) { return kj::atomicAddRef(*budget); }

CellTerms termsOfAll(kj::Maybe<Budget> budget) {
  return {0, kj::mv(budget), 0, kj::atomicRefcounted<CellCount>(),
          kj::atomicRefcounted<CellAccount>()};
}

CellTerms termsWithin(const CellTerms& of, kj::Maybe<const CellAccount&> key) {
  auto terms = of.clone();
  terms.tree = kj::atomicRefcounted<CellCount>();
  KJ_IF_MAYBE(k, key) {
    terms.account = kj::atomicAddRef(*k);
    terms.budget = k->budget.map(addRef);
  }
  return terms;
}

}  // namespace

CellTerms CellTerms::clone() const {
  return {parent, budget.map(addRef), depth, kj::atomicAddRef(*tree), kj::atomicAddRef(*account)};
}

CellTerms CellTerms::ofChildren(uint64_t cell, const ffi::GuestBudget& part) const {
  kj::Own<const CellAccount> of = account->isKeys() ? kj::atomicAddRef(*account)
                                                    : kj::atomicRefcounted<CellAccount>();
  return {cell, kj::atomicAddRef(part), depth + 1, kj::atomicAddRef(*tree), kj::mv(of)};
}

CellGroup::CellGroup(kj::Maybe<Budget> budget): CellGroup(termsOfAll(kj::mv(budget))) {}

CellGroup::CellGroup(CellTerms terms): terms(kj::mv(terms)), removals(*this) {}

CellGroup::CellGroup(CellGroup& of, kj::Maybe<const CellAccount&> key)
    : CellGroup(termsWithin(of.terms, key)) {}

size_t CellGroup::size() const {
  auto count = cells.size() + farCells.size();
  for (auto& subgroup: subgroups) count += subgroup->size();
  return count;
}

CellGroup::~CellGroup() noexcept(false) { end(); }

void CellGroup::requireOpen() const {
  if (ended || closed) {
    kj::throwFatalException(ww::ended("what would own this cell has ended"));
  }
}

void CellGroup::open() {
  requireOpen();
  KJ_IF_MAYBE(f, first) {
    auto told = kj::mv(*f);
    first = nullptr;
    told();
  }
}

void CellGroup::add(kj::Own<Cell> cell) {
  open();
  auto id = cell->getId();
  cell->onEnd([this, id]() { leave(id); });
  cells.insert(id, kj::mv(cell));
}

// It may be ending within a call of its own: it is let go in an event of its own.
void CellGroup::leave(uint64_t id) {
  left.add(id);
  if (left.size() > 1) return;
  removals.add(kj::evalLater([this]() {
    auto gone = left.releaseAsArray();
    for (auto cell: gone) cells.erase(cell);
  }));
}

FarCell::Ticket CellGroup::addFar(const LoopInbox& home) {
  open();
  auto paf = kj::newPromiseAndCrossThreadFulfiller<void>();
  kj::Own<const FarCell> cell = kj::atomicRefcounted<FarCell>(home, kj::mv(paf.fulfiller));
  auto key = cell.get();
  farCells.insert(key, Far{kj::atomicAddRef(*cell), {}});
  auto leave = [this, key]() {
    auto far = kj::mv(KJ_ASSERT_NONNULL(farCells.find(key)));
    farCells.erase(key);
    for (auto& awaited: far.awaited) awaited->fulfill();
  };
  // Rejected where the other loop went away, and the cell with it.
  removals.add(paf.promise.then(kj::cp(leave), [leave](kj::Exception&&) { leave(); }));
  return FarCell::Ticket(kj::mv(cell));
}

kj::Own<CellGroup> CellGroup::makeSubgroup(kj::Maybe<const CellAccount&> key) {
  requireOpen();
  // Those that nobody else holds and that hold nothing are of no use any more.
  if (subgroups.size() >= pruneAt) {
    kj::Vector<kj::Own<CellGroup>> used;
    for (auto& subgroup: subgroups) {
      if (subgroup->isShared() || subgroup->size() > 0) used.add(kj::mv(subgroup));
    }
    subgroups = kj::mv(used);
    pruneAt = 2 * subgroups.size() + 8;
  }
  auto subgroup = kj::refcounted<CellGroup>(*this, key);
  subgroups.add(kj::addRef(*subgroup));
  return subgroup;
}

void CellGroup::end() {
  ended = true;
  for (auto& subgroup: subgroups) subgroup->end();
  // Not removed here: each removes itself, in an event of its own.
  for (auto& entry: cells) entry.value->end(EXIT_KILLED);
  for (auto& entry: farCells) entry.value.cell->end(EXIT_KILLED);
}

bool CellGroup::hasDetached() const {
  for (auto& entry: cells) {
    if (entry.value->isDetached()) return true;
  }
  for (auto& entry: farCells) {
    if (entry.value.cell->isDetached()) return true;
  }
  return false;
}

kj::Promise<void> CellGroup::endAttached() {
  closed = true;
  kj::Vector<kj::Promise<void>> ends;
  for (auto& entry: cells) {
    if (entry.value->isDetached()) ends.add(entry.value->onExit().ignoreResult());
    else entry.value->end(EXIT_KILLED);
  }
  for (auto& entry: farCells) {
    auto& far = entry.value;
    if (far.cell->isDetached()) {
      auto paf = kj::newPromiseAndFulfiller<void>();
      far.awaited.add(kj::mv(paf.fulfiller));
      ends.add(kj::mv(paf.promise));
    } else {
      far.cell->end(EXIT_KILLED);
    }
  }
  return kj::joinPromises(ends.releaseAsArray());
}

void CellGroup::taskFailed(kj::Exception&& exception) {
  KJ_LOG(ERROR, "a cell was not removed from its group", exception);
}

}  // namespace ww
