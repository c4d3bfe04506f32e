#pragma once
// `ww push` and `ww stem set-head`: an image goes to a node that keeps it, and then is the head of
// the contract that nodes follow.

#include <ww/node/head-target.h>
#include <ww/node/image-sources.h>

namespace ww {

struct PushOptions {
  kj::String image;     // what `ww run` takes
  kj::Maybe<kj::String> to;    // a Kubo node's RPC
  kj::Maybe<kj::String> peer;  // or a node: a multiaddr that ends in /p2p/ID, or a peer id
  // Neither: the swarm.
  kj::Maybe<kj::String> identity;  // to prove to the peer, a key file; none: the data folder's
  kj::Duration dialTimeout = 10 * kj::SECONDS;
  kj::Duration patience = 60 * kj::SECONDS;  // for it to take some, and then for its answer
  kj::Maybe<HeadTarget> head;
  SourceOptions sources;
  uint64_t storeBytes = 0;
  kj::Maybe<kj::String> dataDir;
  kj::String logLevel, logFormat;
  bool json = false;
};

struct SetHeadOptions {
  HeadTarget head;
  kj::String cid;
  bool json = false;
};

// Each prints what it did. Throws, saying what to do.
void push(const PushOptions& options, Logger& logger);
void setHead(const SetHeadOptions& options, Logger& logger);

}  // namespace ww
