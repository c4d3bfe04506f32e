#include <ww/cell/cell-list.h>

#include <kj/vector.h>
#include <string.h>
#include <ww/base/error.h>

namespace ww {
namespace {

bool sameKey(const kj::Maybe<PublicKey>& left, const kj::Maybe<PublicKey>& right) {
  KJ_IF_MAYBE(l, left) {
    KJ_IF_MAYBE(r, right) return equalInConstantTime(*l, *r);
    return false;
  }
  return right == nullptr;
}

kj::Array<kj::String> firstOf(kj::ArrayPtr<const kj::String> args) {
  kj::Vector<kj::String> kept;
  size_t room = CellList::KEPT_ARG_BYTES;
  for (auto& arg: args) {
    if (arg.size() + 1 > room) break;
    room -= arg.size() + 1;
    kept.add(kj::str(arg));
  }
  return kept.releaseAsArray();
}

}  // namespace

uint64_t CellOrigin::getTenant() const {
  constexpr uint64_t NODES_OWN = 0, WITHOUT_KEY = 1;
  if (session == 0) return NODES_OWN;
  KJ_IF_MAYBE(k, key) {
    uint64_t tenant;
    memcpy(&tenant, k->bytes, sizeof(tenant));
    return tenant;
  }
  return WITHOUT_KEY;
}

// --------------------------------------------------------------------------------- CellRecord

CellRecord::CellRecord(CellFacts facts, kj::Date startedAt, const ffi::GuestMeter& meter)
    : facts(kj::mv(facts)), startedAt(startedAt) {
  state.lockExclusive()->meter = kj::atomicAddRef(meter);
}

CellRecord::Usage CellRecord::usageOf(const ffi::GuestMeter& meter) {
  auto traffic = meter.getTraffic();
  return {meter.getBudget().getMemoryPeak(), meter.getCpuTime(), traffic.toGuest,
          traffic.fromGuest};
}

bool CellRecord::isRunning() const { return state.lockShared()->meter != nullptr; }

uint64_t CellRecord::getMemory() const {
  auto lock = state.lockShared();
  KJ_IF_MAYBE(meter, lock->meter) return (*meter)->getBudget().getMemory();
  return 0;
}

void CellRecord::describe(peer::CellInfo::Builder info) const {
  info.setId(facts.id);
  info.setParent(facts.parent);
  info.setSession(facts.origin->session);
  info.setComponent(facts.component);
  auto list = info.initArgs(facts.args.size());
  for (size_t i = 0; i < facts.args.size(); i++) list.set(i, facts.args[i]);
  info.setStartedAtMs((startedAt - kj::UNIX_EPOCH) / kj::MILLISECONDS);
  info.setDetached(isDetached());
  auto lock = state.lockShared();
  auto usage = lock->usage;
  KJ_IF_MAYBE(meter, lock->meter) {
    usage = usageOf(**meter);
    info.getState().setRunning();
    info.setMemoryBytes((*meter)->getBudget().getMemory());
    info.setChildren(countChildren());
  } else {
    info.getState().setExitCode(lock->exitCode);
  }
  info.setCause(lock->cause);
  info.setMemoryPeakBytes(usage.memoryPeak);
  info.setCpuNs(usage.cpu / kj::NANOSECONDS);
  info.setLimitHits(hits.count());
  info.setBytesIn(usage.bytesIn);
  info.setBytesOut(usage.bytesOut);
}

// ----------------------------------------------------------------------------------- CellList

kj::Maybe<const CellRecord&> CellList::find(const State& state, uint64_t id) {
  return state.records.find(id).map([](auto& record) -> const CellRecord& { return *record; });
}

kj::Own<const CellRecord> CellList::add(CellFacts facts, const ffi::GuestMeter& meter) const {
  auto id = facts.id, parent = facts.parent;
  facts.args = firstOf(facts.args);
  kj::Own<const CellRecord> record =
      kj::atomicRefcounted<CellRecord>(kj::mv(facts), clock.now(), meter);
  auto lock = state.lockExclusive();
  KJ_IF_MAYBE(above, find(*lock, parent)) above->children.fetch_add(1, std::memory_order_relaxed);
  lock->records.insert(id, kj::atomicAddRef(*record));
  return record;
}

kj::Maybe<kj::Own<const CellRecord>> CellList::find(uint64_t id) const {
  auto lock = state.lockShared();
  return find(*lock, id).map([](const CellRecord& record) { return kj::atomicAddRef(record); });
}

uint64_t CellList::getMemory() const {
  auto lock = state.lockShared();
  uint64_t bytes = 0;
  for (auto& entry: lock->records) bytes += entry.value->getMemory();
  return bytes;
}

void CellList::end(const CellRecord& record, int32_t exitCode, kj::StringPtr cause) const {
  kj::Maybe<kj::Own<const ffi::GuestMeter>> meter;  // goes once the locks are gone
  kj::Maybe<kj::Own<const CellRecord>> forgotten;
  {
    auto its = record.state.lockExclusive();
    meter = kj::mv(its->meter);
    its->meter = nullptr;
    KJ_IF_MAYBE(m, meter) its->usage = CellRecord::usageOf(**m);
    its->exitCode = exitCode;
    its->cause = kj::str(cause);
  }
  auto lock = state.lockExclusive();
  KJ_IF_MAYBE(above, find(*lock, record.facts.parent)) {
    above->children.fetch_sub(1, std::memory_order_relaxed);
  }
  lock->ended.push_back(record.facts.id);
  if (lock->ended.size() <= KEPT) return;
  KJ_IF_MAYBE(oldest, lock->records.find(lock->ended.front())) forgotten = kj::mv(*oldest);
  lock->records.erase(lock->ended.front());
  lock->ended.pop_front();
}

kj::Maybe<kj::uint> CellList::detach(const CellRecord& record) const {
  auto lock = state.lockExclusive();
  kj::uint count = 0;
  for (auto& entry: lock->records) {
    auto& other = *entry.value;
    count += other.isDetached() && other.isRunning() &&
             sameKey(other.facts.origin->key, record.facts.origin->key);
  }
  if (count >= MAX_DETACHED) return count;
  record.detached.store(true, std::memory_order_release);
  return nullptr;
}

// ----------------------------------------------------------------------------------- CellView

CellView CellView::ofParent(const CellList& list, uint64_t id) {
  CellView view(list);
  view.parent = id;
  return view;
}

CellView CellView::ofKey(const CellList& list, const PublicKey& key) {
  CellView view(list);
  view.key = key;
  return view;
}

bool CellView::includes(const CellList::State& state, const CellRecord& record) const {
  auto& facts = record.getFacts();
  if (key != nullptr && !sameKey(key, facts.origin->key)) return false;
  if (parent == 0) return true;
  auto above = facts.parent;
  while (above != parent) {
    if (above == 0) return false;
    KJ_IF_MAYBE(next, CellList::find(state, above)) above = next->getFacts().parent;
    else return false;
  }
  return true;
}

kj::Array<kj::Own<const CellRecord>> CellView::list() const {
  auto lock = cells.state.lockShared();
  kj::Vector<kj::Own<const CellRecord>> found;
  for (auto& entry: lock->records) {
    if (includes(*lock, *entry.value)) found.add(kj::atomicAddRef(*entry.value));
  }
  return found.releaseAsArray();
}

kj::Own<const CellRecord> CellView::get(uint64_t id) const {
  {
    auto lock = cells.state.lockShared();
    KJ_IF_MAYBE(record, CellList::find(*lock, id)) {
      if (includes(*lock, *record)) return kj::atomicAddRef(*record);
    }
  }
  kj::throwFatalException(badInput(kj::str("there is no cell ", id, " here, or no more")));
}

}  // namespace ww
