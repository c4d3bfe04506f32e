#include <ww/ffi/component.h>

#include <kj/encoding.h>
#include <ww/ffi/content.h>
#include <ww/ffi/engine.h>
#include <ww/ffi/fence.h>

namespace ww::ffi {

kj::Own<const Component> Component::compile(const EngineHandle& engine,
                                            kj::ArrayPtr<const kj::byte> wasm) {
  auto footprint = footprintOf(wasm);
  WwError error{};
  auto raw = ww_component_compile(engine.getRaw(), slice(wasm), &error);
  if (raw == nullptr) kj::throwFatalException(takeError(error));
  return kj::atomicRefcounted<Component>(engine, raw, contentId(wasm), footprint);
}

kj::Own<const Component> Component::load(const EngineHandle& engine,
                                         const kj::ReadableFile& trusted, kj::StringPtr id,
                                         uint64_t footprint) {
  WwError error{};
  WwComponent* raw;
  KJ_IF_MAYBE(fd, trusted.getFd()) {
    raw = ww_component_load_file(engine.getRaw(), *fd, &error);
  } else {
    raw = ww_component_load(engine.getRaw(), slice(trusted.readAllBytes()), &error);
  }
  if (raw == nullptr) kj::throwFatalException(takeError(error));
  return kj::atomicRefcounted<Component>(engine, raw, kj::str(id), footprint);
}

Component::Component(const EngineHandle& engine, WwComponent* raw, kj::String id,
                     uint64_t footprint)
    : engine(kj::atomicAddRef(engine)), raw(raw), id(kj::mv(id)), footprint(footprint) {}

Component::~Component() noexcept(false) { ww_component_drop(raw); }

kj::Own<const Component> Component::makeTwin() const {
  return kj::atomicRefcounted<Component>(*engine, ww_component_twin(raw), kj::str(id),
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

kj::String contentId(kj::ArrayPtr<const kj::byte> bytes) {
  // What comes before a digest of 32 bytes: the version, raw, blake3, and how long it is.
  kj::byte id[4 + 32] = {0x01, 0x55, 0x1e, 32};
  ww_hash(slice(bytes), id + 4);
  return cidText(id);
}

kj::String checksum(kj::ArrayPtr<const kj::byte> bytes) {
  kj::byte sum[16];
  ww_checksum(slice(bytes), sum);
  return kj::encodeHex(sum);
}

}  // namespace ww::ffi
