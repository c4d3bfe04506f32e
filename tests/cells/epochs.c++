// A cell that holds much of its session past the session's end.
//
//   hold DEPTH COUNT CALLS [exits]
//                  reads its own component from stdin; starts a child that does the same with
//                  DEPTH-1, or at 0 one that idles; takes COUNT capabilities, calls each, has CALLS
//                  in flight; says `holding`. Once the epoch is over, all of them must be refused:
//                  takes VERDICT_PAGES of memory then, which all can see who may list cells, and
//                  waits for the end of the host, or exits with 42 at once; else exits with 1
//   idle           says `holding`, waits for the end of the host
//   storm          a pid0: grafts and calls all that the session gave until it is refused, again
//                  and again until its stdin ends; says how many sessions it had, in how many
//                  epochs, and what was wrong
#include <kj/debug.h>
#include <membrane.capnp.h>
#include <peer.capnp.h>
#include <stem.capnp.h>
#include <ww/guest.h>

namespace {

using Membrane = ww::stem::Membrane<ww::membrane::WetwareSession>;
using Session = ww::stem::Session<ww::membrane::WetwareSession>;
using ww::peer::ByteStream;
using ww::peer::Cells;
using ww::peer::Executor;
using ww::peer::Host;
using ww::peer::Process;

constexpr kj::StringPtr STALE = "staleEpoch: issued 0, current 1"_kj;
constexpr size_t VERDICT_PAGES = 512;
constexpr int ALL_REFUSED = 42;
constexpr kj::uint AT_A_TIME = 500;

// What became of calls: nobody waits for one by one.
struct Outcomes {
  kj::uint answered = 0, refused = 0, other = 0;

  kj::Promise<void> count(kj::Promise<void> call) {
    return call.then([this]() { ++answered; }, [this](kj::Exception&& e) {
      bool stale = ww::reason(e) == STALE && e.getType() == kj::Exception::Type::FAILED;
      ++(stale ? refused : other);
      if (!stale) ww::printError(kj::str(ww::reason(e), '\n'));
    });
  }
};

struct Holder {
  Host::Client host;
  Executor::Client executor;
  Process::Client child = nullptr;
  kj::Vector<Cells::Client> held;
  kj::Vector<kj::Promise<void>> inFlight;
  Outcomes before, ending, after;

  explicit Holder(Host::Client given)
      : host(kj::mv(given)), executor(host.executorRequest().send().getExecutor()) {}

  Process::Client start(kj::ArrayPtr<const kj::byte> self, kj::ArrayPtr<const kj::String> args) {
    auto request = executor.runBytesRequest(capnp::MessageSize{self.size() / 8 + 64, 0});
    request.setWasm(self);
    auto list = request.initArgs(args.size());
    for (kj::uint i = 0; i < args.size(); i++) list.set(i, args[i]);
    return request.send().getProcess();
  }

  kj::Promise<void> take(kj::uint count) {
    while (held.size() < count) {
      kj::Vector<kj::Promise<void>> more;
      for (kj::uint i = 0; i < AT_A_TIME && held.size() + i < count; i++) {
        more.add(executor.cellsRequest().send().then([this](auto&& response) {
          held.add(response.getCells());
        }));
      }
      co_await kj::joinPromises(more.releaseAsArray());
    }
  }

  kj::Promise<void> callAll(Outcomes& outcomes) {
    for (size_t i = 0; i < held.size();) {
      kj::Vector<kj::Promise<void>> calls;
      for (; calls.size() < AT_A_TIME && i < held.size(); i++) {
        calls.add(outcomes.count(held[i].listRequest().send().ignoreResult()));
      }
      co_await kj::joinPromises(calls.releaseAsArray());
    }
  }

  void fly(kj::Promise<void> call) { inFlight.add(ending.count(kj::mv(call))); }

  // Reads of a pipe that stays empty, writes to one that is full, and waits.
  void begin(kj::uint calls, bool fills) {
    constexpr kj::uint READS = 16, WRITES = 20, PIECE = 32 << 10;
    auto err = child.stderrRequest().send().getStream();
    for (kj::uint i = 0; i < READS; i++) {
      auto request = err.readRequest();
      request.setMaxBytes(1);
      fly(request.send().ignoreResult());
    }
    if (fills) {
      auto in = child.stdinRequest().send().getStream();
      for (kj::uint i = 0; i < WRITES; i++) {
        auto request = in.writeRequest();
        request.initData(PIECE);
        auto call = request.send().ignoreResult();
        if (i < 2) inFlight.add(kj::mv(call));  // which it has room for
        else fly(kj::mv(call));
      }
    }
    while (inFlight.size() < calls) fly(child.waitRequest().send().ignoreResult());
  }

