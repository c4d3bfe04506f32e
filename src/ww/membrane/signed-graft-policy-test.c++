#include <ww/membrane/signed-graft-policy.h>

#include <kj/encoding.h>
#include <kj/test.h>
#include <string.h>
#include <ww/epoch/session-bound.h>
#include <ww/membrane/graft-proof.h>
#include <ww/membrane/key-signer.h>
#include <ww/membrane/membrane-server.h>

namespace ww {
namespace {

using Membrane = stem::Membrane<membrane::WetwareSession>;
using Bytes = kj::Array<kj::byte>;

constexpr kj::StringPtr NODE = "12D3KooWDwTirQce1RRKnasT5fPVFgzXCy6SiRgSwrwPGLC7zE91"_kj;
constexpr kj::StringPtr OTHER_NODE = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5"_kj;
constexpr kj::uint TRIES = 100'000;
constexpr kj::uint TURNS = 40;

SecretKey keyOf(kj::byte number) {
  kj::byte seed[ED25519_KEY_BYTES] = {number};
  return SecretKey(seed);
}

Bytes answerOf(const PublicKey& key, const Signature& signature) {
  auto answer = kj::heapArray<kj::byte>(GRAFT_ANSWER_BYTES);
  memcpy(answer.begin(), key.bytes, sizeof(key.bytes));
  memcpy(answer.begin() + sizeof(key.bytes), signature.bytes, sizeof(signature.bytes));
  return answer;
}

Bytes signMessage(kj::byte number, kj::ArrayPtr<const kj::byte> message) {
  auto key = keyOf(number);
  return answerOf(key.getPublicKey(), key.sign(message));
}

Bytes signGraft(kj::byte number, kj::StringPtr domain, uint64_t nonce) {
  return signMessage(number, graftMessage(domain, nonce));
}

// Adds the group's order to S.
void malleate(kj::ArrayPtr<kj::byte> answer) {
  auto order = kj::decodeHex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010"_kj);
  kj::uint carry = 0;
  for (size_t i = 0; i < order.size(); i++) {
    carry += answer[64 + i] + order[i];
    answer[64 + i] = carry;
    carry >>= 8;
  }
}

// What a test's signer answers.
using Answers = kj::Function<kj::Promise<Bytes>(kj::StringPtr domain, uint64_t nonce)>;

class FakeSigner final: public stem::Signer::Server {
 public:
  explicit FakeSigner(Answers answers): answers(kj::mv(answers)) {}

  kj::Promise<void> sign(SignContext context) override {
    auto params = context.getParams();
    context.getResults().setSig(co_await answers(params.getDomain(), params.getNonce()));
  }

 private:
  Answers answers;
};

class IdleExecutor final: public SessionBound<peer::Executor> {
 public:
  using SessionBound::SessionBound;
  kj::Promise<void> echo(EchoContext) override { return kj::NEVER_DONE; }
};

class IdleHost final: public SessionBound<peer::Host> {
 public:
  using SessionBound::SessionBound;
};

struct Fixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  StaticHeadSource source;
  HeadWatch watch{source};
  AllowedKeys allowed;
  uint64_t nonces = 1000;
  SignedGraftPolicy policy{NODE, allowed, timer, [this]() { return nonces++; }};
  kj::Own<GraftGate> gate = kj::refcounted<GraftGate>(watch);
  Membrane::Client client = kj::heap<MembraneServer>(*gate, policy,
      [](Lease& lease, kj::Maybe<const AllowedKey&>) {
    return SessionOffer{kj::heap<IdleHost>(lease), kj::heap<IdleExecutor>(lease)};
  }, SessionLimits{});

  Fixture() { allow({1, 2}); }
  ~Fixture() { gate->close(); }  // a graft goes on when its caller drops it

