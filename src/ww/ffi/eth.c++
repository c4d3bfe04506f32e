#include <ww/ffi/eth.h>

#include <string.h>
#include <ww/base/error.h>
#include <ww/ffi/fence.h>
#include <ww_eth.h>

namespace ww::ffi {

EthBytes32 keccak256(kj::ArrayPtr<const kj::byte> bytes) {
  EthBytes32 hash;
  ww_keccak256(slice(bytes), hash.data());
  return hash;
}

EthKey::EthKey(kj::ArrayPtr<const kj::byte> bytes) {
  WwError error{};
  if (!ww_eth_address(slice(bytes), address.data(), &error)) {
    kj::throwFatalException(takeError(error));
  }
  memcpy(key.data(), bytes.begin(), key.size());
}

EthKey::~EthKey() noexcept(false) { explicit_bzero(key.data(), key.size()); }

SignedEthCall EthKey::sign(const EthCall& call) const {
  WwEthTransaction transaction{call.chainId, call.nonce, call.maxPriorityFee, call.maxFee, call.gas,
                               {call.to.data(), call.to.size()}, slice(call.data)};
  SignedEthCall result;
  WwBytes raw{};
  WwError error{};
  if (!ww_eth_sign({key.data(), key.size()}, &transaction, &raw, result.hash.data(), &error)) {
    kj::throwFatalException(takeError(error));
  }
  result.raw = kj::heapArray<const kj::byte>(kj::arrayPtr(raw.ptr, raw.len));
  ww_bytes_drop(raw);
  return result;
}

}  // namespace ww::ffi
