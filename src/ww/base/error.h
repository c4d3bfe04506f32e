#pragma once
// Failures that others match on. A reason starts with a stable prefix and a colon; prefix and
// Cap'n Proto exception type are part of the wire contract (capnp/stem.capnp lists them).
//
// Each function returns the exception, for KJ_REQUIRE-free code on the paths that guests and peers
// can reach: answer with it, never throw it across a callback of another library.

#include <kj/async.h>
#include <kj/exception.h>
#include <kj/string.h>

namespace ww {

// `prefix: text`, of type FAILED.
kj::Exception failure(kj::StringPtr prefix, kj::StringPtr text);

// The caller's own mistake, without a prefix, of type FAILED: `text` names what was wrong and
// where.
kj::Exception badInput(kj::StringPtr text);

// Somebody outside this node did not answer in the time that it had; without a prefix, of type
// OVERLOADED.
kj::Exception late(kj::StringPtr text);

// The prefix of a graft's refusal while the epoch, or its image, is not here yet.
constexpr kj::StringPtr EPOCH_PENDING = "epochPending"_kj;

// `ended: text`: the session, its link or the cell is gone.
kj::Exception ended(kj::StringPtr text);

// `denied: text`: the caller may not do that.
kj::Exception denied(kj::StringPtr text);

// `unauthorized: text`: this graft is refused.
kj::Exception unauthorized(kj::StringPtr text);

// Why a call of the system's failed, without KJ's words for which one it was.
kj::String systemReason(const kj::Exception& exception);

// `overloaded: limit`, of type OVERLOADED: over a quota; later, or less.
kj::Exception overloaded(kj::StringPtr limit);

// The limit's name, without what may follow it after another colon, if it is such a one.
kj::Maybe<kj::String> findLimit(const kj::Exception& exception);

// Of a call that crossed to another loop of this node: as it was made there, without what RPC puts
// in front of it.
kj::Exception inOwnWords(kj::Exception&& exception);

template <typename T>
kj::Promise<T> inOwnWords(kj::Promise<T>&& promise) {
  return promise.catch_([](kj::Exception&& exception) -> kj::Promise<T> {
    return inOwnWords(kj::mv(exception));
  });
}

}  // namespace ww
