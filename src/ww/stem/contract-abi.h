#pragma once
// PLACEHOLDER until the contract's branch is merged.
#include <kj/string.h>
namespace ww {
constexpr kj::StringPtr HEAD_CALL_DATA = "0x8f7dcfa3"_kj;
constexpr kj::StringPtr HEAD_UPDATED_TOPIC =
    "0x0000000000000000000000000000000000000000000000000000000000000000"_kj;
}  // namespace ww
