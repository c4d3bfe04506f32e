// Bulk through ByteStream: out of a guest, into one, and through one, from its child's stdout to
// its own. Ceilings: the same by memcpy, through a pipe of the kernel's, and through one of KJ's.
#include <kj/debug.h>
#include <string.h>
#include <test-node.h>
#include <unistd.h>
#include "bench.h"

namespace ww::bench {
namespace {

constexpr size_t PIECE = 64 * 1024;
constexpr size_t BYTES = size_t(256) << 20;

// What is measured, in bytes a second.
double speed(kj::FunctionParam<void()> work) { return BYTES / timed(kj::mv(work)); }

double copied() {
  auto from = kj::heapArray<kj::byte>(PIECE), to = kj::heapArray<kj::byte>(PIECE);
  memset(from.begin(), 'x', PIECE);
  return speed([&]() {
    for (size_t done = 0; done < BYTES; done += PIECE) {
      memcpy(to.begin(), from.begin(), PIECE);
      asm volatile("" : : "r"(to.begin()) : "memory");  // each of them
    }
  });
}

double kernelPipe() {
  auto from = kj::heapArray<kj::byte>(PIECE), to = kj::heapArray<kj::byte>(PIECE);
  memset(from.begin(), 'x', PIECE);
  int fds[2];
  KJ_SYSCALL(pipe(fds));
  kj::AutoCloseFd out(fds[0]), in(fds[1]);
  return speed([&]() {
    for (size_t done = 0; done < BYTES; done += PIECE) {
      ssize_t n;
      KJ_SYSCALL(n = write(in, from.begin(), PIECE));
      for (ssize_t left = n; left > 0; left -= n) KJ_SYSCALL(n = read(out, to.begin(), left));
    }
  });
}

double kjPipe(kj::WaitScope& waitScope) {
  auto pipe = kj::newOneWayPipe();
  auto from = kj::heapArray<kj::byte>(PIECE), to = kj::heapArray<kj::byte>(PIECE);
  memset(from.begin(), 'x', PIECE);
  auto writer = [&]() -> kj::Promise<void> {
    for (size_t done = 0; done < BYTES; done += PIECE) {
      co_await pipe.out->write(from.begin(), PIECE);
    }
    pipe.out = nullptr;
  };
  auto reader = [&]() -> kj::Promise<void> {
    while (co_await pipe.in->tryRead(to.begin(), 1, PIECE) > 0) {}
  };
  return speed([&]() {
    auto writing = writer();
    reader().wait(waitScope);
    writing.wait(waitScope);
  });
}

// All that it says, counted.
void readOut(TestNode& node, ByteStream::Client from) {
  size_t total = 0;
  for (;;) {
    auto request = from.readRequest(capnp::MessageSize{4, 0});
    request.setMaxBytes(kj::maxValue);
    auto size = request.send().wait(node.waitScope).getData().size();
    if (size == 0) break;
    total += size;
  }
  KJ_ASSERT(total == BYTES);
}

double out(TestNode& node) {
  auto process = node.run("cell-plain", {"out", kj::str(BYTES)});
  auto stdout = node.stdout(process);
  return speed([&]() { readOut(node, stdout); });
}

double in(TestNode& node) {
  auto piece = kj::heapArray<kj::byte>(PIECE);
  memset(piece.begin(), 'x', PIECE);
  auto process = node.run("cell-plain", {"drain"});
  auto stdin = node.stdin(process);
  return speed([&]() {
    for (size_t done = 0; done < BYTES; done += PIECE) {
      auto request = stdin.writeRequest(capnp::MessageSize{8 + PIECE / 8, 0});
      request.setData(piece);
      request.send().wait(node.waitScope);
    }
    node.close(stdin);
    KJ_ASSERT(node.wait(process) == 0);
  });
}

double through(TestNode& node) {
  auto wasm = component("cell-bench");
  auto process = node.run(wasm, {"through", kj::str(BYTES)});
  auto stdin = node.stdin(process), stdout = node.stdout(process);
  node.write(stdin, wasm).wait(node.waitScope);
  node.close(stdin);
  return speed([&]() { readOut(node, stdout); });
}

// A guest's pipes alone, at the host's own ends.
class Raw {
 public:
  explicit Raw(TestNode& node)
      : node(node), guest(ffi::Component::compile(node.node.getEngine().getHandle(),
                                                  component("cell-plain"))) {}

  double out() {
    auto bytes = kj::str(BYTES);
    kj::StringPtr args[] = {"out"_kj, bytes};
    auto task = start(args);
    auto from = task->takeStdout();
    auto piece = kj::heapArray<kj::byte>(PIECE);
    return speed([&]() {
      size_t total = 0;
      while (auto n = from->tryRead(piece.begin(), 1, PIECE).wait(node.waitScope)) total += n;
      KJ_ASSERT(total == BYTES);
    });
  }

  double in() {
    kj::StringPtr args[] = {"drain"_kj};
    auto task = start(args);
    auto to = task->takeStdin();
    auto piece = kj::heapArray<kj::byte>(PIECE);
    memset(piece.begin(), 'x', PIECE);
    return speed([&]() {
      for (size_t done = 0; done < BYTES; done += PIECE) {
        to->write(piece.begin(), PIECE).wait(node.waitScope);
      }
      to->shutdownWrite();
      task->onEnd().wait(node.waitScope);
    });
  }

 private:
  TestNode& node;
  kj::Own<const ffi::Component> guest;

  kj::Own<ffi::GuestTask> start(kj::ArrayPtr<const kj::StringPtr> args) {
    ffi::GuestOptions options;
    options.args = args;
    return kj::heap<ffi::GuestTask>(node.node.getEngine(), *guest, options);
  }
};

constexpr double GIB = double(1 << 30);

struct Row {
  kj::StringPtr name;
  double least = 0;  // GiB a second
};

constexpr Row ROWS[] = {
  {"ByteStream, out of a guest"_kj, 4}, {"ByteStream, into a guest"_kj, 4},
  {"ByteStream, child -> parent -> host"_kj}, {"its pipe alone, out of a guest"_kj, 8},
  {"its pipe alone, into a guest"_kj, 8}};
constexpr kj::StringPtr CEILINGS[] = {"memcpy"_kj, "a pipe of the kernel's"_kj,
                                      "a pipe of KJ's"_kj};

}  // namespace

Again repeatPipeOut() {
  TestNode node;
  Raw raw(node);
  return again([&]() {
    raw.out();
    return kj::uint(BYTES / PIECE);
  });
}

void benchStreams(Report& report) {
  TestNode node;
  Raw raw(node);
  Rounds rounds;
  for (int i = 0; i < TRIALS; i++) {
    rounds.turn([&]() { return out(node); }, [&]() { return in(node); },
                [&]() { return through(node); }, [&]() { return raw.out(); },
                [&]() { return raw.in(); }, copied, kernelPipe,
                [&]() { return kjPipe(node.waitScope); });
  }
  for (size_t row = 0; row < kj::size(ROWS); row++) {
    for (size_t ceiling = 0; ceiling < kj::size(CEILINGS); ceiling++) {
      Target target;
      if (ceiling == 0 && ROWS[row].least > 0) target = {Target::Of::LEAST, ROWS[row].least * GIB};
      report.add(flow(kj::str(ROWS[row].name), rounds.median(row, kj::size(ROWS) + ceiling),
                      CEILINGS[ceiling], target));
    }
  }
}

}  // namespace ww::bench
