#pragma once
// What of the interface of contracts/Stem.sol those who follow it, or set its head, have to spell
// out: as JSON-RPC takes it and gives it, "0x" and lower-case hex. All of it follows from
// signatures, and from nothing else of the contract. tests/chain/abi_test.py holds it to the
// compiler's output.

#include <kj/string.h>

namespace ww {

// The data of a call of head(), which gives (uint64 seq, bytes cid).
constexpr kj::StringPtr HEAD_CALL_DATA = "0x8f7dcfa3"_kj;

// The first topic of HeadUpdated(uint64 indexed seq, address indexed writer, bytes cid,
// bytes32 indexed cidHash): seq, writer and cidHash are the other three, the data is (bytes cid).
constexpr kj::StringPtr HEAD_UPDATED_TOPIC =
    "0x85f2cb2e69cdbc779032c9439dbb51c7a51f823b898e6068e18b896e87bd29d0"_kj;

// The selector of setHead(bytes), and those of the errors that it reverts with.
constexpr kj::StringPtr SET_HEAD_SELECTOR = "0x43eae823"_kj;
constexpr kj::StringPtr NOT_OWNER_SELECTOR = "0x30cd7471"_kj;
constexpr kj::StringPtr NO_CHANGE_SELECTOR = "0xa88ee577"_kj;
constexpr kj::StringPtr TOO_LONG_SELECTOR = "0x4ee45b56"_kj;

}  // namespace ww
