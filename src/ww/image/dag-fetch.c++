#include <ww/image/dag-fetch.h>

#include <kj/debug.h>

namespace ww {

kj::uint& DagFetch::leftOf(BlockSource& source) {
  return tries.findOrCreate(&source, [&]() {
    return kj::HashMap<BlockSource*, kj::uint>::Entry { &source, MAX_CUT };
  });
}

kj::Promise<kj::Maybe<kj::Array<const kj::byte>>> DagFetch::fetch(
    BlockSource& source, const Cid& cid, kj::Vector<kj::String>& reasons) {
  while (running) {
    co_await arrival(cid);
    KJ_IF_MAYBE(block, store.find(cid)) co_return kj::mv(*block);
  }
  // A block of another codec has nothing below it that is read.
  if (cid.getCodec() != Cid::DAG_PB || leftOf(source) == 0) co_return nullptr;
  running = true;
  lastFailure = nullptr;
  lateFailure = nullptr;
  task = run(source, cid.clone()).eagerlyEvaluate([this](kj::Exception&& e) {
    running = false;
    auto all = kj::mv(waiters);
    waiters = {};
    for (auto& waiter: all) waiter.fulfiller->reject(kj::cp(e));
  });
  co_await arrival(cid);
  KJ_IF_MAYBE(block, store.find(cid)) co_return kj::mv(*block);
  if (lastFailure != nullptr) reasons.add(kj::str(source.getName(), ": ", lastFailure));
  co_return nullptr;
}

kj::Promise<void> DagFetch::arrival(const Cid& cid) {
  if (!running) return kj::READY_NOW;
  auto paf = kj::newPromiseAndFulfiller<void>();
  waiters.add(Waiter { cid.clone(), kj::mv(paf.fulfiller) });
  return kj::mv(paf.promise);
}

void DagFetch::told(const Cid& cid) {
  kj::Vector<Waiter> others;
  for (auto& waiter: waiters) {
    if (waiter.cid == cid) {
      waiter.fulfiller->fulfill();
    } else if (waiter.fulfiller->isWaiting()) {
      others.add(kj::mv(waiter));
    }
  }
  waiters = kj::mv(others);
}

kj::Promise<void> DagFetch::run(BlockSource& source, Cid root) {
  WantedDag wanted(store, root, left, [this](const Cid& cid) { told(cid); });
  kj::Maybe<kj::Exception> failure;
  KJ_IF_MAYBE(coming, source.fetchDag(root, wanted)) {
    failure = co_await coming->then([&]() -> kj::Maybe<kj::Exception> {
      wanted.requireAll();
      return nullptr;
    }).catch_([](kj::Exception&& e) -> kj::Maybe<kj::Exception> { return kj::mv(e); });
  } else {
    leftOf(source) = 0;
  }
  end(source, wanted, kj::mv(failure));
}

void DagFetch::end(BlockSource& source, const WantedDag& wanted,
                   kj::Maybe<kj::Exception> failure) {
  running = false;
  auto all = kj::mv(waiters);
  waiters = {};
  KJ_IF_MAYBE(e, wanted.findStoreFailure()) {
    for (auto& waiter: all) waiter.fulfiller->reject(kj::cp(*e));
    return;
  }
  KJ_IF_MAYBE(e, failure) {
    auto& more = leftOf(source);
    more = wanted.isEnough() ? more - 1 : 0;
    lastFailure = kj::str(e->getDescription());
    if (e->getType() == kj::Exception::Type::OVERLOADED) lateFailure = kj::cp(*e);
    bool isLack = e->getType() == kj::Exception::Type::UNIMPLEMENTED;
    auto level = wanted.isEnough() ? LogLevel::DEBUG : isLack ? LogLevel::INFO : LogLevel::WARNING;
    logger.log(level, wanted.isEnough()
                   ? "a source sends what is here already, and is asked for what is not"
                   : "a source does not give a whole DAG, and is asked for single blocks",
               {{"source", kj::str(source.getName())}, {"cause", kj::str(lastFailure)}});
  }
  for (auto& waiter: all) waiter.fulfiller->fulfill();
}

}  // namespace ww
