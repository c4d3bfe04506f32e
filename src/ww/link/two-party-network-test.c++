#include <ww/link/two-party-network.h>

#include <capnp/rpc-twoparty.h>
#include <capnp/rpc.capnp.h>
#include <capnp/serialize.h>
#include <kj/test.h>
#include <peer.capnp.h>
#include <random>
#include <string>
#include <ww/link/memory-channel.h>
#include <ww/link/rpc-link.h>

namespace ww {
namespace {

constexpr size_t MIB = 1 << 20;

class Echo final: public peer::Executor::Server {
 public:
  kj::Promise<void> echo(EchoContext context) override {
    context.getResults().setResponse(context.getParams().getMessage());
    return kj::READY_NOW;
  }
};

peer::Executor::Client bootstrapOf(capnp::RpcSystem<capnp::rpc::twoparty::VatId>& system) {
  capnp::MallocMessageBuilder message;
  auto vat = message.initRoot<capnp::rpc::twoparty::VatId>();
  vat.setSide(capnp::rpc::twoparty::Side::SERVER);
  return system.bootstrap(vat).castAs<peer::Executor>();
}

// The purpose-made network at both ends.
struct Both {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  MemoryPipe up, down;
  size_t step;
  kj::Maybe<kj::Own<TwoPartyNetwork>> clientNetwork;
  kj::Maybe<kj::Own<RpcLink>> link;
  kj::Maybe<capnp::RpcSystem<capnp::rpc::twoparty::VatId>> system;

  explicit Both(size_t step, capnp::Capability::Client server = kj::heap<Echo>(),
                NetworkLimits clientLimits = {})
      : step(step) {
    auto there = kj::heap<MemoryChannel>(up, down, step);
    auto client = kj::heap<MemoryChannel>(down, up, step);
    there->setPeer(*client);
    client->setPeer(*there);
    link = kj::heap<RpcLink>(kj::mv(there), kj::mv(server), timer);
    auto& network = *clientNetwork.emplace(kj::heap<TwoPartyNetwork>(
        kj::mv(client), capnp::rpc::twoparty::Side::CLIENT, clientLimits));
    system.emplace(capnp::makeRpcClient(network));
  }
  ~Both() {
    system = nullptr;
    clientNetwork = nullptr;
    link = nullptr;
  }

  peer::Executor::Client bootstrap() { return bootstrapOf(KJ_ASSERT_NONNULL(system)); }

  kj::String echo(peer::Executor::Client executor, kj::StringPtr text) {
    auto request = executor.echoRequest();
    request.setMessage(text);
    return kj::str(request.send().wait(waitScope).getResponse());
  }
};

// The network under an RPC system that serves Echo, and raw bytes at the other end.
struct Raw {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  MemoryPipe in, out;
  kj::Own<MemoryChannel> owned;
  MemoryChannel& channel;
  TwoPartyNetwork network;
  kj::Maybe<capnp::RpcSystem<capnp::rpc::twoparty::VatId>> system;

  explicit Raw(NetworkLimits limits = {})
      : owned(kj::heap<MemoryChannel>(in, out, 64 * 1024)), channel(*owned),
        network(kj::mv(owned), capnp::rpc::twoparty::Side::SERVER, limits),
        system(capnp::makeRpcServer(network, kj::heap<Echo>())) {}

