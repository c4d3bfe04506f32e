#pragma once
// A place for bytes under names, such as a folder of files. An interface, so that only node/ knows
// of files; MemoryStore is the fake.
//
// Keys are 1 to MAX_KEY_BYTES of [a-z0-9._-], not beginning with a dot; any other throws. A value
// appears whole or not at all, and is never changed: a later one takes its place. One thread at a
// time.

#include <kj/array.h>
#include <kj/filesystem.h>
#include <kj/map.h>
#include <kj/string.h>

namespace ww {

class Store {
 public:
  static constexpr size_t MAX_KEY_BYTES = 200;

  virtual ~Store() noexcept(false) {}

  // A file, so that a large value can be mapped. May outlive the store, and its place in it.
  virtual kj::Maybe<kj::Own<const kj::ReadableFile>> find(kj::StringPtr key) = 0;
  virtual void put(kj::StringPtr key, kj::ArrayPtr<const kj::byte> value) = 0;
  virtual void remove(kj::StringPtr key) = 0;  // fine if there is none
};

// Throws for a key that is not as above. For implementations.
void requireStoreKey(kj::StringPtr key);

class MemoryStore final: public Store {
 public:
  kj::Maybe<kj::Own<const kj::ReadableFile>> find(kj::StringPtr key) override;
  void put(kj::StringPtr key, kj::ArrayPtr<const kj::byte> value) override;
  void remove(kj::StringPtr key) override;

 private:
  kj::HashMap<kj::String, kj::Own<const kj::File>> values;
};

}  // namespace ww
