#include <ww/cli/push.h>

#include <kj/async-io.h>
#include <kj/compat/http.h>
#include <kj/compat/tls.h>
#include <kj/debug.h>
#include <kj/encoding.h>
#include <string.h>
#include <ww/base/error.h>
#include <ww/base/random.h>
#include <ww/base/text.h>
#include <ww/cli/data-dir.h>
#include <ww/cli/options.h>
#include <ww/cli/progress.h>
#include <ww/cli/store-names.h>
#include <ww/cli/table.h>
#include <ww/cli/target.h>
#include <ww/node/image-import.h>
#include <ww/node/kubo-import.h>
#include <ww/node/main-check.h>
#include <ww/node/peer-push.h>

namespace ww {
namespace {

void say(kj::StringPtr line) {
  if (!print(line)) kj::throwFatalException(badInput("stdout takes nothing"));
}

kj::String hexOf(kj::ArrayPtr<const kj::byte> bytes) {
  return kj::str("0x", kj::encodeHex(bytes));
}

WrittenHead write(kj::AsyncIoContext& io, const HeadTarget& target, const Cid& cid,
                  Logger& logger) {
  auto value = kj::heapArray<const kj::byte>(cid.getBytes());
  return writeHead(*io.provider, target, kj::mv(value), logger).wait(io.waitScope);
}

void addHead(JsonObject& object, const HeadTarget& target, const WrittenHead& head) {
  object.add("contract", hexOf(target.writer.contract.asBytes())).add("chainId", head.chainId)
      .add("epoch", head.seq);
  KJ_IF_MAYBE(in, head.included) {
    object.add("transaction", hexOf(in->transaction.asBytes())).add("block", in->block);
  }
}

struct Sent {
  kj::String to;       // as it may be shown
  uint64_t bytes = 0;  // of its CAR file
};

Sent send(kj::AsyncIoContext& io, const PushOptions& options, kj::StringPtr to,
              BlockStore& store, const Cid& root, Logger& logger) {
  kj::HttpHeaderTable table;
  kj::TlsContext tls;
  auto& timer = io.provider->getTimer();
  auto& network = io.provider->getNetwork();
  auto tlsNetwork = tls.wrapNetwork(network);
  auto client = kj::newHttpClient(timer, table, network, *tlsNetwork);
  KuboImport kubo(*client, table, timer, kj::str(to), options.patience);
  BlockFetcher blocks(store, nullptr, logger);
  Sent sent{kj::str(kubo.getName())};
  kubo.import([&](kj::AsyncOutputStream& out) {
    return writeCar(blocks, root, TreeLimits(), out).then([&](CarWritten&& written) {
      sent.bytes = written.bytes;
    });
  }, root, randomNonce()).wait(io.waitScope);
  return sent;
}

// What the node then has of the image.
PeerPush::Kept sendToPeer(kj::AsyncIoContext& io, const PushOptions& options, kj::StringPtr to,
                          ImageStore& store, const Cid& root, uint64_t steps, Logger& logger) {
  TargetOptions target;
  target.on = kj::str(to);
  KJ_IF_MAYBE(file, options.identity) target.identity = kj::str(*file);
  KJ_IF_MAYBE(folder, options.dataDir) target.dataDir = kj::str(*folder);
  target.timeout = options.dialTimeout;
  auto all = KJ_ASSERT_NONNULL(store.findImage(root.toText())).bytes;
  PeerPush push(io.provider->getTimer(), options.patience);
  Progress progress;
  OfferedImages offered{store, [&](const Cid& cid, size_t bytes) {
    push.sent(cid, bytes);
    progress.show(kj::str(push.getSent() >> 20, " of ", all >> 20, " MiB"), push.getSent());
  }};
  kj::Maybe<PeerPush::Kept> kept;
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() {
    auto client = connectTo(io, target, logger, kj::mv(offered)).wait(io.waitScope);
    kept = push.push(*client, root, steps).wait(io.waitScope);
  })) {
    auto why = explain(*e);
    bool isNamed = strstr(why.cStr(), shorten(to).cStr()) != nullptr;
    e->setDescription(isNamed ? kj::mv(why) : kj::str(to, ": ", why));
    kj::throwFatalException(kj::mv(*e));
  }
  return KJ_ASSERT_NONNULL(kept);
}

}  // namespace

void push(const PushOptions& options, Logger& logger) {
  // Before anything is sent: a key that cannot be read is no reason to have pushed.
  KJ_IF_MAYBE(head, options.head) requireKey(*head);
  auto image = resolveImage(options.image, dataDir(options.dataDir), logger);
  auto io = kj::setupAsyncIo();
  auto& clock = kj::systemCoarseCalendarClock();
  ImageStore store(storeFolder(dataDir(options.dataDir)), options.storeBytes, clock, logger);
  ImageSources sources(options.sources, *io.provider);
  ImageImport import(store, sources, clock, logger);
  MainCheck check(options.image);
  uint64_t steps = 0;
  WatchedSink watched(check, [&](uint64_t, uint64_t) { ++steps; });
  auto added = import.add(parseImageRef(image), watched).wait(io.waitScope);
  auto& root = added.root;
  KJ_IF_MAYBE(problem, check.findProblem(false)) kj::throwFatalException(badInput(*problem));
  auto cid = root.toText();
  JsonObject object;
  object.add("cid", cid);
  KJ_IF_MAYBE(to, options.to) {
    auto sent = send(io, options, *to, *added.kept, root, logger);
    logger.log(LogLevel::INFO, "the image is imported and pinned",
               {{"image", kj::str(cid)}, {"to", kj::str(sent.to)}, {"bytes", kj::str(sent.bytes)}});
    object.add("to", sent.to).add("bytes", sent.bytes);
  } else if (options.peer != nullptr) {
    auto& to = KJ_ASSERT_NONNULL(options.peer);
    auto kept = sendToPeer(io, options, to, store, root, steps, logger);
    logger.log(LogLevel::INFO, "the image is kept and pinned there",
               {{"image", kj::str(cid)}, {"to", kj::str(to)}, {"bytes", kj::str(kept.bytes)}});
    object.add("to", to).add("blocks", kept.blocks).add("bytes", kept.bytes);
  } else {
    store.setPinned(root, true);
    logger.log(LogLevel::INFO, "the image is kept and pinned here; a node of this data folder that "
               "has a network offers it to its peers", {{"image", kj::str(cid)}});
    object.add("to", "swarm"_kj);
  }
  KJ_IF_MAYBE(head, options.head) addHead(object, *head, write(io, *head, root, logger));
  say(options.json ? kj::str(object.toText(), '\n') : kj::str(cid, '\n'));
}

void setHead(const SetHeadOptions& options, Logger& logger) {
  auto cid = Cid::parse(options.cid);
  auto io = kj::setupAsyncIo();
  auto head = write(io, options.head, cid, logger);
  JsonObject object;
  object.add("cid", cid.toText());
  addHead(object, options.head, head);
  say(options.json ? kj::str(object.toText(), '\n') : kj::str(head.seq, '\n'));
}

}  // namespace ww
