#include <ww/ffi/code-store.h>

#include <kj/debug.h>
#include <kj/vector.h>
#include <ww/base/error.h>
#include <ww/ffi/engine.h>

namespace ww::ffi {
namespace {

// An entry: the artifact, at the front as mapping it needs it, and then what it claims to be. Who
// could change it on purpose could change the node itself: the store is private to its user.
constexpr kj::StringPtr ENTRY_MAGIC = "\nww compiled component 3\n"_kj;

kj::String entryTail(kj::StringPtr name, kj::ArrayPtr<const kj::byte> artifact) {
  return kj::str(ENTRY_MAGIC, name, '\n', checksum(artifact), '\n');
}

}  // namespace

CodeStore::CodeStore(kj::Own<Store> store, const EngineHandle& engine)
    : store(kj::mv(store)), engine(kj::atomicAddRef(engine)), version(engine.version()) {}

// One name an engine version, so that two nodes of different versions do not fight over an entry.
kj::String CodeStore::entryName(kj::StringPtr id) const { return kj::str(id, '.', version); }

kj::Maybe<kj::Own<const Component>> CodeStore::find(kj::StringPtr id,
                                                      kj::ArrayPtr<const kj::byte> wasm) {
  kj::Maybe<kj::Own<const Component>> found;
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() {
    auto name = entryName(id);
    KJ_IF_MAYBE(file, store->find(name)) {
      auto entry = (*file)->mmap(0, (*file)->stat().size);
      auto tailSize = entryTail(name, nullptr).size();
      if (entry.size() < tailSize) return;
      auto artifact = entry.slice(0, entry.size() - tailSize);
      auto tail = entry.slice(artifact.size(), entry.size());
      if (tail != entryTail(name, artifact).asBytes()) return;
      found = Component::load(*engine, **file, id, footprintOf(wasm));
    }
  })) {
    // What is wrong with the component itself is told to whoever wants to run it.
    if (!isComponentProblem(*exception)) {
      KJ_LOG(WARNING, kj::str("the cached code of component ", id, " cannot be used; it is "
                              "compiled again: ", systemReason(*exception)));
    }
  }
  return found;
}

void CodeStore::keep(kj::StringPtr id, kj::ArrayPtr<const kj::byte> artifact) {
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() {
    auto name = entryName(id);
    auto tail = entryTail(name, artifact);
    kj::Vector<kj::byte> entry(artifact.size() + tail.size());
    entry.addAll(artifact);
    entry.addAll(tail.asBytes());
    store->put(name, entry);
  })) {
    KJ_LOG(WARNING, kj::str("the code of component ", id, " is not cached; the next node will "
                            "compile it again: ", systemReason(*exception)));
  }
}

}  // namespace ww::ffi
