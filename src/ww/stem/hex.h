#pragma once
// Ethereum's JSON forms of values, read strictly: what is not exactly the form is nothing.

#include <kj/array.h>
#include <kj/string.h>
#include <ww/stem/chain.h>

namespace ww {

// A quantity: 0x and digits without a leading zero, "0x0" for zero; at most 64 bits.
kj::Maybe<uint64_t> parseQuantity(kj::StringPtr text);
kj::String quantityOf(uint64_t value);

// Data: 0x and two digits a byte, any number of bytes.
kj::Maybe<kj::Array<kj::byte>> parseHexData(kj::StringPtr text);
kj::String hexDataOf(kj::ArrayPtr<const kj::byte> bytes);

kj::Maybe<BlockHash> parseBlockHash(kj::StringPtr text);

// In either case of letters, in which may be a checksum (EIP-55): node/eth-address.h verifies it.
kj::Maybe<EthAddress> parseEthAddress(kj::StringPtr text);

inline kj::String toText(const BlockHash& hash) { return hexDataOf(hash.asBytes()); }
inline kj::String toText(const EthAddress& address) { return hexDataOf(address.asBytes()); }

}  // namespace ww
