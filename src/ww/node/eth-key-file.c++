#include <ww/node/eth-key-file.h>

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/encoding.h>
#include <kj/io.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ww/base/error.h>

namespace ww {
namespace {

constexpr size_t KEY_BYTES = 32;
constexpr size_t MAX_FILE_BYTES = 256;

[[noreturn]] void fail(kj::StringPtr path, kj::StringPtr what) {
  kj::throwFatalException(badInput(kj::str(path, ": ", what)));
}

kj::AutoCloseFd openKey(kj::StringPtr path) {
  int fd = open(path.cStr(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) fail(path, kj::str("cannot read this key (", strerror(errno), ")"));
  kj::AutoCloseFd file(fd);
  struct stat info;
  if (fstat(file, &info) < 0 || !S_ISREG(info.st_mode)) fail(path, "the key is no plain file");
  if ((info.st_mode & 077) != 0) {
    fail(path, kj::str("others may use this key; run: chmod 600 ", path));
  }
  return file;
}

kj::ArrayPtr<const char> trim(kj::ArrayPtr<const char> text) {
  auto isSpace = [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; };
  while (text.size() > 0 && isSpace(text.back())) text = text.slice(0, text.size() - 1);
  while (text.size() > 0 && isSpace(text[0])) text = text.slice(1, text.size());
  if (text.size() > 2 && text[0] == '0' && text[1] == 'x') text = text.slice(2, text.size());
  return text;
}

kj::Own<const ffi::EthKey> readKey(kj::StringPtr path) {
  constexpr auto FORM = "an account's key is 64 hex digits here, with or without 0x"_kj;
  auto file = openKey(path);
  char buffer[MAX_FILE_BYTES];
  KJ_DEFER(explicit_bzero(buffer, sizeof(buffer)));
  auto n = kj::FdInputStream(file.get()).tryRead(buffer, sizeof(buffer), sizeof(buffer));
  auto digits = trim(kj::arrayPtr(buffer, n));
  if (digits.size() > 0 && digits[0] == '{') {
    fail(path, kj::str("this is an encrypted keystore, which is not read; ", FORM));
  }
  if (digits.size() != 2 * KEY_BYTES) fail(path, FORM);
  auto bytes = kj::decodeHex(digits);
  KJ_DEFER(explicit_bzero(bytes.begin(), bytes.size()));
  if (bytes.hadErrors) fail(path, FORM);
  kj::Maybe<kj::Own<const ffi::EthKey>> key;
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { key = kj::heap<ffi::EthKey>(bytes); })) {
    fail(path, e->getDescription());
  }
  return kj::mv(KJ_ASSERT_NONNULL(key));
}

}  // namespace

FileSigner::FileSigner(kj::StringPtr path): key(readKey(path)) {}

SignedTransaction FileSigner::sign(const Transaction& transaction) const {
  ffi::EthCall call;
  call.chainId = transaction.chainId;
  call.nonce = transaction.nonce;
  call.maxPriorityFee = transaction.maxPriorityFee;
  call.maxFee = transaction.maxFee;
  call.gas = transaction.gas;
  call.to = transaction.to.bytes;
  call.data = transaction.data;
  auto done = key->sign(call);
  return {kj::mv(done.raw), BlockHash{done.hash}};
}

}  // namespace ww
