#include <ww/ffi/caching-compiler.h>

#include <kj/debug.h>

namespace ww::ffi {

kj::Maybe<kj::Own<const Component>> KeptComponents::find(kj::StringPtr id) const {
  auto lock = state.lockExclusive();
  KJ_IF_MAYBE(known, lock->kept.find(id)) {
    known->lastUse = ++lock->uses;
    return known->component->addRef();
  }
  return nullptr;
}

void KeptComponents::keep(kj::StringPtr id, kj::Own<const Component> component) const {
  kj::Maybe<kj::Own<const Component>> dropped;  // once the lock is gone
  auto lock = state.lockExclusive();
  if (lock->kept.size() >= most && lock->kept.find(id) == nullptr) {
    KJ_IF_MAYBE(oldest, findOldest(*lock)) {
      dropped = kj::mv(KJ_ASSERT_NONNULL(lock->kept.find(*oldest)).component);
      lock->kept.erase(*oldest);
    }
  }
  lock->kept.upsert(kj::str(id), Kept{kj::mv(component), ++lock->uses});
}

kj::Maybe<kj::String> KeptComponents::findOldest(const State& state) {
  kj::Maybe<kj::String> oldest;
  uint64_t lastUse = kj::maxValue;
  for (auto& entry: state.kept) {
    if (entry.value.lastUse >= lastUse) continue;
    lastUse = entry.value.lastUse;
    oldest = kj::str(entry.key);
  }
  return oldest;
}

// Held by all who wait for one compilation. The last to go gives it up.
class CachingCompiler::Interest final: public kj::Refcounted {
 public:
  Interest(CachingCompiler& owner, kj::StringPtr key): owner(owner), key(kj::str(key)) {}
  ~Interest() noexcept(false) {
    KJ_IF_MAYBE(entry, findEntry()) {
      entry->interest = nullptr;
      if (!done) owner.pending.erase(key);
    }
  }
  KJ_DISALLOW_COPY_AND_MOVE(Interest);

  // The entry goes later, since it is what runs then.
  void onDone() {
    done = true;
    owner.forgetting.add(kj::evalLater([&owner = owner, key = kj::str(key)]() {
      owner.pending.erase(key);
    }));
  }

 private:
  CachingCompiler& owner;
  kj::String key;
  bool done = false;

  kj::Maybe<Pending&> findEntry() {
    KJ_IF_MAYBE(entry, owner.pending.find(key)) {
      KJ_IF_MAYBE(interest, entry->interest) {
        if (interest == this) return *entry;
      }
    }
    return nullptr;
  }
};

CachingCompiler::CachingCompiler(Compiler& inner, kj::Own<const KeptComponents> kept)
    : inner(inner), kept(kj::mv(kept)), forgetting(*this) {}

CachingCompiler::CachingCompiler(Compiler& inner, size_t maxEntries)
    : CachingCompiler(inner, kj::atomicRefcounted<KeptComponents>(maxEntries)) {}

kj::Promise<kj::Own<const Component>> CachingCompiler::compile(kj::Array<const kj::byte> wasm,
                                                               CompileTerms terms) {
  if (wasm.size() <= Hasher::SHORT) {
    auto id = contentId(wasm);
    return compile(kj::mv(wasm), kj::mv(id), terms);
  }
  return hasher.hash(kj::mv(wasm)).then([this, terms](Hasher::Hashed&& hashed) {
    return compile(kj::mv(hashed.bytes), kj::mv(hashed.id), terms);
  });
}

kj::Promise<CachingCompiler::Shared> CachingCompiler::compile(kj::Array<const kj::byte> wasm,
                                                              kj::String id,
                                                              CompileTerms terms) {
  KJ_IF_MAYBE(known, kept->find(id)) {
    if (recent.find(wasm) == nullptr) recent.keep(kj::mv(wasm), (*known)->makeTwin());
    return kj::mv(*known);
  }
  auto key = kj::str(terms.tenant, ':', id);
  KJ_IF_MAYBE(entry, pending.find(key)) return join(*entry);
  auto interest = kj::refcounted<Interest>(*this, key);
  auto& waiters = *interest;  // there is one, or nobody is told of the end
  auto promise = inner.compile(kj::mv(wasm), terms).then(
      [this, &waiters, id = kj::mv(id)](Shared&& component) {
    waiters.onDone();
    kept->keep(id, component->addRef());
    return kj::mv(component);
  }, [&waiters](kj::Exception&& exception) -> Shared {
    waiters.onDone();
    kj::throwFatalException(kj::mv(exception));
  }).fork();
  return join(pending.insert(kj::mv(key), Pending{kj::mv(promise), *interest}).value);
}

kj::Promise<CachingCompiler::Shared> CachingCompiler::join(Pending& entry) {
  auto branch = entry.promise.addBranch();
  KJ_IF_MAYBE(interest, entry.interest) return branch.attach(kj::addRef(*interest));
  return branch;
}

void CachingCompiler::taskFailed(kj::Exception&& exception) {
  KJ_LOG(ERROR, "forgetting a failed compilation", exception);
}

}  // namespace ww::ffi
