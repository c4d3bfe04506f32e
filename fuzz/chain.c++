// What a provider of a chain answers and pushes: it is understood, or refused in a few words, and
// costs no more calls than one question may. The input's lines are answers, in
// turn: a JSON value is the result, a whole message is itself.
#include <kj/async.h>
#include <kj/debug.h>
#include <kj/vector.h>
#include <ww/stem/rpc-chain-reader.h>

namespace ww {
namespace {

constexpr kj::uint MOST_CALLS = 300;  // of one question

class Lines final: public JsonRpc {
 public:
  explicit Lines(kj::StringPtr input) {
    size_t start = 0;
    for (size_t i = 0; i <= input.size(); i++) {
      if (i < input.size() && input[i] != '\n') continue;
      lines.add(kj::str(input.slice(start, i)));
      start = i + 1;
    }
  }

  kj::uint calls = 0;

  kj::Promise<RpcAnswer> call(kj::StringPtr method, kj::String params) override {
    KJ_ASSERT(++calls < MOST_CALLS, method);
    Json whole(renderCall(calls, method, params));  // what is asked is JSON itself
    return kj::evalNow([&]() { return readAnswer(message(), 1); });
  }
  kj::Promise<kj::Own<Json>> nextPushed() override {
    if (pushed == lines.size()) return KJ_EXCEPTION(DISCONNECTED, "it hung up");
    ++pushed;
    return kj::evalNow([&]() { return message(); });
  }
  bool canPush() const override { return true; }

 private:
  kj::Vector<kj::String> lines;
  size_t next = 0, pushed = 0;

  kj::Own<Json> message() {
    auto& line = lines[next++ % lines.size()];
    if (line.startsWith("{\"jsonrpc\"")) return kj::heap<Json>(line);
    return kj::heap<Json>(kj::str("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":", line, "}"));
  }
};

template <typename T>
void ask(kj::WaitScope& waitScope, Lines& lines, kj::Promise<T> answer) {
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { answer.wait(waitScope); })) {
    KJ_ASSERT(e->getDescription().size() < 1000, *e);
    KJ_ASSERT(!e->getDescription().startsWith("expected "), "an assertion was reached", *e);
  }
  lines.calls = 0;
}

void tryAnswers(kj::StringPtr input) {
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  auto rpc = kj::heap<Lines>(input);
  auto& lines = *rpc;
  RpcChainReader reader(kj::mv(rpc), kj::str("fuzz"), EthAddress{{0xab, 0xcd}});
  ask(waitScope, lines, reader.chainId());
  for (auto kind: {Finality::FINALIZED, Finality::SAFE, Finality::DEPTH}) {
    ask(waitScope, lines, reader.view({kind, 3}));
  }
  ask(waitScope, lines, reader.blockAt(7));
  ask(waitScope, lines, reader.headAt(BlockHash{}));
  ask(waitScope, lines, reader.logs(3, 9));
  ask(waitScope, lines, reader.logs(0, kj::maxValue));
  for (kj::uint i = 0; i < 4; i++) ask(waitScope, lines, reader.nextHint());
}

}  // namespace
}  // namespace ww

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ww::tryAnswers(kj::heapString(kj::arrayPtr(data, size).asChars()));
  return 0;
}
