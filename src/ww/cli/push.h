#pragma once
// `ww stem set-head`: an image is the head of the contract that nodes follow.

#include <ww/node/head-target.h>

namespace ww {

struct SetHeadOptions {
  HeadTarget head;
  kj::String cid;
  bool json = false;
};

// Prints what it did. Throws, saying what to do.
void setHead(const SetHeadOptions& options, Logger& logger);

}  // namespace ww
