#include <ww/ffi/compiler.h>

#include <deque>
#include <kj/debug.h>
#include <kj/mutex.h>
#include <ww/base/error.h>
#include <ww/ffi/engine.h>

namespace ww::ffi {

// Shared by the loop, which may give it up at any time, and the thread that does it.
class ThreadCompiler::Job final: public kj::AtomicRefcounted {
 public:
  using Fulfiller = kj::Own<kj::CrossThreadPromiseFulfiller<kj::Own<const Component>>>;

  Job(kj::Array<const kj::byte> wasm, CompileTerms terms, Fulfiller fulfiller)
      : wasm(kj::mv(wasm)), terms(terms), fulfiller(kj::mv(fulfiller)) {}

  const kj::Array<const kj::byte> wasm;
  const CompileTerms terms;

  void cancel() const {
    auto lock = state.lockExclusive();
    lock->cancelled = true;
    KJ_IF_MAYBE(job, lock->running) job->cancel();
  }
  bool isWanted() const { return !state.lockShared()->cancelled; }

  // On the thread. What `make` throws is what the promise gets.
  template <typename Make>
  void answer(Make&& make) const {
    auto& to = const_cast<Fulfiller&>(fulfiller);  // one thread's
    to->rejectIfThrows([&]() { to->fulfill(make()); });
  }

  // Whoever waits, if anybody does, hears of it: the promise holds the job, and so the fulfiller.
  void giveUp() const {
    answer([]() -> kj::Own<const Component> {
      kj::throwFatalException(ww::ended("the compiler is gone"));
    });
  }

  kj::Own<const kj::ReadableFile> finish(CompileWorker::Job& job) const {
    {
      auto lock = state.lockExclusive();
      lock->running = job;
      if (lock->cancelled) job.cancel();
    }
    KJ_DEFER(state.lockExclusive()->running = nullptr);
    return job.finish();
  }

 private:
  struct State {
    bool cancelled = false;
    kj::Maybe<CompileWorker::Job&> running;
  };
  kj::MutexGuarded<State> state;
  Fulfiller fulfiller;
};

class ThreadCompiler::Queue final: public kj::AtomicRefcounted {
 public:
  Queue(const EngineHandle& engine, ThreadCompilerOptions options)
      : engine(kj::atomicAddRef(engine)), worker(kj::mv(options.worker)),
        maxTenantBytes(options.maxTenantBytes), maxBytes(options.maxWaitingBytes),
        hasStore(options.codeStore != nullptr), codeStore(kj::mv(options.codeStore)) {}

  void add(kj::Own<const Job> job) const {
    auto lock = state.lockExclusive();
    auto& tenant = lock->tenants.findOrCreate(job->terms.tenant, [&]() {
      return kj::HashMap<uint64_t, Tenant>::Entry{job->terms.tenant, {0, 0, lock->newTurn()}};
    });
    auto refuseAbove = [&](size_t bytes, size_t most, kj::StringPtr whose) {
      if (bytes <= most) return;
      kj::throwFatalException(overloaded(kj::str(COMPILATIONS, ": ", bytes, " bytes of components ",
                                                 whose, " wait; the limit is ", most)));
    };
    refuseAbove(tenant.bytes + job->wasm.size(), maxTenantBytes, "of this key");
    refuseAbove(lock->bytes + job->wasm.size(), maxBytes, "in all");
    tenant.bytes += job->wasm.size();
    ++tenant.jobs;
    lock->bytes += job->wasm.size();
    (hasStore ? lock->lookups : lock->waiting).push_back(kj::mv(job));
  }

  // Gives all up. True if one is running that cannot be.
  bool stop() const {
    auto lock = state.lockExclusive();
    lock->stopped = true;
    for (auto jobs: {&lock->lookups, &lock->waiting}) {
      for (auto& job: *jobs) job->giveUp();
      jobs->clear();
    }
    for (auto& job: lock->running) job->cancel();
    return worker == nullptr && !lock->running.empty();
  }

  void untilLookedUp() const {
    state.when([](const State& s) { return s.lookups.empty() && !s.isLookingUp; }, [](State&) {});
  }

  // On a thread of its own, until stop().
  void lookUp() const {
    for (;;) {
      KJ_IF_MAYBE(job, nextLookup()) {
        kj::Maybe<kj::Own<const Component>> found;
        if ((*job)->isWanted()) found = find(**job, contentId((*job)->wasm));
        KJ_IF_MAYBE(component, found) {
          forget(**job);
          (*job)->answer([&]() { return kj::mv(*component); });
        } else {
          passOn(kj::mv(*job));
        }
      } else {
        return;
      }
    }
  }

  // On each other thread, until stop().
  void run() const {
    for (;;) {
      KJ_IF_MAYBE(job, next()) {
        auto& ref = **job;
        if (ref.isWanted()) ref.answer([&]() { return findOrCompile(ref); });
        else ref.giveUp();  // dropped, or stop() came between
        ended(ref);
      } else {
        return;
      }
    }
  }

 private:
  using Jobs = std::deque<kj::Own<const Job>>;
  struct Tenant {
    size_t jobs = 0, bytes = 0;  // that wait, to be looked up or compiled
    uint64_t lastTurn = 0;
  };
  struct State {
    Jobs lookups, waiting, running;
    bool isLookingUp = false;
    uint64_t turns = 0;  // the last that was had; two each
    size_t bytes = 0;  // of those that wait, to be looked up or compiled
    kj::HashMap<uint64_t, Tenant> tenants;  // of those that have any
    bool stopped = false;

    // Of who had none before: behind all but those who had theirs since. Else who comes back again
    // and again would always be first.
    uint64_t newTurn() const { return turns > 0 ? turns - 1 : 0; }

