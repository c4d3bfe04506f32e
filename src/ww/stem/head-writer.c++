#include <ww/stem/head-writer.h>

#include <kj/debug.h>
#include <string.h>
#include <ww/base/error.h>
#include <ww/base/text.h>
#include <ww/stem/contract-abi.h>
#include <ww/stem/hex.h>
#include <ww/stem/stem-abi.h>

namespace ww {
namespace {

constexpr size_t WORD_BYTES = 32;

// What a chain without a market for tips takes.
constexpr uint64_t DEFAULT_TIP = 1 * WEI_A_GWEI;

// JSON-RPC's for a method that is not there.
constexpr int64_t NO_SUCH_METHOD = -32601;

// A block and the next may differ: so many times the fee of the newest is offered.
constexpr uint64_t FEE_ROOM = 2;

// The call is estimated at one state and made at another.
uint64_t withRoom(uint64_t gas) { return gas + gas / 5; }

void putWord(kj::ArrayPtr<kj::byte> word, uint64_t value) {
  for (size_t i = 0; i < sizeof(value); i++) {
    word[word.size() - 1 - i] = kj::byte(value >> 8 * i);
  }
}

kj::String callOf(const EthAddress& contract, kj::StringPtr data,
                  kj::Maybe<const EthAddress&> from = nullptr) {
  auto sender = from.map([](const EthAddress& address) {
    return kj::str("\"from\":\"", toText(address), "\",");
  }).orDefault(kj::String());
  return kj::str("{", sender, "\"to\":\"", toText(contract), "\",\"data\":\"", data, "\"}");
}

bool startsWith(kj::ArrayPtr<const kj::byte> data, kj::StringPtr selector) {
  return hexDataOf(data.slice(0, kj::min(data.size(), size_t(4)))) == selector;
}

// The text of Error(string), read as far as it is one.
kj::String textOf(kj::ArrayPtr<const kj::byte> words) {
  constexpr size_t START = 2 * WORD_BYTES;
  if (words.size() < START) return kj::str("a text that is cut off");
  size_t size = 0;
  for (auto b: words.slice(START - sizeof(uint32_t), START)) size = size << 8 | b;
  size = kj::min(size, words.size() - START);
  return kj::str('`', shorten(kj::heapString(words.slice(START, START + size).asChars())), '`');
}

kj::Maybe<kj::Array<kj::byte>> revertData(const RpcRefusal& refusal) {
  KJ_IF_MAYBE(text, refusal.data) return parseHexData(*text);
  return nullptr;
}

// Of the contract's HeadUpdated; nothing for any other event.
kj::Maybe<uint64_t> findSeq(Json::Value log, const EthAddress& contract) {
  KJ_IF_MAYBE(text, findText(log, "address")) {
    auto address = parseEthAddress(*text);
    if (address == nullptr || !(KJ_ASSERT_NONNULL(address) == contract)) return nullptr;
  } else {
    return nullptr;
  }
  KJ_IF_MAYBE(topics, findField(log, "topics")) {
    if (!topics->isArray() || topics->getArray().size() < 2) return nullptr;
    if (asText(topics->getArray()[0]).orDefault("") != HEAD_UPDATED_TOPIC) return nullptr;
    KJ_IF_MAYBE(word, parseHexData(asText(topics->getArray()[1]).orDefault(""))) {
      return decodeSeq(*word);
    }
  }
  return nullptr;
}

}  // namespace

kj::Array<const kj::byte> encodeSetHead(kj::ArrayPtr<const kj::byte> value) {
  auto selector = KJ_ASSERT_NONNULL(parseHexData(SET_HEAD_SELECTOR));
  auto padded = (value.size() + WORD_BYTES - 1) / WORD_BYTES * WORD_BYTES;
  auto data = kj::heapArray<kj::byte>(selector.size() + 2 * WORD_BYTES + padded);
  memset(data.begin(), 0, data.size());
  memcpy(data.begin(), selector.begin(), selector.size());
  auto words = data.slice(selector.size(), data.size());
  putWord(words.slice(0, WORD_BYTES), WORD_BYTES);  // where the bytes are
  putWord(words.slice(WORD_BYTES, 2 * WORD_BYTES), value.size());
  if (value.size() > 0) memcpy(words.begin() + 2 * WORD_BYTES, value.begin(), value.size());
  return kj::mv(data);
}

kj::Maybe<kj::String> describeRevert(kj::ArrayPtr<const kj::byte> data) {
  if (data.size() == 0) return nullptr;
  if (startsWith(data, NOT_OWNER_SELECTOR)) return kj::str("NotOwner()");
  if (startsWith(data, NO_CHANGE_SELECTOR)) return kj::str("NoChange()");
  if (startsWith(data, TOO_LONG_SELECTOR)) return kj::str("TooLong()");
  if (startsWith(data, "0x08c379a0")) return textOf(data.slice(4, data.size()));
  if (startsWith(data, "0x4e487b71") && data.size() == 4 + WORD_BYTES) {
    return kj::str("panic 0x", kj::hex(data.back()));
  }
  return kj::str(shorten(hexDataOf(data)));
}

void HeadWriter::fail(kj::StringPtr why) const {
  kj::throwFatalException(badInput(kj::str(provider, ": ", why)));
}

void HeadWriter::refuse(kj::StringPtr method, const RpcRefusal& refusal,
                        kj::Maybe<const EthAddress&> from) const {
  KJ_IF_MAYBE(data, revertData(refusal)) {
    KJ_IF_MAYBE(sender, from) {
      if (startsWith(*data, NOT_OWNER_SELECTOR)) {
        kj::throwFatalException(badInput(kj::str("the contract ", toText(options.contract),
            " takes heads from its owner alone, and the key is that of ", toText(*sender),
            ": give the key of who deployed it")));
      }
    }
    KJ_IF_MAYBE(reason, describeRevert(*data)) {
      kj::throwFatalException(badInput(kj::str("the contract ", toText(options.contract),
                                               " refuses the head: ", *reason)));
    }
  }
  fail(kj::str(method, ": ", refusal.toText()));
}

kj::Promise<RpcResult> HeadWriter::ask(kj::StringPtr method, kj::String params) {
  return rpc.call(method, kj::mv(params)).then([this, method](RpcAnswer&& answer) -> RpcResult {
    KJ_IF_MAYBE(refusal, answer.tryGet<RpcRefusal>()) refuse(method, *refusal);
    return kj::mv(answer.get<RpcResult>());
  }, [this, method](kj::Exception&& e) -> RpcResult {
    fail(kj::str(method, ": ", e.getDescription()));
  });
}

kj::Promise<uint64_t> HeadWriter::number(kj::StringPtr method, kj::String params) {
  auto result = co_await ask(method, kj::mv(params));
  KJ_IF_MAYBE(text, asText(result.value)) {
    KJ_IF_MAYBE(value, parseQuantity(*text)) co_return *value;
  }
  fail(kj::str(method, ": the answer is no number"));
}

kj::Promise<uint64_t> HeadWriter::findChain() {
  auto id = co_await number("eth_chainId", kj::str("[]"));
  KJ_IF_MAYBE(wanted, options.chainId) {
    if (id != *wanted) fail(kj::str("it is of chain ", id, ", and --chain-id says ", *wanted));
  }
  co_return id;
}

kj::Promise<StemHead> HeadWriter::readHead(uint64_t chainId) {
  auto params = kj::str("[", callOf(options.contract, HEAD_CALL_DATA), ",\"latest\"]");
  auto result = co_await ask("eth_call", kj::mv(params));
  KJ_IF_MAYBE(text, asText(result.value)) {
    KJ_IF_MAYBE(data, parseHexData(*text)) {
      if (data->size() == 0) {
        fail(kj::str("there is no contract at ", toText(options.contract), " on chain ", chainId));
      }
      co_return decodeHead(*data);
    }
  }
  fail("eth_call: the answer is no data");
}

kj::Promise<HeadWriter::Fees> HeadWriter::chooseFees() {
  auto block = co_await ask("eth_getBlockByNumber", kj::str("[\"latest\",false]"));
  kj::Maybe<uint64_t> base;
  KJ_IF_MAYBE(text, findText(block.value, "baseFeePerGas")) base = parseQuantity(*text);
  if (base == nullptr) {
    fail("its blocks have no baseFeePerGas that can be read: a chain with EIP-1559 is needed");
  }
  auto baseFee = KJ_ASSERT_NONNULL(base);
  uint64_t tip = DEFAULT_TIP;
  auto answer = co_await rpc.call("eth_maxPriorityFeePerGas", kj::str("[]"));
  KJ_IF_MAYBE(refusal, answer.tryGet<RpcRefusal>()) {
    if (refusal->code != NO_SUCH_METHOD) refuse("eth_maxPriorityFeePerGas", *refusal);
  } else {
    auto said = parseQuantity(asText(answer.get<RpcResult>().value).orDefault(""));
    KJ_IF_MAYBE(value, said) tip = *value;
  }
  if (baseFee > options.maxFee || tip > options.maxFee ||
      FEE_ROOM * baseFee + tip > options.maxFee) {
    fail(kj::str("a unit of gas costs ", baseFee, " wei there, and ", tip, " as a tip: with room "
        "for the next blocks that is above the limit of ", options.maxFee,
        " (--max-fee GWEI raises it)"));
  }
  co_return Fees{tip, FEE_ROOM * baseFee + tip};
}

kj::Promise<uint64_t> HeadWriter::estimateGas(const EthAddress& from, kj::StringPtr data) {
  constexpr auto METHOD = "eth_estimateGas"_kj;
  auto answer = co_await rpc.call(METHOD, kj::str("[", callOf(options.contract, data, from), "]"));
  KJ_IF_MAYBE(refusal, answer.tryGet<RpcRefusal>()) refuse(METHOD, *refusal, from);
  auto text = asText(answer.get<RpcResult>().value);
  auto parsed = parseQuantity(text.orDefault(""));
  KJ_IF_MAYBE(gas, parsed) {
    if (*gas <= MAX_GAS) co_return withRoom(*gas);
    fail(kj::str(METHOD, ": ", *gas, ", more than any head takes (", MAX_GAS, ")"));
  }
  fail(kj::str(METHOD, ": the answer is no number"));
}

kj::Promise<Transaction> HeadWriter::prepare(const EthAddress& from,
                                             kj::Array<const kj::byte> data, uint64_t chainId) {
  Transaction result;
  result.chainId = chainId;
  result.to = options.contract;
  result.gas = co_await estimateGas(from, hexDataOf(data));
  auto fees = co_await chooseFees();
  result.maxPriorityFee = fees.priority;
  result.maxFee = fees.max;
  // Last: what is pending moves.
  result.nonce = co_await number("eth_getTransactionCount",
                                 kj::str("[\"", toText(from), "\",\"pending\"]"));
  result.data = kj::mv(data);
  co_return kj::mv(result);
}

kj::Promise<WrittenHead> HeadWriter::setHead(const TransactionSigner& signer,
                                             kj::Array<const kj::byte> value) {
  if (value.size() > MAX_HEAD_BYTES) {
    kj::throwFatalException(badInput(kj::str("a head of ", value.size(), " bytes; the limit is ",
                                             MAX_HEAD_BYTES)));
  }
  auto chainId = co_await findChain();
  auto head = co_await readHead(chainId);
  if (head.value.asPtr() == value.asPtr()) co_return WrittenHead{chainId, head.seq, nullptr};
  auto transaction = co_await prepare(signer.getAddress(), encodeSetHead(value), chainId);
  auto signedOne = signer.sign(transaction);
  co_await send(signedOne);
  logger.log(LogLevel::INFO, "the transaction is sent",
             {{"transaction", toText(signedOne.hash)}, {"nonce", kj::str(transaction.nonce)},
              {"chain", kj::str(chainId)}});
  co_return co_await untilIncluded(signedOne.hash, chainId);
}

// A refusal says that it was not taken. No answer, and one that is none, say nothing of that: who
// sends another one may pay twice.
kj::Promise<void> HeadWriter::send(const SignedTransaction& transaction) {
  constexpr auto METHOD = "eth_sendRawTransaction"_kj;
  auto hash = toText(transaction.hash);
  kj::Maybe<kj::String> lost;
  auto params = kj::str("[\"", hexDataOf(transaction.raw), "\"]");
  auto answer = co_await rpc.call(METHOD, kj::mv(params)).then(
      [](RpcAnswer&& answer) -> kj::Maybe<RpcAnswer> { return kj::mv(answer); },
      [&](kj::Exception&& e) -> kj::Maybe<RpcAnswer> {
    lost = kj::str(e.getDescription());
    return nullptr;
  });
  KJ_IF_MAYBE(why, lost) {
    fail(kj::str(METHOD, ": ", *why, "; the transaction ", hash, " may be under way all the same: "
                 "see what became of it before you try again"));
  }
  auto& got = KJ_ASSERT_NONNULL(answer);
  KJ_IF_MAYBE(refusal, got.tryGet<RpcRefusal>()) refuse(METHOD, *refusal);
  if (asText(got.get<RpcResult>().value).orDefault("") != hash) {
    fail(kj::str(METHOD, ": it calls the transaction by another hash than its own, ", hash));
  }
}

kj::Promise<WrittenHead> HeadWriter::untilIncluded(BlockHash hash, uint64_t chainId) {
  auto end = timer.now() + options.patience;
  for (;;) {
    auto found = co_await findIncluded(hash, chainId);
    KJ_IF_MAYBE(written, found) co_return kj::mv(*written);
    if (timer.now() >= end) {
      fail(kj::str("no block has the transaction ", toText(hash), " after ", options.patience,
                   "; it may still come, and then counts"));
    }
    co_await timer.afterDelay(options.interval);
  }
}

kj::Promise<kj::Maybe<WrittenHead>> HeadWriter::findIncluded(const BlockHash& hash,
                                                             uint64_t chainId) {
  constexpr auto METHOD = "eth_getTransactionReceipt"_kj;
  auto result = co_await ask(METHOD, kj::str("[\"", toText(hash), "\"]")).catch_(
      [&](kj::Exception&& e) -> RpcResult {
    kj::throwFatalException(badInput(kj::str(
        e.getDescription(), "; the transaction ", toText(hash), " is sent, and may come into a "
        "block all the same")));
  });
  auto receipt = result.value;
  if (receipt.isNull()) co_return nullptr;
  auto quantity = [&](kj::StringPtr field) -> kj::Maybe<uint64_t> {
    KJ_IF_MAYBE(text, findText(receipt, field)) return parseQuantity(*text);
    return nullptr;
  };
  auto block = quantity("blockNumber"), status = quantity("status");
  if (block == nullptr || status == nullptr) fail(kj::str(METHOD, ": this is no receipt"));
  auto number = KJ_ASSERT_NONNULL(block);
  if (KJ_ASSERT_NONNULL(status) != 1) {
    fail(kj::str("the transaction ", toText(hash), " is in block ", number, " and did nothing: "
                 "the contract reverted, or the gas did not suffice. Try again"));
  }
  KJ_IF_MAYBE(logs, findField(receipt, "logs")) {
    if (logs->isArray()) {
      for (auto log: logs->getArray()) {
        KJ_IF_MAYBE(seq, findSeq(log, options.contract)) {
          co_return WrittenHead{chainId, *seq, WrittenHead::Inclusion{hash, number}};
        }
      }
    }
  }
  fail(kj::str("the transaction ", toText(hash), " is in block ", number, ", and the contract does "
               "not tell of a new head there: is ", toText(options.contract), " a Stem?"));
}

}  // namespace ww
