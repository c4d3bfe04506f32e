#include <ww/node/chain-source.h>

#include <ww/base/error.h>
#include <ww/base/random.h>
#include <ww/stem/hex.h>
#include <ww/stem/provider-url.h>
#include <ww/stem/rpc-chain-reader.h>

namespace ww {
namespace {

FollowerOptions followerOptions(const ChainOptions& options) {
  FollowerOptions result;
  result.contract = options.contract;
  result.finality = options.finality;
  result.quorum = options.quorum.orDefault(majorityOf(options.providers.size()));
  result.chainId = options.chainId;
  result.interval = options.interval;
  return result;
}

}  // namespace

bool setFinality(ChainOptions& options, kj::StringPtr text) {
  KJ_IF_MAYBE(finality, parseFinality(text)) {
    options.finality = *finality;
    return true;
  }
  return false;
}

kj::Maybe<kj::String> findProblem(const ChainOptions& options) {
  auto count = options.providers.size();
  if (count == 0) return kj::str("--stem takes a provider of its chain: --rpc-url URL");
  for (size_t i = 0; i < count; i++) {
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() {
      ProviderUrl::parse(options.providers[i]);
    })) {
      return kj::str("--rpc-url, number ", i + 1, ": ", e->getDescription());
    }
  }
  KJ_IF_MAYBE(quorum, options.quorum) {
    if (*quorum == 0 || *quorum > count) {
      return kj::str("--quorum ", *quorum, ": so many providers cannot agree; --rpc-url names ",
                     count);
    }
  }
  return nullptr;
}

kj::Array<kj::String> providerNames(kj::ArrayPtr<const kj::String> urls) {
  auto names = KJ_MAP(url, urls) { return ProviderUrl::parse(url).name; };
  auto result = kj::heapArrayBuilder<kj::String>(names.size());
  for (size_t i = 0; i < names.size(); i++) {
    kj::uint before = 0, all = 0;
    for (size_t j = 0; j < names.size(); j++) {
      if (names[j] != names[i]) continue;
      ++all;
      before += j < i;
    }
    result.add(all == 1 ? kj::str(names[i]) : kj::str(names[i], '#', before + 1));
  }
  return result.finish();
}

ChainSource::ChainSource(const ChainOptions& options, kj::AsyncIoProvider& io,
                         kj::Own<CursorStore> cursors, Logger& logger)
    : forget(options.forget), contract(options.contract), logger(logger),
      store(kj::mv(cursors)), links(io) {
  KJ_IF_MAYBE(problem, ww::findProblem(options)) kj::throwFatalException(badInput(*problem));
  for (size_t i = 0; i < options.providers.size(); i++) {
    for (size_t j = 0; j < i; j++) {
      if (options.providers[i] != options.providers[j]) continue;
      logger.log(LogLevel::WARNING, "a provider of the chain is given twice, and counts twice",
                 {{"provider", ProviderUrl::parse(options.providers[i]).name}});
    }
  }
  auto names = providerNames(options.providers);
  auto readers = kj::heapArrayBuilder<kj::Own<ChainReader>>(names.size());
  for (size_t i = 0; i < names.size(); i++) {
    readers.add(kj::heap<RpcChainReader>(links.open(options.providers[i]), kj::str(names[i]),
                                         contract));
  }
  follower = kj::heap<StemFollower>(followerOptions(options), readers.finish(), *store,
                                    io.getTimer(), randomNonce, logger);
}

kj::Promise<void> ChainSource::start() {
  if (forget) co_await forgetFollowed();
  co_await follower->start();
}

kj::Promise<void> ChainSource::forgetFollowed() {
  auto kept = co_await store->load(contract);
  co_await store->forget(contract);
  constexpr auto ADVICE = "take it out of the command again: at each start it forgets"_kj;
  KJ_IF_MAYBE(cursor, kept) {
    logger.log(LogLevel::WARNING, "--forget-epoch: what was followed before is forgotten",
               {{"epoch", kj::str(cursor->epoch.seq)},
                {"block", kj::str(cursor->final.number)}, {"hash", toText(cursor->final.hash)},
                {"chain", kj::str(cursor->chainId)}, {"advice", kj::str(ADVICE)}});
  } else {
    logger.log(LogLevel::WARNING, "--forget-epoch: nothing was followed before",
               {{"advice", kj::str(ADVICE)}});
  }
}

}  // namespace ww
