#include <ww/node/node-images.h>

#include <ww/base/error.h>
#include <ww/base/text.h>
#include <ww/node/host-layer.h>
#include <ww/node/main-check.h>

namespace ww {
namespace {

// Peers, who have to be met first.
class PeersToMeet final: public BlockSource {
 public:
  PeersToMeet(kj::Own<BlockSource> inner, kj::Function<kj::Promise<void>()> meet)
      : inner(kj::mv(inner)), meet(kj::mv(meet)) {}

  kj::StringPtr getName() const override { return inner->getName(); }
  bool isResting() override { return inner->isResting(); }
  kj::Promise<kj::Array<const kj::byte>> fetch(const Cid& cid) override {
    return fetchOf(cid, cid);
  }
  kj::Promise<kj::Array<const kj::byte>> fetchOf(const Cid& root, const Cid& cid) override {
    if (met == nullptr) met = meet().fork();
    return KJ_ASSERT_NONNULL(met).addBranch().then([this, root = root.clone(),
                                                    cid = cid.clone()]() {
      return inner->fetchOf(root, cid);
    });
  }

 private:
  kj::Own<BlockSource> inner;
  kj::Function<kj::Promise<void>()> meet;
  kj::Maybe<kj::ForkedPromise<void>> met;
};

kj::Maybe<kj::Own<BlockSource>> peersOf(Bitswap& bitswap, NodeImages::Parts& parts) {
  if (!parts.hasPeers) return nullptr;
  bool isOnly = parts.sources.gateways.size() == 0 && parts.sources.ipfs == nullptr;
  auto source = bitswap.makeSource(isOnly);
  return kj::Own<BlockSource>(kj::heap<PeersToMeet>(kj::mv(source), kj::mv(parts.meet)));
}

// A head as an operator set it.
Cid cidOfHead(kj::ArrayPtr<const kj::byte> head) {
  kj::Maybe<Cid> cid;
  kj::runCatchingExceptions([&]() { cid = Cid::fromBytes(head); });
  if (cid == nullptr && isUtf8(head)) {
    kj::runCatchingExceptions([&]() { cid = Cid::parse(kj::heapString(head.asChars())); });
  }
  KJ_IF_MAYBE(found, cid) return kj::mv(*found);
  kj::throwFatalException(contentProblem("the head is no content id, in binary form or as text"));
}

}  // namespace

NodeImages::NodeImages(Parts parts)
    : trees(parts.trees),
      store(parts.folder, parts.storeBytes, kj::systemCoarseCalendarClock(), parts.logger),
      pins(parts.storeBytes / PINNED_PART,
           [this](kj::Array<Cid> roots) { return store.countPinned(kj::mv(roots)); }),
      bitswap(parts.swarm, store, parts.io.getTimer(), parts.logger, parts.providers),
      sources(parts.sources, parts.io, peersOf(bitswap, parts)),
      import(store, sources, kj::systemCoarseCalendarClock(), parts.logger) {
  if (!parts.hasPeers) return;
  for (auto& root: store.wholeRoots(MAX_PROVIDED)) bitswap.provide(root);
}

bool NodeImages::isFor(kj::StringPtr layer) { return !parseImageRef(layer).is<PathRef>(); }

kj::Promise<kj::Own<MergedTree>> NodeImages::merge(kj::ArrayPtr<const kj::String> layers) {
  auto tree = trees.begin();
  kj::Vector<kj::Own<ImageStore::Kept>> kept;
  for (auto& layer: layers) {
    auto ref = parseImageRef(layer);
    tree->beginLayer(layer);
    KJ_IF_MAYBE(path, ref.tryGet<PathRef>()) {
      readHostLayer(path->path, TreeLimits(), *tree);
    } else {
      auto added = co_await import.add(kj::mv(ref), *tree);
      bitswap.provide(added.root);
      kept.add(kj::mv(added.kept));
    }
  }
  co_return (co_await tree->finish()).attach(kj::mv(kept));
}

kj::Promise<EpochImage> NodeImages::fetch(kj::ArrayPtr<const kj::byte> head) {
  return fetchTree(head).catch_([this](kj::Exception&& e) -> EpochImage {
    last = nullptr;  // perhaps the disk has no room for both
    // Of content there is no other layer that could make an image of it.
    if (!isNoImage(e)) kj::throwFatalException(kj::mv(e));
    kj::throwFatalException(contentProblem(e.getDescription().slice(NOT_AN_IMAGE.size())));
  });
}

kj::Promise<EpochImage> NodeImages::fetchTree(kj::ArrayPtr<const kj::byte> head) {
  auto cid = cidOfHead(head);
  auto tree = trees.begin();
  tree->beginLayer(kj::str("/ipfs/", cid.toText()));
  auto added = co_await import.add(IpfsRef{kj::mv(cid), kj::String()}, *tree);
  bitswap.provide(added.root);
  auto merged = (co_await tree->finish()).attach(kj::mv(added.kept));
  auto main = merged->readMain();
  KJ_IF_MAYBE(none, main.tryGet<NoImage>()) kj::throwFatalException(noImage(none->problem));
  last = kj::addRef(*merged);
  co_return EpochImage{kj::mv(main.get<kj::Array<kj::byte>>()), kj::mv(merged)};
}

kj::Promise<kj::Own<void>> NodeImages::prefetch(kj::ArrayPtr<const kj::byte> head) {
  co_return co_await import.prefetch(cidOfHead(head), MAX_AHEAD_BYTES);
}

kj::Promise<ImageKeeper::Kept> NodeImages::keepImage(Cid root, Asker asker) {
  if (keeping == MAX_KEEPING) {
    kj::throwFatalException(overloaded(kj::str("images: ", keeping, " are being kept")));
  }
  ++keeping;
  KJ_DEFER(--keeping);
  PinRoom::Claim claim(pins, root);
  ImageImport::Gate gate;
  if (!store.isPinned(root)) {
    co_await claim.count();
    claim.requireRoom();
    gate = claim;
  }
  auto first = asker.peer.map([&](const PeerId& id) { return bitswap.askFirst(root, id); });
  auto name = root.toText();
  MainCheck check(name);
  WatchedSink watched(check, [&](uint64_t, uint64_t) { asker.onStep(); });
  auto added = co_await import.add(IpfsRef{root.clone(), kj::String()}, watched, gate);
  KJ_IF_MAYBE(problem, check.findProblem(false)) kj::throwFatalException(badInput(*problem));
  co_await claim.count();
  if (!store.isPinned(root)) claim.requireRoom();
  co_await store.whenFree(sources.getTimer(), [&]() {
    asker.check();
    store.setPinned(root, true);
    claim.setPinned();
    bitswap.provide(root);
  });
  auto& kept = claim.getCounted();
  co_return Kept{kept.blocks, kept.bytes};
}

}  // namespace ww
