#include <ww/cli/push.h>

#include <kj/async-io.h>
#include <kj/compat/http.h>
#include <kj/compat/tls.h>
#include <kj/debug.h>
#include <kj/encoding.h>
#include <ww/base/error.h>
#include <ww/base/random.h>
#include <ww/cli/data-dir.h>
#include <ww/cli/table.h>
#include <ww/cli/target.h>
#include <ww/node/image-import.h>
#include <ww/node/kubo-import.h>
#include <ww/node/main-check.h>

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

}  // namespace

void push(const PushOptions& options, Logger& logger) {
  // Before anything is sent: a key that cannot be read is no reason to have pushed.
  KJ_IF_MAYBE(head, options.head) requireKey(*head);
  auto io = kj::setupAsyncIo();
  auto& clock = kj::systemCoarseCalendarClock();
  ImageStore store(kj::str(dataDir(options.dataDir), "/images"), options.storeBytes, clock, logger);
  ImageSources sources(options.sources, *io.provider);
  ImageImport import(store, sources, clock, logger);
  MainCheck check(options.image);
  auto added = import.add(parseImageRef(options.image), check).wait(io.waitScope);
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
