// One transaction: what is asked, what is signed, and all that a provider or a contract may answer.
#include <kj/test.h>
#include <map>
#include <string>
#include <ww/base/error.h>
#include <ww/stem/contract-abi.h>
#include <ww/stem/head-writer.h>
#include <ww/stem/hex.h>

namespace ww {
namespace {

constexpr auto HASH = "0x1111111111111111111111111111111111111111111111111111111111111111"_kj;
constexpr auto OTHER_HASH =
    "0x2222222222222222222222222222222222222222222222222222222222222222"_kj;
constexpr auto CONTRACT = "0xabababababababababababababababababababab"_kj;

kj::String word(uint64_t value) {
  auto digits = kj::str(kj::hex(value));
  return kj::str(kj::repeat('0', 64 - digits.size()), digits);
}

// What head() gives for a value of up to 32 bytes.
kj::String headOf(uint64_t seq, kj::StringPtr value) {
  auto hex = hexDataOf(value.asBytes());
  return kj::str("\"0x", word(seq), word(64), word(value.size()), hex.slice(2),
                 kj::repeat('0', value.size() == 0 ? 0 : 64 - 2 * value.size()), "\"");
}

kj::String result(kj::StringPtr json) {
  return kj::str("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":", json, "}");
}
kj::String error(int code, kj::StringPtr message, kj::StringPtr data) {
  return kj::str("{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":", code, ",\"message\":\"",
                 message, "\"", data.size() > 0 ? kj::str(",\"data\":\"", data, "\"") : kj::str(),
                 "}}");
}

kj::String receipt(kj::StringPtr status, kj::StringPtr address, uint64_t seq) {
  return kj::str("{\"blockNumber\":\"0x2a\",\"status\":\"", status, "\",\"logs\":["
                 "{\"address\":\"", CONTRACT, "\",\"topics\":[\"", OTHER_HASH, "\",\"0x", word(9),
                 "\"]},{\"address\":\"", address, "\",\"topics\":[\"", HEAD_UPDATED_TOPIC,
                 "\",\"0x", word(seq), "\"]}]}");
}

// Answers by method: as it was told to, or fails.
class ScriptedRpc final: public JsonRpc {
 public:
  kj::Promise<RpcAnswer> call(kj::StringPtr method, kj::String params) override {
    ++counts[method.cStr()];
    given[method.cStr()] = params.cStr();
    auto found = answers.find(method.cStr());
    if (found == answers.end()) return badInput("no answer within 10s");
    return kj::evalNow([&]() {
      return readAnswer(kj::heap<Json>(kj::StringPtr(found->second.c_str())), 1);
    });
  }
  kj::Promise<kj::Own<Json>> nextPushed() override { return kj::NEVER_DONE; }
  bool canPush() const override { return false; }

  void answer(const char* method, kj::String text) { answers[method] = text.cStr(); }

  std::map<std::string, std::string> answers, given;
  std::map<std::string, int> counts;
};

class FakeSigner final: public TransactionSigner {
 public:
  EthAddress getAddress() const override { return {{0xcd}}; }
  SignedTransaction sign(const Transaction& transaction) const override {
    seen = Transaction{transaction.chainId, transaction.nonce, transaction.maxPriorityFee,
                       transaction.maxFee, transaction.gas, transaction.to,
                       kj::heapArray<const kj::byte>(transaction.data)};
    return {kj::heapArray<const kj::byte>({2, 1}), KJ_ASSERT_NONNULL(parseBlockHash(HASH))};
  }
  mutable kj::Maybe<Transaction> seen;
};

struct Fixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  ScriptedRpc rpc;
  FakeSigner signer;
  MemoryLogger logger;
  HeadWriterOptions options;

