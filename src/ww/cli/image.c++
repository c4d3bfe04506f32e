#include <ww/cli/image.h>

#include <kj/debug.h>
#include <ww/base/error.h>
#include <ww/cli/data-dir.h>
#include <ww/cli/progress.h>
#include <ww/cli/run.h>
#include <ww/cli/show-image.h>
#include <ww/cli/stderr-logger.h>
#include <ww/cli/store-names.h>
#include <ww/cli/table.h>
#include <ww/cli/target.h>
#include <ww/node/image-import.h>
#include <ww/node/image-tree.h>
#include <ww/node/main-check.h>
#include <ww/node/output-file.h>
#include <ww/node/stdio.h>

namespace ww {
namespace {

using What = ImageOptions::What;

constexpr int EXIT_DAMAGED = 1;

constexpr kj::StringPtr NONE_HERE =
    "there are no images here; `ww image add IMAGE` brings one"_kj;
constexpr kj::StringPtr NO_SUCH_IMAGE = "there is no such image"_kj;
constexpr kj::StringPtr NOT_DONE = "it could not be done"_kj;

ImageStore::Access accessFor(What what) {
  bool reads = what == What::LS || what == What::VERIFY || what == What::EXPORT;
  return reads ? ImageStore::Access::READ : ImageStore::Access::CHANGE;
}

class ImageCommand {
 public:
  ImageCommand(const ImageOptions& options, Logger& logger)
      : options(options), logger(logger),
        source(options.what == What::ADD
                   ? resolveImage(options.images[0], dataDir(options.dataDir), logger)
                   : nullptr),
        store(storeFolder(dataDir(options.dataDir)), options.storeBytes,
              kj::systemCoarseCalendarClock(), logger, accessFor(options.what)) {}

  int run() {
    switch (options.what) {
      case What::LS: return ls();
      case What::ADD: return add();
      case What::RM: return rm();
      case What::PIN: return pin(true);
      case What::UNPIN: return pin(false);
      case What::GC: return gc();
      case What::VERIFY: return verify();
      case What::EXPORT: return exportCar();
    }
    KJ_UNREACHABLE;
  }

  // Thrown where there is none, for an exit code of its own.
  struct NoSuchImage {
    kj::String why;
  };

 private:
  const ImageOptions& options;
  Logger& logger;
  const kj::String source;  // ADD: of what is brought
  ImageStore store;

  StoredImage get(kj::StringPtr nameOrCid) {
    auto found = store.findImage(nameOrCid);
    KJ_IF_MAYBE(image, found) return kj::mv(*image);
    throw NoSuchImage{kj::str(nameOrCid, ": there is no such image in the store; `ww image ls` "
                              "lists those that there are")};
  }

  int show(kj::StringPtr text) {
    if (print(text)) return 0;
    kj::throwFatalException(badInput("what was asked could not be printed"));
  }

  int showAll(kj::ArrayPtr<const StoredImage> images) {
    if (options.json) return show(showImages(images, true));
    for (auto& image: images) show(showImage(image, false));
    return 0;
  }

  int ls() {
    auto images = store.list();
    if (images.size() == 0) logger.log(LogLevel::INFO, NONE_HERE);
    return show(showImages(images, options.json));
  }

  int add() {
    auto ref = parseImageRef(source);
    KJ_IF_MAYBE(name, options.name) requireImageName(*name);
    auto io = kj::setupAsyncIo();
    ImageSources sources(options.sources, *io.provider);
    ImageImport import(store, sources, kj::systemCoarseCalendarClock(), logger);
    MainCheck check(options.images[0]);
    kj::Maybe<ImageImport::Added> added;
    {
      Progress progress;
      WatchedSink sink(check, [&](uint64_t files, uint64_t bytes) {
        progress.show(kj::str(files, " files, ", bytes >> 20, " MiB"), bytes);
      });
      added = import.add(kj::mv(ref), sink).wait(io.waitScope);
    }
    KJ_IF_MAYBE(problem, check.findProblem(true)) kj::throwFatalException(badInput(*problem));
    if (check.findProblem(false) != nullptr) {
      logger.log(LogLevel::INFO, "it has nothing that could be run: it is a layer for other images",
                 {{"layer", kj::str(options.images[0])}, {"looked-for", kj::str(
                     kj::strArray(MAIN_PLACES, " and "))}});
    }
    auto& cid = KJ_ASSERT_NONNULL(added).root;
    if (options.pin) store.setPinned(cid, true);
    KJ_IF_MAYBE(name, options.name) store.setName(cid, *name);
    auto image = get(cid.toText());
    image.inUse = false;  // but by this process
    return show(showImage(image, options.json));
  }

