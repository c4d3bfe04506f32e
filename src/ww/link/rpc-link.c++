#include <ww/link/rpc-link.h>

#include <capnp/rpc-twoparty.h>
#include <capnp/serialize-async.h>
#include <kj/debug.h>
#include <ww/base/error.h>
#include <ww/base/recycled.h>
#include <ww/link/bounded-messages.h>
#include <ww/link/frame-guard.h>
#include <ww/link/stall-watch.h>
#include <ww/link/two-party-network.h>
#ifdef WW_STOCK_NETWORK
#include <ww/link/channel-stream.h>
#endif

namespace ww {

using RpcSystem = capnp::RpcSystem<capnp::rpc::twoparty::VatId>;
using capnp::rpc::twoparty::Side;

class RpcLink::Impl: private QuotaNetwork::Watcher {
 public:
  virtual ~Impl() noexcept(false) {}
  void onHits(kj::Function<void(kj::StringPtr)> tell) { tellHit = kj::mv(tell); }
  virtual kj::Promise<void> onDisconnect() = 0;
  virtual LinkUse getUse() const = 0;
  virtual kj::Promise<void> onEnd() { KJ_UNIMPLEMENTED("a cell's link ends with the cell"); }
  virtual capnp::Capability::Client bootstrap() {
    KJ_UNIMPLEMENTED("a cell offers nothing of its own");
  }
  virtual void setLimits(LinkLimits) { KJ_UNIMPLEMENTED("limits of a cell's own link are fixed"); }

 protected:
  QuotaNetwork::Watcher& asWatcher() { return *this; }
  bool mayGoOn() override { return true; }
  void heardLast() override {}
  void tell(kj::StringPtr limit) { tellHit(limit); }

 private:
  kj::Function<void(kj::StringPtr)> tellHit = [](kj::StringPtr) {};
  void onHit(kj::StringPtr limit) override { tell(limit); }
};

class RpcLink::OverChannel final: public Impl, private ReadObserver, public Recycled<OverChannel> {
 public:
  OverChannel(kj::Own<ByteChannel> channel, capnp::Capability::Client bootstrap, kj::Timer& timer,
              LinkLimits limits)
      : watch(timer, limits.patience, [this](kj::Exception&& e) { network.fail(kj::mv(e)); }),
        network(kj::mv(channel), Side::SERVER, {limits.frame, limits.unsentBytes}, *this),
        counted(network, limits.quota, asWatcher()),
        system(capnp::makeRpcServer(counted, kj::mv(bootstrap))), accepting(system.run()) {}

  kj::Promise<void> onDisconnect() override { return network.onDisconnect(); }
  LinkUse getUse() const override { return counted.getUse(); }

 private:
  // Whoever waits for bytes has accepted the one connection that there is; what would wait for
  // another takes 3 KiB.
  void onRead(const ReadProgress& progress) override {
    accepting = nullptr;
    watch.onRead(progress);
  }

  StallWatch watch;
  TwoPartyNetwork network;
  QuotaNetwork counted;
  RpcSystem system;
  kj::Promise<void> accepting;
};

class RpcLink::OverStream final: public Impl {
 public:
  OverStream(kj::Own<kj::AsyncIoStream> raw, capnp::Capability::Client bootstrap, kj::Timer& timer,
             LinkLimits limits)
      : watch(timer, limits.patience, [this](kj::Exception&& e) { stream.fail(kj::mv(e)); }),
        stream(kj::mv(raw), limits.frame, watch),
        messages(stream, capnp::IncomingRpcMessage::getShortLivedCallback()),
        bounded(messages, limits.frame),
        network(bounded, Side::SERVER, readerOptions(limits)),
        unsentBytes(limits.unsentBytes), counted(network, limits.quota, asWatcher()),
        system(capnp::makeRpcServer(counted, kj::mv(bootstrap))) {}

  kj::Promise<void> onDisconnect() override {
    return network.onDisconnect().exclusiveJoin(overflow.addBranch());
  }
  kj::Promise<void> onEnd() override { return end.addBranch(); }
  LinkUse getUse() const override { return counted.getUse(); }
  capnp::Capability::Client bootstrap() override {
    capnp::MallocMessageBuilder message(4);
    auto peer = message.initRoot<capnp::rpc::twoparty::VatId>();
    peer.setSide(Side::CLIENT);
    return system.bootstrap(peer);
  }
  void setLimits(LinkLimits limits) override {
    stream.setLimits(limits.frame);
    unsentBytes = limits.unsentBytes;
    counted.setLimits(limits.quota);
  }

 private:
  // What a queued message takes beside its words: its builder, and its place in the queue.
  static constexpr size_t MESSAGE_BYTES = 1024;

  bool mayGoOn() override {
    auto unsent = network.getCurrentQueueSize() + network.getCurrentQueueCount() * MESSAGE_BYTES;
    if (unsent <= unsentBytes) return true;
    if (overflowed.fulfiller->isWaiting()) tell("unsentBytes");
    overflowed.fulfiller->fulfill();
    return false;
  }
  void heardLast() override { ended.fulfiller->fulfill(); }

  static capnp::ReaderOptions readerOptions(const LinkLimits& limits) {
    // Also the largest message that the network reads, counted without its header: the guard's
    // limit is the one that counts.
    capnp::ReaderOptions options;
    options.traversalLimitInWords = limits.frame.words + 1;
    return options;
  }

  StallWatch watch;
  FrameGuard stream;
  capnp::BufferedMessageStream messages;
  BoundedMessages bounded;
  capnp::TwoPartyVatNetwork network;
  size_t unsentBytes;
  kj::PromiseFulfillerPair<void> overflowed = kj::newPromiseAndFulfiller<void>();
  kj::ForkedPromise<void> overflow = overflowed.promise.fork();
  kj::PromiseFulfillerPair<void> ended = kj::newPromiseAndFulfiller<void>();
  kj::ForkedPromise<void> end = ended.promise.fork();
  QuotaNetwork counted;
  RpcSystem system;
};

RpcLink::RpcLink(kj::Own<ByteChannel> channel, capnp::Capability::Client bootstrap,
                 kj::Timer& timer, LinkLimits limits)
#ifdef WW_STOCK_NETWORK
    : RpcLink(kj::heap<ChannelStream>(kj::mv(channel)), kj::mv(bootstrap), timer, limits) {}
#else
    : impl(kj::heap<OverChannel>(kj::mv(channel), kj::mv(bootstrap), timer, limits)) {}
#endif

RpcLink::RpcLink(kj::Own<kj::AsyncIoStream> stream, capnp::Capability::Client bootstrap,
                 kj::Timer& timer, LinkLimits limits)
    : impl(kj::heap<OverStream>(kj::mv(stream), kj::mv(bootstrap), timer, limits)) {}

RpcLink::~RpcLink() noexcept(false) {}

void RpcLink::setLimits(LinkLimits limits) { impl->setLimits(limits); }

capnp::Capability::Client RpcLink::bootstrap() { return impl->bootstrap(); }

kj::Promise<void> RpcLink::onDisconnect() { return impl->onDisconnect(); }

LinkUse RpcLink::getUse() const { return impl->getUse(); }

void RpcLink::onHits(kj::Function<void(kj::StringPtr limit)> tell) { impl->onHits(kj::mv(tell)); }

kj::Promise<void> RpcLink::onEnd() { return impl->onEnd(); }

}  // namespace ww
