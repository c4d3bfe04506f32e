#include <ww/cell/cell-list.h>

#include <algorithm>
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

CellList::Snapshot::Snapshot(const CellList& list) {
  for (auto& part: list.parts) parts.add(part.state.lockShared());
}

kj::Maybe<const CellRecord&> CellList::Snapshot::find(uint64_t id) const {
  for (auto& part: parts) {
    KJ_IF_MAYBE(record, part->records.find(id)) return **record;
  }
  return nullptr;
}

void CellList::Snapshot::forEach(kj::FunctionParam<void(const CellRecord&)> each) const {
  for (auto& part: parts) {
    for (auto& entry: part->records) each(*entry.value);
  }
}

kj::Own<const CellRecord> CellList::add(CellFacts facts, const ffi::GuestMeter& meter) const {
  auto id = facts.id;
  auto loop = facts.loop;
  facts.args = firstOf(facts.args);
  countChild(facts.parent, loop, 1);
  kj::Own<const CellRecord> record =
      kj::atomicRefcounted<CellRecord>(kj::mv(facts), clock.now(), meter);
  parts[loop].state.lockExclusive()->records.insert(id, kj::atomicAddRef(*record));
  return record;
}

kj::Maybe<kj::Own<const CellRecord>> CellList::find(uint64_t id) const {
  for (auto& part: parts) {
    auto lock = part.state.lockShared();
    KJ_IF_MAYBE(record, lock->records.find(id)) return kj::atomicAddRef(**record);
  }
  return nullptr;
}

uint64_t CellList::getMemory() const {
  uint64_t bytes = 0;
  Snapshot(*this).forEach([&](const CellRecord& record) { bytes += record.getMemory(); });
  return bytes;
}

void CellList::countChild(uint64_t parent, kj::uint loop, int difference) const {
  if (parent == 0) return;
  for (size_t i = 0; i < parts.size(); i++) {
    auto lock = parts[(loop + i) % parts.size()].state.lockShared();
    KJ_IF_MAYBE(above, lock->records.find(parent)) {
      (*above)->children.fetch_add(difference, std::memory_order_relaxed);
      return;
    }
  }
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
  countChild(record.facts.parent, record.facts.loop, -1);
  auto lock = parts[record.facts.loop].state.lockExclusive();
  lock->ended.push_back(record.facts.id);
  if (lock->ended.size() <= KEPT) return;
  KJ_IF_MAYBE(oldest, lock->records.find(lock->ended.front())) forgotten = kj::mv(*oldest);
  lock->records.erase(lock->ended.front());
  lock->ended.pop_front();
}

kj::Maybe<kj::uint> CellList::detach(const CellRecord& record) const {
  auto alone = detaching.lockExclusive();
  kj::uint count = 0;
  Snapshot(*this).forEach([&](const CellRecord& other) {
    count += other.isDetached() && other.isRunning() &&
             sameKey(other.facts.origin->key, record.facts.origin->key);
  });
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

bool CellView::includes(const CellList::Snapshot& all, const CellRecord& record) const {
  auto& facts = record.getFacts();
  if (key != nullptr && !sameKey(key, facts.origin->key)) return false;
  if (parent == 0) return true;
  auto above = facts.parent;
  while (above != parent) {
    if (above == 0) return false;
    KJ_IF_MAYBE(next, all.find(above)) above = next->getFacts().parent;
    else return false;
  }
  return true;
}

kj::Array<kj::Own<const CellRecord>> CellView::list() const {
  kj::Vector<kj::Own<const CellRecord>> found;
  {
    CellList::Snapshot all(cells);
    all.forEach([&](const CellRecord& record) {
      if (includes(all, record)) found.add(kj::atomicAddRef(record));
    });
  }
  std::sort(found.begin(), found.end(), [](auto& left, auto& right) {
    return left->getFacts().id < right->getFacts().id;
  });
  return found.releaseAsArray();
}

kj::Own<const CellRecord> CellView::get(uint64_t id) const {
  {
    CellList::Snapshot all(cells);
    KJ_IF_MAYBE(record, all.find(id)) {
      if (includes(all, *record)) return kj::atomicAddRef(*record);
    }
  }
  kj::throwFatalException(badInput(kj::str("there is no cell ", id, " here, or no more")));
}

}  // namespace ww