  kj::Promise<void> callOthers() {
    auto echo = [](Executor::Client of) { return of.echoRequest().send().ignoreResult(); };
    co_await after.count(host.idRequest().send().ignoreResult());
    co_await after.count(echo(host.executorRequest().send().getExecutor()));
    co_await after.count(echo(executor));
    co_await after.count(child.killRequest().send().ignoreResult());
    co_await after.count(child.stdoutRequest().send().getStream().readRequest().send()
                             .ignoreResult());
  }
};

kj::Promise<void> readLine(ByteStream::Client from) {
  kj::byte last = 0;
  while (last != '\n') {
    auto request = from.readRequest();
    request.setMaxBytes(1024);
    auto response = co_await request.send();
    KJ_REQUIRE(response.getData().size() > 0, "the child ended early");
    last = response.getData().end()[-1];
  }
}

kj::Promise<void> startChild(Holder& holder, kj::ArrayPtr<const kj::byte> self, kj::uint depth,
                             kj::StringPtr count, kj::StringPtr calls) {
  if (depth == 0) {
    holder.child = holder.start(self, kj::arr(kj::str("idle")));
  } else {
    holder.child = holder.start(
        self, kj::arr(kj::str("hold"), kj::str(depth - 1), kj::str(count), kj::str(calls)));
    auto in = holder.child.stdinRequest().send().getStream();
    auto write = in.writeRequest(capnp::MessageSize{self.size() / 8 + 16, 0});
    write.setData(self);
    co_await write.send();
    co_await in.closeRequest().send();
  }
  co_await readLine(holder.child.stdoutRequest().send().getStream());
}

kj::Promise<void> hold(ww::Guest& guest) {
  auto depth = guest.args()[1].parseAs<kj::uint>();
  auto count = guest.args()[2].parseAs<kj::uint>(), calls = guest.args()[3].parseAs<kj::uint>();
  auto self = co_await guest.input().readAllBytes();
  Holder holder(guest.bootstrap<Host>());
  co_await startChild(holder, self, depth, guest.args()[2], guest.args()[3]);
  co_await holder.take(count);
  co_await holder.callAll(holder.before);
  holder.begin(calls, depth == 0);
  auto ended = kj::joinPromises(holder.inFlight.releaseAsArray()).eagerlyEvaluate(nullptr);
  ww::print("holding\n");
  co_await ended;
  co_await holder.callAll(holder.after);
  co_await holder.callOthers();
  bool good = holder.before.answered == count && holder.ending.answered == 0 &&
              holder.ending.refused + 2 * (depth == 0) == calls && holder.ending.other == 0 &&
              holder.after.refused == count + 5;
  if (!good) co_return guest.exitWith(1);
  if (guest.args().size() > 4) co_return guest.exitWith(ALL_REFUSED);
  // No exit: it would end its child, which may not have come so far.
  KJ_ASSERT(__builtin_wasm_memory_grow(0, VERDICT_PAGES) != size_t(-1));
  co_await guest.onDisconnect();
}

// ------------------------------------------------------------------------------------------ storm

struct Storm {
  explicit Storm(Membrane::Client given): membrane(kj::mv(given)) {}

  Membrane::Client membrane;
  kj::uint sessions = 0, epochs = 0, calls = 0, wrong = 0;
  uint64_t last = 0;
  bool isEnding = false;  // in the next session that stands
  kj::String what = kj::str("nothing");

  void expect(bool right, kj::StringPtr why) {
    if (right) return;
    ++wrong;
    what = kj::str(why);
  }

  // Sent at once over one link: they come in this order, and once one is refused all are.
  kj::Promise<bool> stands(Session::Reader session) {
    auto host = session.getExtension().getHost();
    auto executor = session.getExtension().getExecutor();
    kj::Vector<kj::Promise<kj::Maybe<kj::Exception>>> sent;
    sent.add(ww::attempt(executor.echoRequest().send().ignoreResult()));
    sent.add(ww::attempt(session.getStatusPoller().pollStatusRequest().send().ignoreResult()));
    sent.add(ww::attempt(host.idRequest().send().ignoreResult()));
    sent.add(ww::attempt(
        host.executorRequest().send().getExecutor().echoRequest().send().ignoreResult()));
    auto prefix = kj::str("staleEpoch: issued ", session.getIssuedEpoch().getSeq(), ", current ");
    bool refused = false;
    for (auto& call: sent) {
      ++calls;
      auto outcome = co_await call;
      KJ_IF_MAYBE(e, outcome) {
        refused = true;
        expect(ww::reason(*e).startsWith(prefix), ww::reason(*e));
      } else {
        expect(!refused, "one call refused, and a later one answered");
      }
    }
    co_return !refused;
  }

  kj::Promise<void> run() {
    for (;;) {
      auto graft = co_await membrane.graftRequest().send();
      auto session = graft.getSession();
      auto seq = session.getIssuedEpoch().getSeq();
      expect(seq >= last, "the epoch went back");
      if (seq > last) ++epochs;
      last = seq;
      ++sessions;
      while (co_await stands(session)) {
        if (isEnding) co_return;
      }
      expect(!co_await stands(session), "refused, and then answered");
    }
  }
};

kj::Promise<void> untilInputEnds(kj::AsyncInputStream& input) {
  kj::byte buffer[16];
  while (co_await input.tryRead(buffer, 1, sizeof(buffer)) > 0) {}
}

kj::Promise<void> storm(ww::Guest& guest) {
  Storm storm(guest.bootstrap<Membrane>());
  auto end = untilInputEnds(guest.input()).then([&]() { storm.isEnding = true; })
      .eagerlyEvaluate(nullptr);
  co_await storm.run();
  ww::print(kj::str(storm.sessions, ' ', storm.epochs, ' ', storm.last, ' ', storm.calls, ' ',
                    storm.wrong, ' ', storm.what, '\n'));
}

}  // namespace

WW_GUEST_MAIN(guest) {
  auto mode = guest.args().size() > 0 ? guest.args()[0] : ""_kj;
  if (mode == "hold") {
    co_await hold(guest);
  } else if (mode == "storm") {
    co_await storm(guest);
  } else if (mode == "idle") {
    co_await guest.bootstrap<Host>().idRequest().send();
    ww::print("holding\n");
    co_await guest.onDisconnect();
  } else {
    ww::printError("no such mode\n");
    guest.exitWith(2);
  }
}
