#include <ww/node/kubo-import.h>

#include <kj/debug.h>
#include <ww/base/error.h>
#include <ww/base/http-call.h>
#include <ww/base/text.h>
#include <ww/image/kubo.h>
#include <ww/stem/json-rpc.h>

namespace ww {
namespace {

constexpr kj::uint HTTP_OK = 200;
constexpr size_t MAX_IMPORT_ANSWER = 1 << 20;

// What Kubo says where something failed; else what came.
kj::String messageOf(kj::StringPtr text) {
  kj::String message;
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() {
    readJsonLines(text, [&](Json::Value line) {
      KJ_IF_MAYBE(said, findText(line, "Message")) message = kj::str(shorten(*said));
    });
  })) {
    (void)e;
  }
  return message.size() > 0 ? kj::mv(message) : kj::str('`', shorten(text), '`');
}

// What a line of the answer says of a root: its content id, and why it could not be pinned.
struct RootSaid {
  kj::String cid;
  kj::String pinError;
};
kj::Maybe<RootSaid> findRoot(Json::Value line) {
  KJ_IF_MAYBE(root, findField(line, "Root")) {
    KJ_IF_MAYBE(cid, findField(*root, "Cid")) {
      return RootSaid{kj::str(findText(*cid, "/").orDefault("")),
                      kj::str(findText(*root, "PinErrorMsg").orDefault(""))};
    }
  }
  return nullptr;
}

// In whatever base it is written.
bool isRoot(kj::StringPtr text, const Cid& root) {
  bool isSame = false;
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { isSame = Cid::parse(text) == root; })) {
    (void)e;
  }
  return isSame;
}

}  // namespace

kj::String readKuboUrl(kj::StringPtr text) {
  // What is wrong with it is not shown: it may hold a key.
  kj::Maybe<ServerUrl> url;
  kj::runCatchingExceptions([&]() { url = ServerUrl::parse(urlOfMultiaddr(text), "a node"); });
  KJ_IF_MAYBE(found, url) return kj::mv(found->text);
  kj::throwFatalException(badInput("this is no address of a Kubo node's RPC, such as "
      "http://127.0.0.1:5001 or /ip4/127.0.0.1/tcp/5001: a scheme, a host and a path at most"));
}

KuboImport::KuboImport(kj::HttpClient& client, const kj::HttpHeaderTable& table, kj::Timer& timer,
                       kj::String url, kj::Duration patience)
    : client(client), table(table), timer(timer), url(kj::mv(url)),
      name(ServerUrl::parse(this->url, "a node").name), patience(patience) {}

void KuboImport::fail(kj::StringPtr why) const {
  kj::throwFatalException(badInput(kj::str(name, ": ", why)));
}

// What is written is taken by the node, piece by piece: a sign of life. A node that hangs up is not
// the writer's failure, since it may have answered before.
class KuboImport::Body final: public kj::AsyncOutputStream {
 public:
  Body(KuboImport& owner, kj::AsyncOutputStream& inner): owner(owner), inner(inner) {}

  kj::Promise<void> write(const void* buffer, size_t size) override {
    return watch(inner.write(buffer, size));
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    return watch(inner.write(pieces));
  }
  kj::Promise<void> whenWriteDisconnected() override { return inner.whenWriteDisconnected(); }

  bool wasHungUpOn() const { return isHungUp; }

 private:
  KuboImport& owner;
  kj::AsyncOutputStream& inner;
  bool isHungUp = false;

  kj::Promise<void> watch(kj::Promise<void> writing) {
    return writing.then([this]() { owner.moved = owner.timer.now(); }, [this](kj::Exception&& e) {
      isHungUp = true;
      kj::throwFatalException(kj::mv(e));
    });
  }
};

kj::Promise<void> KuboImport::import(WriteCar writeCar, const Cid& root, uint64_t boundary) {
  moved = timer.now();
  return send(kj::mv(writeCar), root, boundary).exclusiveJoin(untilSilent());
}

