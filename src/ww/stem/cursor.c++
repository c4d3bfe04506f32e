#include <ww/stem/cursor.h>

#include <ww/base/error.h>

namespace ww {

kj::Maybe<kj::String> findObjection(const kj::Maybe<StemCursor>& kept, const StemCursor& next) {
  auto bytes = next.epoch.head.size();
  if (bytes > MAX_HEAD_BYTES) {
    return kj::str("the head has ", bytes, " bytes; the limit is ", MAX_HEAD_BYTES);
  }
  KJ_IF_MAYBE(k, kept) {
    if (next.chainId != k->chainId) {
      return kj::str("this contract was followed on chain ", k->chainId, "; this is chain ",
                     next.chainId);
    }
    if (next.epoch.seq < k->epoch.seq) {
      return kj::str("the epoch would go back: from ", k->epoch.seq, " to ", next.epoch.seq);
    }
  }
  return nullptr;
}

kj::Maybe<MemoryCursorStore::Entry&> MemoryCursorStore::find(const EthAddress& contract) {
  for (auto& entry: entries) {
    if (entry.contract == contract) return entry;
  }
  return nullptr;
}

kj::Promise<kj::Maybe<StemCursor>> MemoryCursorStore::load(const EthAddress& contract) {
  return find(contract).map([](Entry& entry) { return entry.cursor.clone(); });
}

kj::Promise<void> MemoryCursorStore::save(const EthAddress& contract, StemCursor cursor) {
  auto entry = find(contract);
  auto kept = entry.map([](Entry& e) { return e.cursor.clone(); });
  KJ_IF_MAYBE(objection, findObjection(kept, cursor)) return badInput(*objection);
  KJ_IF_MAYBE(e, entry) {
    e->cursor = kj::mv(cursor);
  } else {
    entries.add(Entry{contract, kj::mv(cursor)});
  }
  return kj::READY_NOW;
}

kj::Promise<void> MemoryCursorStore::forget(const EthAddress& contract) {
  kj::Vector<Entry> others;
  for (auto& entry: entries) {
    if (!(entry.contract == contract)) others.add(kj::mv(entry));
  }
  entries = kj::mv(others);
  return kj::READY_NOW;
}

}  // namespace ww
