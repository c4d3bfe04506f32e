#pragma once
// An Ethereum provider of a SimChain over HTTP and WebSockets, which fails as it is told to.

#include <kj/compat/http.h>
#include <kj/function.h>
#include <ww/base/error.h>
#include <ww/stem/contract-abi.h>
#include <ww/stem/hex.h>
#include <ww/stem/json-rpc.h>
#include <ww/stem/sim-chain-test.h>

namespace ww {

enum class Fault {
  NONE,
  TOO_MANY_REQUESTS,
  HTML,
  NULL_RESULT,
  ERROR,
  OTHER_ID,
  ARRAY,
  DEEP,
  MANY,
  HALF_A_BODY,
  HALF_AND_SILENCE,
  SILENCE,
  ENDLESS_BODY,
  LONG_LENGTH,
  CUT,
  OTHER_CHAIN,
};
constexpr kj::uint FAULTS = kj::uint(Fault::OTHER_CHAIN) + 1;

class ProviderService final: public kj::HttpService {
 public:
  ProviderService(SimChain& chain, const EthAddress& contract, const kj::HttpHeaderTable& table)
      : chain(chain), contract(contract), table(table) {}

  // What happens to the next call; asked for each.
  kj::Function<Fault()> nextFault = []() { return Fault::NONE; };
  uint64_t depth = 0;        // of what it calls finalized
  uint64_t maxRange = 1000;  // of blocks, whose events it gives
  uint64_t written = 0;      // bytes of answers
  kj::uint calls = 0, sockets = 0;

  // To all whose WebSockets have subscribed.
  void pushLog(const HeadLog& log);
  void pushBlock();
  void pushNoise(size_t bytes);
  void dropSockets();

  kj::Promise<void> request(kj::HttpMethod method, kj::StringPtr url,
                            const kj::HttpHeaders& headers, kj::AsyncInputStream& body,
                            Response& response) override;

 private:
  struct Socket {
    kj::WebSocket& socket;
    kj::Promise<void> sending = kj::READY_NOW;
    kj::Own<kj::PromiseFulfiller<void>> end;
  };

  kj::Promise<void> talk(kj::WebSocket& socket);
  kj::Promise<void> answerAll(Socket& own);
  void send(Socket& to, kj::String text);
  kj::Promise<void> writeBody(kj::AsyncOutputStream& body, kj::String text, Fault fault);
  void pushAll(kj::StringPtr result);
  kj::String answer(Json::Value call, Fault fault);
  kj::String resultOf(kj::StringPtr method, Json::Value params, Fault fault);
  kj::String blockText(kj::StringPtr which);
  kj::String headText(Json::Value params);
  kj::String logsText(Json::Value params);
  kj::String logText(const HeadLog& log);

