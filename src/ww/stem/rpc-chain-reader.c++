#include <ww/stem/rpc-chain-reader.h>

#include <ww/base/error.h>
#include <ww/base/text.h>
#include <ww/stem/contract-abi.h>
#include <ww/stem/hex.h>
#include <ww/stem/stem-abi.h>

namespace ww {
namespace {

[[noreturn]] void refuse(kj::StringPtr method, kj::StringPtr why) {
  kj::throwFatalException(badInput(kj::str(method, ": ", why)));
}

template <typename T>
T need(kj::StringPtr method, kj::StringPtr field, kj::Maybe<T> value) {
  KJ_IF_MAYBE(v, value) return kj::mv(*v);
  refuse(method, kj::str("the answer has no good `", field, "`"));
}

uint64_t quantityIn(kj::StringPtr method, Json::Value object, kj::StringPtr field) {
  kj::Maybe<uint64_t> value;
  KJ_IF_MAYBE(text, findText(object, field)) value = parseQuantity(*text);
  return need(method, field, value);
}

BlockHash hashIn(kj::StringPtr method, Json::Value object, kj::StringPtr field) {
  kj::Maybe<BlockHash> value;
  KJ_IF_MAYBE(text, findText(object, field)) value = parseBlockHash(*text);
  return need(method, field, value);
}

// Nothing for an event that is not the contract's HeadUpdated.
kj::Maybe<HeadLog> readLog(kj::StringPtr method, Json::Value log, const EthAddress& contract) {
  KJ_IF_MAYBE(text, findText(log, "address")) {
    auto address = parseEthAddress(*text);
    if (address == nullptr || !(KJ_ASSERT_NONNULL(address) == contract)) return nullptr;
  } else {
    return nullptr;
  }
  HeadLog result;
  KJ_IF_MAYBE(topics, findField(log, "topics")) {
    constexpr kj::uint TOPICS = 4;  // the event, seq, writer, cidHash
    if (!topics->isArray() || topics->getArray().size() != TOPICS) return nullptr;
    auto first = asText(topics->getArray()[0]);
    if (first == nullptr || KJ_ASSERT_NONNULL(first) != HEAD_UPDATED_TOPIC) return nullptr;
    auto seq = need(method, "topics", asText(topics->getArray()[1]));
    result.head.seq = decodeSeq(need(method, "topics", parseHexData(seq)));
  } else {
    return nullptr;
  }
  auto data = need(method, "data", findText(log, "data"));
  result.head.value = decodeHeadValue(need(method, "data", parseHexData(data)));
  result.block = {quantityIn(method, log, "blockNumber"), hashIn(method, log, "blockHash")};
  result.index = quantityIn(method, log, "logIndex");
  KJ_IF_MAYBE(removed, findField(log, "removed")) {
    result.removed = removed->isBoolean() && removed->getBoolean();
  }
  return kj::mv(result);
}

kj::StringPtr tagOf(const Finality& finality) {
  return finality.kind == Finality::SAFE ? "safe"_kj : "finalized"_kj;
}

}  // namespace

kj::Promise<RpcResult> RpcChainReader::get(kj::StringPtr method, kj::String params) {
  return rpc->call(method, kj::mv(params)).then([method](RpcAnswer&& answer) -> RpcResult {
    KJ_IF_MAYBE(refusal, answer.tryGet<RpcRefusal>()) refuse(method, refusal->toText());
    return kj::mv(answer.get<RpcResult>());
  });
}

kj::Promise<uint64_t> RpcChainReader::chainId() {
  constexpr auto METHOD = "eth_chainId"_kj;
  auto result = co_await get(METHOD, kj::str("[]"));
  auto text = need(METHOD, "result", asText(result.value));
  co_return need(METHOD, "result", parseQuantity(text));
}

kj::Promise<kj::OneOf<kj::Maybe<BlockRef>, RpcRefusal>> RpcChainReader::findBlock(
    kj::String which) {
  constexpr auto METHOD = "eth_getBlockByNumber"_kj;
  auto answer = co_await rpc->call(METHOD, kj::str("[\"", which, "\",false]"));
  KJ_IF_MAYBE(refusal, answer.tryGet<RpcRefusal>()) co_return kj::mv(*refusal);
  auto block = answer.get<RpcResult>().value;
  if (block.isNull()) co_return kj::Maybe<BlockRef>(nullptr);
  co_return kj::Maybe<BlockRef>(BlockRef{quantityIn(METHOD, block, "number"),
                                         hashIn(METHOD, block, "hash")});
}

kj::Promise<kj::OneOf<ChainView, NotOffered>> RpcChainReader::view(const Finality& finality) {
  auto getBlock = [this](kj::String which) {
    auto asked = kj::str(which);
    return findBlock(kj::mv(which)).then([asked = kj::mv(asked)](auto&& found) {
      KJ_IF_MAYBE(refusal, found.template tryGet<RpcRefusal>()) {
        refuse("eth_getBlockByNumber", kj::str(asked, ": ", refusal->toText()));
      }
      return kj::mv(found.template get<kj::Maybe<BlockRef>>());
    });
  };
  ChainView view;
  // In this order: what is final grows, so that it is not above the latest by the time between.
  if (finality.kind != Finality::DEPTH) {
    auto found = co_await findBlock(kj::str(tagOf(finality)));
    KJ_IF_MAYBE(refusal, found.tryGet<RpcRefusal>()) {
      co_await getBlock(kj::str("latest"));  // it may refuse anything just now
      co_return NotOffered{kj::str("it has no `", tagOf(finality), "` block: ",
          refusal->toText(), ". Give a number of blocks: --finality depth:K")};
    }
    view.final = kj::mv(found.get<kj::Maybe<BlockRef>>());
  }
  auto latest = co_await getBlock(kj::str("latest"));
  view.latest = need("eth_getBlockByNumber", "result", latest);
  if (finality.kind == Finality::DEPTH && view.latest.number >= finality.depth) {
    auto number = view.latest.number - finality.depth;
    view.final = co_await getBlock(quantityOf(number));
    KJ_IF_MAYBE(block, view.final) {
      if (block->number != number) refuse("eth_getBlockByNumber", "it gives another block");
    }
  }
  KJ_IF_MAYBE(block, view.final) {
    if (block->number > view.latest.number) {
      refuse("eth_getBlockByNumber", "what is final is above the latest block");
    }
  }
  co_return kj::mv(view);
}

kj::Promise<kj::Maybe<BlockHash>> RpcChainReader::blockAt(uint64_t number) {
  constexpr auto METHOD = "eth_getBlockByNumber"_kj;
  auto found = co_await findBlock(quantityOf(number));
  KJ_IF_MAYBE(refusal, found.tryGet<RpcRefusal>()) refuse(METHOD, refusal->toText());
  KJ_IF_MAYBE(block, found.get<kj::Maybe<BlockRef>>()) {
    if (block->number != number) refuse(METHOD, "it gives another block");
    co_return block->hash;
  }
  co_return nullptr;
}

kj::Promise<kj::Maybe<StemHead>> RpcChainReader::headAt(const BlockHash& hash) {
  constexpr auto METHOD = "eth_call"_kj;
  auto result = co_await get(METHOD, kj::str(
      "[{\"to\":\"", ww::toText(contract), "\",\"data\":\"", HEAD_CALL_DATA, "\"},"
      "{\"blockHash\":\"", ww::toText(hash), "\",\"requireCanonical\":true}]"));
  auto text = need(METHOD, "result", asText(result.value));
  auto data = need(METHOD, "result", parseHexData(text));
  if (data.size() == 0) co_return nullptr;  // there is no code at the address
  co_return decodeHead(data);
}

kj::Promise<kj::Array<HeadLog>> RpcChainReader::logs(uint64_t from, uint64_t to) {
  constexpr auto METHOD = "eth_getLogs"_kj;
  kj::Vector<HeadLog> all;
  uint64_t range = MAX_RANGE;
  for (kj::uint calls = 0; from <= to; calls++) {  // `to` may be the last number there is
    if (calls >= MAX_LOG_CALLS) refuse(METHOD, "it gives too few blocks at a time");
    auto last = kj::min(to, from + kj::min(range, to - from + 1) - 1);
    auto asked = rpc->call(METHOD, kj::str(
        "[{\"address\":\"", ww::toText(contract), "\",\"topics\":[\"", HEAD_UPDATED_TOPIC,
        "\"],\"fromBlock\":\"", quantityOf(from), "\",\"toBlock\":\"", quantityOf(last), "\"}]"));
    // Too much is also an answer that is too long.
    kj::Maybe<kj::Exception> failure;
    auto answer = co_await asked.catch_([&](kj::Exception&& e) -> RpcAnswer {
      failure = kj::mv(e);
      return RpcRefusal();
    });
    KJ_IF_MAYBE(refusal, answer.tryGet<RpcRefusal>()) {
      bool isLost = failure.map([](const kj::Exception& e) {
        return e.getType() == kj::Exception::Type::DISCONNECTED;
      }).orDefault(false);
      if (last > from && !isLost) {
        range = (last - from + 1) / 2;
        continue;
      }
      KJ_IF_MAYBE(e, failure) kj::throwFatalException(kj::mv(*e));
      refuse(METHOD, refusal->toText());
    }
    auto list = answer.get<RpcResult>().value;
    if (!list.isArray()) refuse(METHOD, "the answer is no list");
    for (auto log: list.getArray()) {
      if (all.size() >= MAX_LOGS) refuse(METHOD, kj::str("more than ", MAX_LOGS, " events"));
      KJ_IF_MAYBE(read, readLog(METHOD, log, contract)) all.add(kj::mv(*read));
    }
    if (last == to) break;
    from = last + 1;
    range = kj::min(range * 2, MAX_RANGE);
  }
  co_return all.releaseAsArray();
}

kj::Promise<void> RpcChainReader::subscribe() {
  isSubscribed = true;
  co_await get("eth_subscribe", kj::str("[\"newHeads\"]"));
  subscribedOn = rpc->getConnections();
  co_await get("eth_subscribe", kj::str("[\"logs\",{\"address\":\"", ww::toText(contract),
      "\",\"topics\":[\"", HEAD_UPDATED_TOPIC, "\"]}]"));
  if (rpc->getConnections() != subscribedOn) {
    kj::throwFatalException(badInput("the connection was lost between two subscriptions"));
  }
}

kj::Promise<kj::Maybe<HeadLog>> RpcChainReader::nextHint() {
  constexpr auto METHOD = "eth_subscription"_kj;
  if (!rpc->canPush()) return kj::NEVER_DONE;
  if (rpc->getConnections() != subscribedOn) isSubscribed = false;
  auto ready = isSubscribed ? kj::Promise<void>(kj::READY_NOW) : subscribe();
  return ready.then([this]() { return rpc->nextPushed(); })
      .then([this, METHOD](kj::Own<Json> message) -> kj::Maybe<HeadLog> {
    KJ_IF_MAYBE(params, findField(message->get(), "params")) {
      KJ_IF_MAYBE(result, findField(*params, "result")) return readLog(METHOD, *result, contract);
    }
    return nullptr;
  }).catch_([this](kj::Exception&& e) -> kj::Maybe<HeadLog> {
    isSubscribed = false;
    kj::throwFatalException(kj::mv(e));
  });
}

}  // namespace ww
