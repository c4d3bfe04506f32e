// From a component's bytes to its first call and to its exit, in a node. Hot: it is in memory.
// Warm: its code is on disk, in a node that has just begun. Cold: it was never seen.
#include <kj/debug.h>
#include <test-node.h>
#include <unistd.h>
#include <ww/node/directory-store.h>
#include "bench.h"
#include "child.h"

namespace ww::bench {
namespace {

using Bytes = kj::ArrayPtr<const kj::byte>;

constexpr kj::StringPtr GUEST = "child-echo"_kj;  // calls its host, says the answer, and exits
constexpr kj::StringPtr PLAIN = "cell-plain"_kj;  // knows no host: what peers can run, too
constexpr kj::uint COUNT = 200;
constexpr kj::uint SPAWNS_TOGETHER = 10 * COUNT;

struct Times {
  double first = 0, exit = 0;  // seconds
};

// Sent: copied into the request, as a guest's are. Lent: left where they lie, as a caller in the
// process may, where they outlive what comes of it.
enum class Handed { SENT, LENT };

capnp::RemotePromise<peer::Executor::RunBytesResults> start(peer::Executor::Client executor,
                                                            Bytes wasm, Words args,
                                                            Handed handed) {
  bool isSent = handed == Handed::SENT;
  auto request = executor.runBytesRequest(
      capnp::MessageSize{64 + (isSent ? wasm.size() / sizeof(capnp::word) : 0), 0});
  if (isSent) {
    request.setWasm(wasm);
  } else {
    auto orphanage = capnp::Orphanage::getForMessageContaining(
        peer::Executor::RunBytesParams::Builder(request));
    request.adoptWasm(orphanage.referenceExternalData(wasm));
  }
  auto list = request.initArgs(args.size());
  for (kj::uint i = 0; i < args.size(); i++) list.set(i, args.begin()[i]);
  return request.send();
}

// One: `first` when it has said the answer to its first call.
Times spawn(TestNode& node, Bytes wasm, Handed handed = Handed::SENT) {
  Times times;
  times.exit = timed([&]() {
    Process::Client process = nullptr;
    times.first = timed([&]() {
      process = start(node.executor, wasm, {"hello"}, handed).getProcess();
      KJ_ASSERT(node.read(node.stdout(process), 64).size() > 0);
    });
    KJ_ASSERT(node.wait(process) == 0);
  });
  return times;
}

Times spawnMany(TestNode& node, Bytes wasm, Handed handed) {
  Times sum;
  for (kj::uint i = 0; i < COUNT; i++) {
    auto one = spawn(node, wasm, handed);
    sum.first += one.first / COUNT;
    sum.exit += one.exit / COUNT;
  }
  return sum;
}

// One worker of several.
kj::Promise<void> spawnInTurn(peer::Executor::Client executor, Bytes wasm, Words args,
                              Handed handed, kj::uint& left) {
  while (left > 0) {
    --left;
    auto response = co_await start(executor, wasm, args, handed).getProcess().waitRequest().send();
    KJ_ASSERT(response.getExitCode() == 0);
  }
}

double spawnTogether(TestNode& node, Bytes wasm, Words args, kj::uint inFlight,
                     Handed handed = Handed::SENT) {
  kj::uint left = SPAWNS_TOGETHER;
  return timed([&]() {
    kj::Vector<kj::Promise<void>> all;
    for (kj::uint i = 0; i < inFlight; i++) {
      all.add(spawnInTurn(node.executor, wasm, args, handed, left));
    }
    kj::joinPromises(all.releaseAsArray()).wait(node.waitScope);
  }) / SPAWNS_TOGETHER;
}

void benchHot(BareEngine& engine, Report& report) {
  TestNode node;
  auto wasm = component(GUEST), plain = component(PLAIN);
  spawn(node, wasm);
  kj::Vector<Round> first, exit, lent;
  Rounds together;
  for (int i = 0; i < TRIALS; i++) {
    auto times = spawnMany(node, wasm, Handed::SENT);
    auto alone = engine.instantiate(GUEST);
    first.add(Round{times.first, alone});
    exit.add(Round{times.exit, alone});
    lent.add(Round{spawnMany(node, wasm, Handed::LENT).first, alone});
    together.turn([&]() { return spawnTogether(node, wasm, {"hello"}, 32); },
                  [&]() { return spawnTogether(node, wasm, {"hello"}, 32, Handed::LENT); },
                  [&]() { return spawnTogether(node, plain, {"args", "hello"}, 32); },
                  [&]() { return engine.instantiate(GUEST); });
  }
  constexpr auto CEILING = "instantiate alone"_kj;
  report.add(time(kj::str("spawn, hot: bytes -> first call"), median(first), CEILING,
                  {Target::Of::MOST, 30e-6}));
  report.add(time(kj::str("spawn, hot: bytes -> first call -> exit"), median(exit), CEILING));
  report.add(time(kj::str("spawn, hot, bytes lent: bytes -> first call"), median(lent), CEILING));
  report.add(rate(kj::str("spawns on one thread, 32 in flight"), together.median(0, 3), CEILING,
                  {Target::Of::LEAST, 20e3}));
  report.add(rate(kj::str("spawns on one thread, bytes lent, 32 in flight"),
                  together.median(1, 3), CEILING));
  report.add(rate(kj::str("spawns on one thread that say a word, 32 in flight"),
                  together.median(2, 3), CEILING));
}

// A node that has just begun knows nothing in memory.
void benchWarm(BareEngine& engine, Report& report) {
  auto wasm = component(GUEST);
  kj::Vector<Round> first, exit;
  for (int i = 0; i < 3 * TRIALS; i++) {
    TestNode node;
    auto times = spawn(node, wasm);
    auto alone = engine.instantiate(GUEST);
    if (i == 0) continue;  // by now its code is on disk
    first.add(Round{times.first, alone});
    exit.add(Round{times.exit, alone});
  }
  constexpr auto CEILING = "instantiate alone"_kj;
  report.add(time(kj::str("spawn, from the disk cache: bytes -> first call"), median(first),
                  CEILING));
  report.add(time(kj::str("spawn, from the disk cache: bytes -> first call -> exit"), median(exit),
                  CEILING));
}

// The same component to all but its hash: with a custom section behind it that was never there.
kj::Array<kj::byte> renamed(Bytes wasm) {
  kj::byte section[] = {0, 17, 8, 'w', 'w', '-', 'b', 'e', 'n', 'c', 'h', 0, 0, 0, 0, 0, 0, 0, 0};
  auto& clock = kj::systemPreciseCalendarClock();
  uint64_t stamp = (clock.now() - kj::UNIX_EPOCH) / kj::NANOSECONDS;
  memcpy(section + sizeof(section) - sizeof(stamp), &stamp, sizeof(stamp));
  auto bytes = kj::heapArray<kj::byte>(wasm.size() + sizeof(section));
  memcpy(bytes.begin(), wasm.begin(), wasm.size());
  memcpy(bytes.begin() + wasm.size(), section, sizeof(section));
  return bytes;
}

void benchCold(BareEngine& engine, Report& report) {
  TestNode node;
  auto wasm = component(GUEST);
  kj::Vector<Round> first, exit;
  for (int i = 0; i < TRIALS; i++) {
    auto times = spawn(node, renamed(wasm));
    auto alone = engine.compile(GUEST);
    first.add(Round{times.first, alone});
    exit.add(Round{times.exit, alone});
  }
  constexpr auto CEILING = "Cranelift alone"_kj;
  report.add(time(kj::str("spawn, cold: bytes -> first call"), median(first), CEILING));
  report.add(time(kj::str("spawn, cold: bytes -> first call -> exit"), median(exit), CEILING));
}

// Of code that is on disk, by a compiler that has just begun.
class Loads {
 public:
  Loads(): engine({}, node.io.provider->getTimer(), node.waitScope) { load(); }

