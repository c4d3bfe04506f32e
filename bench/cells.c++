// The figures, on a whole node with the real engine: membrane, leases, frame guard and all.
#include <algorithm>
#include <kj/debug.h>
#include <kj/filesystem.h>
#include <stdio.h>
#include <stdlib.h>
#include <test-node.h>
#include <unistd.h>
#include <ww/node/directory-store.h>
#include "bench.h"

namespace ww::bench {
namespace {

double number(kj::StringPtr text) { return strtod(text.cStr(), nullptr); }

double guestEcho(TestNode& node, kj::uint calls, kj::uint inFlight, size_t bytes) {
  auto outcome = node.runToEnd("cell-rpc", {"bench-echo", kj::str(calls), kj::str(inFlight),
                                            kj::str(bytes)});
  KJ_ASSERT(outcome.code == 0, outcome.err);
  return number(outcome.out) * 1e-9;
}

// Runs a pid0 to its end and gives what it printed.
kj::String runPid0(TestNode& node, Words args) {
  auto owned = kj::heapArrayBuilder<kj::String>(args.size());
  for (auto arg: args) owned.add(kj::str(arg));
  auto cell = node.node.boot(component("cell-sessions"), owned.finish(), nullptr)
      .wait(node.waitScope);
  auto stdout = cell->getStdout().takeStream();
  auto text = stdout->readAllText().wait(node.waitScope);
  KJ_ASSERT(cell->wait().wait(node.waitScope) == 0);
  return text;
}

kj::String mebibytesPerSecond(double bytesPerSecond) {
  char text[64];
  snprintf(text, sizeof(text), "%.2f GiB/s", bytesPerSecond / (1 << 30));
  return kj::str(text);
}

size_t residentBytes() {
  auto disk = kj::newDiskFilesystem();
  auto statm = disk->getRoot().openFile(kj::Path({"proc", "self", "statm"}));
  kj::byte text[256] = {};  // "size resident …", in pages
  statm->read(0, kj::arrayPtr(text, sizeof(text) - 1));
  auto numbers = kj::StringPtr(reinterpret_cast<const char*>(text));
  auto resident = numbers.slice(KJ_ASSERT_NONNULL(numbers.findFirst(' ')) + 1);
  return strtoul(resident.cStr(), nullptr, 10) * sysconf(_SC_PAGESIZE);
}

}  // namespace

void benchEcho() {
  TestNode node;
  struct Shape {
    kj::uint inFlight;
    size_t bytes;
    kj::uint calls;
  } shapes[] = {{1, 16, 20000}, {64, 16, 40000}, {1, 1024, 20000}, {64, 1024, 40000},
                {1, 65536, 1000}, {64, 65536, 2000}};
  for (auto shape: shapes) {
    double guest = 1e9, native = 1e9;
    for (int i = 0; i < TRIALS; i++) {
      native =
          kj::min(native, nativeEcho(node.waitScope, shape.calls, shape.inFlight, shape.bytes));
      guest = kj::min(guest, guestEcho(node, shape.calls, shape.inFlight, shape.bytes));
    }
    print(kj::str("guest -> host echo, ", shape.inFlight, " in flight, ", shape.bytes, " B"),
          perSecond(guest), "stock native two-party", perSecond(native), ratio(native / guest));
  }
}

void benchQuota() {
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  for (kj::uint inFlight: {1, 64}) {
    kj::Vector<Round> rounds;
    for (int i = 0; i < 3 * TRIALS; i++) {
      auto off = nativeEcho(waitScope, 40000, inFlight, 16);
      auto on = nativeEcho(waitScope, 40000, inFlight, 16, Quota::ON);
      rounds.add(Round{1 / on, 1 / off});
    }
    auto round = median(rounds);
    print(kj::str("native echo under quotas, ", inFlight, " in flight, 16 B"),
          perSecond(1 / round.value), "without them", perSecond(1 / round.ceiling),
          ratio(round.value / round.ceiling));
  }
}

void benchGraft() {
  TestNode node;
  double graft = 1e9, echo = 1e9;
  for (int i = 0; i < TRIALS; i++) {
    auto text = runPid0(node, {"bench-graft", "2000"});
    auto space = KJ_ASSERT_NONNULL(text.findFirst(' '));
    graft = kj::min(graft, number(text) * 1e-9);
    echo = kj::min(echo, number(text.slice(space + 1)) * 1e-9);
  }
  print("graft()", us(graft), "one echo", us(echo), kj::str(ratio(graft / echo), " echoes"));
}

void benchSpawn() {
  TestNode node;
  auto wasm = component("child-echo");
  auto bare = component("bare-ok");
  node.runToEnd("child-echo", {});
  node.runToEnd("bare-ok", {});
  constexpr int COUNT = 200;
  auto spawn = [&](kj::ArrayPtr<const kj::byte> bytes, kj::StringPtr arg) {
    return best([&]() {
      return timed([&]() {
        for (int i = 0; i < COUNT; i++) KJ_ASSERT(node.wait(node.run(bytes, {arg})) == 0);
      }) / COUNT;
    });
  };
  auto floor = spawn(bare, "");
  print("spawn -> first call -> exit, code cached", us(spawn(wasm, "hello")),
        "a component that does nothing", us(floor));

  // Cold: the compiler with no code kept; and a new compiler each time, with code kept on disk.
  ffi::Engine engine({}, node.io.provider->getTimer(), node.waitScope);
  double compile = best([&]() {
    ffi::ThreadCompiler compiler(engine);
    return timed([&]() { compiler.compile(kj::heapArray<kj::byte>(wasm)).wait(node.waitScope); });
  });
  auto cold = best([&]() {
    ffi::ThreadCompiler compiler(engine);
    ffi::CachingCompiler fresh(compiler);
    return timed([&]() {
      fresh.compile(kj::heapArray<kj::byte>(wasm)).wait(node.waitScope);
      KJ_ASSERT(node.wait(node.run(wasm, {"hello"})) == 0);
    });
  });
  print("spawn -> first call -> exit, cold", us(cold), "its compilation alone", us(compile),
        ratio(compile / cold));
  auto load = [&]() {
    ffi::ThreadCompiler compiler(engine, {kj::heap<ffi::CodeStore>(
        kj::heap<DirectoryStore>(WW_BENCH_CODE, uint64_t(1) << 30), engine.getHandle())});
    auto bytes = kj::heapArray<kj::byte>(wasm);
    return timed([&]() { compiler.compile(kj::mv(bytes)).wait(node.waitScope); });
  };
  load();
  constexpr int LOADS = 10;  // they are short, and so more of them are noise
  double loaded = best([&]() {
    double shortest = load();
    for (int i = 1; i < LOADS; i++) shortest = kj::min(shortest, load());
    return shortest;
  });
  // What no load can do without: to know the component by its content, and the code to be whole.
  auto artifact = ffi::ThreadCompiler(engine).compile(kj::heapArray<kj::byte>(wasm))
      .wait(node.waitScope)->artifact();
  double hashed = best([&]() {
    return timed([&]() { (void)kj::str(ffi::contentHash(wasm), ffi::checksum(artifact)); });
  });
  print("child-echo: load from the disk cache", us(loaded), "its bytes hashed", us(hashed),
        ratio(hashed / loaded));
}

void benchStreams() {
  TestNode node;
  constexpr size_t BYTES = 256 << 20;
  double native = 0;
  for (int i = 0; i < TRIALS; i++) native = kj::max(native, nativePipe(node.waitScope, BYTES));
  auto out = best([&]() {
    auto process = node.run("cell-plain", {"out", kj::str(BYTES)});
    auto stdout = node.stdout(process);
    size_t total = 0;
    auto seconds = timed([&]() {
      for (;;) {
        auto request = stdout.readRequest(capnp::MessageSize{4, 0});
        request.setMaxBytes(kj::maxValue);
        auto size = request.send().wait(node.waitScope).getData().size();
        if (size == 0) break;
        total += size;
      }
    });
    KJ_ASSERT(total == BYTES);
    return seconds / BYTES;
  });
  print("ByteStream: out of a guest", mebibytesPerSecond(1 / out), "a pipe of KJ's",
        mebibytesPerSecond(native), ratio(1 / out / native));

  auto piece = kj::heapArray<kj::byte>(MAX_READ_BYTES);
  memset(piece.begin(), 'x', piece.size());
  auto in = best([&]() {
    auto process = node.run("cell-plain", {"drain"});
    auto stdin = node.stdin(process);
    return timed([&]() {
      for (size_t done = 0; done < BYTES; done += piece.size()) {
        auto request = stdin.writeRequest(capnp::MessageSize{8 + piece.size() / 8, 0});
        request.setData(piece);
        request.send().wait(node.waitScope);
      }
      node.close(stdin);
      KJ_ASSERT(node.wait(process) == 0);
    }) / BYTES;
  });
  print("ByteStream: into a guest", mebibytesPerSecond(1 / in), "a pipe of KJ's",
        mebibytesPerSecond(native), ratio(1 / in / native));
}

// Resident bytes of one cell more that has said something and now waits.
size_t idleBytes(kj::StringPtr guest, kj::StringPtr mode) {
  NodeOptions options;
  options.cell.descendants = kj::maxValue;
  TestNode node(options);
  constexpr kj::uint COUNT = 1000;
  kj::Vector<Process::Client> processes;
  auto start = [&]() {
    auto process = node.run(guest, {mode});
    KJ_ASSERT(node.read(node.stdout(process), 16).size() > 0);
    processes.add(kj::mv(process));
  };
  start();
  auto before = residentBytes();
  for (kj::uint i = 0; i < COUNT; i++) start();
  return (residentBytes() - before) / COUNT;
}

void benchIdle() {
  auto plain = idleBytes("cell-plain", "park"), rpc = idleBytes("cell-rpc", "idle");
  print("an idle cell with its RPC, at 1000", kj::str(rpc / 1024, " KiB"),
        "one that has no RPC", kj::str(plain / 1024, " KiB"), ratio(double(plain) / rpc));
}

// A cell that answers, 1,000 times a second or less, and then with so many beside it that loop.
void benchBusy() {
  TestNode node;
  auto process = node.run("cell-plain", {"cat"});
  auto in = TestNode::stdin(process), out = TestNode::stdout(process);
  auto& timer = node.io.provider->getTimer();
  auto answers = [&]() {
    constexpr int COUNT = 1000;
    kj::Vector<double> all;
    for (int i = 0; i < COUNT; i++) {
      all.add(timed([&]() {
        auto written = node.write(in, "there?"_kj.asBytes());
        KJ_ASSERT(node.read(out, 100).size() == 6);
        written.wait(node.waitScope);
      }));
      timer.afterDelay(1 * kj::MILLISECONDS).wait(node.waitScope);
    }
    std::sort(all.begin(), all.end());
    return kj::arr(all[COUNT / 2], all[COUNT * 99 / 100], all[COUNT - 1]);
  };
  auto alone = answers();
  kj::Vector<Process::Client> loops;
  for (int i = 0; i < 20; i++) loops.add(node.run("cell-plain", {"spin"}));
  auto beside = answers();
  kj::StringPtr names[] = {"half"_kj, "99 %"_kj, "all"_kj};
  for (int i = 0; i < 3; i++) {
    print(kj::str("a cell's answer beside 20 loops, ", names[i], " within"), us(beside[i]),
          "alone", us(alone[i]), ratio(alone[i] / beside[i]));
  }
  for (auto& loop: loops) loop.killRequest().send().wait(node.waitScope);
}

void benchKill() {
  TestNode node;
  auto seconds = best([&]() {
    auto process = node.run("cell-plain", {"spin"});
    KJ_ASSERT(node.read(node.stdout(process), 16).size() > 0);
    return timed([&]() {
      process.killRequest().send().wait(node.waitScope);
      KJ_ASSERT(node.wait(process) == EXIT_KILLED);
    });
  });
  print("kill of a busy cell, until wait answers", us(seconds), "one tick", "1000.0 us");
}

}  // namespace ww::bench
