#pragma once
// What of a message is bounded by itself, before anything walks it or keeps it: how many
// capabilities it names, how many steps lead to each, how long the reason of a failure is.

#include <capnp/rpc.capnp.h>
#include <stdint.h>

namespace ww {

struct MessageBounds {
  uint32_t caps;   // in one table
  uint32_t steps;  // of a transform
};

// The name of the limit that a message of so many words is over, if it is over one.
kj::Maybe<kj::StringPtr> findExcess(capnp::rpc::Message::Reader message, uint64_t words,
                                    MessageBounds bounds);

// What an exception that was received takes.
uint64_t reasonBytes(capnp::rpc::Exception::Reader exception);

}  // namespace ww
