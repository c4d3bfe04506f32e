#include <ww/base/store.h>

#include <kj/test.h>

namespace ww {
namespace {

kj::String read(Store& store, kj::StringPtr key) {
  return KJ_ASSERT_NONNULL(store.find(key))->readAllText();
}

KJ_TEST("a value is found, replaced and removed; a file once found stays as it was") {
  MemoryStore store;
  KJ_EXPECT(store.find("key") == nullptr);
  store.put("key", kj::StringPtr("one").asBytes());
  auto found = KJ_ASSERT_NONNULL(store.find("key"));
  store.put("key", kj::StringPtr("two").asBytes());
  KJ_EXPECT(found->readAllText() == "one");
  KJ_EXPECT(read(store, "key") == "two");
  store.remove("key");
  store.remove("key");
  KJ_EXPECT(store.find("key") == nullptr);
  KJ_EXPECT(found->readAllText() == "one");
}

KJ_TEST("what could be a path is no key") {
  requireStoreKey("abc.0-9_z");
  auto longest = kj::heapString(Store::MAX_KEY_BYTES), longer = kj::heapString(201);
  for (auto& c: longest) c = 'a';
  for (auto& c: longer) c = 'a';
  requireStoreKey(longest);
  for (kj::StringPtr key: {"", ".", "..", ".hidden", "a/b", "/a", "A", "a b", "a\n", "\xc3\xa9",
                           longer.cStr()}) {
    KJ_EXPECT_THROW_MESSAGE("not a key of a store", requireStoreKey(key));
  }
}

}  // namespace
}  // namespace ww
