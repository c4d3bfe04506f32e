#include <ww/cli/push.h>

#include <kj/async-io.h>
#include <kj/encoding.h>
#include <ww/base/error.h>
#include <ww/cli/table.h>
#include <ww/cli/target.h>

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

}  // namespace

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
