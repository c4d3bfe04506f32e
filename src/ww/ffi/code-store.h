#pragma once
// Where finished code is looked up and kept, by content. Used by one thread at a time, which need
// not be the loop's.

#include <kj/string.h>
#include <ww/base/store.h>
#include <ww/ffi/component.h>

namespace ww::ffi {

class EngineHandle;

class CodeStore {
 public:
  // `store` may be used by other processes at the same time; its content is checked, not trusted:
  // an entry that is corrupt, foreign or of another engine is as good as none.
  CodeStore(kj::Own<Store> store, const EngineHandle& engine);
  KJ_DISALLOW_COPY_AND_MOVE(CodeStore);

  // Never throw for what the store holds or cannot do: then nothing is found, nothing kept.
  // `wasm` is what it was made of, and has this content id.
  kj::Maybe<kj::Own<const Component>> find(kj::StringPtr id, kj::ArrayPtr<const kj::byte> wasm);
  void keep(kj::StringPtr id, kj::ArrayPtr<const kj::byte> artifact);

 private:
  kj::String entryName(kj::StringPtr id) const;

  kj::Own<Store> store;
  kj::Own<const EngineHandle> engine;
  kj::String version;
};

}  // namespace ww::ffi