  Fixture() {
    options.contract = KJ_ASSERT_NONNULL(parseEthAddress(CONTRACT));
    rpc.answer("eth_chainId", result("\"0x7a69\""));
    rpc.answer("eth_call", result(headOf(4, "old")));
    rpc.answer("eth_estimateGas", result("\"0x186a0\""));
    rpc.answer("eth_getBlockByNumber", result("{\"baseFeePerGas\":\"0x3b9aca00\"}"));
    rpc.answer("eth_maxPriorityFeePerGas", result("\"0x5\""));
    rpc.answer("eth_getTransactionCount", result("\"0x7\""));
    rpc.answer("eth_sendRawTransaction", result(kj::str('"', HASH, '"')));
    rpc.answer("eth_getTransactionReceipt", result(receipt("0x1", CONTRACT, 5)));
  }

  kj::Promise<WrittenHead> begin(kj::StringPtr value = "new") {
    writer = kj::heap<HeadWriter>(options, rpc, kj::str("http://provider"), timer, logger);
    return writer->setHead(signer, kj::heapArray<const kj::byte>(value.asBytes()));
  }
  kj::String refusal(kj::StringPtr value = "new") {
    kj::String why = kj::str("done");
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { begin(value).wait(waitScope); })) {
      why = kj::str(e->getDescription());
    }
    return why;
  }
  bool wasSent() { return rpc.counts["eth_sendRawTransaction"] > 0; }

  kj::Own<HeadWriter> writer;
};

bool has(kj::StringPtr text, kj::StringPtr part) {
  return std::string(text.cStr()).find(part.cStr()) != std::string::npos;
}

