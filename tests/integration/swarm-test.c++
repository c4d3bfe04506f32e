// Swarms over libp2p, on loopback: who is reached, what is refused, and what becomes of streams.
#include <ww/net/libp2p-swarm.h>

#include <kj/test.h>

namespace ww {
namespace {

constexpr kj::StringPtr ECHO = "/ww/test/echo"_kj;
constexpr kj::StringPtr HOLD = "/ww/test/hold"_kj;

Multiaddr address(kj::StringPtr text) {
  auto parsed = parseMultiaddrText(text);
  KJ_IF_MAYBE(problem, parsed.tryGet<kj::String>()) KJ_FAIL_ASSERT(text, *problem);
  return kj::mv(parsed.get<Multiaddr>());
}

kj::Array<Multiaddr> list(Multiaddr one) {
  auto result = kj::heapArrayBuilder<Multiaddr>(1);
  result.add(kj::mv(one));
  return result.finish();
}

// One node of the network; all of a test share a loop.
struct TestPeer {
  Identity identity = Identity::generate();
  MemoryLogger logger;
  kj::Own<Libp2pSwarm> swarm;
  kj::Vector<kj::Own<kj::AsyncIoStream>> held;  // that came in on HOLD
  kj::TaskSet* echoes = nullptr;

  TestPeer(kj::UnixEventPort& port, kj::Timer& timer, kj::StringPtr listen = "/ip4/127.0.0.1/tcp/0",
                    kj::Duration dialTimeout = 10 * kj::SECONDS) {
    swarm = kj::heap<Libp2pSwarm>(identity, options(listen, dialTimeout), timer, port,
                                  logger);
    swarm->serve(ECHO, [](PeerStream in) {
      auto& stream = *in.stream;
      stream.pumpTo(stream).then([&stream](uint64_t) { stream.shutdownWrite(); })
          .attach(kj::mv(in.stream)).detach([](kj::Exception&&) {});
    });
    swarm->serve(HOLD, [this](PeerStream in) { held.add(kj::mv(in.stream)); });
  }

  static Libp2pOptions options(kj::StringPtr listen, kj::Duration dialTimeout) {
    Libp2pOptions result;
    if (listen.size() > 0) result.listen = list(address(listen));
    result.protocols = kj::heapArray<kj::StringPtr>({ECHO, HOLD});
    result.mdns = false;
    result.dialTimeout = dialTimeout;
    return result;
  }

  const PeerId& id() { return swarm->getPeerId(); }
};

struct Fixture {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  kj::WaitScope& waitScope = io.waitScope;
  kj::Timer& timer = io.provider->getTimer();
  kj::UnixEventPort& port = io.unixEventPort;

  // Turns the loop until it holds: the network's thread is what moves it.
  template <typename Condition>
  void until(Condition&& holds) {
    while (!holds()) timer.afterDelay(1 * kj::MILLISECONDS).wait(waitScope);
  }

  kj::Array<Multiaddr> addrsOf(TestPeer& peer) {
    until([&]() { return peer.swarm->getListenAddrs().size() > 0; });
    return peer.swarm->getListenAddrs();
  }

  void join(TestPeer& from, TestPeer& to) {
    from.swarm->connect(to.id(), addrsOf(to), DialScope::ANYWHERE).wait(waitScope);
  }

  kj::String failure(kj::Promise<void> promise) {
    return promise.then([]() { return kj::str(); }, [](kj::Exception&& e) {
      return kj::str(e.getDescription());
    }).wait(waitScope);
  }

