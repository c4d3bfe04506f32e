#include <ww/epoch/head-source.h>

namespace ww {

ManualHeadSource::ManualHeadSource(): ManualHeadSource(kj::newPromiseAndFulfiller<void>()) {}

ManualHeadSource::ManualHeadSource(kj::PromiseFulfillerPair<void> paf)
    : changedFulfiller(kj::mv(paf.fulfiller)), changed(paf.promise.fork()) {}

void ManualHeadSource::advance(kj::ArrayPtr<const kj::byte> head, uint64_t adoptedBlock) {
  epoch = {epoch.seq + 1, kj::heapArray<const kj::byte>(head), adoptedBlock};
  announce();
}

void ManualHeadSource::fail(kj::Exception&& exception) {
  failure = kj::mv(exception);
  announce();
}

void ManualHeadSource::announce() {
  auto told = kj::mv(changedFulfiller);
  auto paf = kj::newPromiseAndFulfiller<void>();
  changedFulfiller = kj::mv(paf.fulfiller);
  changed = paf.promise.fork();
  told->fulfill();
}

kj::Promise<Epoch> ManualHeadSource::nextAfter(uint64_t seq) {
  KJ_IF_MAYBE(exception, failure) return kj::cp(*exception);
  if (epoch.seq > seq) return epoch.clone();
  return changed.addBranch().then([this, seq]() { return nextAfter(seq); });
}

}  // namespace ww
