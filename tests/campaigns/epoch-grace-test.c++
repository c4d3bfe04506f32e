// What the cells of a revoked session get, and that it is all that they get: whatever a cell does,
// it ends by itself within the grace, or is ended, and computes no more.
#include <unistd.h>
#include "held-session.h"
#include "wasm-bytes.h"

namespace ww {
namespace {

constexpr int32_t ALL_REFUSED = 42;

// A turn of a cell takes a millisecond. Counts them.
class CountingClock final: public ffi::CpuClock {
 public:
  uint64_t turns = 0;
  void begin() override {}
  uint64_t endNs() override {
    ++turns;
    return 1'000'000;
  }
};

// A real component, and one that no test has compiled before: compiled code is kept between runs.
kj::Array<kj::byte> neverCompiled() {
  auto slow = componentOf(1000, 400);
  size_t at = 8 + 1;  // the head of a component, and the kind of its only section, a module
  while (slow[at] >= 0x80) at++;
  Bytes bytes, note;
  bytes.addAll(withInstances(component("bare-ok"), slow.slice(at + 1, slow.size()), 1));
  note.add(0);  // without a name
  for (auto left = randomNonce(); left > 0; left >>= 8) note.add(kj::byte(left));
  addSection(bytes, 0, note);
  return bytes.releaseAsArray();
}

// One that grafts again and again.
class Pid0 {
 public:
  explicit Pid0(TestNode& node): node(node) {
    auto args = kj::heapArray<kj::String>(1);
    args[0] = kj::str("storm");
    cell = node.node.boot(component("cell-epochs"), kj::mv(args), nullptr).wait(node.waitScope);
    out = cell->getStdout().takeStream();
    in = cell->getStdin().takeStream();
  }

  // Ends it: how many sessions it had, in how many epochs, the last epoch, and more.
  kj::String finish() {
    in->shutdownWrite();
    auto text = out->readAllText().wait(node.waitScope);
    KJ_EXPECT(cell->wait().wait(node.waitScope) == 0);
    return text;
  }

 private:
  TestNode& node;
  kj::Own<Cell> cell;
  kj::Own<ffi::PipeStream> out, in;
};

struct World {
  CountingClock cpu;
  Fixture f{optionsWith(cpu)};
  TestNode& node = f.node;
  kj::Vector<Process::Client> processes;
  kj::Vector<uint64_t> ids;

  static NodeOptions optionsWith(ffi::CpuClock& cpu) {
    NodeOptions options;
    options.engine.cpuClock = cpu;
    return options;
  }

  void start(kj::StringPtr name, Words args) {
    processes.add(node.run(name, args));
    ids.add(processes.back().infoRequest().send().wait(node.waitScope).getInfo().getId());
  }
  size_t guests() { return node.node.getEngine().guestCount(); }

  void moveHead() {
    f.node.heads.advance();
    while (f.node.node.getHeadWatch().seq() == 0) turn(1);
  }

  // Some of the loop's work: it never rests while a cell computes.
  void turn(kj::uint turns = 2000) { node.waitScope.poll(turns); }

