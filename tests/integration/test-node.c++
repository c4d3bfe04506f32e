#include "test-node.h"

#include <kj/debug.h>
#include <kj/filesystem.h>
#include <kj/test.h>
#include <stdlib.h>
#include <string.h>
#include <ww/net/identity.h>
#include <ww/node/directory-store.h>

namespace ww {
namespace {

constexpr uint64_t MAX_CODE_BYTES = uint64_t(1) << 30;

// Shared by all tests: what one of them has compiled, the next one finds.
kj::Own<Store> codeStore() { return kj::heap<DirectoryStore>(WW_TEST_CODE, MAX_CODE_BYTES); }

// The same tests are run on several loops too.
NodeOptions onLoops(NodeOptions options) {
  auto loops = getenv("WW_TEST_LOOPS");
  if (loops != nullptr) options.threads = kj::StringPtr(loops).parseAs<kj::uint>();
  return options;
}

PeerId testPeerId() { return Identity::generate().getPeerId().clone(); }

}  // namespace

kj::Array<kj::byte> component(kj::StringPtr name) {
  auto fs = kj::newDiskFilesystem();
  auto find = [&](kj::StringPtr suffix) {
    auto path = fs->getCurrentPath().eval(kj::str(WW_COMPONENTS, "/", name, suffix, ".wasm"));
    return fs->getRoot().tryOpenFile(path);
  };
  // With Cap'n Proto's own network in it, where that is asked for and it has any.
  if (getenv("WW_TEST_STOCK_GUESTS") != nullptr) {
    KJ_REQUIRE(fs->getRoot().exists(fs->getCurrentPath().eval(
        kj::str(WW_COMPONENTS, "/cell-rpc-stock.wasm"))), "there are no such guests");
    KJ_IF_MAYBE(file, find("-stock")) return (*file)->readAllBytes();
  }
  return KJ_REQUIRE_NONNULL(find(""), "no such component", name)->readAllBytes();
}

TestNode::TestNode(NodeOptions options)
    : swarm(network, testPeerId()),
      node(onLoops(options), io.provider->getTimer(), waitScope, heads, swarm, logger,
           {codeStore()}) {
  graft();
}

TestNode::TestNode(NodeOptions options, kj::Own<const ffi::CompileWorker> worker)
    : swarm(network, testPeerId()),
      node(onLoops(options), io.provider->getTimer(), waitScope, heads, swarm, logger,
           {codeStore(), kj::mv(worker)}) {
  graft();
}

TestNode::TestNode(NodeOptions options, kj::Timer& timer)
    : swarm(network, testPeerId()),
      node(onLoops(options), timer, waitScope, heads, swarm, logger, {codeStore()}) {
  graft();
}

TestNode::~TestNode() noexcept(false) {}

void TestNode::graft() {
  auto extension = node.openMembrane().graftRequest().send().getSession().getExtension();
  host = extension.getHost();
  executor = extension.getExecutor();
}

Process::Client TestNode::run(kj::ArrayPtr<const kj::byte> wasm,
                              kj::ArrayPtr<const kj::StringPtr> args, Words env) {
  auto request = executor.runBytesRequest();
  request.setWasm(wasm);
  auto argList = request.initArgs(args.size());
  for (kj::uint i = 0; i < args.size(); i++) argList.set(i, args.begin()[i]);
  auto envList = request.initEnv(env.size());
  for (kj::uint i = 0; i < env.size(); i++) envList.set(i, env.begin()[i]);
  return request.send().wait(waitScope).getProcess();
}

int32_t TestNode::wait(Process::Client process) {
  return process.waitRequest().send().wait(waitScope).getExitCode();
}

kj::Array<kj::byte> TestNode::read(ByteStream::Client stream, uint32_t maxBytes) {
  auto request = stream.readRequest();
  request.setMaxBytes(maxBytes);
  return kj::heapArray<kj::byte>(request.send().wait(waitScope).getData());
}

kj::String TestNode::readAll(ByteStream::Client stream) {
  kj::Vector<char> text;
  for (;;) {
    auto piece = read(stream, kj::maxValue);
    if (piece.size() == 0) break;
    text.addAll(piece.asPtr().asChars());
  }
  return kj::heapString(text.asPtr());
}

kj::Promise<void> TestNode::write(ByteStream::Client stream, kj::ArrayPtr<const kj::byte> data) {
  auto request = stream.writeRequest();
  request.setData(data);
  return request.send().ignoreResult();
}

TestNode::Outcome TestNode::runToEnd(kj::StringPtr name, Words args, Words env) {
  auto process = run(name, args, env);
  close(stdin(process));
  auto out = readAll(stdout(process));
  auto err = readAll(stderr(process));
  return {wait(process), kj::mv(out), kj::mv(err)};
}

void TestNode::untilGuests(kj::uint count) {
  while (node.getEngine().guestCount() != count) {
    kj::evalLater([]() {}).wait(waitScope);
    waitScope.poll(1);
  }
}

bool TestNode::answers() {
  auto request = executor.echoRequest();
  request.setMessage("there?");
  return request.send().wait(waitScope).getResponse() == "Echo: there?";
}

bool TestNode::logged(kj::StringPtr text) const {
  for (auto& line: logger.getLines()) {
    if (contains(line, text)) return true;
  }
  return false;
}

Process::Client startTree(TestNode& node, kj::StringPtr depth) {
  auto wasm = component("cell-rpc");
  auto top = node.run(wasm, {"tree", depth});
  auto stdin = node.stdin(top);
  node.write(stdin, wasm).wait(node.waitScope);
  node.close(stdin);
  auto line = kj::str("tree ", depth, "\n");
  KJ_EXPECT(node.read(node.stdout(top), 1024) == line.asBytes());
  return top;
}

bool contains(kj::StringPtr text, kj::StringPtr part) {
  return memmem(text.begin(), text.size(), part.begin(), part.size()) != nullptr;
}

}  // namespace ww