KJ_TEST("the head is set by one transaction, whose fields are the chain's") {
  Fixture f;
  auto written = f.begin().wait(f.waitScope);
  KJ_EXPECT(written.chainId == 31337 && written.seq == 5);
  auto& in = KJ_ASSERT_NONNULL(written.included);
  KJ_EXPECT(toText(in.transaction) == HASH && in.block == 42);
  auto& sent = KJ_ASSERT_NONNULL(f.signer.seen);
  KJ_EXPECT(sent.chainId == 31337 && sent.nonce == 7 && sent.gas == 120'000);
  KJ_EXPECT(sent.maxPriorityFee == 5 && sent.maxFee == 2 * WEI_A_GWEI + 5);
  KJ_EXPECT(toText(sent.to) == CONTRACT);
  KJ_EXPECT(hexDataOf(sent.data) == kj::str(SET_HEAD_SELECTOR, word(32), word(3), "6e6577",
                                            kj::repeat('0', 58)));
  KJ_EXPECT(f.rpc.given["eth_sendRawTransaction"] == "[\"0x0201\"]");
  KJ_EXPECT(has(f.rpc.given["eth_getTransactionCount"].c_str(), "\"pending\""));
  KJ_EXPECT(has(f.rpc.given["eth_estimateGas"].c_str(),
                "\"from\":\"0xcd00000000000000000000000000000000000000\""));
}

KJ_TEST("values of all lengths are laid out as the contract reads them") {
  for (size_t size: {0, 1, 31, 32, 33, 36, 64, 1024}) {
    auto value = kj::heapArray<kj::byte>(size);
    memset(value.begin(), 0xaa, size);
    auto data = encodeSetHead(value);
    auto padded = (size + 31) / 32 * 32;
    KJ_EXPECT(hexDataOf(data) == kj::str(SET_HEAD_SELECTOR, word(32), word(size),
                                         kj::repeat('a', 2 * size),
                                         kj::repeat('0', 2 * (padded - size))));
  }
}

KJ_TEST("a head that is there already costs nothing") {
  Fixture f;
  auto written = f.begin("old").wait(f.waitScope);
  KJ_EXPECT(written.seq == 4 && written.included == nullptr && !f.wasSent());
}

KJ_TEST("a value that no node follows is not sent") {
  Fixture f;
  KJ_EXPECT(f.refusal(kj::str(kj::repeat('x', 1025))) == "a head of 1025 bytes; the limit is 1024");
  KJ_EXPECT(f.rpc.counts.empty());
}

KJ_TEST("another chain than the one that was named is not written to") {
  Fixture f;
  f.options.chainId = uint64_t(1);
  KJ_EXPECT(f.refusal() == "http://provider: it is of chain 31337, and --chain-id says 1");
  KJ_EXPECT(!f.wasSent());
}

KJ_TEST("where there is no contract, and what reverts, is told before anything is sent") {
  struct { const char* method; kj::String answer; kj::StringPtr why; } cases[] = {
      {"eth_call", result("\"0x\""), "there is no contract at 0xabab"},
      {"eth_call", result("\"0x1234\""), "this is no Stem contract"},
      {"eth_call", result("7"), "the answer is no data"},
      {"eth_estimateGas", error(3, "execution reverted", NOT_OWNER_SELECTOR),
       "takes heads from its owner alone, and the key is that of 0xcd00"},
      {"eth_estimateGas", error(3, "execution reverted", TOO_LONG_SELECTOR),
       "refuses the head: TooLong()"},
      {"eth_estimateGas", error(3, "execution reverted", NO_CHANGE_SELECTOR),
       "refuses the head: NoChange()"},
      {"eth_estimateGas", error(3, "execution reverted", kj::str("0x08c379a0", word(32), word(5),
                                                                 "6e6f706521", word(0))),
       "refuses the head: `nope!`"},
      {"eth_estimateGas", error(3, "execution reverted", "0x12345678"),
       "refuses the head: 0x12345678"},
      {"eth_estimateGas", error(3, "execution reverted", "0x"),
       "eth_estimateGas: execution reverted (3)"},
      {"eth_estimateGas", error(-32000, "insufficient funds for gas", ""),
       "insufficient funds for gas"},
      {"eth_estimateGas", result("\"0x7fffffff\""), "more than any head takes"},
      {"eth_estimateGas", result("null"), "the answer is no number"}};
  for (auto& c: cases) {
    Fixture f;
    f.rpc.answer(c.method, kj::mv(c.answer));
    auto why = f.refusal();
    KJ_EXPECT(has(why, c.why), why, c.why);
    KJ_EXPECT(!f.wasSent(), c.why);
  }
}

KJ_TEST("what a contract gives as it reverts is shown whatever it is") {
  auto of = [](kj::StringPtr hex) {
    auto data = KJ_ASSERT_NONNULL(parseHexData(hex));
    return describeRevert(data).orDefault(kj::str("nothing"));
  };
  KJ_EXPECT(of("0x") == "nothing");
  KJ_EXPECT(of("0x12") == "0x12");
  KJ_EXPECT(of("0x08c379a0") == "a text that is cut off");
  KJ_EXPECT(of(kj::str("0x08c379a0", word(32), kj::repeat('f', 64))) == "``");
  KJ_EXPECT(of(kj::str("0x4e487b71", word(0x11))) == "panic 0x11");
  KJ_EXPECT(of("0x4e487b71") == "0x4e487b71");
}

KJ_TEST("fees that are above the limit are not offered, whoever says that they are needed") {
  struct { const char* method; const char* answer; } cases[] = {
      {"eth_getBlockByNumber", "{\"baseFeePerGas\":\"0x7fffffffffffffff\"}"},
      {"eth_getBlockByNumber", "{\"baseFeePerGas\":\"0xffffffffffffffff\"}"},
      {"eth_maxPriorityFeePerGas", "\"0xffffffffffffffff\""},
      {"eth_maxPriorityFeePerGas", "\"0x746a528800\""}};  // the limit itself, and the base on top
  for (auto& c: cases) {
    Fixture f;
    f.rpc.answer(c.method, result(c.answer));
    KJ_EXPECT(has(f.refusal(), "above the limit of 500000000000 (--max-fee GWEI raises it)"));
    KJ_EXPECT(!f.wasSent());
  }
  Fixture f;
  f.rpc.answer("eth_getBlockByNumber", result("{}"));
  KJ_EXPECT(has(f.refusal(), "a chain with EIP-1559 is needed"));
  f.rpc.answer("eth_getBlockByNumber", result("null"));
  KJ_EXPECT(has(f.refusal(), "a chain with EIP-1559 is needed"));
}

KJ_TEST("a chain without a word on tips gets the usual one") {
  Fixture f;
  f.rpc.answer("eth_maxPriorityFeePerGas", error(-32601, "no such method", ""));
  f.begin().wait(f.waitScope);
  KJ_EXPECT(KJ_ASSERT_NONNULL(f.signer.seen).maxPriorityFee == WEI_A_GWEI);
  f.rpc.answer("eth_maxPriorityFeePerGas", error(-32005, "too many requests", ""));
  KJ_EXPECT(has(f.refusal(), "too many requests"));
}

KJ_TEST("what a provider says of the transaction is held against our own") {
  Fixture f;
  f.rpc.answer("eth_sendRawTransaction", result(kj::str('"', OTHER_HASH, '"')));
  KJ_EXPECT(has(f.refusal(), "another hash than its own"));
  f.rpc.answer("eth_sendRawTransaction", error(-32000, "nonce too low", ""));
  KJ_EXPECT(f.refusal() == "http://provider: eth_sendRawTransaction: nonce too low (-32000)");
}

KJ_TEST("a block is waited for, and not for ever") {
  Fixture f;
  f.rpc.answer("eth_getTransactionReceipt", result("null"));
  auto writing = f.begin();
  KJ_EXPECT(!writing.poll(f.waitScope));
  f.timer.advanceTo(f.timer.now() + f.options.interval);
  KJ_EXPECT(!writing.poll(f.waitScope) && f.rpc.counts["eth_getTransactionReceipt"] == 2);
  f.rpc.answer("eth_getTransactionReceipt", result(receipt("0x1", CONTRACT, 6)));
  f.timer.advanceTo(f.timer.now() + f.options.interval);
  KJ_EXPECT(writing.wait(f.waitScope).seq == 6);

  f.rpc.answer("eth_getTransactionReceipt", result("null"));
  auto late = f.begin();
  KJ_EXPECT(!late.poll(f.waitScope));
  f.timer.advanceTo(f.timer.now() + f.options.patience);
  KJ_EXPECT_THROW_MESSAGE("may still come", late.wait(f.waitScope));
}

KJ_TEST("a transaction that did nothing is told of") {
  struct { kj::String receipt; kj::StringPtr why; } cases[] = {
      {receipt("0x0", CONTRACT, 5), "is in block 42 and did nothing"},
      {receipt("0x1", "0x0000000000000000000000000000000000000001", 5), "is 0xabab"},
      {kj::str("{\"blockNumber\":\"0x2a\",\"status\":\"0x1\"}"), "does not tell of a new head"},
      {kj::str("{\"blockNumber\":\"0x2a\",\"status\":\"0x1\",\"logs\":[7,{},[]]}"),
       "does not tell of a new head"},
      {kj::str("{}"), "this is no receipt"}, {kj::str("[]"), "this is no receipt"}};
  for (auto& c: cases) {
    Fixture f;
    f.rpc.answer("eth_getTransactionReceipt", result(c.receipt));
    auto why = f.refusal();
    KJ_EXPECT(has(why, c.why), why, c.why);
  }
}

KJ_TEST("a provider that does not answer, at any point, is named") {
  for (auto method: {"eth_chainId", "eth_call", "eth_getBlockByNumber",
                     "eth_getTransactionCount"}) {
    Fixture f;
    f.rpc.answers.erase(method);
    KJ_EXPECT(f.refusal() == kj::str("http://provider: ", method, ": no answer within 10s"));
  }
}

KJ_TEST("an answer that is lost once the transaction is on its way tells which that is") {
  for (auto method: {"eth_sendRawTransaction", "eth_getTransactionReceipt"}) {
    for (bool isNone: {true, false}) {
      Fixture f;
      f.rpc.answers.erase(method);
      if (!isNone) f.rpc.answer(method, kj::str("{}"));
      auto why = f.refusal();
      KJ_EXPECT(why.startsWith(kj::str("http://provider: ", method, ": ")), why);
      KJ_EXPECT(has(why, kj::str("the transaction ", HASH)) && has(why, "all the same"), why);
    }
  }
}

}  // namespace
}  // namespace ww
