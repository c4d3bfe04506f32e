#include <ww/stem/cursor.h>

#include <ww/base/error.h>

namespace ww::stem {

kj::Maybe<MemoryCursorStore::Entry&> MemoryCursorStore::find(const Address& contract) {
  for (auto& entry: entries) {
    if (entry.contract == contract) return entry;
  }
  return nullptr;
}

kj::Promise<kj::Maybe<Cursor>> MemoryCursorStore::load(const Address& contract) {
  return find(contract).map([](Entry& entry) { return entry.cursor.clone(); });
}

kj::Promise<void> MemoryCursorStore::save(const Address& contract, Cursor cursor) {
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

kj::Promise<void> MemoryCursorStore::forget(const Address& contract) {
  kj::Vector<Entry> others;
  for (auto& entry: entries) {
    if (!(entry.contract == contract)) others.add(kj::mv(entry));
  }
  entries = kj::mv(others);
  return kj::READY_NOW;
}

}  // namespace ww::stem
