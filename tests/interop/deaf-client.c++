// A client that has a session, and from then on calls without end and reads nothing.
//
//   interop-deaf-client KEY_FILE ADDR
//
// It says `left CALLS` when the node has hung up, and stays connected until its input ends.
#include <capnp/rpc-twoparty.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <membrane.capnp.h>
#include <stem.capnp.h>
#include <unistd.h>
#include <ww/membrane/key-signer.h>
#include <ww/net/libp2p-swarm.h>
#include <ww/node/client-links.h>
#include <ww/node/identity-file.h>

namespace ww {
namespace {

constexpr kj::uint MOST = 400'000;
constexpr kj::uint AT_ONCE = 500;

// A stream from which nothing is read any more once it is told so.
class Deaf final: public kj::AsyncIoStream {
 public:
  explicit Deaf(kj::Own<kj::AsyncIoStream> inner): inner(kj::mv(inner)) {}

  bool deaf = false;
  bool left = false;

  kj::Promise<size_t> tryRead(void* to, size_t least, size_t most) override {
    return inner->tryRead(to, least, most).then([this](size_t n) -> kj::Promise<size_t> {
      if (deaf) return kj::NEVER_DONE;
      return n;
    });
  }
  kj::Promise<void> write(const void* from, size_t size) override {
    return noting(inner->write(from, size));
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    return noting(inner->write(pieces));
  }
  kj::Promise<void> whenWriteDisconnected() override { return inner->whenWriteDisconnected(); }
  void shutdownWrite() override { inner->shutdownWrite(); }

 private:
  kj::Own<kj::AsyncIoStream> inner;

  kj::Promise<void> noting(kj::Promise<void> writing) {
    return writing.catch_([this](kj::Exception&& e) {
      left = true;
      kj::throwFatalException(kj::mv(e));
    });
  }
};

kj::Promise<void> attack(kj::AsyncIoContext& io, Libp2pSwarm& swarm, const Identity& identity,
                         kj::StringPtr text) {
  auto parsed = parseMultiaddrText(text);
  auto addr = parsed.get<Multiaddr>().clone();
  auto peer = KJ_REQUIRE_NONNULL(addr.findPeer());
  Deaf stream(co_await swarm.reach(peer.clone(), kj::arr(kj::mv(addr)), RPC_PROTOCOL));
  capnp::TwoPartyClient rpc(stream);
  auto graft = rpc.bootstrap().castAs<stem::Membrane<membrane::WetwareSession>>().graftRequest();
  graft.setSigner(makeSigner(SecretKey(identity.getKey().getSeed()), peer.toText()));
  auto session = co_await graft.send();
  auto host = session.getSession().getExtension().getHost();
  co_await host.idRequest().send();
  stream.deaf = true;
  kj::Vector<kj::Promise<void>> calls;
  auto hung = [&]() { return stream.left || calls.size() >= MOST; };
  while (!hung()) {
    for (kj::uint i = 0; i < AT_ONCE; i++) {
      calls.add(i % 2 == 0 ? host.idRequest().send().ignoreResult()
                           : host.addrsRequest().send().ignoreResult());
    }
    co_await io.provider->getTimer().afterDelay(0 * kj::SECONDS);  // they are written
  }
  auto line = kj::str(stream.left ? "left " : "endured ", calls.size(), '\n');
  kj::FdOutputStream(STDOUT_FILENO).write(line.begin(), line.size());
  co_await io.lowLevelProvider->wrapInputFd(STDIN_FILENO)->readAllText().ignoreResult();
}

int main(kj::StringPtr keyFile, kj::StringPtr addr) {
  auto io = kj::setupAsyncIo();
  MemoryLogger logger;
  auto identity = readIdentity(keyFile);
  Libp2pOptions options;
  options.dht = DhtMode::CLIENT;
  options.mdns = false;
  Libp2pSwarm swarm(identity, kj::mv(options), io.provider->getTimer(), io.unixEventPort, logger);
  attack(io, swarm, identity, addr).wait(io.waitScope);
  return 0;
}

}  // namespace
}  // namespace ww

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  int code = ww::main(argv[1], argv[2]);
  _exit(code);
}
