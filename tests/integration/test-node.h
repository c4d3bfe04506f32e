#pragma once
// A whole node in a test: the real engine and composition, a head that the test moves, a loopback
// swarm, and a session through which the test runs fixture guests (tests/cells) as any owner would.

#include <kj/async-io.h>
#include <ww/net/loopback-swarm.h>
#include <ww/node/node.h>

namespace ww {

using Membrane = stem::Membrane<membrane::WetwareSession>;
using peer::ByteStream;
using peer::Process;

// The bytes of components/NAME.wasm.
kj::Array<kj::byte> component(kj::StringPtr name);

using Words = std::initializer_list<kj::StringPtr>;

class TestNode {
 public:
  explicit TestNode(NodeOptions options = {});

  // The same with a clock that only the test moves. Guests that wait for a time never wake.
  TestNode(NodeOptions options, kj::Timer& timer);

  // The same with a compiler elsewhere, for what is not compiled yet.
  TestNode(NodeOptions options, kj::Own<const ffi::CompileWorker> worker);
  ~TestNode() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(TestNode);

  kj::AsyncIoContext io = kj::setupAsyncIo();
  kj::WaitScope& waitScope = io.waitScope;
  MemoryLogger logger;
  ManualHeadSource heads;
  LoopbackNetwork network;
  LoopbackSwarm swarm;

  // Once the node is gone: see there.
  struct Settle {
    kj::WaitScope& waitScope;
    ~Settle() noexcept(false) { waitScope.poll(); }
  } settle{waitScope};
  Node node;

  peer::Host::Client host = nullptr;          // of the session that the test holds
  peer::Executor::Client executor = nullptr;

  // Throws what runBytes fails with.
  Process::Client run(kj::ArrayPtr<const kj::byte> wasm, kj::ArrayPtr<const kj::StringPtr> args,
                      Words env = {});
  Process::Client run(kj::StringPtr name, Words args, Words env = {}) {
    return run(component(name), args, env);
  }

  int32_t wait(Process::Client process);
  kj::String readAll(ByteStream::Client stream);
  kj::Array<kj::byte> read(ByteStream::Client stream, uint32_t maxBytes);
  kj::Promise<void> write(ByteStream::Client stream, kj::ArrayPtr<const kj::byte> data);
  void close(ByteStream::Client stream) { stream.closeRequest().send().wait(waitScope); }

  static ByteStream::Client stdin(Process::Client p) { return p.stdinRequest().send().getStream(); }
  static ByteStream::Client stdout(Process::Client p) {
    return p.stdoutRequest().send().getStream();
  }
  static ByteStream::Client stderr(Process::Client p) {
    return p.stderrRequest().send().getStream();
  }

  // Runs it to its end, with an empty stdin.
  struct Outcome {
    int32_t code;
    kj::String out, err;
  };
  Outcome runToEnd(kj::StringPtr name, Words args, Words env = {});

  // Turns the loop until so many guests run: busy ones keep it from ever coming to rest.
  void untilGuests(kj::uint count);

  // Whether the node still does its work.
  bool answers();

  bool logged(kj::StringPtr text) const;

 private:
  void graft();
};

// Why `code` throws; empty if it does not.
template <typename Code>
kj::String failureOf(Code&& code) {
  kj::String reason;
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions(kj::fwd<Code>(code))) {
    reason = kj::str(exception->getDescription());
  }
  return reason;
}

bool contains(kj::StringPtr text, kj::StringPtr part);

// A cell with descendants, `depth` generations of them, all running and waiting. The top one.
Process::Client startTree(TestNode& node, kj::StringPtr depth);

}  // namespace ww
