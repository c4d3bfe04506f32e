#include <ww/ffi/caching-compiler.h>

#include <kj/debug.h>

namespace ww::ffi {

// Held by all who wait for one compilation. The last to go gives it up.
class CachingCompiler::Interest final: public kj::Refcounted {
 public:
  Interest(CachingCompiler& owner, kj::StringPtr hash): owner(owner), hash(kj::str(hash)) {}
  ~Interest() noexcept(false) {
    KJ_IF_MAYBE(entry, findEntry()) {
      entry->interest = nullptr;
      if (!done) owner.entries.erase(hash);
    }
  }
  KJ_DISALLOW_COPY_AND_MOVE(Interest);

  void onDone() { done = true; }

 private:
  CachingCompiler& owner;
  kj::String hash;
  bool done = false;

  kj::Maybe<Entry&> findEntry() {
    KJ_IF_MAYBE(entry, owner.entries.find(hash)) {
      KJ_IF_MAYBE(interest, entry->interest) {
        if (interest == this) return *entry;
      }
    }
    return nullptr;
  }
};

CachingCompiler::CachingCompiler(Compiler& inner, size_t maxEntries)
    : inner(inner), maxEntries(kj::max(maxEntries, size_t(1))), forgetting(*this) {}

kj::Promise<kj::Own<const Component>> CachingCompiler::compile(kj::Array<const kj::byte> wasm,
                                                               CompileTerms terms) {
  auto hash = contentHash(wasm);
  KJ_IF_MAYBE(entry, entries.find(hash)) {
    entry->lastUse = ++uses;
    return join(*entry);
  }
  makeRoom();
  auto interest = kj::refcounted<Interest>(*this, hash);
  auto& waiters = *interest;  // there is one, or nobody is told of the end
  auto promise = inner.compile(kj::mv(wasm), terms).then([&waiters](Shared&& component) {
    waiters.onDone();
    return kj::mv(component);
  }, [this, &waiters, hash = kj::str(hash)](kj::Exception&& exception) -> Shared {
    waiters.onDone();
    // Later, since this very entry is what runs here.
    forgetting.add(kj::evalLater([this, hash = kj::str(hash)]() { entries.erase(hash); }));
    kj::throwFatalException(kj::mv(exception));
  }).fork();
  auto& entry =
      entries.insert(kj::mv(hash), Entry{kj::mv(promise), ++uses, *interest}).value;
  return join(entry);
}

kj::Promise<CachingCompiler::Shared> CachingCompiler::join(Entry& entry) {
  auto branch = entry.promise.addBranch();
  KJ_IF_MAYBE(interest, entry.interest) return branch.attach(kj::addRef(*interest));
  return branch;
}

void CachingCompiler::makeRoom() {
  if (entries.size() < maxEntries) return;
  kj::Maybe<kj::String> oldest;
  uint64_t lastUse = kj::maxValue;
  for (auto& entry: entries) {
    if (entry.value.lastUse < lastUse) {
      lastUse = entry.value.lastUse;
      oldest = kj::str(entry.key);
    }
  }
  KJ_IF_MAYBE(key, oldest) entries.erase(*key);
}

void CachingCompiler::taskFailed(kj::Exception&& exception) {
  KJ_LOG(ERROR, "forgetting a failed compilation", exception);
}

}  // namespace ww::ffi