  void allow(std::initializer_list<kj::byte> numbers) {
    auto keys = kj::heapArrayBuilder<AllowedKey>(numbers.size());
    for (auto number: numbers) keys.add(AllowedKey{keyOf(number).getPublicKey()});
    allowed.set(keys.finish());
  }
  auto send(kj::Maybe<stem::Signer::Client> signer) {
    auto request = client.graftRequest();
    KJ_IF_MAYBE(s, signer) request.setSigner(*s);
    return request.send();
  }
  auto graft(Answers answers) {
    return send(stem::Signer::Client(kj::heap<FakeSigner>(kj::mv(answers)))).wait(waitScope);
  }
  auto graftAs(kj::byte number) {
    return send(makeSigner(keyOf(number), NODE)).wait(waitScope);
  }
  void expectRefused(kj::StringPtr why, Answers answers) {
    KJ_EXPECT_THROW_MESSAGE(kj::str("unauthorized: ", why), graft(kj::mv(answers)));
    KJ_EXPECT(allowed.holdCount() == 0 && watch.leaseCount() == 0);
  }
  void advance() {
    watch.store({watch.seq() + 1, nullptr, 0});
    watch.announce().wait(waitScope);
  }
};

constexpr kj::StringPtr WRONG = "the signature is wrong"_kj;

KJ_TEST("whoever holds an allowed key may graft, and is asked for this node, epoch and graft") {
  Fixture f;
  for (uint64_t seq: {0, 1, 2}) {
    auto answer = f.graft([&](kj::StringPtr domain, uint64_t nonce) {
      KJ_EXPECT(domain == kj::str("ww.membrane.graft.v1/", NODE, '/', seq));
      KJ_EXPECT(nonce == 1000 + seq);
      return signGraft(1, domain, nonce);
    });
    auto session = answer.getSession();
    KJ_EXPECT(session.getIssuedEpoch().getSeq() == seq);
    session.getStatusPoller().pollStatusRequest().send().wait(f.waitScope);
    f.advance();
  }
  f.graftAs(2);
}

KJ_TEST("no signer, none that works, and none that answers") {
  Fixture f;
  KJ_EXPECT_THROW_MESSAGE("unauthorized: this Membrane asks for a signer",
                          f.send(nullptr).wait(f.waitScope));
  KJ_EXPECT_THROW_MESSAGE("unauthorized: this Membrane asks for a signer",
                          f.send(stem::Signer::Client(nullptr)).wait(f.waitScope));
  f.expectRefused("the signer failed", [](auto, auto) -> kj::Promise<Bytes> {
    return KJ_EXCEPTION(DISCONNECTED, "gone");
  });
  KJ_EXPECT_THROW_MESSAGE("unauthorized: the signer failed",
      f.send(stem::Signer::Client(KJ_EXCEPTION(FAILED, "broken"))).wait(f.waitScope));
  KJ_EXPECT_THROW_MESSAGE("unauthorized: the signer failed",
                          f.send(makeSigner(keyOf(1), OTHER_NODE)).wait(f.waitScope));
}

KJ_TEST("a signer has five seconds, and what comes later counts for nothing") {
  Fixture f;
  auto late = kj::newPromiseAndFulfiller<Bytes>();
  Bytes right;
  auto graft = f.send(stem::Signer::Client(kj::heap<FakeSigner>(
      [&](kj::StringPtr domain, uint64_t nonce) {
    right = signGraft(1, domain, nonce);
    return kj::mv(late.promise);
  })));
  KJ_EXPECT(!graft.poll(f.waitScope));
  f.timer.advanceTo(kj::origin<kj::TimePoint>() + 4999 * kj::MILLISECONDS);
  KJ_EXPECT(!graft.poll(f.waitScope));
  f.timer.advanceTo(kj::origin<kj::TimePoint>() + 5 * kj::SECONDS);
  KJ_EXPECT_THROW_MESSAGE("unauthorized: the signer has not answered in time",
                          graft.wait(f.waitScope));
  late.fulfiller->fulfill(kj::mv(right));
  f.waitScope.poll();
  KJ_EXPECT(f.allowed.holdCount() == 0 && f.watch.leaseCount() == 0);
}

KJ_TEST("an answer of another length") {
  Fixture f;
  for (size_t size: {0, 1, 32, 64, 95, 97, 128, 9600}) {
    f.expectRefused("the signer's answer is not a key and a signature",
                    [&](kj::StringPtr domain, uint64_t nonce) {
      auto answer = kj::heapArray<kj::byte>(size);
      auto right = signGraft(1, domain, nonce);
      memcpy(answer.begin(), right.begin(), kj::min(size, right.size()));
      return answer;
    });
  }
}

KJ_TEST("a key that is not in the list is told so only once it has proved itself") {
  Fixture f;
  f.expectRefused("this key is not allowed here", [](kj::StringPtr domain, uint64_t nonce) {
    return signGraft(3, domain, nonce);
  });
  for (kj::byte number: {1, 3}) {
    f.expectRefused(WRONG, [&](kj::StringPtr domain, uint64_t nonce) {
      return signGraft(number, domain, nonce + 1);
    });
  }
  f.allow({});
  f.expectRefused("this key is not allowed here", [](kj::StringPtr domain, uint64_t nonce) {
    return signGraft(1, domain, nonce);
  });
}

KJ_TEST("an answer that has been given before") {
  Fixture f;
  kj::Vector<Bytes> given;
  for (int i = 0; i < 3; i++) {
    f.graft([&](kj::StringPtr domain, uint64_t nonce) {
      return kj::heapArray<kj::byte>(given.add(signGraft(1, domain, nonce)).asPtr());
    });
  }
  f.waitScope.poll();
  for (auto& answer: given) {
    f.expectRefused(WRONG, [&](auto, auto) { return kj::heapArray<kj::byte>(answer.asPtr()); });
  }
}

KJ_TEST("two grafts at once: the answers cannot change places") {
  Fixture f;
  kj::Vector<kj::Own<kj::PromiseFulfiller<Bytes>>> waiting;
  kj::Vector<Bytes> answers;
  stem::Signer::Client signer = kj::heap<FakeSigner>([&](kj::StringPtr domain, uint64_t nonce) {
    answers.add(signGraft(1, domain, nonce));
    auto paf = kj::newPromiseAndFulfiller<Bytes>();
    waiting.add(kj::mv(paf.fulfiller));
    return kj::mv(paf.promise);
  });
  auto one = f.send(signer), two = f.send(signer);
  f.waitScope.poll();
  KJ_ASSERT(waiting.size() == 2);
  waiting[0]->fulfill(kj::mv(answers[1]));
  waiting[1]->fulfill(kj::mv(answers[0]));
  KJ_EXPECT_THROW_MESSAGE("unauthorized: the signature is wrong", one.wait(f.waitScope));
  KJ_EXPECT_THROW_MESSAGE("unauthorized: the signature is wrong", two.wait(f.waitScope));
}

KJ_TEST("a signature for another node, epoch or purpose, or over other bytes") {
  Fixture f;
  f.advance();
  auto refuse = [&](kj::Function<Bytes(kj::StringPtr, uint64_t)> make) {
    f.expectRefused(WRONG, [&](kj::StringPtr domain, uint64_t nonce) {
      KJ_EXPECT(domain == graftDomain(NODE, 1));
      return make(domain, nonce);
    });
  };
  refuse([](auto, uint64_t n) { return signGraft(1, graftDomain(OTHER_NODE, 1), n); });
  refuse([](auto, uint64_t n) { return signGraft(1, graftDomain(NODE, 0), n); });
  refuse([](auto, uint64_t n) { return signGraft(1, graftDomain(NODE, 2), n); });
  refuse([](auto, uint64_t n) {
    return signGraft(1, kj::str("ww.membrane.graft.v2/", NODE, "/1"), n);
  });
  refuse([](auto, uint64_t n) { return signGraft(1, "", n); });
  refuse([](kj::StringPtr domain, auto) { return signMessage(1, domain.asBytes()); });
  refuse([](kj::StringPtr domain, uint64_t n) {  // the least byte first
    return signGraft(1, domain, __builtin_bswap64(n));
  });
  refuse([](kj::StringPtr domain, uint64_t n) {  // the zero byte left out
    auto message = graftMessage(domain, n);
    memmove(message.begin() + domain.size(), message.begin() + domain.size() + 1, sizeof(n));
    return signMessage(1, message.slice(0, message.size() - 1));
  });
  refuse([](kj::StringPtr domain, uint64_t n) {  // another's signature, under an allowed key
    auto answer = signGraft(3, domain, n);
    memcpy(answer.begin(), signGraft(1, domain, n).begin(), ED25519_KEY_BYTES);
    return answer;
  });
}

KJ_TEST("a malleated signature, and a key of small order, even one in the list") {
  Fixture f;
  f.expectRefused(WRONG, [](kj::StringPtr domain, uint64_t nonce) {
    auto answer = signGraft(1, domain, nonce);
    malleate(answer);
    return answer;
  });
  PublicKey neutral = {{1}};
  f.allowed.set(kj::heapArray<AllowedKey>({AllowedKey{neutral, true}, AllowedKey{}}));
  f.expectRefused(WRONG, [&](auto, auto) { return answerOf(neutral, Signature{{1}}); });
  f.expectRefused(WRONG, [&](auto, auto) { return answerOf({}, {}); });
}

// xorshift64*, from the same seed each time.
class Dice {
 public:
  uint64_t roll() {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1d;
  }
  uint64_t roll(uint64_t sides) { return roll() % sides; }
  void fill(kj::ArrayPtr<kj::byte> bytes) { for (auto& b: bytes) b = roll() >> 56; }

