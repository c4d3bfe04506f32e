#include <ww/link/rpc-link.h>

#include <capnp/rpc-twoparty.h>
#include <kj/test.h>
#include <peer.capnp.h>

namespace ww {
namespace {

constexpr size_t MIB = 1 << 20;

class Sizes final: public peer::Executor::Server {
 public:
  kj::Promise<void> runBytes(RunBytesContext context) override {
    kj::throwFatalException(kj::Exception(kj::Exception::Type::FAILED, __FILE__, __LINE__,
        kj::str(context.getParams().getWasm().size(), " bytes")));
  }
  kj::Promise<void> echo(EchoContext context) override {
    context.getResults().setResponse(context.getParams().getMessage());
    return kj::READY_NOW;
  }
};

// A client that sends more than it should: its own limit is high.
struct Fixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TwoWayPipe pipe = kj::newTwoWayPipe();
  kj::Maybe<kj::Own<RpcLink>> link =
      kj::heap<RpcLink>(kj::mv(pipe.ends[0]), kj::heap<Sizes>(), limits());
  capnp::TwoPartyVatNetwork network{*pipe.ends[1], capnp::rpc::twoparty::Side::CLIENT,
                                    capnp::ReaderOptions{uint64_t(1) << 30, 64}};
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> system = capnp::makeRpcClient(network);

  static LinkLimits limits() {
    LinkLimits limits;
    limits.quota.largeInterface = capnp::typeId<peer::Executor>();
    limits.quota.largeMethod = 0;
    return limits;
  }

  peer::Executor::Client bootstrap() {
    capnp::MallocMessageBuilder message;
    auto vat = message.initRoot<capnp::rpc::twoparty::VatId>();
    vat.setSide(capnp::rpc::twoparty::Side::SERVER);
    return system.bootstrap(vat).castAs<peer::Executor>();
  }

  kj::String send(peer::Executor::Client executor, size_t bytes) {
    auto request = executor.runBytesRequest();
    memset(request.initWasm(bytes).begin(), 0, bytes);
    kj::String reason;
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { request.send().wait(waitScope); })) {
      reason = kj::str(e->getType(), ": ", e->getDescription());
    }
    return reason;
  }
};

KJ_TEST("a message up to the frame limit arrives, one above it ends the link, saying so") {
  Fixture f;
  auto executor = f.bootstrap();
  KJ_EXPECT(f.send(executor, 63 * MIB).endsWith(kj::str(63 * MIB, " bytes")));
  auto reason = f.send(executor, 64 * MIB);
  KJ_EXPECT(reason.startsWith("disconnected: remote exception: overloaded: message"), reason);
  // It is over, for every capability of it.
  auto after = f.send(executor, 1);
  KJ_EXPECT(after.size() > 0 && !after.endsWith("1 bytes"), after);
  KJ_ASSERT_NONNULL(f.link)->onDisconnect().wait(f.waitScope);
}

KJ_TEST("dropping the link tells the peer") {
  Fixture f;
  auto executor = f.bootstrap();
  executor.echoRequest().send().wait(f.waitScope);
  f.link = nullptr;
  f.network.onDisconnect().wait(f.waitScope);
  KJ_EXPECT_THROW(DISCONNECTED, executor.echoRequest().send().wait(f.waitScope));
}

}  // namespace
}  // namespace ww