  SimChain& chain;
  const EthAddress contract;
  const kj::HttpHeaderTable& table;
  kj::Vector<Socket*> open;
};

inline kj::String ProviderService::blockText(kj::StringPtr which) {
  auto latest = chain.latest();
  auto number = which == "latest" ? latest : which == "finalized" && latest >= depth
      ? latest - depth : parseQuantity(which).orDefault(kj::maxValue);
  if (number > latest) return kj::str("null");
  auto block = chain.refAt(number);
  return kj::str("{\"number\":\"", quantityOf(number), "\",\"hash\":\"", toText(block.hash),
                 "\",\"transactions\":[]}");
}

inline kj::String wordOf(uint64_t value) {
  auto digits = kj::str(kj::hex(value));
  return kj::str(kj::repeat('0', 64 - digits.size()), digits);
}

// The ABI's form of bytes: length, and padded content.
inline kj::String bytesOf(kj::ArrayPtr<const kj::byte> bytes) {
  auto text = hexDataOf(bytes);
  auto padding = (64 - (text.size() - 2) % 64) % 64;
  return kj::str(wordOf(bytes.size()), text.slice(2), kj::repeat('0', padding));
}

inline kj::String ProviderService::headText(Json::Value params) {
  auto hash = KJ_ASSERT_NONNULL(parseBlockHash(
      KJ_ASSERT_NONNULL(findText(params.getArray()[1], "blockHash"))));
  KJ_IF_MAYBE(number, chain.find(hash)) {
    auto& head = chain.headAt(*number);
    return kj::str("\"0x", wordOf(head.seq), wordOf(64), bytesOf(head.value), '"');
  }
  return nullptr;
}

inline kj::String ProviderService::logText(const HeadLog& log) {
  auto zeros = wordOf(0);
  return kj::str("{\"address\":\"", toText(contract), "\",\"topics\":[\"", HEAD_UPDATED_TOPIC,
                 "\",\"0x", wordOf(log.head.seq), "\",\"0x", zeros, "\",\"0x", zeros,
                 "\"],\"data\":\"0x", wordOf(32), bytesOf(log.head.value),
                 "\",\"blockNumber\":\"", quantityOf(log.block.number), "\",\"blockHash\":\"",
                 toText(log.block.hash), "\",\"logIndex\":\"", quantityOf(log.index),
                 "\",\"removed\":", log.removed, '}');
}

inline kj::String ProviderService::logsText(Json::Value params) {
  auto filter = params.getArray()[0];
  auto numberOf = [&](kj::StringPtr field) {
    return KJ_ASSERT_NONNULL(parseQuantity(KJ_ASSERT_NONNULL(findText(filter, field))));
  };
  auto from = numberOf("fromBlock"), to = numberOf("toBlock");
  if (to - from + 1 > maxRange) return nullptr;
  kj::Vector<kj::String> texts;
  for (auto i = from; i <= to && i <= chain.latest(); i++) {
    for (auto& log: chain.logsOf(i)) texts.add(logText(log));
  }
  return kj::str('[', kj::strArray(texts, ","), ']');
}

// Empty: refused.
inline kj::String ProviderService::resultOf(kj::StringPtr method, Json::Value params,
                                            Fault fault) {
  if (method == "eth_chainId") {
    return kj::str('"', quantityOf(SimChain::ID + (fault == Fault::OTHER_CHAIN)), '"');
  }
  if (method == "eth_getBlockByNumber") {
    return blockText(KJ_ASSERT_NONNULL(asText(params.getArray()[0])));
  }
  if (method == "eth_call") return headText(params);
  if (method == "eth_getLogs") return logsText(params);
  if (method == "eth_subscribe") return kj::str("\"0x1\"");
  return nullptr;
}

inline kj::String ProviderService::answer(Json::Value call, Fault fault) {
  ++calls;
  auto id = uint64_t(KJ_ASSERT_NONNULL(findField(call, "id")).getNumber());
  auto result = resultOf(KJ_ASSERT_NONNULL(findText(call, "method")),
                         KJ_ASSERT_NONNULL(findField(call, "params")), fault);
  auto begin = kj::str("{\"jsonrpc\":\"2.0\",\"id\":", id + (fault == Fault::OTHER_ID), ',');
  switch (fault) {
    case Fault::NULL_RESULT: return kj::str(begin, "\"result\":null}");
    case Fault::HTML: return kj::str("<html><body>Bad gateway</body></html>");
    case Fault::ARRAY: return kj::str("[]");
    case Fault::DEEP: return kj::str(kj::repeat('[', 100'000));
    case Fault::MANY: return kj::str('[', kj::repeat(',', 500'000), ']');
    default: break;
  }
  if (result == nullptr || fault == Fault::ERROR) {
    return kj::str(begin, "\"error\":{\"code\":-32005,\"message\":\"not this\"}}");
  }
  return kj::str(begin, "\"result\":", result, '}');
}

inline kj::Promise<void> ProviderService::writeBody(kj::AsyncOutputStream& body, kj::String text,
                                                    Fault fault) {
  bool isHalf = fault == Fault::HALF_A_BODY || fault == Fault::HALF_AND_SILENCE;
  auto size = isHalf ? text.size() / 2 : text.size();
  co_await body.write(text.begin(), size);
  written += size;
  while (fault == Fault::ENDLESS_BODY && written < uint64_t(1) << 30) {
    auto more = kj::str(kj::repeat(' ', 64 * 1024));
    co_await body.write(more.begin(), more.size());
    written += more.size();
  }
  if (fault == Fault::HALF_AND_SILENCE) co_await kj::Promise<void>(kj::NEVER_DONE);
}

inline kj::Promise<void> ProviderService::request(
    kj::HttpMethod, kj::StringPtr, const kj::HttpHeaders& headers, kj::AsyncInputStream& body,
    Response& response) {
  kj::HttpHeaders none(table);
  if (headers.isWebSocket()) {
    auto socket = response.acceptWebSocket(none);
    co_await talk(*socket);
    co_return;
  }
  auto text = co_await body.readAllText();
  Json call(text);
  auto fault = nextFault();
  if (fault == Fault::SILENCE) co_await kj::Promise<void>(kj::NEVER_DONE);
  if (fault == Fault::CUT) kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "cut"));
  auto said = answer(call.get(), fault);
  bool isRefused = fault == Fault::TOO_MANY_REQUESTS;
  kj::Maybe<uint64_t> length;
  if (fault == Fault::LONG_LENGTH) length = uint64_t(1) << 30;
  auto out = response.send(isRefused ? 429 : 200, isRefused ? "Too Many Requests" : "OK", none,
                           length);
  co_await writeBody(*out, kj::mv(said), fault);
}

inline kj::Promise<void> ProviderService::talk(kj::WebSocket& socket) {
  ++sockets;
  auto paf = kj::newPromiseAndFulfiller<void>();
  Socket own{socket, kj::READY_NOW, kj::mv(paf.fulfiller)};
  open.add(&own);
  KJ_DEFER({
    kj::Vector<Socket*> others;
    for (auto other: open) if (other != &own) others.add(other);
    open = kj::mv(others);
  });
  co_await answerAll(own).exclusiveJoin(kj::mv(paf.promise));
}

inline kj::Promise<void> ProviderService::answerAll(Socket& own) {
  for (;;) {
    auto message = co_await own.socket.receive();
    if (!message.is<kj::String>()) co_return;
    Json call(message.get<kj::String>());
    auto fault = nextFault();
    if (fault == Fault::SILENCE || fault == Fault::HALF_AND_SILENCE) continue;
    if (fault == Fault::CUT || fault == Fault::HALF_A_BODY) co_return;
    send(own, fault == Fault::ENDLESS_BODY || fault == Fault::LONG_LENGTH
        ? kj::str(kj::repeat(' ', 4 << 20)) : answer(call.get(), fault));
  }
}

inline void ProviderService::send(Socket& to, kj::String text) {
  written += text.size();
  to.sending = to.sending.then([&to, text = kj::mv(text)]() mutable {
    auto sent = to.socket.send(text.asArray());
    return sent.attach(kj::mv(text));
  }).catch_([](kj::Exception&&) {}).eagerlyEvaluate(nullptr);
}

inline void ProviderService::pushAll(kj::StringPtr result) {
  for (auto socket: open) {
    send(*socket, kj::str("{\"jsonrpc\":\"2.0\",\"method\":\"eth_subscription\",\"params\":"
                          "{\"subscription\":\"0x1\",\"result\":", result, "}}"));
  }
}

inline void ProviderService::pushLog(const HeadLog& log) { pushAll(logText(log)); }
inline void ProviderService::pushBlock() { pushAll(blockText("latest")); }
inline void ProviderService::pushNoise(size_t bytes) {
  pushAll(kj::str('"', kj::repeat('x', bytes), '"'));
}
inline void ProviderService::dropSockets() {
  for (auto socket: open) socket->end->fulfill();
}

}  // namespace ww
