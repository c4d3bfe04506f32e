// 10,000 epochs, a millisecond apart by the node's clock and as fast as the loop goes by the
// machine's, with guests and clients that graft again each time.
#include "held-session.h"

namespace ww {
namespace {

constexpr kj::uint EPOCHS = 5000;  // of a round, of which there are two
constexpr kj::Duration TICK = 1 * kj::MILLISECONDS;

// xorshift64*, from the same seed each time.
class Dice {
 public:
  uint64_t roll(uint64_t sides) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1d % sides;
  }

 private:
  uint64_t state = 20'261'130;
};

struct Seen {
  uint64_t sessions = 0, epochs = 0, last = 0, calls = 0, wrong = 0;
  kj::String what = kj::str("nothing");

  void expect(bool right, kj::StringPtr why) {
    if (right) return;
    ++wrong;
    what = kj::str(why);
  }
};

// A client that grafts and calls all that the session gave until it is refused, again and again. It
// lets the loop come to rest in between, as what is not in the node's own process would.
class Grafter {
 public:
  Grafter(Fixture& f, Membrane::Client membrane, kj::Maybe<stem::Signer::Client> signer = nullptr)
      : f(f), membrane(kj::mv(membrane)), signer(kj::mv(signer)),
        running(run().eagerlyEvaluate([this](kj::Exception&& e) {
          seen.expect(false, e.getDescription());
        })) {}

  Seen seen;
  kj::uint tooLate = 0;  // the epoch moved while the signer was asked

 private:
  using Graft = capnp::Response<Membrane::GraftResults>;

  kj::Promise<kj::Maybe<Graft>> graft() {
    auto request = membrane.graftRequest();
    KJ_IF_MAYBE(s, signer) request.setSigner(*s);
    return request.send().then([](Graft&& graft) -> kj::Maybe<Graft> {
      return kj::mv(graft);
    }, [this](kj::Exception&& e) -> kj::Maybe<Graft> {
      ++tooLate;
      seen.expect(signer != nullptr && contains(e.getDescription(), "the signature is for epoch"),
                  e.getDescription());
      return nullptr;
    });
  }

  void expectStale(const kj::Exception& e, uint64_t seq) {
    auto prefix = kj::str("staleEpoch: issued ", seq, ", current ");
    seen.expect(contains(e.getDescription(), prefix), e.getDescription());
  }

  // Sent at once, over one link: they come in this order, and once one is refused all are.
  kj::Promise<bool> stands(stem::Session<membrane::WetwareSession>::Reader session) {
    auto host = session.getExtension().getHost();
    auto executor = session.getExtension().getExecutor();
    kj::Vector<kj::Promise<kj::Maybe<kj::Exception>>> sent;
    auto add = [&](kj::Promise<void> call) {
      sent.add(call.then([]() -> kj::Maybe<kj::Exception> { return nullptr; },
                         [](kj::Exception&& e) -> kj::Maybe<kj::Exception> { return kj::mv(e); })
                   .eagerlyEvaluate(nullptr));
    };
    add(executor.echoRequest().send().ignoreResult());
    add(session.getStatusPoller().pollStatusRequest().send().ignoreResult());
    add(host.idRequest().send().ignoreResult());
    add(host.executorRequest().send().getExecutor().echoRequest().send().ignoreResult());
    bool refused = false;
    for (auto& call: sent) {
      ++seen.calls;
      KJ_IF_MAYBE(e, co_await call) {
        refused = true;
        expectStale(*e, session.getIssuedEpoch().getSeq());
      } else {
        seen.expect(!refused, "one call refused, and a later one answered");
      }
    }
    co_return !refused;
  }

  kj::Promise<void> run() {
    for (;;) {
      auto outcome = co_await graft();
      KJ_IF_MAYBE(graft, outcome) {
        auto session = graft->getSession();
        auto seq = session.getIssuedEpoch().getSeq();
        seen.expect(seq >= seen.last, "the epoch went back");
        seen.epochs += seq > seen.last;
        seen.last = seq;
        if (seen.sessions++ % 64 == 0) {  // its stdin ends as it is dropped, and so does the cell
          runOn(session.getExtension().getExecutor(), "cell-plain", {"park"});
        }
        while (co_await stands(session)) co_await f.clock.afterDelay(TICK);
        seen.expect(!co_await stands(session), "refused, and then answered");
      }
    }
  }

  Fixture& f;
  Membrane::Client membrane;
  kj::Maybe<stem::Signer::Client> signer;
  kj::Promise<void> running;
};

// A pid0 that does the same.
class Pid0 {
 public:
  explicit Pid0(TestNode& node): node(node) {
    auto args = kj::heapArray<kj::String>(1);
    args[0] = kj::str("storm");
    cell = node.node.boot(component("cell-epochs"), kj::mv(args), nullptr).wait(node.waitScope);
    stdout = cell->getStdout().takeStream();
    stdin = cell->getStdin().takeStream();
  }