  // How each of those started ended, as a session of the new epoch sees it; none while it runs.
  kj::Array<kj::Maybe<int32_t>> ends() {
    auto session = node.node.openMembrane().graftRequest().send().getSession();
    auto list = session.getExtension().getExecutor().cellsRequest().send().getCells()
        .listRequest().send().wait(node.waitScope);
    return KJ_MAP(id, ids) -> kj::Maybe<int32_t> {
      for (auto cell: list.getCells()) {
        if (cell.getId() != id || !cell.getState().isExitCode()) continue;
        return cell.getState().getExitCode();
      }
      return nullptr;
    };
  }
};

// A cell that ends by itself, with a code of its own, once all that it holds is refused.
void startHolder(World& world) {
  auto wasm = component("cell-epochs");
  world.start("cell-epochs", {"hold", "0", "10", "50", "exits"});
  auto in = TestNode::stdin(world.processes.back());
  world.node.write(in, wasm).wait(world.node.waitScope);
  world.node.close(in);
  auto out = TestNode::stdout(world.processes.back());
  KJ_EXPECT(world.node.read(out, 64) == "holding\n"_kj.asBytes());
}

void expectEnds(World& world) {
  int32_t expected[] = {EXIT_KILLED, EXIT_KILLED, EXIT_KILLED, 0, EXIT_TRAP, ALL_REFUSED};
  auto ends = world.ends();
  KJ_ASSERT(ends.size() == kj::size(expected));
  for (size_t i = 0; i < ends.size(); i++) {
    KJ_EXPECT(KJ_ASSERT_NONNULL(ends[i], i) == expected[i], i);
  }
}

// The loop comes to rest, and nobody computes however much time goes by.
void expectNoCompute(World& world) {
  KJ_EXPECT(world.guests() == 0);
  auto before = world.cpu.turns;
  for (int i = 0; i < 100; i++) {
    world.f.advance(1 * kj::SECONDS);
    world.node.waitScope.poll();
  }
  KJ_EXPECT(world.cpu.turns == before);
}

Process::Client begin(World& world, kj::ArrayPtr<const kj::byte> wasm, Tally& tally) {
  auto request = world.node.executor.runBytesRequest();
  request.setWasm(wasm);
  auto process = request.send().getProcess();
  tally.add(process.infoRequest().send().ignoreResult());
  return process;
}

// After it the compiler still has what the session has asked for; and the next session finds it.
KJ_TEST("a component that was compiled for a session that has ended is not begun") {
  World world;
  Tally underWay(0, 1);
  auto slow = neverCompiled();
  auto compiling = begin(world, slow, underWay);
  world.node.waitScope.poll(100);
  KJ_EXPECT(underWay.waiting == 1);
  world.moveHead();
  world.node.waitScope.poll();
  KJ_EXPECT(underWay.refused == 1, underWay.other);
  world.node.executor = world.node.node.openMembrane().graftRequest().send().getSession()
      .getExtension().getExecutor();
  auto process = world.node.run(slow, {});
  auto info = process.infoRequest().send().wait(world.node.waitScope);
  KJ_EXPECT(info.getInfo().getId() == 1, "the first cell of this node");
  KJ_EXPECT(world.node.wait(process) == 0);
}

KJ_TEST("whatever the cells of a revoked session do, they end with its grace; pid0 grafts again") {
  World world;
  auto& f = world.f;
  Pid0 pid0(world.node);
  world.start("cell-plain", {"spin"});
  world.start("cell-plain", {"park"});
  world.start("cell-plain", {"sleep", "1000000000"});
  world.start("cell-plain", {"sleep", "20"});
  world.start("cell-rpc", {"hold-host"});
  startHolder(world);
  auto tree = startTree(world.node, "2");
  Tally underWay(0, 1);
  // pid0, the six, the holder's child, the tree, and the one that is being instantiated.
  auto instantiating = begin(world, component("bare-spin-at-start"), underWay);
  world.node.untilGuests(1 + 6 + 1 + 3 + 1);
  auto before = world.cpu.turns;
  world.turn();
  KJ_EXPECT(world.cpu.turns > before);
  auto compiling = begin(world, neverCompiled(), underWay);
  world.turn(20);
  KJ_EXPECT(underWay.waiting == 2);

  world.moveHead();
  world.turn();
  KJ_EXPECT(underWay.refused == 2, "what was compiled or instantiated", underWay.other);
  auto passed = 30 * kj::MILLISECONDS;  // by both clocks
  usleep(passed / kj::MICROSECONDS);
  f.advance(passed);
  world.turn();
  f.advance(GRACE - passed - 1 * kj::NANOSECONDS);
  world.turn();
  KJ_EXPECT(world.guests() == 1 + 3 + 3, "those that do not end by themselves", world.guests());
  before = world.cpu.turns;
  world.turn();
  KJ_EXPECT(world.cpu.turns > before, "they have what is left of the grace");

  f.advance(1 * kj::NANOSECONDS);
  for (int i = 0; i < 1000 && world.guests() > 1; i++) world.turn(100);
  KJ_EXPECT(world.guests() == 1, "a cell outlived its grace", world.guests());
  expectEnds(world);
  auto said = pid0.finish();
  KJ_EXPECT(said.startsWith("2 1 1 "), said);
  expectNoCompute(world);
}

}  // namespace
}  // namespace ww
