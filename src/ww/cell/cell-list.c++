#include <ww/cell/cell-list.h>

#include <kj/vector.h>
#include <string.h>
#include <ww/base/error.h>
#include <ww/cell/cell.h>

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

void CellRecord::describe(peer::CellInfo::Builder info) const {
  info.setId(id);
  info.setParent(parent);
  info.setSession(origin->session);
  info.setComponent(component);
  auto list = info.initArgs(args.size());
  for (size_t i = 0; i < args.size(); i++) list.set(i, args[i]);
  info.setStartedAtMs((startedAt - kj::UNIX_EPOCH) / kj::MILLISECONDS);
  info.setDetached(log != nullptr);
  if (cell == nullptr) info.getState().setExitCode(exitCode);
  else info.getState().setRunning();
  info.setCause(cause);
  auto now = cell.map([](const Cell& c) { return c.getUsage(); }).orDefault(usage);
  info.setMemoryBytes(now.memory);
  info.setMemoryPeakBytes(now.memoryPeak);
  info.setCpuNs(now.cpu / kj::NANOSECONDS);
  info.setChildren(now.children);
  info.setLimitHits(hits.count);
  info.setBytesIn(now.bytesIn);
  info.setBytesOut(now.bytesOut);
}

kj::Own<CellRecord> CellList::add(Cell& cell, uint64_t id, uint64_t parent,
                                  CellOrigin& origin, kj::StringPtr component,
                                  kj::ArrayPtr<const kj::String> args) {
  auto record = kj::refcounted<CellRecord>();
  record->id = id;
  record->parent = parent;
  record->origin = kj::addRef(origin);
  record->component = kj::str(component);
  record->args = firstOf(args);
  record->startedAt = clock.now();
  record->cell = cell;
  records.insert(id, kj::addRef(*record));
  return record;
}

uint64_t CellList::getMemory() const {
  uint64_t bytes = 0;
  for (auto& entry: records) {
    KJ_IF_MAYBE(cell, entry.value->cell) bytes += cell->getUsage().memory;
  }
  return bytes;
}

void CellList::end(CellRecord& record, int32_t exitCode, kj::StringPtr cause) {
  record.cell = nullptr;
  record.usage.memory = 0;
  record.usage.children = 0;
  record.exitCode = exitCode;
  record.cause = kj::str(cause);
  ended.push_back(record.id);
  if (ended.size() > KEPT) {
    records.erase(ended.front());
    ended.pop_front();
  }
}

kj::uint CellList::countDetached(const CellOrigin& of) const {
  kj::uint count = 0;
  for (auto& entry: records) {
    auto& record = *entry.value;
    count += record.cell != nullptr && record.log != nullptr &&
             sameKey(record.origin->key, of.key);
  }
  return count;
}

CellView CellView::ofParent(CellList& list, uint64_t id) {
  CellView view(list);
  view.parent = id;
  return view;
}

CellView CellView::ofKey(CellList& list, const PublicKey& key) {
  CellView view(list);
  view.key = key;
  return view;
}

bool CellView::includes(const CellRecord& record) const {
  if (key != nullptr && !sameKey(key, record.origin->key)) return false;
  if (parent == 0) return true;
  auto above = record.parent;
  while (above != parent) {
    if (above == 0) return false;
    KJ_IF_MAYBE(next, cells.records.find(above)) above = (*next)->parent;
    else return false;
  }
  return true;
}

kj::Array<kj::Own<CellRecord>> CellView::list() const {
  kj::Vector<kj::Own<CellRecord>> found;
  for (auto& entry: cells.records) {
    if (includes(*entry.value)) found.add(kj::addRef(*entry.value));
  }
  return found.releaseAsArray();
}

CellRecord& CellView::get(uint64_t id) const {
  KJ_IF_MAYBE(record, cells.records.find(id)) {
    if (includes(**record)) return **record;
  }
  kj::throwFatalException(badInput(kj::str("there is no cell ", id, " here, or no more")));
}

}  // namespace ww
