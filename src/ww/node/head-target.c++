#include <ww/node/head-target.h>

#include <ww/node/eth-address.h>
#include <ww/node/eth-key-file.h>
#include <ww/stem/provider-url.h>

namespace ww {

void requireKey(const HeadTarget& target) { FileSigner signer(target.key); }

kj::Promise<WrittenHead> writeHead(kj::AsyncIoProvider& io, const HeadTarget& target,
                                   kj::Array<const kj::byte> value, Logger& logger) {
  FileSigner signer(target.key);
  ProviderLinks links(io);
  auto rpc = links.open(target.provider);
  HeadWriter writer(target.writer, *rpc, ProviderUrl::parse(target.provider).name, io.getTimer(),
                    logger);
  auto written = co_await writer.setHead(signer, kj::mv(value));
  auto contract = toChecksummed(target.writer.contract);
  KJ_IF_MAYBE(in, written.included) {
    logger.log(LogLevel::INFO, "the contract's head is set; nodes follow once it is final",
               {{"contract", kj::mv(contract)}, {"epoch", kj::str(written.seq)},
                {"block", kj::str(in->block)}});
  } else {
    logger.log(LogLevel::INFO, "this is the contract's head already; nothing was sent",
               {{"contract", kj::mv(contract)}, {"epoch", kj::str(written.seq)}});
  }
  co_return kj::mv(written);
}

}  // namespace ww
