#include <ww/image/kubo.h>

#include <capnp/message.h>
#include <kj/encoding.h>
#include <kj/vector.h>
#include <ww/base/error.h>
#include <ww/base/text.h>

namespace ww {
namespace {

constexpr size_t MAX_JSON_BYTES = 64 << 10;
constexpr size_t MAX_NESTING = 8;
constexpr kj::StringPtr ANY = "*/*"_kj;

kj::Vector<kj::String> split(kj::StringPtr text, char at) {
  kj::Vector<kj::String> parts;
  for (size_t begin = 0, i = 0; i <= text.size(); i++) {
    if (i < text.size() && text[i] != at) continue;
    parts.add(kj::str(text.slice(begin, i)));
    begin = i + 1;
  }
  return parts;
}

}  // namespace

kj::Array<const kj::byte> readKuboRecord(kj::ArrayPtr<const kj::byte> answer) {
  kj::Maybe<kj::Array<const kj::byte>> found;
  readJsonLines(kj::heapString(answer.asChars()), [&](capnp::json::Value::Reader line) {
    for (auto field: line.getObject()) {
      if (field.getName() != "Extra" || !field.getValue().isString()) continue;
      auto extra = field.getValue().getString();
      if (extra.size() == 0 || found != nullptr) continue;
      auto record = kj::decodeBase64(kj::StringPtr(extra).asArray());
      if (!record.hadErrors) found = kj::Array<const kj::byte>(kj::mv(record));
    }
  });
  KJ_IF_MAYBE(record, found) return kj::mv(*record);
  kj::throwFatalException(badInput("it does not have the name's record"));
}

void readJsonLines(kj::StringPtr text,
                   kj::FunctionParam<void(capnp::json::Value::Reader)> onLine) {
  for (auto& line: split(text, '\n')) {
    if (line.size() == 0) continue;
    capnp::JsonCodec codec;
    codec.setMaxNestingDepth(MAX_NESTING);
    capnp::MallocMessageBuilder message;
    auto root = message.initRoot<capnp::json::Value>();
    auto problem = kj::runCatchingExceptions([&]() { codec.decodeRaw(line, root); });
    if (problem != nullptr || !root.isObject()) {
      kj::throwFatalException(badInput(kj::str("what came is no JSON that is expected here: `",
                                               shorten(line), "`")));
    }
    onLine(root.asReader());
  }
}

kj::String urlOfMultiaddr(kj::StringPtr text) {
  if (!text.startsWith("/")) return kj::str(text);
  auto parts = split(text, '/');
  auto isOneOf = [](kj::StringPtr word, std::initializer_list<kj::StringPtr> words) {
    for (auto other: words) {
      if (word == other) return true;
    }
    return false;
  };
  bool good = (parts.size() == 5 || parts.size() == 6) && parts[3] == "tcp" &&
              isOneOf(parts[1], {"ip4", "ip6", "dns", "dns4", "dns6"}) &&
              (parts.size() == 5 || isOneOf(parts[5], {"http", "https"}));
  if (!good) {
    constexpr size_t SHOWN = 5;  // what follows may be a key
    auto shown = kj::strArray(parts.asPtr().slice(0, kj::min(parts.size(), SHOWN)), "/");
    kj::throwFatalException(badInput(kj::str("this is no address of an IPFS node's RPC: `",
        shorten(shown), parts.size() > SHOWN ? "/..." : "",
        "`; it is such as http://127.0.0.1:5001 or /ip4/127.0.0.1/tcp/5001")));
  }
  auto scheme = parts.size() == 6 ? kj::str(parts[5]) : kj::str("http");
  auto host = parts[1] == "ip6" ? kj::str('[', parts[2], ']') : kj::str(parts[2]);
  return kj::str(scheme, "://", host, ':', parts[4]);
}

KuboSource::KuboSource(HttpReach reach, kj::StringPtr address)
    : endpoint(reach, urlOfMultiaddr(address), "an IPFS node's RPC"),
      name(kj::str("IPFS node ", endpoint.getName())) {}

kj::Promise<kj::Array<const kj::byte>> KuboSource::fetch(const Cid& cid) {
  HttpEndpoint::Call call;
  call.method = kj::HttpMethod::POST;
  call.path = kj::str("/api/v0/block/get?arg=", cid.toText());
  call.accept = ANY;
  call.maxBytes = MAX_BLOCK_BYTES;
  call.waits = isResting();
  call.followsRedirects = false;
  return endpoint.call(kj::mv(call));
}

kj::Promise<kj::Array<const kj::byte>> KuboSource::fetchRecord(const IpnsName& ipnsName) {
  HttpEndpoint::Call call;
  call.method = kj::HttpMethod::POST;
  call.path = kj::str("/api/v0/routing/get?arg=/ipns/", ipnsName.toText());
  call.accept = ANY;
  call.maxBytes = MAX_JSON_BYTES;
  call.followsRedirects = false;
  return endpoint.call(kj::mv(call)).then([](kj::Array<const kj::byte> answer) {
    return readKuboRecord(answer);
  });
}

}  // namespace ww