  kj::String echo(TestPeer& from, TestPeer& to, size_t size) {
    auto stream = from.swarm->open(to.id(), ECHO).wait(waitScope);
    auto sent = kj::heapArray<kj::byte>(size);
    for (size_t i = 0; i < size; i++) sent[i] = i * 31 + i / 251;
    auto writing = stream->write(sent.begin(), sent.size()).then([&stream]() {
      stream->shutdownWrite();
    }).eagerlyEvaluate(nullptr);
    auto got = stream->readAllBytes().wait(waitScope);
    writing.wait(waitScope);
    return got == sent ? kj::str("the same") : kj::str(got.size(), " bytes, not the same");
  }
};

bool has(kj::StringPtr text, kj::StringPtr part) {
  for (size_t i = 0; i + part.size() <= text.size(); i++) {
    if (text.slice(i).startsWith(part)) return true;
  }
  return false;
}

void dialAndEcho(kj::StringPtr listen) {
  Fixture f;
  TestPeer here(f.port, f.timer, ""), there(f.port, f.timer, listen);
  f.join(here, there);
  KJ_EXPECT(here.swarm->isConnected(there.id()));
  KJ_EXPECT(f.echo(here, there, 3 << 20) == "the same");
  f.until([&]() { return there.swarm->isConnected(here.id()); });
  KJ_EXPECT(here.swarm->ping(there.id()).wait(f.waitScope) > 0 * kj::NANOSECONDS);
  auto peers = here.swarm->getPeers();
  KJ_ASSERT(peers.size() == 1);
  KJ_EXPECT(peers[0].id == there.id());
  KJ_ASSERT(peers[0].addrs.size() == 1);
}

KJ_TEST("over TCP: dial, echo, ping") { dialAndEcho("/ip4/127.0.0.1/tcp/0"); }
KJ_TEST("over QUIC: dial, echo, ping") { dialAndEcho("/ip4/127.0.0.1/udp/0/quic-v1"); }

KJ_TEST("a dial that fails names every address and its reason") {
  Fixture f;
  TestPeer here(f.port, f.timer, ""), there(f.port, f.timer), other(f.port, f.timer);
  auto wrong = f.failure(here.swarm->connect(other.id(), f.addrsOf(there), DialScope::ANYWHERE));
  KJ_EXPECT(has(wrong, "another peer answers there") && has(wrong, there.id().toText()), wrong);
  KJ_EXPECT(!here.swarm->isConnected(other.id()));

  kj::Vector<Multiaddr> addrs;
  for (auto text: {"/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/udp/9/utp", "/ip4/127.0.0.1/sctp/5",
                   "/dns4/no.such.name.invalid/tcp/5"}) {
    auto parsed = parseMultiaddrText(text);
    KJ_IF_MAYBE(addr, parsed.tryGet<Multiaddr>()) addrs.add(kj::mv(*addr));
  }
  auto all = f.failure(here.swarm->connect(other.id(), addrs, DialScope::ANYWHERE));
  for (auto& addr: addrs) KJ_EXPECT(has(all, addr.toText()), addr.toText(), all);
  KJ_EXPECT(has(all, "refused"), all);
  KJ_EXPECT(f.failure(here.swarm->connect(other.id(), nullptr, DialScope::ANYWHERE))
      .startsWith(kj::str("cannot connect to ", other.id().toText(), ": no address is known")));
  KJ_EXPECT(f.failure(here.swarm->connect(here.id(), nullptr, DialScope::ANYWHERE)) ==
            "cannot connect to this node itself");
}

KJ_TEST("what a cell asks for stays on public addresses, after names are resolved") {
  Fixture f;
  TestPeer here(f.port, f.timer, ""), there(f.port, f.timer);
  auto text = f.addrsOf(there)[0].toText();
  auto port = text.slice(text.findLast('/').orDefault(0) + 1);
  for (auto& target: {kj::str("/ip4/127.0.0.1/tcp/", port), kj::str("/dns4/localhost/tcp/", port),
                     kj::str("/dns/localhost/tcp/", port), kj::str("/dnsaddr/localhost")}) {
    auto why = f.failure(here.swarm->connect(there.id(), list(address(target)),
                                             DialScope::PUBLIC));
    KJ_EXPECT(why.startsWith("denied: "), target, why);
  }
  KJ_EXPECT(!here.swarm->isConnected(there.id()));
  auto name = list(address(kj::str("/dns4/localhost/tcp/", port)));
  here.swarm->connect(there.id(), name, DialScope::ANYWHERE).wait(f.waitScope);
}

KJ_TEST("an address that does not answer hides no other's reason") {
  Fixture f;
  TestPeer here(f.port, f.timer, "", 1 * kj::SECONDS), other(f.port, f.timer, "");
  auto listener = f.io.provider->getNetwork().parseAddress("127.0.0.1").wait(f.waitScope)
      ->listen();  // accepts, and says nothing
  auto mute = address(kj::str("/ip4/127.0.0.1/tcp/", listener->getPort()));
  auto refused = address("/ip4/127.0.0.1/tcp/1");
  auto addrs = kj::arr(mute.clone(), refused.clone());
  auto why = f.failure(here.swarm->connect(other.id(), addrs, DialScope::ANYWHERE));
  KJ_EXPECT(has(why, kj::str(mute.toText(), "/p2p/", other.id().toText(), ": no answer in time")),
            why);
  KJ_EXPECT(has(why, "refused"), why);
}

KJ_TEST("a dial that nobody answers ends when its time is over") {
  Fixture f;
  kj::TimerImpl clock(kj::origin<kj::TimePoint>());
  TestPeer here(f.port, clock, "", 7 * kj::SECONDS), other(f.port, f.timer, "");
  auto listener = f.io.provider->getNetwork().parseAddress("127.0.0.1").wait(f.waitScope)
      ->listen();  // accepts, and says nothing
  auto mute = address(kj::str("/ip4/127.0.0.1/tcp/", listener->getPort()));
  auto dial = here.swarm->connect(other.id(), list(mute.clone()), DialScope::ANYWHERE);
  clock.advanceTo(kj::origin<kj::TimePoint>() + 6 * kj::SECONDS);
  KJ_EXPECT(!dial.poll(f.waitScope));
  clock.advanceTo(kj::origin<kj::TimePoint>() + 7 * kj::SECONDS);
  auto why = f.failure(kj::mv(dial));
  KJ_EXPECT(has(why, "no answer within 7s") && has(why, mute.toText()), why);
}

KJ_TEST("two nodes that dial each other at the same moment end connected") {
  Fixture f;
  for (int round = 0; round < 10; round++) {
    TestPeer one(f.port, f.timer), two(f.port, f.timer);
    auto ones = f.addrsOf(one), twos = f.addrsOf(two);
    auto there = one.swarm->connect(two.id(), twos, DialScope::ANYWHERE);
    auto back = two.swarm->connect(one.id(), ones, DialScope::ANYWHERE);
    there.wait(f.waitScope);
    back.wait(f.waitScope);
    KJ_EXPECT(f.echo(one, two, 1000) == "the same");
    KJ_EXPECT(f.echo(two, one, 1000) == "the same");
  }
}

KJ_TEST("streams: a protocol that is not spoken, a peer that is not there") {
  Fixture f;
  TestPeer here(f.port, f.timer, ""), there(f.port, f.timer);
  auto open = [&](kj::StringPtr protocol) {
    return f.failure(here.swarm->open(there.id(), protocol).ignoreResult());
  };
  KJ_EXPECT(has(open(ECHO), "not connected"));
  KJ_EXPECT(has(f.failure(here.swarm->ping(there.id()).ignoreResult()), "not connected"));
  f.join(here, there);
  KJ_EXPECT(open("/no/such/protocol").size() > 0);
  KJ_EXPECT(open("no protocol's name").size() > 0);
  KJ_EXPECT(f.echo(here, there, 10) == "the same");
}

KJ_TEST("256 streams a connection: one more is refused, and an ended one makes room") {
  Fixture f;
  TestPeer here(f.port, f.timer, ""), there(f.port, f.timer);
  f.join(here, there);
  kj::Vector<kj::Own<kj::AsyncIoStream>> open;
  for (int i = 0; i < 256; i++) {
    open.add(here.swarm->open(there.id(), HOLD).wait(f.waitScope));
    open.back()->write("x", 1).wait(f.waitScope);
  }
  f.until([&]() { return there.held.size() == 256; });
  KJ_EXPECT(f.failure(here.swarm->open(there.id(), HOLD).ignoreResult()) ==
            "overloaded: streams");
  open.removeLast();
  KJ_EXPECT(here.swarm->open(there.id(), HOLD).wait(f.waitScope).get() != nullptr);
}

KJ_TEST("a peer that goes takes its streams with it, and nobody waits") {
  Fixture f;
  TestPeer here(f.port, f.timer, "");
  auto there = kj::heap<TestPeer>(f.port, f.timer);
  f.join(here, *there);
  auto stream = here.swarm->open(there->id(), HOLD).wait(f.waitScope);
  stream->write("x", 1).wait(f.waitScope);
  kj::byte byte;
  auto reading = stream->tryRead(&byte, 1, 1).eagerlyEvaluate(nullptr);
  KJ_EXPECT(!reading.poll(f.waitScope));
  auto id = there->id().clone();
  there = nullptr;
  KJ_EXPECT(reading.wait(f.waitScope) == 0);
  f.until([&]() { return !here.swarm->isConnected(id); });
}

KJ_TEST("a swarm that goes ends its own streams; they may outlive it") {
  Fixture f;
  auto here = kj::heap<TestPeer>(f.port, f.timer, "");
  TestPeer there(f.port, f.timer);
  f.join(*here, there);
  auto stream = here->swarm->open(there.id(), HOLD).wait(f.waitScope);
  auto pending = here->swarm->open(there.id(), HOLD);
  kj::byte byte;
  auto reading = stream->tryRead(&byte, 1, 1);
  here = nullptr;
  KJ_EXPECT(reading.wait(f.waitScope) == 0);
  KJ_EXPECT(f.failure(stream->write("x", 1)).size() > 0);
  stream->whenWriteDisconnected().wait(f.waitScope);
  KJ_EXPECT(has(f.failure(pending.ignoreResult()), "has ended"));
}

KJ_TEST("a remote that never reads holds up its own stream alone") {
  Fixture f;
  TestPeer here(f.port, f.timer, ""), there(f.port, f.timer);
  f.join(here, there);
  auto stuck = here.swarm->open(there.id(), HOLD).wait(f.waitScope);
  auto much = kj::heapArray<kj::byte>(64 << 20);
  auto writing = stuck->write(much.begin(), much.size()).eagerlyEvaluate(nullptr);
  KJ_EXPECT(f.echo(here, there, 1 << 20) == "the same");
  KJ_EXPECT(!writing.poll(f.waitScope));
}

KJ_TEST("an address that cannot be listened on is named") {
  Fixture f;
  TestPeer first(f.port, f.timer);
  auto taken = f.addrsOf(first)[0].toText();
  for (auto& text: {kj::str(taken), kj::str("/ip4/192.0.2.1/tcp/0")}) {
    auto problem = KJ_ASSERT_NONNULL(kj::runCatchingExceptions([&]() {
      TestPeer second(f.port, f.timer, text);
    }));
    KJ_EXPECT(has(problem.getDescription(), kj::str("cannot listen on ", text)), problem);
  }
}

}  // namespace
}  // namespace ww
