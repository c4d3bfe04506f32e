#pragma once
// The C side of the Rust fence for Ethereum (rust/eth/src/lib.rs). Only src/ww/ffi includes it.
// What each function asks of its caller stands beside its Rust definition.

#include <ww_engine.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct WwEthTransaction {
  uint64_t chain_id;
  uint64_t nonce;
  uint64_t max_priority_fee;
  uint64_t max_fee;
  uint64_t gas;
  WwSlice to;
  WwSlice data;
} WwEthTransaction;

void ww_keccak256(WwSlice bytes, uint8_t hash[32]);
bool ww_eth_address(WwSlice key, uint8_t address[20], WwError* error);
bool ww_eth_sign(WwSlice key, const WwEthTransaction* transaction, WwBytes* raw, uint8_t hash[32],
                 WwError* error);

#ifdef __cplusplus
}
#endif