  // Ends it.
  Seen finish() {
    stdin->shutdownWrite();
    auto text = stdout->readAllText().wait(node.waitScope);
    KJ_EXPECT(cell->wait().wait(node.waitScope) == 0);
    Seen seen;
    kj::Vector<uint64_t> numbers;
    auto rest = text.asPtr();
    for (int i = 0; i < 5; i++) {
      auto space = KJ_ASSERT_NONNULL(rest.findFirst(' '), text);
      numbers.add(kj::str(rest.slice(0, space)).parseAs<uint64_t>());
      rest = rest.slice(space + 1);
    }
    return {numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], kj::str(rest)};
  }

 private:
  TestNode& node;
  kj::Own<Cell> cell;
  kj::Own<ffi::PipeStream> stdout, stdin;
};

void expectRight(Fixture& f, kj::StringPtr who, const Seen& seen, uint64_t first) {
  say(kj::str(who, ": ", seen.sessions, " sessions in ", seen.epochs, " epochs, ", seen.calls,
              " calls"));
  KJ_EXPECT(seen.wrong == 0, who, seen.wrong, seen.what);
  KJ_EXPECT(seen.last == f.node.node.getHeadWatch().seq(), who, seen.last);
  KJ_EXPECT(seen.epochs > 100 && seen.epochs <= seen.last - first + 1, who, seen.epochs);
}

// So many advances. After each the loop does some of what there is to be done, or all but nothing;
// if it `rests`, now and then all.
void advanceOften(Fixture& f, Dice& dice, bool rests) {
  constexpr kj::uint MOST_TURNS = 300;
  auto& watch = f.node.node.getHeadWatch();
  for (kj::uint i = 0; i < EPOCHS; i++) {
    auto before = watch.seq();
    f.node.heads.advance();
    while (watch.seq() == before) f.node.waitScope.poll(1);
    KJ_ASSERT(watch.seq() == before + 1);
    f.advance(TICK);
    f.node.waitScope.poll(kj::uint(dice.roll(MOST_TURNS)));
    if (rests && dice.roll(8) == 0) f.node.waitScope.poll();
    f.node.logger.clear();
  }
}

struct Storm {
  Fixture f;
  Dice dice;
  HeadWatch& watch = f.node.node.getHeadWatch();

  // Until so many holders have a session of the last epoch, each its only one that stands.
  void settle(size_t holders, kj::ArrayPtr<Grafter* const> grafters) {
    auto isSettled = [&]() {
      for (auto grafter: grafters) {
        if (grafter->seen.last != watch.seq()) return false;
      }
      return watch.leaseCount() == holders;
    };
    for (kj::uint tries = 0; tries < 1000 && !isSettled(); tries++) {
      f.advance(TICK);
      f.node.waitScope.poll(1000);
    }
    KJ_EXPECT(watch.leaseCount() == holders, watch.leaseCount());
  }

  void amongGuests() {
    auto first = watch.seq();
    Pid0 one(f.node), two(f.node);
    Grafter owner(f, f.node.node.openMembrane());
    advanceOften(f, dice, false);
    settle(3, kj::arr(&owner));
    expectRight(f, "a pid0", one.finish(), first);
    expectRight(f, "another pid0", two.finish(), first);
    expectRight(f, "the node's owner", owner.seen, first);
  }

  void amongClients() {
    auto first = watch.seq();
    Chain near(f, 1), far(f, 3);
    Client client(f.connect());
    Grafter byLink(f, near.membrane), byHops(f, far.membrane),
        byKey(f, client.membrane, f.signer());
    advanceOften(f, dice, true);
    settle(3, kj::arr(&byLink, &byHops, &byKey));
    expectRight(f, "over a link", byLink.seen, first);
    expectRight(f, "over three hops", byHops.seen, first);
    expectRight(f, "by a key", byKey.seen, first);
    say(kj::str("by a key: the epoch moved ", byKey.tooLate, " times while its signer was asked"));
    KJ_EXPECT(byKey.tooLate > 0);
  }

  struct Left {
    uint64_t resident;
    kj::uint descriptors;
  };
  Left round(kj::FunctionParam<void()> storm) {
    auto begin = secondsNow();
    storm();
    f.advance(2 * GRACE);
    f.node.waitScope.poll();
    auto seconds = secondsNow() - begin;
    Left left{residentBytes(), openDescriptors()};
    say(kj::str(EPOCHS, " epochs in ", int(seconds * 1e3), " ms; ", left.resident >> 10, " KiB, ",
                left.descriptors, " descriptors"));
    KJ_EXPECT(watch.leaseCount() == 0);
    KJ_EXPECT(f.node.node.sessionCount() == 1, "the fixture's own");
    KJ_EXPECT(f.node.node.getEngine().guestCount() == 0);
    KJ_EXPECT(f.links.count() == 0);
    return left;
  }

  void twice(kj::Function<void()> storm) {
    auto before = round(storm), after = round(storm);
    KJ_EXPECT(watch.seq() == 2 * EPOCHS);
    KJ_EXPECT(after.resident <= before.resident + before.resident / 20);
    KJ_EXPECT(after.descriptors == before.descriptors);
  }
};

KJ_TEST("10,000 epochs: guests see them in order, no session is mixed, and nothing is left") {
  Storm storm;
  storm.twice([&]() { storm.amongGuests(); });
}

KJ_TEST("10,000 epochs: so do clients, over a link, over three hops, and by a key") {
  Storm storm;
  storm.twice([&]() { storm.amongClients(); });
}

}  // namespace
}  // namespace ww
