#pragma once
// Components, a store in memory, and an engine, for the tests of compilers.

#include <kj/map.h>
#include <kj/test.h>
#include <ww/ffi/compiler.h>
#include <ww/ffi/engine.h>

namespace ww::ffi {

// A component that does nothing, from tests/cells; and one that imports what there is none of.
constexpr kj::byte WASM[] = {
#embed "bare-ok.wasm"
};
constexpr kj::byte UNLINKABLE[] = {
#embed "bare-unknown-import.wasm"
};

using Bytes = kj::ArrayPtr<const kj::byte>;

// A store in memory that counts, and shows what it holds.
struct Shelf {
  kj::HashMap<kj::String, kj::Array<kj::byte>> values;
  kj::uint puts = 0;
  bool broken = false;
};

class ShelfStore final: public Store {
 public:
  explicit ShelfStore(Shelf& shelf): shelf(shelf) {}

  kj::Maybe<kj::Own<const kj::ReadableFile>> find(kj::StringPtr key) override {
    if (shelf.broken) kj::throwFatalException(KJ_EXCEPTION(FAILED, "the disk is gone"));
    requireStoreKey(key);
    return shelf.values.find(key).map([](kj::Array<kj::byte>& value) {
      auto file = kj::newInMemoryFile(kj::nullClock());
      file->writeAll(value);
      return kj::Own<const kj::ReadableFile>(kj::mv(file));
    });
  }
  void put(kj::StringPtr key, Bytes value) override {
    if (shelf.broken) kj::throwFatalException(KJ_EXCEPTION(FAILED, "the disk is gone"));
    requireStoreKey(key);
    ++shelf.puts;
    shelf.values.upsert(kj::str(key), kj::heapArray(value));
  }
  void remove(kj::StringPtr key) override { shelf.values.erase(key); }

 private:
  Shelf& shelf;
};

struct Fixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  Engine engine{{}, timer, waitScope};
  Shelf shelf;

  kj::Own<CodeStore> codeStore() {
    return kj::heap<CodeStore>(kj::heap<ShelfStore>(shelf), engine.getHandle());
  }
  // With a compiler of its own, as after a restart.
  kj::Own<const Component> compile(Bytes wasm = WASM) {
    ThreadCompiler compiler(engine, {codeStore()});
    return compiler.compile(kj::heapArray(wasm)).wait(waitScope);
  }
  // What native code it is, in few words.
  kj::String codeOf(const Component& component, size_t bytes = 4096) {
    auto artifact = component.artifact();
    KJ_ASSERT(artifact.size() > bytes);
    return contentId(artifact.slice(0, bytes));
  }
  kj::Array<kj::byte>& onlyValue() {
    KJ_ASSERT(shelf.values.size() == 1);
    return shelf.values.begin()->value;
  }
};

}  // namespace ww::ffi