    // Of those that may run, the first of the tenant whose last turn is longest ago.
    Jobs::iterator findNext() {
      auto next = waiting.end();
      uint64_t oldest = kj::maxValue;
      for (auto at = waiting.begin(); at != waiting.end(); ++at) {
        auto tenant = (*at)->terms.tenant;
        auto turn = tenants.find(tenant).map([](Tenant& t) { return t.lastTurn; }).orDefault(0);
        if (turn >= oldest || isBusy(tenant)) continue;
        oldest = turn;
        next = at;
      }
      return next;
    }
    void leaves(const Job& job) {
      bytes -= job.wasm.size();
      KJ_IF_MAYBE(tenant, tenants.find(job.terms.tenant)) {
        tenant->bytes -= job.wasm.size();
        tenant->lastTurn = turns += 2;
        if (--tenant->jobs == 0) tenants.erase(job.terms.tenant);
      }
    }
    bool isBusy(uint64_t tenant) const {
      for (auto& job: running) {
        if (job->terms.tenant == tenant) return true;
      }
      return false;
    }
  };

  kj::Maybe<kj::Own<const Job>> next() const {
    return state.when([](const State& s) {
      return s.stopped || const_cast<State&>(s).findNext() != s.waiting.end();
    }, [](State& s) -> kj::Maybe<kj::Own<const Job>> {
      auto at = s.findNext();
      if (at == s.waiting.end()) return nullptr;
      auto job = kj::mv(*at);
      s.waiting.erase(at);
      s.leaves(*job);
      s.running.push_back(kj::atomicAddRef(*job));
      return kj::mv(job);
    });
  }

  kj::Maybe<kj::Own<const Job>> nextLookup() const {
    state.lockExclusive()->isLookingUp = false;
    return state.when([](const State& s) { return s.stopped || !s.lookups.empty(); },
                      [](State& s) -> kj::Maybe<kj::Own<const Job>> {
      if (s.lookups.empty()) return nullptr;
      s.isLookingUp = true;
      auto job = kj::mv(s.lookups.front());
      s.lookups.pop_front();
      return kj::mv(job);
    });
  }

  void forget(const Job& job) const { state.lockExclusive()->leaves(job); }

  void passOn(kj::Own<const Job> job) const {
    auto lock = state.lockExclusive();
    if (!lock->stopped) return lock->waiting.push_back(kj::mv(job));
    job->giveUp();
  }

  void ended(const Job& job) const {
    auto lock = state.lockExclusive();
    for (auto at = lock->running.begin(); at != lock->running.end(); ++at) {
      if (at->get() != &job) continue;
      lock->running.erase(at);
      return;
    }
  }

  kj::Own<const Component> findOrCompile(const Job& job) const {
    auto id = contentId(job.wasm);
    KJ_IF_MAYBE(component, find(job, id)) return kj::mv(*component);
    auto footprint = footprintOf(job.wasm);
    KJ_IF_MAYBE(w, worker) {
      auto work = (*w)->start(job.wasm, job.terms.limits);
      auto file = job.finish(*work);
      keep(id, file->mmap(0, file->stat().size));
      KJ_IF_MAYBE(component, find(job, id)) return kj::mv(*component);
      return Component::load(*engine, *file, id, footprint);
    }
    auto component = Component::compile(*engine, job.wasm);
    keep(id, component->artifact());
    return component;
  }

  kj::Maybe<kj::Own<const Component>> find(const Job& job, kj::StringPtr id) const {
    auto store = codeStore.lockExclusive();
    KJ_IF_MAYBE(s, *store) return (*s)->find(id, job.wasm);
    return nullptr;
  }

  void keep(kj::StringPtr id, kj::ArrayPtr<const kj::byte> artifact) const {
    auto store = codeStore.lockExclusive();
    KJ_IF_MAYBE(s, *store) (*s)->keep(id, artifact);
  }

  kj::Own<const EngineHandle> engine;
  kj::Maybe<kj::Own<const CompileWorker>> worker;
  const size_t maxTenantBytes, maxBytes;
  const bool hasStore;
  kj::MutexGuarded<kj::Maybe<kj::Own<CodeStore>>> codeStore;
  kj::MutexGuarded<State> state;
};

ThreadCompiler::ThreadCompiler(Engine& engine, ThreadCompilerOptions options) {
  auto count = kj::max(options.threads, 1u);
  bool hasStore = options.codeStore != nullptr;
  queue = kj::atomicRefcounted<Queue>(engine.getHandle(), kj::mv(options));
  for (kj::uint i = 0; i < count; i++) {
    threads.add(kj::heap<kj::Thread>([queue = kj::atomicAddRef(*queue)]() { queue->run(); }));
  }
  if (hasStore) {
    threads.add(kj::heap<kj::Thread>([queue = kj::atomicAddRef(*queue)]() { queue->lookUp(); }));
  }
}

ThreadCompiler::~ThreadCompiler() noexcept(false) {
  if (queue->stop()) {
    for (auto& thread: threads) thread->detach();
  }
}

void ThreadCompiler::untilLookedUp() const { queue->untilLookedUp(); }

kj::Promise<kj::Own<const Component>> ThreadCompiler::compile(kj::Array<const kj::byte> wasm,
                                                              CompileTerms terms) {
  auto paf = kj::newPromiseAndCrossThreadFulfiller<kj::Own<const Component>>();
  auto job = kj::atomicRefcounted<Job>(kj::mv(wasm), terms, kj::mv(paf.fulfiller));
  queue->add(kj::atomicAddRef(*job));
  return paf.promise.attach(kj::defer([job = kj::mv(job)]() { job->cancel(); }));
}

}  // namespace ww::ffi
