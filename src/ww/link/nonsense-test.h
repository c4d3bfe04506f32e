#pragma once
// RPC messages as nobody sends them who means well.

#include <capnp/rpc.capnp.h>
#include <kj/function.h>

namespace ww {

// Messages that are well formed, in an order that is not.
class Nonsense {
 public:
  // `below` chooses a number below its argument; calls are of these interfaces.
  Nonsense(kj::Function<uint32_t(uint32_t)> below, kj::ArrayPtr<const uint64_t> interfaces)
      : below(kj::mv(below)), interfaces(interfaces) {}

  // `next`: a number that no question had yet.
  void fill(capnp::rpc::Message::Builder m, uint32_t next) {
    // The last few are for questions that nobody asked, which ends the link: seldom.
    switch (below(below(12) == 0 ? 9 : 7)) {
      case 0: return m.initBootstrap().setQuestionId(below(4) == 0 ? id() : next);
      case 1: case 2: {
        auto call = m.initCall();
        call.setQuestionId(below(8) == 0 ? id() : next % 8);
        target(call.initTarget());
        call.setInterfaceId(interfaces[below(interfaces.size())]);
        call.setMethodId(below(6));
        call.setOnlyPromisePipeline(below(4) == 0);
        if (below(8) == 0) call.getSendResultsTo().setYourself();
        return payload(call.initParams());
      }
      case 3: {
        auto finish = m.initFinish();
        finish.setQuestionId(id());
        return finish.setReleaseResultCaps(below(2) == 0);
      }
      case 4: {
        auto release = m.initRelease();
        release.setId(id());
        return release.setReferenceCount(below(3));
      }
      case 5: {
        auto resolve = m.initResolve();
        resolve.setPromiseId(id());
        if (below(8) == 0) return resolve.initException().setReason("no");
        return cap(resolve.initCap());
      }
      case 6: {
        auto disembargo = m.initDisembargo();
        target(disembargo.initTarget());
        auto context = disembargo.getContext();
        if (below(2) == 0) return context.setSenderLoopback(id());
        return context.setReceiverLoopback(id());
      }
      case 7: {
        auto ret = m.initReturn();
        ret.setAnswerId(id());
        ret.setReleaseParamCaps(below(2) == 0);
        switch (below(4)) {
          case 0: return ret.setCanceled();
          case 1: return ret.initException().setReason("no");
          case 2: return ret.setTakeFromOtherQuestion(id());
          default: return payload(ret.initResults());
        }
      }
      default: return m.initUnimplemented().initFinish().setQuestionId(id());
    }
  }

 private:
  kj::Function<uint32_t(uint32_t)> below;
  kj::ArrayPtr<const uint64_t> interfaces;

  uint32_t id() { return below(20) == 0 ? kj::maxValue : below(8); }

  void target(capnp::rpc::MessageTarget::Builder to) {
    if (below(2) == 0) return to.setImportedCap(id());
    auto answer = to.initPromisedAnswer();
    answer.setQuestionId(id());
    auto steps = answer.initTransform(below(4));
    for (auto step: steps) step.setGetPointerField(below(3));
  }
  void cap(capnp::rpc::CapDescriptor::Builder to) {
    switch (below(5)) {
      case 0: return to.setSenderHosted(id());
      case 1: return to.setSenderPromise(id());
      case 2: return to.setReceiverHosted(id());
      case 3: return to.initReceiverAnswer().setQuestionId(id());
      default: return to.setNone();
    }
  }
  void payload(capnp::rpc::Payload::Builder to) {
    for (auto one: to.initCapTable(below(4))) cap(one);
    auto content = to.getContent().initAsAnyStruct(0, 1);
    (void)content;
  }
};

}  // namespace ww
