#include <ww/ffi/hasher.h>

#include <ww/base/error.h>

namespace ww::ffi {

Hasher::Hasher(): thread([this]() { run(); }) {}

Hasher::~Hasher() noexcept(false) {
  auto lock = state.lockExclusive();
  lock->stopped = true;
  for (auto& job: lock->jobs) job.fulfiller->reject(ended("the compiler is gone"));
  lock->jobs.clear();
}

kj::Promise<Hasher::Hashed> Hasher::hash(kj::Array<const kj::byte> bytes) {
  auto paf = kj::newPromiseAndCrossThreadFulfiller<Hashed>();
  state.lockExclusive()->jobs.push_back(Job{kj::mv(bytes), kj::mv(paf.fulfiller)});
  return kj::mv(paf.promise);
}

void Hasher::run() {
  for (;;) {
    auto next = state.when([](const State& s) { return s.stopped || !s.jobs.empty(); },
                           [](State& s) -> kj::Maybe<Job> {
      if (s.jobs.empty()) return nullptr;
      auto job = kj::mv(s.jobs.front());
      s.jobs.pop_front();
      return kj::mv(job);
    });
    KJ_IF_MAYBE(job, next) {
      if (!job->fulfiller->isWaiting()) continue;
      auto id = contentId(job->bytes);
      job->fulfiller->fulfill(Hashed{kj::mv(job->bytes), kj::mv(id)});
    } else {
      return;
    }
  }
}

}  // namespace ww::ffi
