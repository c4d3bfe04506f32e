#pragma once
// What the tests of SqliteCursorStore share.

#include <kj/encoding.h>
#include <kj/test.h>
#include <string.h>
#include <sys/stat.h>
#include <ww/node/sqlite-cursor-store.h>
#include <ww/node/temp-folder.h>

namespace ww {

inline EthAddress contract(kj::byte name) {
  EthAddress address;
  address.bytes.fill(name);
  return address;
}
inline const EthAddress A = contract(0xa), B = contract(0xb);

inline StemCursor cursor(uint64_t seq, size_t headBytes = 36) {
  StemCursor result;
  result.chainId = 1;
  result.final.number = 7 * seq + 5;
  result.final.hash.bytes.fill(kj::byte(seq + 1));
  auto head = kj::heapArray<kj::byte>(headBytes);
  for (size_t i = 0; i < headBytes; i++) head[i] = kj::byte(seq + i);
  result.epoch = {seq, kj::mv(head), 7 * seq + 3};
  return result;
}

inline kj::String text(const StemCursor& c) {
  auto& hash = c.final.hash.bytes;
  return kj::str(c.chainId, " ", c.final.number, " ",
                 kj::encodeHex(kj::arrayPtr(hash.data(), hash.size())), " ", c.epoch.seq, " ",
                 kj::encodeHex(c.epoch.head), " ", c.epoch.adoptedBlock);
}

inline kj::String text(const kj::Maybe<StemCursor>& maybe) {
  KJ_IF_MAYBE(c, maybe) return text(*c);
  return kj::str("(none)");
}

inline bool contains(kj::StringPtr text, kj::StringPtr part) {
  return strstr(text.cStr(), part.cStr()) != nullptr;
}

// An event loop, and a data directory with what is in it.
struct World {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  TempFolder folder;
  const kj::String data = folder.at("data");
  const kj::String path = folder.at("data/stem.db");

  template <typename T>
  kj::String reason(kj::Promise<T> promise) {
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { promise.wait(waitScope); })) {
      return kj::str(e->getDescription());
    }
    return kj::str("(none)");
  }
  kj::String load(CursorStore& store, const EthAddress& of = A) {
    return text(store.load(of).wait(waitScope));
  }
  void save(CursorStore& store, StemCursor value, const EthAddress& of = A) {
    store.save(of, kj::mv(value)).wait(waitScope);
  }

  kj::String loadAnew() {
    SqliteCursorStore store(data);
    return load(store);
  }
  void saveAnew(uint64_t seq) {
    SqliteCursorStore store(data);
    save(store, cursor(seq));
  }

  // What a kill at this moment would leave, in a folder of its own.
  void copyAsKilled(kj::StringPtr to) {
    for (auto name: {"stem.db", "stem.db-wal"}) {
      folder.write(kj::str(to, "/", name), folder.read(kj::str("data/", name)));
    }
    KJ_SYSCALL(chmod(folder.at(to).cStr(), 0700));
  }

  // That a store can use nothing of what is there, and why.
  void expectRefused(kj::StringPtr why, kj::StringPtr what) {
    SqliteCursorStore store(data);
    for (auto& said: {reason(store.load(A)), reason(store.save(A, cursor(9))),
                      reason(store.forget(A))}) {
      KJ_EXPECT(said.startsWith(path), what, said);
      KJ_EXPECT(contains(said, why), what, said);
    }
  }
};

}  // namespace ww
