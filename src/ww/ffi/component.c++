#include <ww/ffi/component.h>

#include <kj/encoding.h>
#include <ww/ffi/engine.h>
#include <ww/ffi/fence.h>

namespace ww::ffi {

kj::Own<const Component> Component::compile(const EngineHandle& engine,
                                            kj::ArrayPtr<const kj::byte> wasm) {
  auto footprint = footprintOf(wasm);
  WwError error{};
  auto raw = ww_component_compile(engine.getRaw(), slice(wasm), &error);
  if (raw == nullptr) kj::throwFatalException(takeError(error));
  return kj::atomicRefcounted<Component>(engine, raw, contentHash(wasm), footprint);
}

kj::Own<const Component> Component::load(const EngineHandle& engine,
                                         const kj::ReadableFile& trusted, kj::StringPtr hash,
                                         uint64_t footprint) {
  WwError error{};
  WwComponent* raw;
  KJ_IF_MAYBE(fd, trusted.getFd()) {
    raw = ww_component_load_file(engine.getRaw(), *fd, &error);
  } else {
    raw = ww_component_load(engine.getRaw(), slice(trusted.readAllBytes()), &error);
  }
  if (raw == nullptr) kj::throwFatalException(takeError(error));
  return kj::atomicRefcounted<Component>(engine, raw, kj::str(hash), footprint);
}

Component::Component(const EngineHandle& engine, WwComponent* raw, kj::String hash,
                     uint64_t footprint)
    : engine(kj::atomicAddRef(engine)), raw(raw), hash(kj::mv(hash)), footprint(footprint) {}

Component::~Component() noexcept(false) { ww_component_drop(raw); }

kj::Own<const Component> Component::makeTwin() const {
  return kj::atomicRefcounted<Component>(*engine, ww_component_twin(raw), kj::str(hash),
                                         footprint);
}

kj::Array<kj::byte> Component::artifact() const {
  WwError error{};
  WwBytes bytes{};
  if (!ww_component_artifact(raw, &bytes, &error)) kj::throwFatalException(takeError(error));
  KJ_DEFER(ww_bytes_drop(bytes));
  return kj::heapArray(bytes.ptr, bytes.len);
}

uint64_t footprintOf(kj::ArrayPtr<const kj::byte> wasm) {
  WwError error{};
  uint64_t footprint = 0;
  if (!ww_footprint(slice(wasm), &footprint, &error)) kj::throwFatalException(takeError(error));
  return footprint;
}

kj::String contentHash(kj::ArrayPtr<const kj::byte> bytes) {
  kj::byte hash[32];
  ww_hash(slice(bytes), hash);
  return kj::encodeHex(hash);
}

kj::String checksum(kj::ArrayPtr<const kj::byte> bytes) {
  kj::byte sum[16];
  ww_checksum(slice(bytes), sum);
  return kj::encodeHex(sum);
}

}  // namespace ww::ffi
