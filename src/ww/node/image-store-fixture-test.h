#pragma once
// A store with blocks of a test's own.

#include <kj/test.h>
#include <string.h>
#include <ww/node/image-store.h>
#include <ww/node/temp-folder.h>

namespace ww {

constexpr size_t KIB = 1024;

inline bool has(kj::StringPtr text, kj::StringPtr part) {
  return strstr(text.cStr(), part.cStr()) != nullptr;
}

struct FakeClock final: public kj::Clock {
  kj::Date time = kj::UNIX_EPOCH + 1000 * kj::DAYS;
  kj::Date now() const override { return time; }
};

// A block that no other number has.
inline kj::Array<kj::byte> block(kj::byte number, size_t size = KIB) {
  auto bytes = kj::heapArray<kj::byte>(size);
  memset(bytes.begin(), number, size);
  return bytes;
}
inline Cid cidOf(kj::byte number, size_t size = KIB) {
  return Cid::of(Cid::RAW, block(number, size));
}

struct Fixture {
  FakeClock clock;
  MemoryLogger logger;
  TempFolder folder;
  kj::Own<ImageStore> store;

  explicit Fixture(uint64_t maxBytes = 1 << 20) { open(maxBytes); }
  void open(uint64_t maxBytes) {
    store = nullptr;
    store = kj::heap<ImageStore>(folder.at("images"), maxBytes, clock, logger);
  }

  // An image of these blocks, the first of which is its root.
  void addImage(std::initializer_list<kj::byte> numbers, size_t size = KIB) {
    auto image = store->keep(cidOf(*numbers.begin(), size));
    for (auto number: numbers) image->put(cidOf(number, size), block(number, size));
    image->finish();
    clock.time += 1 * kj::MINUTES;
  }
  bool isThere(kj::byte number, size_t size = KIB) {
    KJ_IF_MAYBE(found, store->find(cidOf(number, size))) return *found == block(number, size);
    return false;
  }
  StoredImage get(kj::StringPtr name) { return KJ_ASSERT_NONNULL(store->findImage(name)); }
  kj::String get(kj::byte number) { return cidOf(number).toText(); }
};

inline kj::String failure(kj::Function<void()> action) {
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { action(); })) {
    return kj::str(e->getDescription());
  }
  return kj::str("nothing went wrong");
}

// As a bad disk does.
inline void damage(TempFolder& folder, const Cid& cid) {
  SqliteFile file(folder.at("images/blocks.db"));
  SqliteStatement spoil(file, "UPDATE content SET bytes = x'00' WHERE block = "
                              "(SELECT id FROM block WHERE cid = ?)");
  spoil.bind(1, cid.getBytes());
  spoil.step();
}

}  // namespace ww
