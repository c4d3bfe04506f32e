#include <ww/stem/discreet-rpc.h>

#include <string.h>
#include <ww/base/error.h>

namespace ww {
namespace {

constexpr kj::StringPtr LEFT_OUT = "..."_kj;
constexpr kj::StringPtr SHORTENED = "[...]"_kj;  // by shorten(), behind what is left
constexpr size_t SHORTEST_PART = 4;

kj::String replaceAll(kj::StringPtr text, kj::StringPtr what) {
  kj::Vector<char> result;
  auto rest = text.cStr();
  for (;;) {
    auto found = strstr(rest, what.cStr());
    if (found == nullptr) break;
    result.addAll(rest, found);
    result.addAll(LEFT_OUT);
    rest = found + what.size();
  }
  result.addAll(kj::StringPtr(rest));
  result.add('\0');
  return kj::String(result.releaseAsArray());
}

}  // namespace

kj::String DiscreetRpc::without(kj::StringPtr text) const {
  auto result = kj::str(text);
  for (auto& secret: secrets) {
    result = replaceAll(result, secret);
    // What was shortened may end within one.
    for (size_t size = secret.size() - 1; size >= SHORTEST_PART; size--) {
      result = replaceAll(result, kj::str(secret.slice(0, size), SHORTENED));
    }
  }
  return result;
}

kj::Promise<RpcAnswer> DiscreetRpc::call(kj::StringPtr method, kj::String params) {
  return inner->call(method, kj::mv(params)).then([this](RpcAnswer&& answer) {
    KJ_IF_MAYBE(refusal, answer.tryGet<RpcRefusal>()) refusal->message = without(refusal->message);
    return kj::mv(answer);
  }, [this](kj::Exception&& e) -> RpcAnswer {
    kj::throwFatalException(kj::Exception(e.getType(), e.getFile(), e.getLine(),
                                          without(systemReason(e))));
  });
}

}  // namespace ww
