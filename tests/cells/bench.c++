// What the figures are made with.
//
//   paced COUNT    calls its host so often, once a millisecond; prints for half, 99 % and 99.9 % of
//                  the calls how long they took at most, in nanoseconds
//   crowd COUNT    says `ready`, reads stdin to its end, calls its host so often
//
// These read their own component from stdin and start a child of it:
//
//   pipes COUNT IN_FLIGHT BYTES       prints nanoseconds a message that went to the child's stdin
//                                     and came back from its stdout
//   capability COUNT IN_FLIGHT BYTES  likewise a call of what the child offers, over those pipes
//   through BYTES                     the child's stdout to its own stdout; then nothing more
//
// The children: cat (stdin to stdout), serve (an Executor on stdin and stdout), out BYTES.
#include <capnp/rpc-twoparty.h>
#include <kj/debug.h>
#include <peer.capnp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <ww/guest.h>
#include <algorithm>
#include <vector>

namespace {

using ww::peer::ByteStream;
using ww::peer::Executor;
using ww::peer::Process;

constexpr size_t PIECE = 64 * 1024;

uint32_t number(ww::Guest& guest, size_t i) { return guest.args()[i].parseAs<uint32_t>(); }

kj::Promise<Process::Client> startChild(ww::Guest& guest,
                                        std::initializer_list<kj::StringPtr> args) {
  auto self = co_await guest.input().readAllBytes();
  auto executor = guest.bootstrap<ww::peer::Host>().executorRequest().send().getExecutor();
  auto request = executor.runBytesRequest(capnp::MessageSize{self.size() / 8 + 64, 0});
  request.setWasm(self);
  auto list = request.initArgs(args.size());
  for (kj::uint i = 0; i < args.size(); i++) list.set(i, args.begin()[i]);
  self = nullptr;
  auto response = co_await request.send();
  co_return response.getProcess();
}

// Both directions of a child's stdio.
class ChildStream final: public kj::AsyncIoStream {
 public:
  explicit ChildStream(Process::Client child)
      : in(child.stdinRequest().send().getStream()),
        out(child.stdoutRequest().send().getStream()) {}

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override {
    auto to = static_cast<kj::byte*>(buffer);
    size_t done = 0;
    while (done < minBytes) {
      auto request = out.readRequest(capnp::MessageSize{4, 0});
      request.setMaxBytes(maxBytes - done);
      auto response = co_await request.send();
      auto data = response.getData();
      if (data.size() == 0) break;
      memcpy(to + done, data.begin(), data.size());
      done += data.size();
    }
    co_return done;
  }

  kj::Promise<void> write(const void* buffer, size_t size) override {
    auto request = in.writeRequest(capnp::MessageSize{8 + size / 8, 0});
    request.setData(kj::arrayPtr(static_cast<const kj::byte*>(buffer), size));
    return request.send().ignoreResult();
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    size_t size = 0;
    for (auto piece: pieces) size += piece.size();
    auto request = in.writeRequest(capnp::MessageSize{8 + size / 8, 0});
    auto to = request.initData(size).begin();
    for (auto piece: pieces) {
      memcpy(to, piece.begin(), piece.size());
      to += piece.size();
    }
    return request.send().ignoreResult();
  }
  kj::Promise<void> whenWriteDisconnected() override { return kj::NEVER_DONE; }
  void shutdownWrite() override { in = nullptr; }

 private:
  ByteStream::Client in, out;
};

// A child's own stdio.
class OwnStream final: public kj::AsyncIoStream {
 public:
  explicit OwnStream(kj::AsyncInputStream& in): in(in) {}

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override {
    return in.tryRead(buffer, minBytes, maxBytes);
  }
  kj::Promise<void> write(const void* buffer, size_t size) override {
    fwrite(buffer, 1, size, stdout);
    return kj::READY_NOW;
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    for (auto piece: pieces) fwrite(piece.begin(), 1, piece.size(), stdout);
    return kj::READY_NOW;
  }
  kj::Promise<void> whenWriteDisconnected() override { return kj::NEVER_DONE; }
  void shutdownWrite() override { fclose(stdout); }

 private:
  kj::AsyncInputStream& in;
};

class Echo final: public Executor::Server {
 public:
  kj::Promise<void> echo(EchoContext context) override {
    context.getResults().setResponse(context.getParams().getMessage());
    return kj::READY_NOW;
  }
};

kj::Promise<void> serve(ww::Guest& guest) {
  OwnStream stream(guest.input());
  capnp::TwoPartyClient rpc(stream, kj::heap<Echo>(), capnp::rpc::twoparty::Side::SERVER);
  co_await rpc.onDisconnect();
}

int cat() {
  std::vector<char> piece(PIECE);
  for (;;) {
    auto n = read(0, piece.data(), piece.size());
    if (n <= 0) return n < 0;
    if (fwrite(piece.data(), 1, n, stdout) != size_t(n)) return 9;
  }
}

int out(size_t left) {
  std::vector<char> piece(PIECE, 'x');
  for (; left > 0; left -= std::min(left, PIECE)) {
    auto n = std::min(left, PIECE);
    if (fwrite(piece.data(), 1, n, stdout) != n) return 9;
  }
  return 0;
}

double now() {
  return (kj::systemPreciseMonotonicClock().now() - kj::origin<kj::TimePoint>()) /
      kj::NANOSECONDS;
}

// What several workers do together.
struct Load {
  kj::uint left;
  kj::Function<kj::Promise<void>()> call;

  kj::Promise<void> worker() {
    while (left > 0) {
      --left;
      co_await call();
    }
  }

