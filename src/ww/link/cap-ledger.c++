#include <ww/link/cap-ledger.h>

namespace ww {
namespace {

// The number under which its sender keeps it, if it is the sender's. What is hosted elsewhere is
// reached by way of its vine, which is the sender's.
kj::Maybe<uint32_t> findExport(capnp::rpc::CapDescriptor::Reader cap) {
  if (cap.isSenderHosted()) return cap.getSenderHosted();
  if (cap.isSenderPromise()) return cap.getSenderPromise();
  if (cap.isThirdPartyHosted()) return cap.getThirdPartyHosted().getVineId();
  return nullptr;
}

}  // namespace

bool CapLedger::isExport(capnp::rpc::CapDescriptor::Reader cap) {
  return findExport(cap) != nullptr;
}

uint64_t CapLedger::countIn(Descriptors caps) {
  uint64_t count = 0;
  for (auto cap: caps) count += isExport(cap);
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

void ParamLedger::ask(capnp::rpc::Call::Reader call) {
  auto caps = exports.add(call.getParams().getCapTable());
  // What nobody answers is released one by one.
  if (caps.empty() || call.getOnlyPromisePipeline()) return;
  sent.upsert(call.getQuestionId(), kj::mv(caps));
}

// The RPC system gives results back as it finishes only where it has no answer yet, and then drops
// what comes.
void ParamLedger::finish(capnp::rpc::Finish::Reader finish) {
  if (finish.getReleaseResultCaps()) given.upsert(finish.getQuestionId(), [](auto&, auto&&) {});
}

bool ParamLedger::answer(capnp::rpc::Return::Reader ret) {
  KJ_IF_MAYBE(caps, sent.find(ret.getAnswerId())) {
    if (ret.getReleaseParamCaps()) exports.release(*caps);
    sent.erase(ret.getAnswerId());
  }
  return !given.eraseMatch(ret.getAnswerId());
}

}  // namespace ww
