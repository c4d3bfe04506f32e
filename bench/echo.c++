// A guest's calls of its host. Bare: the guest on our network, and nothing else of ours between it
// and the echo, neither quotas nor a session, under no limits. On: a cell of a whole node.
#include <kj/debug.h>
#include <test-node.h>
#include <ww/link/two-party-network.h>
#include "bench.h"
#include "child.h"

namespace ww::bench {
namespace {

constexpr uint64_t NO_LIMIT = uint64_t(1) << 40;

class BareHost final: public peer::Host::Server {
 public:
  kj::Promise<void> executor(ExecutorContext context) override {
    context.getResults().setExecutor(makeEcho());
    return kj::READY_NOW;
  }
};

struct Shape {
  kj::uint inFlight;
  size_t bytes;
  kj::uint calls;
};

constexpr Shape SHAPES[] = {{1, 0, 20000}, {64, 0, 40000}, {1, 1024, 20000}, {64, 1024, 40000},
                            {1, 65536, 1000}, {64, 65536, 2000}};

class EchoBench {
 public:
  // The guest says how many seconds a call took it.
  double bareEcho(Shape shape);

  void run(Shape shape, Report& report) {
    auto native = [&](auto echo) {
      return [this, shape, echo]() {
        return echo(node.waitScope, shape.calls, shape.inFlight, shape.bytes);
      };
    };
    Rounds rounds;
    for (int i = 0; i < TRIALS; i++) {
      rounds.turn([&]() { return bareEcho(shape); }, [&]() { return cellEcho(shape); },
                  native([](auto& scope, auto... a) { return nativeEcho(scope, a...); }),
                  native([](auto& scope, auto... a) { return ownEcho(scope, a...); }),
                  [&]() { return engine.call(shape.bytes); });
    }
    add(rounds, shape, report);
  }

 private:
  TestNode node;
  BareEngine engine;
  kj::Own<const ffi::Component> guest = ffi::Component::compile(
      node.node.getEngine().getHandle(), component("cell-rpc"));

  double cellEcho(Shape shape);
  void add(const Rounds& rounds, Shape shape, Report& report);
};

double EchoBench::bareEcho(Shape shape) {
  auto words = kj::arr(kj::str(shape.calls), kj::str(shape.inFlight), kj::str(shape.bytes));
  kj::StringPtr args[] = {"bench-echo"_kj, words[0], words[1], words[2]};
  ffi::GuestOptions options;
  options.args = args;
  options.memoryBytes = options.tableElements = options.hostcallBytes = NO_LIMIT;
  options.memories = options.instances = options.resources = 1'000'000;
  ffi::GuestTask task(node.node.getEngine(), *guest, options);
  NetworkLimits limits;
  limits.frame.segments = kj::maxValue;
  limits.frame.words = limits.unsentBytes = NO_LIMIT;
  TwoPartyNetwork network(task.takeConnection(), capnp::rpc::twoparty::Side::SERVER, limits);
  auto rpc = capnp::makeRpcServer(network, kj::heap<BareHost>());
  auto said = task.takeStdout()->readAllText().wait(node.waitScope);
  task.onEnd().wait(node.waitScope);
  auto end = task.takeEnd();
  KJ_ASSERT(end.is<ffi::GuestExit>() && end.get<ffi::GuestExit>().code == 0);
  return number(said) * 1e-9;
}

double EchoBench::cellEcho(Shape shape) {
  auto outcome = node.runToEnd("cell-rpc", {"bench-echo", kj::str(shape.calls),
                                            kj::str(shape.inFlight), kj::str(shape.bytes)});
  KJ_ASSERT(outcome.code == 0, outcome.err);
  return number(outcome.out) * 1e-9;
}

void EchoBench::add(const Rounds& rounds, Shape shape, Report& report) {
  enum { BARE, ON, STOCK, OWN, CALL };
  bool one = shape.inFlight == 1;
  // What is asked for was measured with small messages.
  auto target = [&](double ofOne, double ofMany) {
    if (shape.bytes > 0) return Target{};
    return Target{Target::Of::PART, one ? ofOne : ofMany};
  };
  auto name = kj::str("guest -> host echo, ", shape.inFlight, " in flight, ", shape.bytes, " B");
  auto addTwo = [&](size_t which, kj::StringPtr how, Target stock, Target own) {
    report.add(rate(kj::str(name, ", ", how), rounds.median(which, STOCK),
                    "stock native two-party", stock));
    report.add(rate(kj::str(name, ", ", how), rounds.median(which, OWN),
                    "native, our network at both ends", own));
  };
  report.add(rate(kj::str(name, ": native, our network at both ends"),
                  rounds.median(OWN, STOCK), "stock native two-party"));
  addTwo(BARE, "bare", target(0.90, 1.10), target(0.55, 0.75));
  addTwo(ON, "everything on", target(0.80, 0.95), {});
  report.add(rate(kj::str(name, ", everything on"), rounds.median(ON, CALL),
                  "a bare call of an export"));
}

}  // namespace

Again repeatBareEchoes(kj::uint inFlight) {
  constexpr kj::uint CALLS = 100'000;
  EchoBench bench;
  return again([&]() {
    bench.bareEcho({inFlight, 0, CALLS});
    return CALLS;
  });
}

void benchEcho(Report& report) {
  EchoBench bench;
  for (auto shape: SHAPES) bench.run(shape, report);
}

}  // namespace ww::bench
