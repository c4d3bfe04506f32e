#include <ww/base/store.h>

#include <kj/debug.h>
#include <ww/base/error.h>

namespace ww {

void requireStoreKey(kj::StringPtr key) {
  bool good = key.size() > 0 && key.size() <= Store::MAX_KEY_BYTES && key[0] != '.';
  for (char c: key) {
    good = good && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                    c == '-');
  }
  if (!good) kj::throwFatalException(badInput(kj::str("not a key of a store: ", key)));
}

kj::Maybe<kj::Own<const kj::ReadableFile>> MemoryStore::find(kj::StringPtr key) {
  requireStoreKey(key);
  return values.find(key).map([](kj::Own<const kj::File>& value) {
    return kj::Own<const kj::ReadableFile>(value->clone());
  });
}

void MemoryStore::put(kj::StringPtr key, kj::ArrayPtr<const kj::byte> value) {
  requireStoreKey(key);
  auto file = kj::newInMemoryFile(kj::nullClock());
  file->writeAll(value);
  values.upsert(kj::str(key), kj::mv(file));
}

void MemoryStore::remove(kj::StringPtr key) {
  requireStoreKey(key);
  values.erase(key);
}

}  // namespace ww
