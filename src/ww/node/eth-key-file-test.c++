// A key file is read, or refused by its name and never shown; and it signs as other programs do.
#include <kj/encoding.h>
#include <kj/test.h>
#include <sys/stat.h>
#include <ww/node/eth-address.h>
#include <ww/node/eth-key-file.h>
#include <ww/node/temp-folder.h>
#include <ww/stem/hex.h>

namespace ww {
namespace {

// That of the first account of every test chain, which everybody knows.
constexpr auto KEY = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"_kj;
constexpr auto ACCOUNT = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"_kj;

kj::String refusal(kj::StringPtr path) {
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { FileSigner signer(path); })) {
    return kj::str(e->getDescription());
  }
  return kj::str("taken");
}

KJ_TEST("with and without 0x, in either case of letters, with blanks around") {
  TempFolder folder;
  auto upper = kj::str(KEY);
  for (auto& c: upper) c = c >= 'a' && c <= 'f' ? char(c - 0x20) : c;
  for (auto& text: kj::arr(kj::str(KEY), kj::str("0x", KEY), kj::str("0x", KEY, "\n"),
                           kj::str("  ", KEY, "\r\n"), kj::str(upper))) {
    folder.write("key", text);
    FileSigner signer(folder.at("key"));
    KJ_EXPECT(toChecksummed(signer.getAddress()) == ACCOUNT);
  }
}

KJ_TEST("what is no key is named, and not shown") {
  TempFolder folder;
  auto path = folder.at("key");
  auto form = kj::str(path, ": an account's key is 64 hex digits here, with or without 0x");
  for (auto& text: kj::arr(kj::str(), kj::str("0x"), kj::str(KEY.slice(1)), kj::str(KEY, "0"),
                           kj::str(KEY.slice(1), "g"), kj::str(kj::repeat('a', 10'000)),
                           kj::str(KEY, KEY))) {
    folder.write("key", text);
    KJ_EXPECT(refusal(path) == form, refusal(path));
  }
  for (char digit: {'0', 'f'}) {
    folder.write("key", kj::str(kj::repeat(digit, 64)));
    KJ_EXPECT(refusal(path).startsWith(kj::str(path, ": no key of secp256k1")), refusal(path));
  }
  folder.write("key", "{\"crypto\": {}}");
  KJ_EXPECT(refusal(path).startsWith(kj::str(path, ": this is an encrypted keystore")));
}

KJ_TEST("a key that others may read is refused, and what to do is said") {
  TempFolder folder;
  auto path = folder.at("key");
  for (mode_t mode: {0640, 0604, 0620, 0602, 0777}) {
    folder.write("key", KEY, mode);
    KJ_EXPECT(refusal(path) == kj::str(path, ": others may use this key; run: chmod 600 ", path));
  }
  folder.write("key", KEY, 0400);
  KJ_EXPECT(refusal(path) == "taken");
}

KJ_TEST("what is no file is refused at once") {
  TempFolder folder;
  KJ_EXPECT(refusal(folder.at("none")).startsWith(kj::str(folder.at("none"), ": cannot read")));
  KJ_SYSCALL(mkdir(folder.at("folder").cStr(), 0700));
  KJ_EXPECT(refusal(folder.at("folder")).endsWith("the key is no plain file"));
  KJ_SYSCALL(mkfifo(folder.at("fifo").cStr(), 0600));
  KJ_EXPECT(refusal(folder.at("fifo")).endsWith("the key is no plain file"));
}

Transaction example() {
  Transaction transaction;
  transaction.chainId = 31337;
  transaction.nonce = 7;
  transaction.maxPriorityFee = 1'000'000'000;
  transaction.maxFee = 3'000'000'000;
  transaction.gas = 100'000;
  transaction.to = readEthAddress("0x5FbDB2315678afecb367f032d93F642f64180aa3").get<EthAddress>();
  transaction.data = KJ_ASSERT_NONNULL(parseHexData("0x43eae823"));
  return transaction;
}

// What anvil made of the same with eth_signTransaction.
constexpr auto SIGNED =
    "0x02f871827a6907843b9aca0084b2d05e00830186a0945fbdb2315678afecb367f032d93f642f64180aa380"
    "8443eae823c001a0c0e588e563be08a8f4e7a0d17d1c9bb5f3392986682ce97262a7cd4ccc2505f6a0656aea"
    "93cb3e667a568083dc88b06c212d62ba5eef30c3f6d194154b329c41c0"_kj;
constexpr auto HASH = "0x299442a2385bbc0700b503014c4c2f6b19530d4754e4685a8403cef5b4ef6288"_kj;

KJ_TEST("what is signed is byte for byte what another program signs") {
  TempFolder folder;
  folder.write("key", KEY);
  FileSigner signer(folder.at("key"));
  auto done = signer.sign(example());
  KJ_EXPECT(hexDataOf(done.raw) == SIGNED, hexDataOf(done.raw));
  KJ_EXPECT(toText(done.hash) == HASH, toText(done.hash));
}

KJ_TEST("a transaction that makes no sense is not signed") {
  TempFolder folder;
  folder.write("key", KEY);
  FileSigner signer(folder.at("key"));
  auto wrong = example();
  wrong.chainId = 0;
  KJ_EXPECT_THROW_MESSAGE("chain 0", signer.sign(wrong));
  wrong = example();
  wrong.maxFee = 1;
  KJ_EXPECT_THROW_MESSAGE("more than the whole fee", signer.sign(wrong));
}

}  // namespace
}  // namespace ww
