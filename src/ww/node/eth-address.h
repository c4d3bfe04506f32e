#pragma once
// An address of Ethereum as a person writes it. Capital and small letters mixed hold a checksum
// (EIP-55), which is verified; all of one case holds none.

#include <kj/one-of.h>
#include <ww/stem/chain.h>

namespace ww {

// The address, or what is wrong with it and what to do, starting with the word itself.
kj::OneOf<EthAddress, kj::String> readEthAddress(kj::StringPtr text);

// With its checksum.
kj::String toChecksummed(const EthAddress& address);

}  // namespace ww
