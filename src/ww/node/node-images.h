#pragma once
// The images of a node that runs: its store, those who may have what is not in it, peers among
// them, and the trees that it boots.
//
// Lives on the node's event loop, and reads folders of the host, writes trees and uses the store
// there: it waits for the disk. Tests: node-images-test.c++.

#include <ww/node/bitswap.h>
#include <ww/node/epoch-images.h>
#include <ww/node/image-import.h>
#include <ww/node/image-keeper.h>
#include <ww/node/image-tree.h>
#include <ww/node/pin-room.h>

namespace ww {

class NodeImages final: public ImageFetcher, public ImageKeeper {
 public:
  struct Parts {
    kj::StringPtr folder;    // the data folder's `images`
    uint64_t storeBytes;
    const SourceOptions& sources;
    bool hasPeers;           // there is a network
    kj::Function<kj::Promise<void>()> meet;  // before the first question to a peer; once
    DialScope providers;     // where peers may be that the DHT names
    Swarm& swarm;
    kj::AsyncIoProvider& io;
    TreeFolder& trees;
    Logger& logger;
  };

  // So much is fetched of a head that may never be final.
  static constexpr uint64_t MAX_AHEAD_BYTES = uint64_t(1) << 30;
  static constexpr size_t MAX_PROVIDED = 256;  // images of whose roots the DHT is told at the start
  static constexpr kj::uint MAX_KEEPING = 4;   // keepImage()s at a time

  // Peers have images pinned as long as what is pinned, by whomever, and what is being kept takes
  // no more than this part of the store: room stays for what the node is to run.
  static constexpr kj::uint PINNED_PART = 2;

  // Peers are served from now on, and hear of what is here: before the loop turns for the first
  // time. All outlive it, and it the trees that it gives.
  explicit NodeImages(Parts parts);
  KJ_DISALLOW_COPY_AND_MOVE(NodeImages);

  // Whether it takes this to have it: content, or a .car file. Throws as parseImageRef() does.
  static bool isFor(kj::StringPtr layer);

  // The layers, one over the other, wherever each comes from. What of them is in the store is kept
  // there while the tree is.
  kj::Promise<kj::Own<MergedTree>> merge(kj::ArrayPtr<const kj::String> layers);

  // What a head names: a content id, in its binary form or as text. Kept likewise. The tree stays
  // until that of another head is there, so that what both have is written once.
  kj::Promise<EpochImage> fetch(kj::ArrayPtr<const kj::byte> head) override;
  kj::Promise<kj::Own<void>> prefetch(kj::ArrayPtr<const kj::byte> head) override;

  kj::Promise<Kept> keepImage(Cid root, Asker asker) override;

 private:
  kj::Promise<EpochImage> fetchTree(kj::ArrayPtr<const kj::byte> head);

  kj::uint keeping = 0;
  TreeFolder& trees;
  ImageStore store;
  PinRoom pins;
  Bitswap bitswap;
  ImageSources sources;
  ImageImport import;
  kj::Maybe<kj::Own<MergedTree>> last;  // that a head named: the next one's links come from it
};

}  // namespace ww
