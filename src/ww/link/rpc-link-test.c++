#include <ww/link/rpc-link.h>

#include <capnp/rpc-twoparty.h>
#include <capnp/rpc.capnp.h>
#include <capnp/serialize-async.h>
#include <capnp/serialize.h>
#include <kj/encoding.h>
#include <kj/test.h>
#include <peer.capnp.h>
#include "wire-test.h"

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
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  kj::TwoWayPipe pipe = kj::newTwoWayPipe();
  kj::Maybe<kj::Own<RpcLink>> link =
      kj::heap<RpcLink>(kj::mv(pipe.ends[0]), kj::heap<Sizes>(), timer, limits());
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

// Raw bytes at the other end, and what they hear.
struct RawBytes {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  Wire wire;
  kj::Own<RpcLink> link = wire.makeLink(kj::heap<Sizes>(), timer);
  kj::Promise<kj::String> heard = wire->readAllText().eagerlyEvaluate(nullptr);

  explicit RawBytes(Over over): wire(over) {}

  void send(kj::ArrayPtr<const kj::byte> bytes) {
    wire->write(bytes.begin(), bytes.size()).wait(waitScope);
    waitScope.poll();
  }
  void pass(kj::Duration time) {
    timer.advanceTo(timer.now() + time);
    waitScope.poll();
  }
  bool isOver() { return link->onDisconnect().poll(waitScope); }
};

// Whether it is a stream or a channel that is under the link makes no difference.
constexpr Over EITHER[] = {Over::STREAM, Over::CHANNEL};

kj::Array<const kj::byte> message(size_t bytes) {
  capnp::MallocMessageBuilder message;
  message.initRoot<capnp::rpc::Message>().initBootstrap().initDeprecatedObjectId()
      .initAs<capnp::Data>(bytes);
  auto words = capnp::messageToFlatArray(message);
  return kj::heapArray<const kj::byte>(words.asBytes());
}