 private:
  uint64_t state = 20'240'229;
};

// `right`, made wrong in one of many ways.
Bytes spoil(Dice& dice, Bytes right, kj::ArrayPtr<const kj::byte> earlier) {
  auto answer = kj::heapArray<kj::byte>(right.asPtr());
  switch (dice.roll(8)) {
    case 0: dice.fill(answer); break;
    case 1: dice.fill(answer.slice(32, 96)); break;
    case 2: dice.fill(answer.slice(32, 64)); break;
    case 3: dice.fill(answer.slice(64, 96)); break;
    case 4: malleate(answer); break;
    case 5: memcpy(answer.begin() + 32, earlier.begin() + 32, 64); break;
    case 6: answer = kj::heapArray<kj::byte>(right.slice(0, dice.roll(right.size()))); break;
    default: {
      for (auto flips = 1 + dice.roll(4); flips > 0; flips--) {
        answer[dice.roll(answer.size())] ^= 1 << dice.roll(8);
      }
    }
  }
  if (answer == right) answer[dice.roll(answer.size())] ^= 1;
  return answer;
}

KJ_TEST("of 100,000 random and mutated answers none is taken") {
  Fixture f;
  Dice dice;
  Bytes earlier = signGraft(1, graftDomain(NODE, 0), 999);
  kj::uint taken = 0;
  stem::Signer::Client signer = kj::heap<FakeSigner>([&](kj::StringPtr domain, uint64_t nonce) {
    auto right = signGraft(1, domain, nonce);
    auto answer = spoil(dice, kj::heapArray<kj::byte>(right.asPtr()), earlier);
    earlier = kj::mv(right);
    return answer;
  });
  for (kj::uint i = 0; i < TRIES; i++) {
    f.policy.admit(signer, 0).then([&](Admission&&) { ++taken; }, [](kj::Exception&& e) {
      KJ_ASSERT(e.getDescription().startsWith("unauthorized: "), e);
    }).wait(f.waitScope);
  }
  KJ_EXPECT(taken == 0);
  KJ_EXPECT(f.nonces == 1000 + TRIES);
}

KJ_TEST("the epoch moves while the signer is asked: graft again") {
  Fixture f;
  f.expectRefused("the signature is for epoch 0, and the epoch is 1 by now; graft again",
                  [&](kj::StringPtr domain, uint64_t nonce) {
    f.watch.store({1, nullptr, 0});
    return signGraft(1, domain, nonce);
  });
  KJ_EXPECT(f.graftAs(1).getSession().getIssuedEpoch().getSeq() == 1);
}

KJ_TEST("the epoch moves after each of the first turns: a session is of the epoch signed") {
  kj::uint sessions = 0, refusals = 0;
  for (kj::uint turns = 0; turns < TURNS; turns++) {
    Fixture f;
    kj::String signedDomain;
    auto graft = f.send(stem::Signer::Client(kj::heap<FakeSigner>(
        [&](kj::StringPtr domain, uint64_t nonce) {
      signedDomain = kj::str(domain);
      return signGraft(1, domain, nonce);
    })));
    f.waitScope.poll(turns);
    f.watch.store({1, nullptr, 0});
    graft.then([&](auto&& response) {
      auto seq = response.getSession().getIssuedEpoch().getSeq();
      KJ_EXPECT(signedDomain == graftDomain(NODE, seq), turns);
      ++sessions;
    }, [&](kj::Exception&& e) {
      KJ_EXPECT(e.getDescription().startsWith("unauthorized: the signature is for"), turns, e);
      ++refusals;
    }).wait(f.waitScope);
  }
  KJ_EXPECT(sessions > 1 && refusals > 1, sessions, refusals);
}

KJ_TEST("removing a key revokes its sessions at once; others stand") {
  Fixture f;
  auto gone = f.graftAs(1), again = f.graftAs(1), stays = f.graftAs(2);
  auto inFlight = gone.getSession().getExtension().getExecutor().echoRequest().send();
  KJ_EXPECT(!inFlight.poll(f.waitScope));
  f.allow({2});
  auto poll = [&](auto& graft) {
    graft.getSession().getStatusPoller().pollStatusRequest().send().wait(f.waitScope);
  };
  KJ_EXPECT_THROW_MESSAGE("revoked: this key is no longer allowed", poll(gone));
  KJ_EXPECT_THROW_MESSAGE("revoked: this key is no longer allowed", poll(again));
  KJ_EXPECT_THROW_MESSAGE("revoked: this key is no longer allowed", inFlight.wait(f.waitScope));
  poll(stays);
  KJ_EXPECT_THROW_MESSAGE("unauthorized: this key is not allowed here", f.graftAs(1));
}

KJ_TEST("a key removed after each of the first turns of its graft leaves no session standing") {
  for (kj::uint turns = 0; turns < TURNS; turns++) {
    Fixture f;
    auto graft = f.send(makeSigner(keyOf(1), NODE));
    f.waitScope.poll(turns);
    f.allow({2});
    graft.then([](auto&& response) {
      return response.getSession().getStatusPoller().pollStatusRequest().send().ignoreResult();
    }).then([&]() { KJ_FAIL_EXPECT("a session stands", turns); }, [&](kj::Exception&& e) {
      KJ_EXPECT(e.getDescription() == "unauthorized: this key is not allowed here" ||
                e.getDescription() == "revoked: this key is no longer allowed", turns, e);
    }).wait(f.waitScope);
  }
}

KJ_TEST("a graft that its caller drops leaves nothing behind") {
  for (kj::uint turns = 0; turns < TURNS; turns++) {
    Fixture f;
    { auto graft = f.send(makeSigner(keyOf(1), NODE)); f.waitScope.poll(turns); }
    f.waitScope.poll();
    KJ_EXPECT(f.allowed.holdCount() == 0 && f.watch.leaseCount() == 0, turns);
  }
}

}  // namespace
}  // namespace ww
