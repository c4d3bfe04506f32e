#include <ww/link/rpc-message.h>

#include <capnp/message.h>
#include <string.h>
#include <ww/base/error.h>

namespace ww {
namespace {

class Nothing final: public capnp::IncomingRpcMessage {
 public:
  Nothing() {
    auto finish = message.initRoot<capnp::rpc::Message>().initFinish();
    finish.setQuestionId(kj::maxValue);
    finish.setRequireEarlyCancellationWorkaround(false);
  }
  capnp::AnyPointer::Reader getBody() override {
    return message.getRoot<capnp::AnyPointer>().asReader();
  }
  size_t sizeInWords() override { return message.sizeInWords(); }

 private:
  capnp::MallocMessageBuilder message{16};
};

}  // namespace

kj::Own<capnp::IncomingRpcMessage> makeNothing() { return kj::heap<Nothing>(); }

kj::Exception inOwnTerms(kj::Exception&& exception) {
  if (!exception.getDescription().startsWith("Exceeded message traversal limit")) {
    return kj::mv(exception);
  }
  return overloaded("message: it says that it is many times what it has");
}

void fillRefusal(capnp::rpc::Return::Builder ret, uint32_t question,
                 const kj::Exception& exception) {
  ret.setAnswerId(question);
  ret.setReleaseParamCaps(true);
  auto reason = ret.initException();
  reason.setType(capnp::rpc::Exception::Type::OVERLOADED);
  reason.setReason(exception.getDescription());
}

void hideInsides(capnp::rpc::Message::Builder message) {
  constexpr auto INSTEAD = "a message that breaks the protocol"_kj;
  auto hide = [&](capnp::rpc::Exception::Builder exception) {
    kj::StringPtr reason = exception.asReader().getReason();
    if (reason.startsWith("expected ")) return exception.setReason(INSTEAD);
    auto context = strstr(reason.cStr(), "\ncontext: ");
    if (context != nullptr) exception.setReason(kj::str(reason.slice(0, context - reason.begin())));
  };
  if (message.isAbort()) {
    auto abort = message.getAbort();
    hide(abort);
    // A check that says what it found adds `; NAME = VALUE`. No reason of the node's own does.
    kj::StringPtr reason = abort.asReader().getReason();
    auto values = strstr(reason.cStr(), "; ");
    if (values != nullptr && strstr(values, " = ") != nullptr) {
      abort.setReason(kj::str(reason.slice(0, values - reason.begin())));
    }
  }
  if (message.isReturn() && message.getReturn().isException()) {
    hide(message.getReturn().getException());
  }
}

}  // namespace ww
