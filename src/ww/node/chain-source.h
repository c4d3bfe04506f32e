#pragma once
// Where a node's epochs come from when a Stem contract gives them: the providers' connections, what
// was followed before, and the follower over both.

#include <ww/base/log.h>
#include <ww/node/provider-links.h>
#include <ww/stem/follower.h>

namespace ww {

struct ChainOptions {
  EthAddress contract;
  kj::Array<kj::String> providers;  // URLs: see ProviderUrl
  Finality finality;
  kj::Maybe<kj::uint> quorum;       // none: most of them
  kj::Maybe<uint64_t> chainId;
  kj::Duration interval = 4 * kj::SECONDS;
  bool stay = false;                // run on without authority when the chain takes back
  bool forget = false;              // what was followed before: the chain counts as it is now
};

// Of what a person wrote. False, and nothing is set, where it is none.
bool setFinality(ChainOptions& options, kj::StringPtr text);

// What is wrong with these, if anything is. Says nothing that may be secret in a URL.
kj::Maybe<kj::String> findProblem(const ChainOptions& options);

// Names by which each provider is known: unique, without secrets.
kj::Array<kj::String> providerNames(kj::ArrayPtr<const kj::String> urls);

class ChainSource final {
 public:
  // References outlive it. Throws for what findProblem() names.
  ChainSource(const ChainOptions& options, kj::AsyncIoProvider& io, kj::Own<CursorStore> store,
              Logger& logger);
  KJ_DISALLOW_COPY_AND_MOVE(ChainSource);

  // Once a quorum has agreed on an epoch: see StemFollower.
  kj::Promise<void> start();

  StemFollower& getFollower() { return *follower; }

 private:
  kj::Promise<void> forgetFollowed();
  const bool forget;
  const EthAddress contract;
  Logger& logger;
  kj::Own<CursorStore> store;
  ProviderLinks links;
  kj::Own<StemFollower> follower;
};

}  // namespace ww