  double load() {
    ffi::ThreadCompiler compiler(engine, {kj::heap<ffi::CodeStore>(
        kj::heap<DirectoryStore>(WW_BENCH_CODE, uint64_t(1) << 30), engine.getHandle())});
    auto bytes = kj::heapArray<kj::byte>(wasm);
    return timed([&]() { compiler.compile(kj::mv(bytes)).wait(node.waitScope); });
  }

  // What no load can do without: to know the component by its content, and the code to be whole.
  double hash() {
    return timed([&]() { (void)kj::str(ffi::contentId(wasm), ffi::checksum(artifact)); });
  }

 private:
  TestNode node;
  kj::Array<const kj::byte> wasm = component(GUEST);
  ffi::Engine engine;
  kj::Array<kj::byte> artifact = ffi::ThreadCompiler(engine).compile(kj::heapArray<kj::byte>(wasm))
      .wait(node.waitScope)->artifact();
};

void benchLoad(Report& report) {
  Loads loads;
  Rounds rounds;
  for (int i = 0; i < 10 * TRIALS; i++) {  // they are short, and so more of them are noise
    rounds.turn([&]() { return loads.load(); }, [&]() { return loads.hash(); });
  }
  report.add(time(kj::str("a component's code loaded from the disk cache"), rounds.median(0, 1),
                  "its bytes hashed", {Target::Of::MOST, 0.5e-3}));
}

}  // namespace

Again repeatSpawns(kj::uint inFlight) {
  TestNode node;
  auto wasm = component(GUEST);
  spawn(node, wasm);
  return again([&]() {
    spawnTogether(node, wasm, {"hello"}, inFlight);
    return SPAWNS_TOGETHER;
  });
}

Again repeatLoads() {
  Loads loads;
  return again([&]() {
    loads.load();
    return 1;
  });
}

void benchSpawn(Report& report) {
  BareEngine engine;
  benchHot(engine, report);
  benchWarm(engine, report);
  benchLoad(report);
  benchCold(engine, report);
}

}  // namespace ww::bench
