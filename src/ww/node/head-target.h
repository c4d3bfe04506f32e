#pragma once
// The contract whose head somebody sets, with whose key, and through whom.

#include <ww/image/cid.h>
#include <ww/node/provider-links.h>
#include <ww/stem/head-writer.h>

namespace ww {

struct HeadTarget {
  HeadWriterOptions writer;
  kj::String key;       // a file: see FileSigner
  kj::String provider;  // URL
};

// Throws, saying what to do, unless its key can be used.
void requireKey(const HeadTarget& target);

// As HeadWriter has it. All outlive the promise.
kj::Promise<WrittenHead> writeHead(kj::AsyncIoProvider& io, const HeadTarget& target,
                                   kj::Array<const kj::byte> value, Logger& logger);

}  // namespace ww
