#include <ww/link/cap-ledger.h>

namespace ww {
namespace {

// The number under which its sender keeps it, if it is the sender's.
kj::Maybe<uint32_t> findExport(capnp::rpc::CapDescriptor::Reader cap) {
  if (cap.isSenderHosted()) return cap.getSenderHosted();
  if (cap.isSenderPromise()) return cap.getSenderPromise();
  return nullptr;
}

}  // namespace

uint64_t CapLedger::countIn(Descriptors caps) {
  uint64_t count = 0;
  for (auto cap: caps) count += findExport(cap) != nullptr;
  return count;
}

void CapLedger::add(capnp::rpc::CapDescriptor::Reader cap) {
  KJ_IF_MAYBE(id, findExport(cap)) {
    ++references.findOrCreate(*id, [&]() {
      return kj::HashMap<uint32_t, uint32_t>::Entry{*id, 0};
    });
  }
}

CapLedger::Sent CapLedger::add(Descriptors caps) {
  Sent sent;
  for (auto cap: caps) {
    add(cap);
    KJ_IF_MAYBE(id, findExport(cap)) sent.add(*id);
  }
  return sent;
}

void CapLedger::release(uint32_t id, uint32_t times) {
  KJ_IF_MAYBE(count, references.find(id)) {
    if (*count <= times) references.erase(id);
    else *count -= times;
  }
}

void CapLedger::release(const Sent& sent) {
  for (auto id: sent) release(id);
}

}  // namespace ww
