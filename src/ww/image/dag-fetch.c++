#include <ww/image/dag-fetch.h>

#include <kj/debug.h>

namespace ww {

DagFetch::Source& DagFetch::of(BlockSource& source) {
  return sources.findOrCreate(&source, [&]() {
    return kj::HashMap<BlockSource*, Source>::Entry { &source, Source() };
  });
}

kj::Promise<kj::Maybe<kj::Array<const kj::byte>>> DagFetch::fetch(
    BlockSource& source, const Cid& cid, kj::Vector<kj::String>& reasons) {
  for (;;) {
    // It may have come while somebody else was asked for it.
    KJ_IF_MAYBE(block, store.find(cid)) co_return kj::mv(*block);
    if (!running) break;
    co_await arrival(cid);
  }
  KJ_IF_MAYBE(e, storeFailure) {
    auto failure = kj::mv(*e);
    storeFailure = nullptr;
    kj::throwFatalException(kj::mv(failure));
  }
  // A block of another codec has nothing below it that is read.
  if (cid.getCodec() != Cid::DAG_PB || of(source).triesLeft == 0) co_return nullptr;
  running = true;
  lastFailure = nullptr;
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
    of(source).triesLeft = 0;
  }
  end(source, wanted, kj::mv(failure));
}

void DagFetch::end(BlockSource& source, const WantedDag& wanted,
                   kj::Maybe<kj::Exception> failure) {
  running = false;
  auto all = kj::mv(waiters);
  waiters = {};
  KJ_IF_MAYBE(e, wanted.findStoreFailure()) {
    bool isTold = false;
    for (auto& waiter: all) {
      isTold = isTold || waiter.fulfiller->isWaiting();
      waiter.fulfiller->reject(kj::cp(*e));
    }
    if (!isTold) storeFailure = kj::cp(*e);
    return;
  }
  KJ_IF_MAYBE(e, failure) failed(source, wanted.isEnough(), *e);
  for (auto& waiter: all) waiter.fulfiller->fulfill();
}

void DagFetch::failed(BlockSource& source, bool isEnough, const kj::Exception& e) {
  using Type = kj::Exception::Type;
  bool isCut = isEnough || e.getType() == Type::DISCONNECTED;
  auto& more = of(source).triesLeft;
  more = isCut ? more - 1 : 0;
  lastFailure = kj::str(e.getDescription());
  if (e.getType() == Type::OVERLOADED) of(source).late = kj::cp(e);
  bool isWrong = !isCut && e.getType() != Type::UNIMPLEMENTED;
  auto level = more > 0 ? LogLevel::DEBUG : isWrong ? LogLevel::WARNING : LogLevel::INFO;
  logger.log(level, isEnough
                 ? "a source sends what is here already, and is asked for what is not"
                 : more > 0 ? "a source gave no whole DAG, and is asked for another"
                            : "a source gave no whole DAG, and is asked for single blocks",
             {{"source", kj::str(source.getName())}, {"cause", kj::str(lastFailure)}});
}

}  // namespace ww