// Never resolves.
kj::Promise<void> KuboImport::untilSilent() {
  for (;;) {
    auto end = moved + patience;
    if (timer.now() >= end) {
      fail(kj::str("for ", patience, " the node took nothing more, nor answered to the end"));
    }
    co_await timer.atTime(end);
  }
}

kj::Promise<void> KuboImport::send(WriteCar writeCar, const Cid& root, uint64_t boundary) {
  auto mark = kj::str("ww-", kj::hex(boundary));
  kj::HttpHeaders headers(table);
  headers.set(kj::HttpHeaderId::CONTENT_TYPE, kj::str("multipart/form-data; boundary=", mark));
  auto request = client.request(kj::HttpMethod::POST,
                                kj::str(url, "/api/v0/dag/import?pin-roots=true"), headers);
  Body body(*this, *request.body);
  auto unwritten = kj::newPromiseAndFulfiller<kj::String>();
  auto writing = write(body, mark, kj::mv(writeCar)).then([&]() {
    request.body = nullptr;
    return true;
  }, [&](kj::Exception&& e) {
    // A node may answer before it has read all of this, and close.
    if (!body.wasHungUpOn()) unwritten.fulfiller->reject(kj::mv(e));
    return false;
  }).eagerlyEvaluate(nullptr);
  kj::uint status = 0;
  auto answering = request.response.then([&](kj::HttpClient::Response&& response) {
    status = response.statusCode;
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { requireStatus(status); })) {
      fail(e->getDescription());
    }
    return readHttp({status, nullptr, nullptr, nullptr, kj::mv(response.body)}, MAX_IMPORT_ANSWER)
        .then([](HttpAnswer&& answer) { return kj::heapString(answer.body.asChars()); },
              [this](kj::Exception&& e) -> kj::String {
      if (e.getType() != kj::Exception::Type::FAILED) kj::throwFatalException(kj::mv(e));
      fail(e.getDescription());
    });
  }).catch_([this](kj::Exception&& e) -> kj::String {
    if (e.getDescription().startsWith(name)) kj::throwFatalException(kj::mv(e));
    fail(kj::str("it cannot be reached, or hung up: ", httpReason(e), "; start an IPFS node "
                 "there, or name another one (--to URL); a node of ww is named by its peer "
                 "id, or an address that ends in /p2p/PEERID"));
  });
  auto text = co_await answering.exclusiveJoin(kj::mv(unwritten.promise));
  if (status != HTTP_OK) fail(kj::str("HTTP ", status, ": ", messageOf(text)));
  requireRoot(text, root);
  if (!co_await writing) fail("it says that it has the image, and did not take all of it");
}

kj::Promise<void> KuboImport::write(Body& body, kj::StringPtr mark, WriteCar writeCar) {
  auto head = kj::str("--", mark, "\r\nContent-Disposition: form-data; name=\"file\"; "
                      "filename=\"image.car\"\r\nContent-Type: application/octet-stream\r\n\r\n");
  co_await body.write(head.begin(), head.size());
  co_await writeCar(body);
  auto tail = kj::str("\r\n--", mark, "--\r\n");
  co_await body.write(tail.begin(), tail.size());
}

void KuboImport::requireRoot(kj::StringPtr answer, const Cid& root) const {
  kj::Vector<RootSaid> roots;
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() {
    readJsonLines(answer, [&](Json::Value line) {
      KJ_IF_MAYBE(said, findRoot(line)) roots.add(kj::mv(*said));
      KJ_IF_MAYBE(message, findText(line, "Message")) {
        kj::throwFatalException(badInput(shorten(*message)));
      }
    });
  })) {
    fail(kj::str("the import failed: ", e->getDescription()));
  }
  for (auto& one: roots) {
    if (!isRoot(one.cid, root)) {
      fail(kj::str("it says that it imported ", shorten(one.cid), ", and the image is ",
                   root.toText()));
    }
    if (one.pinError.size() > 0) {
      fail(kj::str("it did not pin the image: ", shorten(one.pinError)));
    }
  }
  if (roots.size() == 0) {
    fail(kj::str("this is no answer of Kubo's to an import: `", shorten(answer), "`"));
  }
}

}  // namespace ww
