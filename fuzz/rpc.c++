// Whatever a client or a guest sends, over a stream or a channel: its own link ends at most.
//
// The first byte of an input says how the rest is meant: as bytes of the link, in pieces; or as
// choices, from which well-formed messages are made.
#include <capnp/serialize.h>
#include <kj/debug.h>
#include "../src/ww/link/nonsense-test.h"
#include "world.h"

namespace ww {
namespace {

using Bytes = kj::ArrayPtr<const kj::byte>;

// Numbers, until there are no more.
class Choices {
 public:
  explicit Choices(Bytes bytes): rest(bytes) {}
  bool isEmpty() const { return rest.size() == 0; }
  uint32_t below(uint32_t limit) {
    if (isEmpty()) return 0;
    auto byte = rest[0];
    rest = rest.slice(1, rest.size());
    return byte % limit;
  }
  Bytes take(size_t most) {
    auto n = kj::min(most, rest.size());
    KJ_DEFER(rest = rest.slice(n, rest.size()));
    return rest.slice(0, n);
  }

 private:
  Bytes rest;
};

constexpr uint64_t INTERFACES[] = {
  capnp::typeId<Membrane>(), capnp::typeId<peer::Host>(), capnp::typeId<peer::Executor>(),
  capnp::typeId<Probe>()};

// The peer's end of a link to a node.
class Attacker {
 public:
  explicit Attacker(bool overChannel): isChannel(overChannel) {
    auto membrane = world.membrane;
    if (isChannel) {
      auto ours = kj::heap<MemoryChannel>(world.toNode, world.toGuest, kj::maxValue);
      channel = *ours;
      world.link.emplace(kj::mv(ours), kj::mv(membrane), world.timer);
    } else {
      world.link.emplace(kj::mv(world.pipe.ends[0]), kj::mv(membrane), world.timer);
      reading = world.pipe.ends[1]->readAllBytes().ignoreResult()
          .eagerlyEvaluate([](kj::Exception&&) {});
    }
  }
  ~Attacker() noexcept(false) {
    writing = nullptr;
    reading = nullptr;
    world.link = nullptr;
    world.settle();  // what it leaves to the loop
  }

  void send(Bytes bytes) {
    if (isChannel) {
      world.toNode.bytes.append(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
      KJ_ASSERT_NONNULL(channel).wakeReader();
      world.toGuest.bytes.clear();  // all is read
    } else {
      auto copy = kj::heapArray(bytes);
      auto all = world.pipe.ends[1]->write(copy.begin(), copy.size()).attach(kj::mv(copy));
      writing = writing.then([all = kj::mv(all)]() mutable { return kj::mv(all); })
          .eagerlyEvaluate([](kj::Exception&&) {});
    }
    world.settle();
  }
  bool isOver() { return KJ_ASSERT_NONNULL(world.link).onDisconnect().poll(world.waitScope); }

  World world{Reach::LOCAL};

 private:
  const bool isChannel;
  kj::Maybe<MemoryChannel&> channel;
  kj::Promise<void> reading = nullptr, writing = kj::READY_NOW;
};

void sendBytes(Attacker& attacker, Choices choices) {
  while (!choices.isEmpty() && !attacker.isOver()) {
    attacker.send(choices.take(1 + choices.below(255)));
  }
}

void sendMessages(Attacker& attacker, Choices choices) {
  Nonsense nonsense([&](uint32_t limit) { return choices.below(limit); }, INTERFACES);
  for (uint32_t id = 0; !choices.isEmpty() && !attacker.isOver(); id++) {
    capnp::MallocMessageBuilder message;
    auto m = message.initRoot<capnp::rpc::Message>();
    if (id == 0) m.initBootstrap().setQuestionId(0);
    else nonsense.fill(m, id);
    attacker.send(capnp::messageToFlatArray(message).asBytes());
    if (choices.below(16) == 1) attacker.world.moveHead();
  }
}

}  // namespace
}  // namespace ww

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  kj::_::Debug::setLogLevel(kj::LogSeverity::FATAL);  // a peer without manners is no news here
  auto bytes = kj::arrayPtr(data + 1, size - 1);
  ww::Attacker attacker((data[0] & 1) != 0);
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() {
    if ((data[0] & 2) != 0) ww::sendBytes(attacker, ww::Choices(bytes));
    else ww::sendMessages(attacker, ww::Choices(bytes));
  })) {
    (void)e;  // the link told this end, as it may
  }
  return 0;
}