  void feed(kj::ArrayPtr<const kj::byte> bytes) {
    in.bytes.append(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
    channel.wakeReader();
    loop.run();
  }
  void feed(capnp::MessageBuilder& message) { feed(capnp::messageToFlatArray(message).asBytes()); }
  void end() {
    in.writeClosed = true;
    channel.wakeReader();
    loop.run();
  }

  // All that was sent, which must be whole messages.
  template <typename Func>
  void eachSent(Func&& func) {
    KJ_ASSERT(out.bytes.size() % sizeof(capnp::word) == 0);
    auto words = kj::heapArray<capnp::word>(out.bytes.size() / sizeof(capnp::word));
    memcpy(words.begin(), out.bytes.data(), out.bytes.size());
    kj::ArrayPtr<const capnp::word> rest = words;
    while (rest.size() > 0) {
      capnp::FlatArrayMessageReader reader(rest);
      func(reader.getRoot<capnp::rpc::Message>());
      rest = kj::arrayPtr(reader.getEnd(), rest.end());
    }
  }
  kj::String abortReason() {
    kj::String reason;
    eachSent([&](capnp::rpc::Message::Reader message) {
      if (message.isAbort()) reason = kj::str(message.getAbort().getReason());
    });
    return reason;
  }
  bool isOver() { return network.onDisconnect().poll(waitScope); }
};

void callEcho(capnp::MessageBuilder& message, uint32_t question, kj::StringPtr text) {
  auto call = message.initRoot<capnp::rpc::Message>().initCall();
  call.setQuestionId(question);
  call.initTarget().initPromisedAnswer().setQuestionId(0);
  call.setInterfaceId(capnp::typeId<peer::Executor>());
  call.setMethodId(1);
  call.initParams().getContent().initAs<peer::Executor::EchoParams>().setMessage(text);
}

void bootstrap(Raw& raw) {
  capnp::MallocMessageBuilder message;
  message.initRoot<capnp::rpc::Message>().initBootstrap().setQuestionId(0);
  raw.feed(message);
}

KJ_TEST("calls and answers of any size, however few bytes are moved at a time") {
  for (size_t step: {1ul, 7ul, 4096ul, 64 * 1024ul}) {
    Both both(step);
    auto executor = both.bootstrap();
    KJ_EXPECT(both.echo(executor, "hello") == "hello");
    for (size_t size: {0ul, 511ul, 4096ul, 65536ul, 3 * MIB}) {
      if (size / step > 5000) continue;
      auto text = kj::heapString(size);
      for (size_t i = 0; i < size; i++) text[i] = 'a' + i % 26;
      KJ_EXPECT(both.echo(executor, text) == text, step, size);
    }
    KJ_EXPECT(both.echo(both.bootstrap(), "asked for again") == "asked for again");
  }
}

KJ_TEST("many calls in flight are answered in order") {
  Both both(1000);
  auto executor = both.bootstrap();
  kj::Vector<kj::Promise<void>> answers;
  kj::uint next = 0;
  for (kj::uint i = 0; i < 500; i++) {
    auto request = executor.echoRequest();
    request.setMessage(kj::str(i));
    answers.add(request.send().then([i, &next](auto response) {
      KJ_EXPECT(kj::str(i) == response.getResponse());
      KJ_EXPECT(next++ == i);
    }));
  }
  kj::joinPromises(answers.releaseAsArray()).wait(both.waitScope);
}

KJ_TEST("who believes its peer may read what it says again and again, as a guest does") {
  for (uint64_t readings: {NetworkLimits().frame.readings, uint64_t(kj::maxValue)}) {
    NetworkLimits limits;
    limits.frame.readings = readings;
    Both both(64 * 1024, kj::heap<Echo>(), limits);
    auto request = both.bootstrap().echoRequest();
    request.initMessage(200'000);
    auto response = request.send().wait(both.waitScope);
    kj::uint times = 0;
    auto end = kj::runCatchingExceptions([&]() {
      for (; times < 200; times++) response.getResponse();
    });
    KJ_EXPECT(times == (end == nullptr ? 200 : 16), times);
    KJ_EXPECT((end == nullptr) == (readings == kj::maxValue));
  }
}

KJ_TEST("when one end goes, calls in flight at the other fail, and so do later ones") {
  Both both(64 * 1024);
  auto executor = both.bootstrap();
  KJ_EXPECT(both.echo(executor, "hello") == "hello");
  auto request = executor.echoRequest();
  request.setMessage("too late");
  auto promise = request.send();
  both.link = nullptr;
  KJ_EXPECT_THROW(DISCONNECTED, promise.wait(both.waitScope));
  KJ_EXPECT_THROW(DISCONNECTED, both.echo(executor, "later"));
}

KJ_TEST("frames byte by byte are frames all the same") {
  Raw raw;
  capnp::MallocMessageBuilder first;
  first.initRoot<capnp::rpc::Message>().initBootstrap().setQuestionId(0);
  capnp::MallocMessageBuilder second(8, capnp::AllocationStrategy::FIXED_SIZE);  // many segments
  callEcho(second, 1, kj::StringPtr("a rather longer text than would fit in eight words, by far"));
  KJ_ASSERT(second.getSegmentsForOutput().size() > 1);
  for (auto message: {static_cast<capnp::MessageBuilder*>(&first),
                      static_cast<capnp::MessageBuilder*>(&second)}) {
    auto words = capnp::messageToFlatArray(*message);
    for (auto& byte: words.asBytes()) raw.feed(kj::arrayPtr(&byte, 1));
  }
  kj::uint returns = 0;
  raw.eachSent([&](capnp::rpc::Message::Reader message) {
    if (!message.isReturn() || message.getReturn().getAnswerId() != 1) return;
    ++returns;
    auto results = message.getReturn().getResults().getContent();
    KJ_EXPECT(results.getAs<peer::Executor::EchoResults>().getResponse().startsWith("a rather"));
  });
  KJ_EXPECT(returns == 1);
}

KJ_TEST("a frame over a limit ends the link with the limit's name, before its body is here") {
  struct {
    uint32_t segments, words;
    kj::StringPtr reason;
  } frames[] = {{0, 8 * MIB - 1, "overloaded: message: "_kj},
                {0, 0xffffffff, "overloaded: message: "_kj},
                {512, 0, "overloaded: segments: 513; the link's limit is 512"_kj},
                {0xffffffff, 0, "overloaded: segments: 4294967296; the link's limit is 512"_kj}};
  for (auto& frame: frames) {
    Raw raw;
    bootstrap(raw);
    uint32_t header[] = {frame.segments, frame.words};
    raw.feed(kj::ArrayPtr<const uint32_t>(header).asBytes());
    KJ_EXPECT(raw.abortReason().startsWith(frame.reason), raw.abortReason());
    KJ_EXPECT(raw.isOver());
    KJ_EXPECT(raw.out.writeClosed);
  }
}

KJ_TEST("so does one that has words behind an empty segment, which nobody would count") {
  for (uint32_t hidden: {0u, 100u}) {
    Raw raw;
    bootstrap(raw);
    uint32_t header[] = {2, 1, 0, hidden};
    raw.feed(kj::ArrayPtr<const uint32_t>(header).asBytes());
    KJ_EXPECT(raw.isOver() == (hidden > 0), hidden);
    if (hidden == 0) continue;
    KJ_EXPECT(raw.abortReason() == "overloaded: segments: an empty one is before another",
              raw.abortReason());
  }
}

KJ_TEST("the largest frame within the limits is awaited") {
  Raw raw;
  uint32_t header[] = {0, 8 * MIB - 2};
  raw.feed(kj::ArrayPtr<const uint32_t>(header).asBytes());
  KJ_EXPECT(!raw.isOver());
}

KJ_TEST("an end within a message is told from one between messages") {
  {
    Raw raw;
    bootstrap(raw);
    raw.end();
    KJ_EXPECT(raw.isOver());
    KJ_EXPECT(raw.abortReason() == "Peer disconnected.", raw.abortReason());
  }
  for (size_t bytes: {1ul, 8ul, 20ul}) {
    Raw raw;
    bootstrap(raw);
    capnp::MallocMessageBuilder message;
    callEcho(message, 1, "never whole");
    raw.feed(capnp::messageToFlatArray(message).asBytes().slice(0, bytes));
    KJ_EXPECT(!raw.isOver());
    raw.end();
    KJ_EXPECT(raw.isOver());
    KJ_EXPECT(raw.abortReason() == "the peer hung up in the middle of a message",
              raw.abortReason());
  }
}

KJ_TEST("a peer that does not read ends its link when too much is unsent") {
  NetworkLimits limits;
  limits.unsentBytes = 256 * 1024;
  Raw raw(limits);
  bootstrap(raw);
  auto text = kj::heapString(16 * 1024);
  for (auto& c: text) c = 'x';
  kj::uint calls = 0;
  while (!raw.isOver() && calls < 100) {
    capnp::MallocMessageBuilder message;
    callEcho(message, ++calls, text);
    raw.feed(message);
  }
  KJ_EXPECT(raw.isOver());
  // 64 KiB are in the pipe, 256 KiB are kept, and one more; each is a little over 16 KiB.
  KJ_EXPECT(calls >= 18 && calls <= 22, calls);
}

KJ_TEST("what was sent before the link is dropped arrives, and then the end") {
  Raw raw;
  raw.out.capacity = 100;
  bootstrap(raw);
  capnp::MallocMessageBuilder message;
  callEcho(message, 1, kj::StringPtr("longer than what fits in the pipe, so that it has to wait"));
  raw.feed(message);
  KJ_EXPECT(raw.out.bytes.size() == 100);
  raw.system = nullptr;
  raw.loop.run();
  KJ_EXPECT(!raw.out.writeClosed);
  raw.out.capacity = MIB;
  raw.channel.wakeWriter();
  raw.loop.run();
  KJ_EXPECT(raw.out.writeClosed);
  bool answered = false;
  raw.eachSent([&](capnp::rpc::Message::Reader message) {
    answered = answered || (message.isReturn() && message.getReturn().getAnswerId() == 1);
  });
  KJ_EXPECT(answered);
}

// Answers no call until it is told to.
class Slow final: public capnp::Capability::Server {
 public:
  explicit Slow(kj::Vector<kj::Own<kj::PromiseFulfiller<void>>>& waiting): waiting(waiting) {}

  DispatchCallResult dispatchCall(uint64_t, uint16_t,
      capnp::CallContext<capnp::AnyPointer, capnp::AnyPointer>) override {
    auto paf = kj::newPromiseAndFulfiller<void>();
    waiting.add(kj::mv(paf.fulfiller));
    return {kj::mv(paf.promise), true, true};
  }

 private:
  kj::Vector<kj::Own<kj::PromiseFulfiller<void>>>& waiting;
};

struct Stream: public capnp::Capability::Client {
  explicit Stream(capnp::Capability::Client to): Client(kj::mv(to)) {}
  kj::Promise<void> write(kj::ArrayPtr<const kj::byte> data) {
    auto request = newStreamingCall<peer::ByteStream::WriteParams>(1, 0, nullptr, {});
    request.setData(data);
    return request.send();
  }
};

KJ_TEST("streaming calls go out unanswered while they are within a window, and then wait") {
  kj::Vector<kj::Own<kj::PromiseFulfiller<void>>> waiting;
  Both both(MIB, kj::heap<Slow>(waiting));
  Stream stream(both.bootstrap());
  auto data = kj::heapArray<kj::byte>(16 * 1024);
  memset(data.begin(), 'x', data.size());

  kj::uint sent = 0;
  auto sending = [&]() -> kj::Promise<void> {
    for (; sent < 100; sent++) co_await stream.write(data);
  };
  auto done = sending().eagerlyEvaluate(nullptr);
  both.loop.run();
  // The window is 64 KiB; each is a little over 16 KiB, and the last is the one that fills it.
  KJ_EXPECT(sent >= 3 && sent <= 5, sent);
  auto ahead = sent;
  for (kj::uint answered = 0; sent < 100; answered++) {
    KJ_ASSERT(waiting.size() == answered + 1);  // a stream's calls are served one by one
    waiting[answered]->fulfill();
    both.loop.run();
    KJ_EXPECT(sent == kj::min(ahead + answered + 1, 100u), sent, answered);
  }
  KJ_EXPECT(done.poll(both.waitScope));
}

KJ_TEST("no bytes whatever do more than end the link") {
  std::minstd_rand random(20261124);
  for (kj::uint round = 0; round < 3000; round++) {
    Raw raw;
    capnp::MallocMessageBuilder first, second;
    first.initRoot<capnp::rpc::Message>().initBootstrap().setQuestionId(0);
    callEcho(second, 1, "mutated");
    raw.feed(first);
    auto words = capnp::messageToFlatArray(second);
    auto bytes = words.asBytes();
    for (kj::uint i = 0; i <= round % 4; i++) bytes[random() % bytes.size()] = random();
    raw.feed(bytes);
    raw.end();
    KJ_EXPECT(raw.isOver());
  }
}

}  // namespace
}  // namespace ww
