#pragma once
// What a person means by IMAGE: something on this machine, a content id, or a name of IPNS.

#include <kj/one-of.h>
#include <ww/image/ipns.h>

namespace ww {

// /ipfs/CID[/path]
struct IpfsRef {
  Cid root;
  kj::String path;  // names with `/` between, checked; empty: the root itself
};

// /ipns/NAME[/path]
struct IpnsRef {
  IpnsName name;
  kj::String path;
};

// A .car file. Which of its roots is meant: its first.
struct CarRef {
  kj::String file;
};

// A folder, or a .wasm file; or nothing at all: the disk is not looked at.
struct PathRef {
  kj::String path;
};

using ImageRef = kj::OneOf<IpfsRef, IpnsRef, CarRef, PathRef>;

// - `/ipfs/…` and `/ipns/…` are that, whatever is on the disk;
// - a text that is a content id as a whole is one: ./TEXT is a file or folder of that name;
// - what ends in .car, in whatever case, is such a file;
// - anything else is a path.
// Throws, naming the text and what is wrong, for what begins like one of IPFS and is none.
ImageRef parseImageRef(kj::StringPtr text);

// What a record of IPNS leads to, with `path` behind it. Throws for what is no such path.
ImageRef parseIpnsValue(kj::StringPtr value, kj::StringPtr path);

// The content that a name leads to, over as many names as MAX_IPNS_NAMES. As resolveIpns().
constexpr kj::uint MAX_IPNS_NAMES = 8;
kj::Promise<IpfsRef> resolveRef(IpnsRef ref, kj::ArrayPtr<IpnsSource* const> sources,
                                IpnsMemory& memory, const kj::Clock& clock, Logger& logger);

}  // namespace ww
