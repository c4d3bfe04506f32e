#include <ww/node/node-images.h>

#include <ww/base/error.h>
#include <ww/base/text.h>
#include <ww/node/host-layer.h>

namespace ww {
namespace {

// Images that are kept in the store as what runs, or is about to.
constexpr size_t MAX_KEPT = 64;

// Of whose roots the DHT is told.
constexpr size_t MAX_PROVIDED = 256;

kj::Maybe<kj::Own<BlockSource>> peersOf(Bitswap& bitswap, bool hasPeers) {
  if (hasPeers) return bitswap.makeSource();
  return nullptr;
}

// A head as an operator set it.
Cid cidOfHead(kj::ArrayPtr<const kj::byte> head) {
  kj::Maybe<Cid> cid;
  kj::runCatchingExceptions([&]() { cid = Cid::fromBytes(head); });
  if (cid == nullptr && isUtf8(head)) {
    kj::runCatchingExceptions([&]() { cid = Cid::parse(kj::heapString(head.asChars())); });
  }
  KJ_IF_MAYBE(found, cid) return kj::mv(*found);
  kj::throwFatalException(badInput("the head is no content id, in binary form or as text"));
}

}  // namespace

NodeImages::NodeImages(Parts parts)
    : trees(parts.trees),
      store(parts.folder, parts.storeBytes, kj::systemCoarseCalendarClock(), parts.logger),
      bitswap(parts.swarm, store, parts.io.getTimer(), parts.logger, parts.providers),
      sources(parts.sources, parts.io, peersOf(bitswap, parts.hasPeers)),
      import(store, sources, kj::systemCoarseCalendarClock(), parts.logger) {
  if (!parts.hasPeers) return;
  size_t provided = 0;
  for (auto& image: store.list()) {
    if (image.whole && provided++ < MAX_PROVIDED) bitswap.provide(image.cid);
  }
}

bool NodeImages::isFor(kj::StringPtr layer) { return !parseImageRef(layer).is<PathRef>(); }

kj::Promise<void> NodeImages::addLayer(kj::StringPtr layer, ImageTree& tree) {
  auto ref = parseImageRef(layer);
  tree.beginLayer(layer);
  KJ_IF_MAYBE(path, ref.tryGet<PathRef>()) {
    readHostLayer(path->path, TreeLimits(), tree);
  } else {
    keep(co_await import.add(kj::mv(ref), tree));
  }
}

kj::Promise<kj::Own<MergedTree>> NodeImages::merge(kj::ArrayPtr<const kj::String> layers) {
  auto tree = trees.begin();
  for (auto& layer: layers) co_await addLayer(layer, *tree);
  co_return co_await tree->finish();
}

void NodeImages::keep(ImageImport::Added added) {
  bitswap.provide(added.root);
  if (kept.size() == MAX_KEPT) {
    for (size_t i = 1; i < MAX_KEPT; i++) kept[i - 1] = kj::mv(kept[i]);
    kept.removeLast();
  }
  kept.add(kj::mv(added));
}

kj::Promise<EpochImage> NodeImages::fetch(kj::ArrayPtr<const kj::byte> head) {
  auto cid = cidOfHead(head);
  auto tree = trees.begin();
  tree->beginLayer(kj::str("/ipfs/", cid.toText()));
  keep(co_await import.add(IpfsRef{kj::mv(cid), kj::String()}, *tree));
  auto merged = co_await tree->finish();
  auto main = merged->readMain();
  KJ_IF_MAYBE(none, main.tryGet<NoImage>()) kj::throwFatalException(badInput(none->problem));
  co_return EpochImage{kj::mv(main.get<kj::Array<kj::byte>>()), kj::mv(merged)};
}

}  // namespace ww