  // All or none: those that there are not are found first.
  kj::Array<StoredImage> getAll() {
    return KJ_MAP(name, options.images) { return get(name); };
  }

  int rm() {
    auto images = getAll();
    for (auto& image: images) store.remove(image.cid);
    return showAll(images);
  }

  int pin(bool on) {
    auto images = getAll();
    if (options.name != nullptr && images.size() != 1) {
      kj::throwFatalException(badInput("--name is for one image"));
    }
    for (auto& image: images) {
      store.setPinned(image.cid, on);
      KJ_IF_MAYBE(name, options.name) store.setName(image.cid, *name);
    }
    return showAll(KJ_MAP(image, images) { return get(image.cid.toText()); });
  }

  int gc() {
    auto collected = store.collect(options.toBytes);
    auto left = store.getBytes();
    if (left > options.toBytes) {
      logger.log(LogLevel::INFO, "what is left is of images that are pinned (`ww image unpin`) or "
                 "in use");
    }
    return show(showCollected(collected, left, options.json));
  }

  int verify() {
    StoreCheck check;
    {
      Progress progress;
      check = store.verify([&](uint64_t done, uint64_t all) {
        progress.show(kj::str(done, " of ", all, " blocks"), done << 20);
      });
    }
    show(showCheck(check, options.json));
    return check.damaged.empty() && check.incomplete.empty() ? 0 : EXIT_DAMAGED;
  }

  int exportCar() {
    auto image = get(options.images[0]);
    auto kept = store.keep(image.cid);
    if (!kept->isWhole()) {
      kj::throwFatalException(badInput(kj::str(options.images[0], ": only a part of this image is "
          "in the store; `ww image add` brings the rest")));
    }
    auto io = kj::setupAsyncIo();
    BlockFetcher fetcher(*kept, nullptr, logger);
    CarWritten written;
    bool isShown = !isStandardOutput(options.file);
    writeOutput(options.file, dataDir(options.dataDir), [&](kj::AsyncOutputStream& out) {
      return writeCar(fetcher, image.cid, TreeLimits(), out).then([&](CarWritten result) {
        written = result;
      });
    }).wait(io.waitScope);
    if (!isShown) return 0;
    if (!options.json) return show(showImage(image, false));
    return show(kj::str(JsonObject().add("cid", image.cid.toText()).add("file", options.file)
                            .add("blocks", written.blocks).add("bytes", written.bytes).toText(),
                        '\n'));
  }
};

// What does without a store makes none: its folder may have been misspelt.
int withoutStore(const ImageOptions& options, Logger& logger, kj::StringPtr folder) {
  auto why = kj::str(folder, ": there is no store of images; `ww image add IMAGE` begins one, and "
                     "--data-dir names the data folder of another");
  switch (options.what) {
    case What::LS:
      logger.log(LogLevel::INFO, NONE_HERE, {{"folder", kj::str(folder)}});
      return print(showImages(nullptr, options.json)) ? 0 : EXIT_NODE_FAILED;
    case What::GC: case What::VERIFY: return complain(logger, EXIT_NODE_FAILED, NOT_DONE, why);
    default: return complain(logger, EXIT_NO_IMAGE, NO_SUCH_IMAGE, why);
  }
}

}  // namespace

int image(const ImageOptions& options) {
  StderrLogger logger(KJ_ASSERT_NONNULL(findLogLevel(options.logLevel)),
                      options.logFormat == "json" ? LogFormat::JSON : LogFormat::TEXT);
  KjLogs kjLogs(logger);
  int code = EXIT_NODE_FAILED;
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() {
    auto folder = storeFolder(dataDir(options.dataDir));
    if (options.what != What::ADD && !hasStore(folder)) {
      code = withoutStore(options, logger, folder);
      return;
    }
    try {
      code = ImageCommand(options, logger).run();
    } catch (const ImageCommand::NoSuchImage& none) {
      code = complain(logger, EXIT_NO_IMAGE, NO_SUCH_IMAGE, none.why);
    }
  })) {
    if (isNoImage(*exception)) return complainOfImage(logger, *exception);
    return complain(logger, EXIT_NODE_FAILED, NOT_DONE, exception->getDescription());
  }
  return code;
}

}  // namespace ww
