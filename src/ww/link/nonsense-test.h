#pragma once
// RPC messages as nobody sends them who means well.

#include <capnp/rpc.capnp.h>
#include <kj/function.h>

namespace ww {

// Of structs that have nothing in them: a few bytes, whatever the count.
template <typename Struct>
void initEmptyList(Struct in, kj::uint pointer, kj::uint count) {
  capnp::AnyStruct::Builder any(kj::mv(in));
  any.getPointerSection()[pointer].initAsListOfAnyStruct(0, 0, count);
}

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
        if (below(8) == 0) return fail(resolve.initException());
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
          case 1: return fail(ret.initException());
          case 2: return ret.setTakeFromOtherQuestion(id());
          default: return payload(ret.initResults());
        }
      }
      default: {
        if (below(2) == 0) return m.initUnimplemented().initFinish().setQuestionId(id());
        auto provide = m.initProvide();
        provide.setQuestionId(id());
        provide.getRecipient().initAs<capnp::Data>(below(2) * 4096);
      }
    }
  }

 private:
  kj::Function<uint32_t(uint32_t)> below;
  kj::ArrayPtr<const uint64_t> interfaces;

  uint32_t id() { return below(20) == 0 ? kj::maxValue : below(8); }

  void target(capnp::rpc::MessageTarget::Builder to) {
    if (below(2) == 0) return to.setImportedCap(id());
    answer(to.initPromisedAnswer());
  }
  void answer(capnp::rpc::PromisedAnswer::Builder answer) {
    answer.setQuestionId(id());
    if (below(40) == 0) return initEmptyList(answer, 0, below(2) == 0 ? 100 : 8'000'000);
    auto steps = answer.initTransform(below(4));
    for (auto step: steps) step.setGetPointerField(below(3));
  }
  void cap(capnp::rpc::CapDescriptor::Builder to) {
    switch (below(6)) {
      case 0: return to.setSenderHosted(id());
      case 1: return to.setSenderPromise(id());
      case 2: return to.setReceiverHosted(id());
      case 3: return answer(to.initReceiverAnswer());
      case 4: return to.initThirdPartyHosted().setVineId(id());
      default: return to.setNone();
    }
  }
  void fail(capnp::rpc::Exception::Builder to) { to.initReason(below(8) == 0 ? 100'000 : 2); }
  void payload(capnp::rpc::Payload::Builder to) {
    if (below(40) == 0) return initEmptyList(to, 1, below(2) == 0 ? 100 : 8'000'000);
    for (auto one: to.initCapTable(below(4))) cap(one);
    auto content = to.getContent().initAsAnyStruct(0, 1);
    (void)content;
  }
};

}  // namespace ww