  kj::Promise<void> run(kj::uint workers) {
    auto count = left;
    auto begin = now();
    kj::Vector<kj::Promise<void>> all;
    for (kj::uint i = 0; i < workers; i++) all.add(worker());
    co_await kj::joinPromises(all.releaseAsArray());
    ww::print(kj::str((now() - begin) / count, '\n'));
  }
};

kj::Promise<void> capability(ww::Guest& guest) {
  auto child = co_await startChild(guest, {"serve"});
  ChildStream stream(child);
  capnp::TwoPartyClient rpc(stream);
  auto executor = rpc.bootstrap().castAs<Executor>();
  auto message = kj::heapString(number(guest, 3));
  memset(message.begin(), 'x', message.size());
  Load load{number(guest, 1), [&]() {
    auto request = executor.echoRequest();
    request.setMessage(message);
    return request.send().ignoreResult();
  }};
  co_await load.run(number(guest, 2));
}

// So many messages are on their way at most.
struct Stream {
  ChildStream& child;
  size_t message;
  kj::uint count, inFlight;
  kj::uint returned = 0;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> waiting = nullptr;

  kj::Promise<void> writeAll() {
    auto bytes = kj::heapArray<kj::byte>(message);
    memset(bytes.begin(), 'x', message);
    for (kj::uint sent = 0; sent < count; sent++) {
      while (sent - returned >= inFlight) {
        auto paf = kj::newPromiseAndFulfiller<void>();
        waiting = kj::mv(paf.fulfiller);
        co_await paf.promise;
      }
      co_await child.write(bytes.begin(), message);
    }
  }

  kj::Promise<void> readAll() {
    auto bytes = kj::heapArray<kj::byte>(PIECE);
    size_t done = 0;
    while (returned < count) {
      done += co_await child.tryRead(bytes.begin(), 1, PIECE);
      returned = done / message;
      KJ_IF_MAYBE(fulfiller, waiting) (*fulfiller)->fulfill();
    }
  }
};

kj::Promise<void> pipes(ww::Guest& guest) {
  auto child = co_await startChild(guest, {"cat"});
  ChildStream stream(child);
  Stream both{stream, number(guest, 3), number(guest, 1), number(guest, 2)};
  auto begin = now();
  auto writing = both.writeAll().eagerlyEvaluate(nullptr);
  co_await both.readAll();
  co_await writing;
  ww::print(kj::str((now() - begin) / both.count, '\n'));
}

// Several reads wait at a time, so that none waits for the way there and back.
kj::Promise<void> through(ww::Guest& guest) {
  constexpr kj::uint AHEAD = 8;
  auto child = co_await startChild(guest, {"out", guest.args()[1]});
  auto from = child.stdoutRequest().send().getStream();
  auto read = [&]() {
    auto request = from.readRequest(capnp::MessageSize{4, 0});
    request.setMaxBytes(PIECE);
    return request.send();
  };
  kj::Vector<capnp::RemotePromise<ByteStream::ReadResults>> reads;
  for (kj::uint i = 0; i < AHEAD; i++) reads.add(read());
  for (kj::uint i = 0;; i = (i + 1) % AHEAD) {
    auto response = co_await reads[i];
    auto data = response.getData();
    if (data.size() == 0) co_return;
    reads[i] = read();
    fwrite(data.begin(), 1, data.size(), stdout);
  }
}

kj::Promise<void> paced(ww::Guest& guest) {
  constexpr double PERIOD_NS = 1e6;
  auto executor = guest.bootstrap<ww::peer::Host>().executorRequest().send().getExecutor();
  co_await executor.echoRequest().send();
  std::vector<double> all;
  auto due = now();
  for (auto count = number(guest, 1); count > 0; count--) {
    due += PERIOD_NS;
    if (auto wait = due - now(); wait > 0) {
      co_await guest.timer().afterDelay(int64_t(wait) * kj::NANOSECONDS);
    }
    auto request = executor.echoRequest();
    request.setMessage("0123456789abcdef");
    auto sent = now();
    co_await request.send();
    all.push_back(now() - sent);
  }
  std::sort(all.begin(), all.end());
  auto at = [&](size_t permille) { return all[(all.size() - 1) * permille / 1000]; };
  ww::print(kj::str(at(500), ' ', at(990), ' ', at(999), '\n'));
}

kj::Promise<void> crowd(ww::Guest& guest) {
  auto executor = guest.bootstrap<ww::peer::Host>().executorRequest().send().getExecutor();
  co_await executor.echoRequest().send();
  ww::print("ready\n");
  co_await guest.input().readAllBytes();
  for (auto count = number(guest, 1); count > 0; count--) {
    auto request = executor.echoRequest();
    request.setMessage("0123456789abcdef");
    co_await request.send();
  }
}

}  // namespace

WW_GUEST_MAIN(guest) {
  auto mode = guest.args().size() > 0 ? guest.args()[0] : ""_kj;
  if (mode == "pipes") {
    co_await pipes(guest);
  } else if (mode == "capability") {
    co_await capability(guest);
  } else if (mode == "through") {
    co_await through(guest);
  } else if (mode == "paced") {
    co_await paced(guest);
  } else if (mode == "crowd") {
    co_await crowd(guest);
  } else if (mode == "serve") {
    co_await serve(guest);
  } else if (mode == "cat") {
    guest.exitWith(cat());
  } else if (mode == "out") {
    guest.exitWith(out(number(guest, 1)));
  } else {
    ww::printError("no such mode\n");
    guest.exitWith(2);
  }
}
