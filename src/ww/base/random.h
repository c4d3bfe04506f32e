#pragma once
// The operating system's randomness, through OpenSSL.

#include <stdint.h>

namespace ww {

// 64 bits that nobody can foresee.
uint64_t randomNonce();

}  // namespace ww