KJ_TEST("a message that was begun and does not go on ends the link, saying so") {
  for (auto over: EITHER) for (size_t part: {1ul, 4ul, 8ul, 20ul, 100'000ul}) {
    RawBytes raw(over);
    auto bytes = message(200'000);
    raw.send(bytes);
    raw.pass(60 * kj::SECONDS);
    KJ_EXPECT(!raw.isOver(), "it is idle");
    raw.send(bytes.slice(0, part));
    raw.pass(9 * kj::SECONDS);
    KJ_EXPECT(!raw.isOver());
    raw.pass(1 * kj::SECONDS);
    raw.pass(10 * kj::SECONDS);
    KJ_EXPECT(raw.isOver(), part);
    auto heard = raw.heard.wait(raw.waitScope);
    KJ_EXPECT(memmem(heard.begin(), heard.size(), "overloaded: stalled", 19) != nullptr);
  }
}

// Whether a peer that has sent `begin` bytes of a message, and so many more every five seconds, is
// heard for a minute.
bool isHeard(Over over, size_t begin, size_t each) {
  RawBytes raw(over);
  auto bytes = message(16 * MIB);
  auto sent = begin;
  raw.send(bytes.slice(0, sent));
  for (int i = 0; i < 12; i++) {
    raw.pass(5 * kj::SECONDS);
    if (raw.isOver()) break;
    raw.send(bytes.slice(sent, sent + each));
    sent += each;
  }
  return !raw.isOver();
}

KJ_TEST("so does one that goes on too slowly to mean it: the more is held, the sooner") {
  for (auto over: EITHER) {
    for (size_t each: {1ul, 8'000ul, 30'000ul}) {
      KJ_EXPECT(isHeard(over, 100'000, each) == (each > 20'480), each, over == Over::CHANNEL);
    }
    for (size_t each: {30'000ul, 250'000ul}) {
      KJ_EXPECT(isHeard(over, 2 * MIB, each) == (each == 250'000), each, over == Over::CHANNEL);
    }
  }
}

KJ_TEST("small messages that come in pieces, however slowly one after the other, are not stalled") {
  for (auto over: EITHER) {
    RawBytes raw(over);
    capnp::MallocMessageBuilder builder;
    builder.initRoot<capnp::rpc::Message>().initFinish();
    auto words = capnp::messageToFlatArray(builder);
    auto bytes = words.asBytes();
    raw.send(bytes.slice(0, 20));
    for (int i = 0; i < 20; i++) {
      raw.pass(6 * kj::SECONDS);
      raw.send(bytes.slice(20, bytes.size()));
      raw.send(bytes.slice(0, 20));
    }
    KJ_EXPECT(!raw.isOver());
  }
}

KJ_TEST("what breaks the protocol is told nothing of this process's insides") {
  for (auto over: EITHER) {
    RawBytes raw(over);
    capnp::MallocMessageBuilder first, builder;
    first.initRoot<capnp::rpc::Message>().initBootstrap();
    raw.send(capnp::messageToFlatArray(first).asBytes());
    auto disembargo = builder.initRoot<capnp::rpc::Message>().initDisembargo();
    disembargo.initTarget().setImportedCap(0);
    disembargo.getContext().setSenderLoopback(0);
    raw.send(capnp::messageToFlatArray(builder).asBytes());
    KJ_EXPECT(raw.isOver());
    auto heard = raw.heard.wait(raw.waitScope);
    auto says = [&](kj::StringPtr text) {
      return memmem(heard.begin(), heard.size(), text.begin(), text.size()) != nullptr;
    };
    KJ_EXPECT(says("a message that breaks the protocol") && !says("expected ") && !says(" == "),
              kj::encodeCEscape(heard));
  }
}

KJ_TEST("nor is who sends what no message is") {
  for (auto over: EITHER) {
    RawBytes raw(over);
    constexpr uint32_t NULL_ROOT[] = {0, 1, 0, 0};
    raw.send(kj::arrayPtr(NULL_ROOT, 4).asBytes());
    KJ_EXPECT(raw.isOver());
    auto heard = raw.heard.wait(raw.waitScope);
    auto says = [&](kj::StringPtr text) {
      return memmem(heard.begin(), heard.size(), text.begin(), text.size()) != nullptr;
    };
    KJ_EXPECT(says("required RPC message type") && !says("which") && !says(" = "),
              kj::encodeCEscape(heard));
  }
}

KJ_TEST("one that goes on is waited for, at the least rate, and ends nothing") {
  for (auto over: EITHER) {
    RawBytes raw(over);
    auto bytes = message(480'000);
    size_t sent = 100, each = 40'960;
    raw.send(bytes.slice(0, sent));
    for (; sent + each < bytes.size(); sent += each) {
      raw.pass(9 * kj::SECONDS);
      raw.send(bytes.slice(sent, sent + each));
    }
    raw.send(bytes.slice(sent, bytes.size()));
    raw.pass(60 * kj::SECONDS);
    KJ_EXPECT(!raw.isOver());
    raw.send(bytes.slice(0, 3));
    raw.pass(10 * kj::SECONDS);
    raw.pass(10 * kj::SECONDS);
    KJ_EXPECT(raw.isOver());
  }
}

KJ_TEST("a peer that does not read has hit a limit, and once") {
  for (auto over: EITHER) {
    kj::EventLoop loop;
    kj::WaitScope waitScope(loop);
    kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
    Wire wire(over);
    LinkLimits limits;
    limits.unsentBytes = 16 * 1024;
    auto link = wire.makeLink(kj::heap<Sizes>(), timer, limits);
    kj::Vector<kj::String> hits;
    link->onHits([&](kj::StringPtr limit) { hits.add(kj::str(limit)); });
    for (kj::uint i = 0; i < 4000 && !link->onDisconnect().poll(waitScope); i++) {
      // A peer that has what it says answered, and never finishes.
      capnp::MallocMessageBuilder message;
      message.initRoot<capnp::rpc::Message>().initBootstrap().setQuestionId(i);
      capnp::writeMessage(*wire, message).wait(waitScope);
      waitScope.poll();
    }
    KJ_EXPECT(kj::strArray(hits, ",") == "unsentBytes", over == Over::CHANNEL, hits);
    link = nullptr;
    waitScope.poll();
  }
}

// Reads what it is sent as often as it can, and says how often that was.
class Rereader final: public peer::Executor::Server {
 public:
  kj::Promise<void> echo(EchoContext context) override {
    kj::uint times = 0;
    while (kj::runCatchingExceptions([&]() { context.getParams().getMessage(); }) == nullptr) {
      ++times;
    }
    context.getResults().setResponse(kj::str(times));
    return kj::READY_NOW;
  }
};

KJ_TEST("a message is read some sixteen times, and a large one as often as 64 MiB are") {
  for (auto over: EITHER) {
    kj::EventLoop loop;
    kj::WaitScope waitScope(loop);
    kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
    Wire wire(over);
    auto link = wire.makeLink(kj::heap<Rereader>(), timer);
    capnp::TwoPartyClient client(*wire);
    auto executor = client.bootstrap().castAs<peer::Executor>();
    auto timesRead = [&](size_t bytes) {
      auto request = executor.echoRequest();
      request.initMessage(bytes);
      return kj::str(request.send().wait(waitScope).getResponse()).parseAs<kj::uint>();
    };
    // Once less is what admits it, and what it is dispatched by.
    for (size_t bytes: {size_t(200'000), 2 * MIB}) {
      auto times = timesRead(bytes);
      KJ_EXPECT(times == 15 || times == 16, times, bytes, over == Over::CHANNEL);
    }
    auto times = timesRead(7 * MIB);
    KJ_EXPECT(times == 9, times, over == Over::CHANNEL);
  }
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
