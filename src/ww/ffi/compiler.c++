#include <ww/ffi/compiler.h>

#include <deque>
#include <kj/debug.h>
#include <kj/mutex.h>
#include <kj/vector.h>
#include <ww/base/error.h>
#include <ww/ffi/engine.h>
#include <ww/ffi/fence.h>

namespace ww::ffi {

// ---------------------------------------------------------------------------------- CodeStore

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
kj::String CodeStore::entryName(kj::StringPtr hash) const { return kj::str(hash, '.', version); }

kj::Maybe<kj::Own<const Component>> CodeStore::find(kj::StringPtr hash) {
  kj::Maybe<kj::Own<const Component>> found;
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() {
    auto name = entryName(hash);
    KJ_IF_MAYBE(file, store->find(name)) {
      auto entry = (*file)->mmap(0, (*file)->stat().size);
      auto tailSize = entryTail(name, nullptr).size();
      if (entry.size() < tailSize) return;
      auto artifact = entry.slice(0, entry.size() - tailSize);
      auto tail = entry.slice(artifact.size(), entry.size());
      if (tail != entryTail(name, artifact).asBytes()) return;
      found = Component::load(*engine, **file, hash);
    }
  })) {
    KJ_LOG(WARNING, "cached code not used", hash, exception->getDescription());
  }
  return found;
}

void CodeStore::keep(kj::StringPtr hash, const Component& component) {
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() {
    auto artifact = component.artifact();
    auto name = entryName(hash);
    auto tail = entryTail(name, artifact);
    kj::Vector<kj::byte> entry(artifact.size() + tail.size());
    entry.addAll(artifact);
    entry.addAll(tail.asBytes());
    store->put(name, entry);
  })) {
    KJ_LOG(WARNING, "compiled code not cached", hash, exception->getDescription());
  }
}

// ----------------------------------------------------------------------------- ThreadCompiler

class ThreadCompiler::Queue final: public kj::AtomicRefcounted {
 public:
  using Fulfiller = kj::Own<kj::CrossThreadPromiseFulfiller<kj::Own<const Component>>>;
  struct Job {
    kj::Array<const kj::byte> wasm;
    Fulfiller fulfiller;
  };

  Queue(const EngineHandle& engine, kj::Maybe<kj::Own<CodeStore>> codeStore, size_t maxBytes)
      : engine(kj::atomicAddRef(engine)), codeStore(kj::mv(codeStore)), maxBytes(maxBytes) {}

  void add(Job job) const {
    auto lock = state.lockExclusive();
    auto bytes = lock->bytes + job.wasm.size();
    if (bytes > maxBytes) {
      kj::throwFatalException(overloaded(kj::str("compilations: ", bytes,
          " bytes of components wait; the limit is ", maxBytes)));
    }
    lock->bytes = bytes;
    lock->jobs.push_back(kj::mv(job));
  }

  // Drops the jobs not begun. True if one is running.
  bool stop() const {
    auto lock = state.lockExclusive();
    lock->stopped = true;
    lock->jobs.clear();
    return lock->running;
  }

  // On the thread, until stop().
  void run() const {
    for (;;) {
      KJ_IF_MAYBE(job, next()) {
        // A promise that was dropped wants nothing any more.
        if (job->fulfiller->isWaiting()) job->fulfiller->rejectIfThrows([&]() {
          job->fulfiller->fulfill(findOrCompile(job->wasm));
        });
      } else {
        return;
      }
    }
  }

 private:
  struct State {
    std::deque<Job> jobs;
    size_t bytes = 0;  // of them
    bool running = false;
    bool stopped = false;
  };

  kj::Maybe<Job> next() const {
    state.lockExclusive()->running = false;
    return state.when([](const State& s) { return s.stopped || !s.jobs.empty(); },
                      [](State& s) -> kj::Maybe<Job> {
      s.running = !s.jobs.empty();
      if (!s.running) return nullptr;
      auto job = kj::mv(s.jobs.front());
      s.jobs.pop_front();
      s.bytes -= job.wasm.size();
      return kj::mv(job);
    });
  }

  kj::Own<const Component> findOrCompile(kj::ArrayPtr<const kj::byte> wasm) const {
    KJ_IF_MAYBE(store, codeStore) {
      // Only this thread uses it.
      auto& codes = const_cast<CodeStore&>(**store);
      auto hash = contentHash(wasm);
      KJ_IF_MAYBE(component, codes.find(hash)) return kj::mv(*component);
      auto component = Component::compile(*engine, wasm);
      codes.keep(hash, *component);
      return component;
    }
    return Component::compile(*engine, wasm);
  }

  kj::Own<const EngineHandle> engine;
  kj::Maybe<kj::Own<CodeStore>> codeStore;
  const size_t maxBytes;
  kj::MutexGuarded<State> state;
};

ThreadCompiler::ThreadCompiler(Engine& engine, kj::Maybe<kj::Own<CodeStore>> codeStore,
                               size_t maxWaitingBytes)
    : queue(kj::atomicRefcounted<Queue>(engine.getHandle(), kj::mv(codeStore), maxWaitingBytes)),
      thread([queue = kj::atomicAddRef(*queue)]() { queue->run(); }) {}

ThreadCompiler::~ThreadCompiler() noexcept(false) {
  if (queue->stop()) thread.detach();
}

kj::Promise<kj::Own<const Component>> ThreadCompiler::compile(kj::Array<const kj::byte> wasm) {
  auto paf = kj::newPromiseAndCrossThreadFulfiller<kj::Own<const Component>>();
  queue->add({kj::mv(wasm), kj::mv(paf.fulfiller)});
  return kj::mv(paf.promise);
}

// ---------------------------------------------------------------------------- CachingCompiler

CachingCompiler::CachingCompiler(Compiler& inner, size_t maxEntries)
    : inner(inner), maxEntries(kj::max(maxEntries, size_t(1))), forgetting(*this) {}

kj::Promise<kj::Own<const Component>> CachingCompiler::compile(kj::Array<const kj::byte> wasm) {
  auto hash = contentHash(wasm);
  KJ_IF_MAYBE(entry, entries.find(hash)) {
    entry->lastUse = ++uses;
    return entry->promise.addBranch();
  }
  makeRoom();
  auto promise = inner.compile(kj::mv(wasm)).catch_(
      [this, hash = kj::str(hash)](kj::Exception&& exception) -> Shared {
    // Later, since this very entry is what runs here.
    forgetting.add(kj::evalLater([this, hash = kj::str(hash)]() { entries.erase(hash); }));
    kj::throwFatalException(kj::mv(exception));
  }).fork();
  auto branch = promise.addBranch();
  entries.insert(kj::mv(hash), Entry{kj::mv(promise), ++uses});
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
