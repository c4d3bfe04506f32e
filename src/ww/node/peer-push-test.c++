// What becomes of an image that is pushed to a node: kept, refused, or waited for in vain.
#include <ww/node/peer-push.h>

#include <kj/test.h>
#include <string.h>
#include <ww/base/error.h>

namespace ww {
namespace {

bool has(kj::StringPtr text, kj::StringPtr part) {
  return strstr(text.cStr(), part.cStr()) != nullptr;
}

using KeepingContext = capnp::CallContext<node::Node::KeepingParams, node::Node::KeepingResults>;
using KeepContext = capnp::CallContext<node::Node::KeepImageParams, node::Node::KeepImageResults>;

// What the node does when it is told to keep an image.
using Keep = kj::Function<kj::Promise<void>(KeepContext)>;

// How far it has come, as it is asked.
using Keeping = kj::Function<kj::Promise<void>(KeepingContext)>;

struct TestNode final: public node::Node::Server {
  TestNode(Keep& keep, Keeping& keeping) : keep(keep), keepingNow(keeping) {}
  kj::Promise<void> keepImage(KeepContext context) override { return keep(context); }
  kj::Promise<void> keeping(KeepingContext context) override { return keepingNow(context); }
  Keep& keep;
  Keeping& keepingNow;
};

struct TestClient final: public NodeClient {
  class Membrane final: public stem::Membrane<membrane::WetwareSession>::Server {
   public:
    explicit Membrane(TestClient& client) : client(client) {}
    kj::Promise<void> graft(GraftContext context) override {
      ++client.grafts;
      auto extension = context.getResults().initSession().initExtension();
      KJ_IF_MAYBE(keep, client.keep) extension.setNode(kj::heap<TestNode>(*keep, client.keeping));
      return kj::READY_NOW;
    }

   private:
    TestClient& client;
  };

  kj::Maybe<Keep> keep;  // none: the key has no right to the node
  kj::uint asked = 0;    // how far it has come
  Keeping keeping = [this](KeepingContext context) -> kj::Promise<void> {
    ++asked;
    context.getResults().setSteps(0);
    return kj::READY_NOW;
  };
  int grafts = 0;
  MembraneClient membrane = kj::heap<Membrane>(*this);
  kj::PromiseFulfillerPair<void> gone = kj::newPromiseAndFulfiller<void>();
  kj::ForkedPromise<void> end = gone.promise.fork();

  GraftRequest graftRequest() override { return membrane.graftRequest(); }
  bool mustGraftFirst() const override { return true; }
  kj::Promise<void> onDisconnect() override { return end.addBranch(); }
};

struct World {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  TestClient client;
  PeerPush push{timer, 10 * kj::SECONDS};
  Cid root = Cid::of(Cid::RAW, kj::StringPtr("image").asBytes());

  kj::Promise<PeerPush::Kept> begin(uint64_t steps = 1000) {
    return push.push(client, root, steps);
  }
  void send(int number, size_t bytes = 100) {
    push.sent(Cid::of(Cid::RAW, kj::str(number).asBytes()), bytes);
  }
  void pass(kj::Duration time) { timer.advanceTo(timer.now() + time); }
  kj::String whyNot(kj::Promise<PeerPush::Kept> pushing) {
    KJ_ASSERT(pushing.poll(waitScope));
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { pushing.wait(waitScope); })) {
      return kj::str(e->getDescription());
    }
    return kj::str("it is kept");
  }
};

KJ_TEST("an image is kept once the node says so") {
  World w;
  kj::Vector<kj::Array<kj::byte>> asked;
  w.client.keep = Keep([&](KeepContext context) {
    asked.add(kj::heapArray<kj::byte>(context.getParams().getCid()));
    auto results = context.getResults();
    results.setBlocks(3);
    results.setBytes(1000);
    return kj::Promise<void>(kj::READY_NOW);
  });
  auto kept = w.begin().wait(w.waitScope);
  KJ_EXPECT(kept.blocks == 3 && kept.bytes == 1000);
  KJ_EXPECT(asked.size() == 1 && asked[0] == w.root.getBytes());
}

KJ_TEST("a node that takes blocks is waited for; one that never asks, or asks no more, is not") {
  World w;
  w.client.keep = Keep([](auto) { return kj::Promise<void>(kj::NEVER_DONE); });
  auto never = w.begin();
  KJ_EXPECT(!never.poll(w.waitScope));
  w.pass(9 * kj::SECONDS);
  KJ_EXPECT(!never.poll(w.waitScope));
  w.pass(1 * kj::SECONDS);
  auto why = w.whyNot(kj::mv(never));
  KJ_EXPECT(has(why, "asked for no block of the image") && has(why, "10s"), why);

  auto slow = w.begin();
  for (int i = 0; i < 4; i++) {
    KJ_EXPECT(!slow.poll(w.waitScope));
    w.pass(9 * kj::SECONDS);
    w.send(i);
  }
  KJ_EXPECT(!slow.poll(w.waitScope) && w.push.getSent() == 400);
  w.pass(10 * kj::SECONDS);
  why = w.whyNot(kj::mv(slow));
  KJ_EXPECT(has(why, "took 400 bytes"), why);
}

