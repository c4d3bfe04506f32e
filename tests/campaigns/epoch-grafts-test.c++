// 10,000 signed grafts while epochs move: what was signed is good for one graft in one epoch.
#include <string.h>
#include <ww/membrane/graft-proof.h>
#include "held-session.h"

namespace ww {
namespace {

constexpr kj::uint GRAFTS = 10'000, EARLY = 300;

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
  uint64_t state = 20'261'131;
};

enum class Trick : kj::uint {
  NONE,                    // signs what it is asked for, at once
  MOVES,                   // the same, once the epoch has moved, once or twice
  MOVES_LATER,             // at once, and the epoch moves some turns after that
  REPLAYS,                 // answers as in an earlier graft
  EARLIER_EPOCH,           // signs for that, with the right nonce
  LATER_EPOCH,             // likewise
  LATER_EPOCH_THAT_COMES,  // likewise, and answers in that epoch
  OTHER_NONCE,
};
constexpr kj::StringPtr NAMES[] = {
    "right"_kj, "the epoch moves before the answer"_kj, "and some turns after it"_kj,
    "a replay"_kj, "for the epoch before"_kj, "for the next epoch"_kj,
    "for the next epoch, which comes"_kj, "another nonce"_kj};
constexpr kj::uint TRICKS = kj::size(NAMES);

struct World {
  Fixture f;
  kj::WaitScope& waitScope = f.node.waitScope;
  HeadWatch& watch = f.node.node.getHeadWatch();
  Dice dice;
  kj::Array<kj::byte> earlier;  // an answer
  kj::uint turnsToMove = 0;     // of the head, since the answer; 0: it does not

  kj::String domain(uint64_t seq) {
    return graftDomain(f.node.swarm.getPeerId().toText(), seq);
  }
  kj::Array<kj::byte> sign(kj::StringPtr domain, uint64_t nonce) {
    auto& key = f.client.getKey();
    auto signature = key.sign(graftMessage(domain, nonce));
    auto publicKey = key.getPublicKey();
    auto answer = kj::heapArray<kj::byte>(GRAFT_ANSWER_BYTES);
    memcpy(answer.begin(), publicKey.bytes, sizeof(publicKey.bytes));
    memcpy(answer.begin() + sizeof(publicKey.bytes), signature.bytes, sizeof(signature.bytes));
    return answer;
  }
  kj::Promise<void> moveHead(uint64_t times) {
    for (; times > 0; times--) {
      f.node.heads.advance();
      co_await watch.onAdvance(watch.seq());
    }
  }
};

class TrickySigner final: public stem::Signer::Server {
 public:
  TrickySigner(World& world, Trick trick): world(world), trick(trick) {}

  kj::Promise<void> sign(SignContext context) override {
    auto seq = world.watch.seq();
    auto domain = world.domain(seq);
    KJ_ASSERT(context.getParams().getDomain() == domain);
    auto nonce = context.getParams().getNonce();
    auto right = world.sign(domain, nonce), answer = kj::heapArray<kj::byte>(right.asPtr());
    switch (trick) {
      case Trick::NONE: break;
      case Trick::MOVES: co_await world.moveHead(1 + world.dice.roll(2)); break;
      case Trick::MOVES_LATER: world.turnsToMove = 1 + world.dice.roll(40); break;
      case Trick::REPLAYS: answer = kj::heapArray<kj::byte>(world.earlier.asPtr()); break;
      case Trick::EARLIER_EPOCH: answer = world.sign(world.domain(seq - 1), nonce); break;
      case Trick::LATER_EPOCH: answer = world.sign(world.domain(seq + 1), nonce); break;
      case Trick::LATER_EPOCH_THAT_COMES:
        answer = world.sign(world.domain(seq + 1), nonce);
        co_await world.moveHead(1);
        break;
      case Trick::OTHER_NONCE: answer = world.sign(domain, nonce + 1); break;
    }
    world.earlier = kj::mv(right);
    context.getResults().setSig(answer);
  }

