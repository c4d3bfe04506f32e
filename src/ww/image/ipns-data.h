#pragma once
// What is signed in a record of IPNS: a map in DAG-CBOR with these five fields, and perhaps others
// that are passed over. A private header of ipns.c++.

#include <kj/array.h>
#include <kj/common.h>
#include <kj/string.h>
#include <stdint.h>

namespace ww {

struct IpnsData {
  kj::ArrayPtr<const kj::byte> value, validity;  // of the input
  uint64_t validityType = 0, sequence = 0;
};

// Throws for what is none: other types, a field twice or missing, more behind it.
IpnsData readIpnsData(kj::ArrayPtr<const kj::byte> cbor);

// Seconds since 1970 of YYYY-MM-DDTHH:MM:SS[.FRACTION]Z; nothing for any other text.
kj::Maybe<int64_t> parseIpnsTime(kj::StringPtr text);

}  // namespace ww