KJ_TEST("a node that has much of it already is waited for as long as it gets on") {
  World w;
  w.client.keep = Keep([](auto) { return kj::Promise<void>(kj::NEVER_DONE); });
  uint64_t steps = 0;
  w.client.keeping = [&](KeepingContext context) -> kj::Promise<void> {
    context.getResults().setSteps(steps);
    return kj::READY_NOW;
  };
  auto pushing = w.begin();
  for (int i = 0; i < 100; i++) {
    KJ_ASSERT(!pushing.poll(w.waitScope));
    ++steps;
    w.pass(2 * kj::SECONDS);
  }
  for (int i = 0; i < 11 && !pushing.poll(w.waitScope); i++) w.pass(1 * kj::SECONDS);
  auto why = w.whyNot(kj::mv(pushing));
  KJ_EXPECT(has(why, "asked for no block of the image, and then neither"), why);
}

KJ_TEST("a node that asks for the same again and again is given it so often, and no more") {
  World w;
  w.client.keep = Keep([](auto) { return kj::Promise<void>(kj::NEVER_DONE); });
  auto pushing = w.begin();
  auto isWaitedFor = [&]() {
    w.pass(1 * kj::SECONDS);
    return !pushing.poll(w.waitScope);
  };
  // New ones among them, it may take its time.
  for (int i = 0; i < 5; i++) {
    for (kj::uint j = 0; j < PeerPush::MAX_AGAIN; j++) {
      w.send(i);
      KJ_ASSERT(isWaitedFor());
    }
  }
  w.send(5);
  for (kj::uint j = 0; j < PeerPush::MAX_AGAIN; j++) {
    KJ_ASSERT(isWaitedFor());
    w.send(j % 6);
  }
  auto why = w.whyNot(kj::mv(pushing));
  KJ_EXPECT(has(why, "asked 64 times in a row for what it was given before"), why);
  pushing = w.begin();  // which is another matter
  w.send(0);
  KJ_EXPECT(isWaitedFor());
}

KJ_TEST("how often a node says that it gets on is bounded by what there is to do") {
  World w;
  w.client.keep = Keep([](auto) { return kj::Promise<void>(kj::NEVER_DONE); });
  uint64_t steps = 0;
  w.client.keeping = [&](KeepingContext context) -> kj::Promise<void> {
    context.getResults().setSteps(++steps);
    return kj::READY_NOW;
  };
  auto pushing = w.begin(20);
  int seconds = 0;
  for (; seconds < 200 && !pushing.poll(w.waitScope); seconds += 2) w.pass(2 * kj::SECONDS);
  auto why = w.whyNot(kj::mv(pushing));
  KJ_EXPECT(has(why, "nor got on with it for 10s"), why);
  KJ_EXPECT(seconds > 40 && steps > 20, seconds, steps);
}

KJ_TEST("that a node answers is not that it gets on, and it is asked no more than now and then") {
  World w;
  w.client.keep = Keep([](auto) { return kj::Promise<void>(kj::NEVER_DONE); });
  auto pushing = w.begin();
  for (int i = 0; i < 100; i++) {
    KJ_ASSERT(!pushing.poll(w.waitScope));
    w.pass(99 * kj::MILLISECONDS);
  }
  w.pass(100 * kj::MILLISECONDS);
  KJ_EXPECT(has(w.whyNot(kj::mv(pushing)), "nor got on with it for 10s"));
  KJ_EXPECT(w.client.asked > 3 && w.client.asked < 10, w.client.asked);

  // One that knows no such question, or never answers it, is waited for likewise.
  for (bool answers: {true, false}) {
    w.client.keeping = [answers](auto) -> kj::Promise<void> {
      if (answers) return KJ_EXCEPTION(UNIMPLEMENTED, "no such method");
      return kj::NEVER_DONE;
    };
    auto other = w.begin();
    for (int i = 0; i < 9; i++) {
      KJ_ASSERT(!other.poll(w.waitScope));
      w.pass(1 * kj::SECONDS);
    }
    w.send(0, 1);
    w.pass(9 * kj::SECONDS);
    KJ_ASSERT(!other.poll(w.waitScope));
    w.pass(1 * kj::SECONDS);
    KJ_EXPECT(has(w.whyNot(kj::mv(other)), "took 1 bytes"));
  }
}

KJ_TEST("what the node says instead is told, and so is a link that goes") {
  World w;
  auto why = w.whyNot(w.begin());
  KJ_EXPECT(has(why, "the right to the node itself") && has(why, "--allow KEY,node"), why);

  w.client.keep = Keep([](auto) -> kj::Promise<void> { return badInput("the store is full"); });
  why = w.whyNot(w.begin());
  KJ_EXPECT(has(why, "the store is full"), why);

  w.client.keep = Keep([](auto) { return kj::Promise<void>(kj::NEVER_DONE); });
  auto pushing = w.begin();
  KJ_EXPECT(!pushing.poll(w.waitScope));
  w.client.gone.fulfiller->fulfill();
  why = w.whyNot(kj::mv(pushing));
  KJ_EXPECT(has(why, "the link to the node is gone"), why);
}

KJ_TEST("where the epoch moves meanwhile the node is asked again, a few times") {
  World w;
  int left = 2;
  w.client.keep = Keep([&](auto) -> kj::Promise<void> {
    if (left-- > 0) return badInput("staleEpoch: issued 1, current 2");
    return kj::READY_NOW;
  });
  w.begin().wait(w.waitScope);
  KJ_EXPECT(w.client.grafts == 3);
  left = 100;
  auto why = w.whyNot(w.begin());
  KJ_EXPECT(has(why, "staleEpoch:") && has(why, "times meanwhile: push again"), why);
  KJ_EXPECT(w.client.grafts == 6, w.client.grafts);
}

}  // namespace
}  // namespace ww
