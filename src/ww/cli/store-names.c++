#include <ww/cli/store-names.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <ww/node/image-import.h>
#include <ww/node/image-store.h>
#include <ww/node/image-tree.h>

namespace ww {
namespace {

// 0 where it is there, or where that cannot be told: whoever opens it finds out.
int whyNotThere(kj::StringPtr path) {
  struct stat info;
  if (lstat(path.cStr(), &info) == 0) return 0;
  return errno == ENOENT || errno == ENOTDIR ? errno : 0;
}

ImageRef parse(kj::StringPtr image) {
  kj::Maybe<ImageRef> ref;
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { ref = parseImageRef(image); })) {
    kj::throwFatalException(noImage(e->getDescription()));
  }
  return kj::mv(KJ_ASSERT_NONNULL(ref));
}

kj::Maybe<kj::String> findInStore(kj::StringPtr name, kj::StringPtr dataDir, Logger& logger) {
  auto folder = storeFolder(dataDir);
  if (!hasStore(folder)) return nullptr;
  ImageStore store(folder, DEFAULT_STORE_BYTES, kj::systemCoarseCalendarClock(), logger,
                   ImageStore::Access::READ);
  return store.findImage(name).map([](const StoredImage& image) {
    return kj::str("/ipfs/", image.cid.toText());
  });
}

}  // namespace

kj::String storeFolder(kj::StringPtr dataDir) { return kj::str(dataDir, "/images"); }

bool hasStore(kj::StringPtr folder) { return whyNotThere(kj::str(folder, "/blocks.db")) == 0; }

kj::String resolveImage(kj::StringPtr image, kj::StringPtr dataDir, Logger& logger) {
  auto ref = parse(image);
  if (ref.is<IpfsRef>() || ref.is<IpnsRef>()) return kj::str(image);
  auto error = whyNotThere(image);
  if (error == 0) return kj::str(image);
  bool isName = ref.is<PathRef>() && image.findFirst('/') == nullptr;
  if (!isName) {
    kj::throwFatalException(noImage(kj::str(image, ": no such image (", strerror(error), ")")));
  }
  KJ_IF_MAYBE(content, findInStore(image, dataDir, logger)) return kj::mv(*content);
  kj::throwFatalException(noImage(kj::str(image, ": no such image: there is no file or folder of "
      "that name here, and no image in the store (`ww image ls`)")));
}

void resolveLayers(kj::Vector<kj::String>& layers, kj::StringPtr dataDir, Logger& logger) {
  for (auto& layer: layers) {
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() {
      layer = resolveImage(layer, dataDir, logger);
    })) {
      bool isLater = &layer != layers.begin();
      if (isLater) {
        e->setDescription(kj::str(e->getDescription(), "; if this was to be the image's argument: "
                                                       "those follow --"));
      }
      kj::throwFatalException(kj::mv(*e));
    }
  }
}

}  // namespace ww
