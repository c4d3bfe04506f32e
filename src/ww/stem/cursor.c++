#include <ww/stem/cursor.h>

#include <ww/base/error.h>

namespace ww {

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
  KJ_IF_MAYBE(entry, find(contract)) {
    auto kept = entry->cursor.epoch.seq;
    if (cursor.epoch.seq < kept) {
      return badInput(kj::str("the epoch would go back: from ", kept, " to ", cursor.epoch.seq));
    }
    entry->cursor = kj::mv(cursor);
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