 private:
  World& world;
  const Trick trick;
};

// What became of the grafts of one kind.
struct Count {
  kj::uint fresh = 0;    // sessions of the current epoch, all of whose capabilities work
  kj::uint stale = 0;    // of the one before, of which nothing does
  kj::uint refused = 0;
};

// All of them or none, and which it is, the epoch says.
void expectUnmixed(World& world, stem::Session<membrane::WetwareSession>::Reader session,
                   Count& count) {
  auto seq = session.getIssuedEpoch().getSeq(), now = world.watch.seq();
  KJ_ASSERT(now == seq || now == seq + 1);
  Tally tally(seq, now);
  auto extension = session.getExtension();
  tally.add(session.getStatusPoller().pollStatusRequest().send().ignoreResult());
  tally.add(extension.getHost().idRequest().send().ignoreResult());
  tally.add(extension.getExecutor().echoRequest().send().ignoreResult());
  tally.add(extension.getHost().executorRequest().send().getExecutor().echoRequest().send()
                .ignoreResult());
  world.waitScope.poll();
  KJ_EXPECT((now == seq ? tally.answered : tally.refused) == 4, tally.answered, tally.refused,
            tally.other);
  ++(now == seq ? count.fresh : count.stale);
}

using Graft = capnp::Response<Membrane::GraftResults>;

// None if it is refused, which is the one other way for it to end.
kj::Promise<kj::Maybe<Graft>> outcomeOf(kj::Promise<Graft> graft) {
  return graft.then([](Graft&& response) -> kj::Maybe<Graft> { return kj::mv(response); },
                    [](kj::Exception&& e) -> kj::Maybe<Graft> {
    KJ_EXPECT(contains(e.getDescription(), "unauthorized: "), e);
    return nullptr;
  }).eagerlyEvaluate(nullptr);
}

void graftOnce(World& world, Client& client, Trick trick, Count& count) {
  auto signedIn = world.watch.seq();
  world.turnsToMove = 0;
  auto outcome = outcomeOf(client.graft(kj::heap<TrickySigner>(world, trick)));
  // Turn by turn, since the head may have to move in one of them.
  while (world.waitScope.poll(1) > 0) {
    if (world.turnsToMove > 0 && --world.turnsToMove == 0) world.f.node.heads.advance();
  }
  if (world.turnsToMove > 0) world.moveHead(1).wait(world.waitScope);
  KJ_IF_MAYBE(response, outcome.wait(world.waitScope)) {
    auto session = response->getSession();
    KJ_EXPECT(session.getIssuedEpoch().getSeq() == signedIn, "of another epoch than was signed");
    expectUnmixed(world, session, count);
  } else {
    ++count.refused;
  }
}

KJ_TEST("10,000 signed grafts across epochs: of the epoch signed, or none") {
  World world;
  Count counts[TRICKS];
  Client client(world.f.connect());
  graftOnce(world, client, Trick::NONE, counts[0]);
  world.moveHead(1).wait(world.waitScope);
  for (kj::uint i = 1; i < GRAFTS; i++) {
    auto trick = kj::uint(world.dice.roll(TRICKS));
    graftOnce(world, client, Trick(trick), counts[trick]);
    world.moveHead(world.dice.roll(3)).wait(world.waitScope);
    world.f.node.logger.clear();
  }
  kj::uint all = 0;
  for (kj::uint i = 0; i < TRICKS; i++) {
    auto& count = counts[i];
    all += count.fresh + count.stale + count.refused;
    say(kj::str(NAMES[i], ": ", count.fresh, " sessions, ", count.stale, " stale already, ",
                count.refused, " refused"));
    bool mayBeTaken = i <= kj::uint(Trick::MOVES_LATER);
    KJ_EXPECT(mayBeTaken || (count.fresh + count.stale == 0 && count.refused > 0), NAMES[i]);
  }
  KJ_EXPECT(all == GRAFTS);
  auto& right = counts[kj::uint(Trick::NONE)];
  KJ_EXPECT(right.fresh > 0 && right.stale + right.refused == 0);
  KJ_EXPECT(counts[kj::uint(Trick::MOVES)].fresh + counts[kj::uint(Trick::MOVES)].stale == 0);
  auto& later = counts[kj::uint(Trick::MOVES_LATER)];
  KJ_EXPECT(later.fresh == 0 && later.stale > 0 && later.refused > 0, "both sides of the turn");
}

KJ_TEST("an early answer that was given in one epoch is good for none in the next") {
  World world;
  kj::uint sessions = 0;
  for (kj::uint i = 0; i < EARLY; i++) {
    // Asked as the link begins; the graft itself asks one that never answers.
    Client client(world.f.connect(), kj::heap<TrickySigner>(world, Trick::NONE));
    world.waitScope.poll();
    auto moves = world.dice.roll(3);
    world.moveHead(moves).wait(world.waitScope);
    auto outcome = outcomeOf(client.graft(kj::heap<SlowSigner>()));
    world.waitScope.poll();
    world.f.advance(SignedGraftPolicy::SIGNER_TIMEOUT);
    Count count;
    KJ_IF_MAYBE(response, outcome.wait(world.waitScope)) {
      expectUnmixed(world, response->getSession(), count);
    }
    KJ_EXPECT(count.fresh == (moves == 0) && count.stale == 0);
    sessions += count.fresh;
    world.f.node.logger.clear();
  }
  say(kj::str("early answers: ", sessions, " of ", EARLY, " taken, in the epoch they were for"));
  KJ_EXPECT(sessions > 0 && sessions < EARLY);
}

}  // namespace
}  // namespace ww
