#pragma once
// The images of a node that runs: its store, those who may have what is not in it, peers among
// them, and the trees that it boots.
//
// Lives on the node's event loop.

#include <ww/node/bitswap.h>
#include <ww/node/epoch-images.h>
#include <ww/node/image-import.h>
#include <ww/node/image-tree.h>

namespace ww {

class NodeImages final: public ImageFetcher {
 public:
  struct Parts {
    kj::StringPtr folder;    // the data folder's `images`
    uint64_t storeBytes;
    const SourceOptions& sources;
    bool hasPeers;           // there is a network
    DialScope providers;     // where peers may be that the DHT names
    Swarm& swarm;
    kj::AsyncIoProvider& io;
    TreeFolder& trees;
    Logger& logger;
  };

  // Peers are served from now on, and hear of what is here: before the loop turns for the first
  // time. All outlive it.
  explicit NodeImages(Parts parts);
  KJ_DISALLOW_COPY_AND_MOVE(NodeImages);

  // Whether it takes this to have it: content, or a .car file. Throws as parseImageRef() does.
  static bool isFor(kj::StringPtr layer);

  // The layers, one over the other, wherever each comes from. What is in the store is kept there
  // while this lives.
  kj::Promise<kj::Own<MergedTree>> merge(kj::ArrayPtr<const kj::String> layers);

  // What a head names: a content id, in its binary form or as text.
  kj::Promise<EpochImage> fetch(kj::ArrayPtr<const kj::byte> head) override;

 private:
  kj::Promise<void> addLayer(kj::StringPtr layer, ImageTree& tree);
  void keep(ImageImport::Added added);

  TreeFolder& trees;
  ImageStore store;
  Bitswap bitswap;
  ImageSources sources;
  ImageImport import;
  kj::Vector<ImageImport::Added> kept;  // the latest, which are what runs
};

}  // namespace ww
