#include <ww/link/message-bounds.h>

namespace ww {
namespace {

using Excess = kj::Maybe<kj::StringPtr>;

// A reason is for people to read. It is kept for each who was given what failed.
constexpr uint64_t REASON_BYTES = 64 << 10;

// Of a kind that is not known here: it goes back as it is, to be told so.
constexpr uint64_t UNKNOWN_WORDS = 128;

Excess inAnswer(capnp::rpc::PromisedAnswer::Reader answer, MessageBounds bounds) {
  if (answer.getTransform().size() > bounds.steps) return "pipelining"_kj;
  return nullptr;
}

Excess inTarget(capnp::rpc::MessageTarget::Reader target, MessageBounds bounds) {
  return target.isPromisedAnswer() ? inAnswer(target.getPromisedAnswer(), bounds) : nullptr;
}

Excess inCap(capnp::rpc::CapDescriptor::Reader cap, MessageBounds bounds) {
  return cap.isReceiverAnswer() ? inAnswer(cap.getReceiverAnswer(), bounds) : nullptr;
}

Excess inPayload(capnp::rpc::Payload::Reader payload, MessageBounds bounds) {
  auto caps = payload.getCapTable();
  if (caps.size() > bounds.caps) return "exports"_kj;
  for (auto cap: caps) {
    auto excess = inCap(cap, bounds);
    if (excess != nullptr) return excess;
  }
  return nullptr;
}

Excess inReason(capnp::rpc::Exception::Reader exception) {
  if (reasonBytes(exception) > REASON_BYTES) return "message"_kj;
  return nullptr;
}

}  // namespace

uint64_t reasonBytes(capnp::rpc::Exception::Reader exception) {
  return exception.getReason().size() + exception.getTrace().size();
}

Excess findExcess(capnp::rpc::Message::Reader message, uint64_t words, MessageBounds bounds) {
  using Message = capnp::rpc::Message;
  switch (message.which()) {
    case Message::CALL: {
      auto call = message.getCall();
      auto excess = inTarget(call.getTarget(), bounds);
      return excess == nullptr ? inPayload(call.getParams(), bounds) : excess;
    }
    case Message::RETURN: {
      auto ret = message.getReturn();
      if (ret.isResults()) return inPayload(ret.getResults(), bounds);
      return ret.isException() ? inReason(ret.getException()) : nullptr;
    }
    case Message::RESOLVE: {
      auto resolve = message.getResolve();
      if (resolve.isCap()) return inCap(resolve.getCap(), bounds);
      return resolve.isException() ? inReason(resolve.getException()) : nullptr;
    }
    case Message::DISEMBARGO: return inTarget(message.getDisembargo().getTarget(), bounds);
    case Message::ABORT: return inReason(message.getAbort());
    case Message::BOOTSTRAP: case Message::FINISH: case Message::RELEASE:
    case Message::UNIMPLEMENTED:
      return nullptr;
    default:
      if (words > UNKNOWN_WORDS) return "message"_kj;
      return nullptr;
  }
}

}  // namespace ww
