// An image goes to a node: what is sent, and all that the node may do instead of taking it.
#include <kj/test.h>
#include <string>
#include <ww/base/error.h>
#include <ww/node/kubo-import.h>

namespace ww {
namespace {

constexpr auto NAME = "http://node:5001"_kj;
constexpr auto URL = "http://node:5001/SECRET"_kj;
constexpr auto PATIENCE = 60 * kj::SECONDS;

// A node that reads what comes, and answers as it is told to.
class FakeKubo final: public kj::HttpService {
 public:
  FakeKubo(const kj::HttpHeaderTable& table, kj::Timer& timer): table(table), timer(timer) {}

  enum class Mood { ANSWER, ANSWER_EARLY, READ_NOTHING, SAY_NOTHING, HANG_UP, ENDLESS,
                    DRIP } mood{};
  kj::uint status = 200;
  kj::String answer;
  std::string url, contentType, body;

  kj::Promise<void> request(kj::HttpMethod method, kj::StringPtr path,
                            const kj::HttpHeaders& headers, kj::AsyncInputStream& in,
                            Response& response) override {
    KJ_EXPECT(method == kj::HttpMethod::POST);
    url = path.cStr();
    contentType = KJ_ASSERT_NONNULL(headers.get(kj::HttpHeaderId::CONTENT_TYPE)).cStr();
    if (mood == Mood::READ_NOTHING) co_await kj::Promise<void>(kj::NEVER_DONE);
    if (mood == Mood::HANG_UP) {
      kj::throwFatalException(kj::Exception(kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__,
                                            kj::str("gone")));
    }
    if (mood != Mood::ANSWER_EARLY) body = (co_await in.readAllText()).cStr();
    if (mood == Mood::SAY_NOTHING) co_await kj::Promise<void>(kj::NEVER_DONE);
    kj::HttpHeaders none(table);
    auto out = response.send(status, "OK", none);
    if (mood == Mood::ENDLESS) {
      auto line = kj::str(kj::repeat('x', 10'000));
      for (;;) co_await out->write(line.begin(), line.size());
    }
    while (mood == Mood::DRIP) {
      co_await out->write("\n", 1);
      co_await timer.afterDelay(1 * kj::SECONDS);
    }
    co_await out->write(answer.begin(), answer.size());
  }

 private:
  const kj::HttpHeaderTable& table;
  kj::Timer& timer;
};

struct Fixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  kj::HttpHeaderTable table;
  FakeKubo node{table, timer};
  kj::Own<kj::HttpClient> client = kj::newHttpClient(node);
  KuboImport kubo{*client, table, timer, kj::str(URL), PATIENCE};
  Cid root = Cid::of(Cid::RAW, "image"_kj.asBytes());

  Fixture() { node.answer = answerFor(root.toText(), ""); }

  static kj::String answerFor(kj::StringPtr cid, kj::StringPtr pinError) {
    return kj::str("{\"Root\":{\"Cid\":{\"/\":\"", cid, "\"},\"PinErrorMsg\":\"", pinError,
                   "\"}}\n{\"Stats\":{\"BlockCount\":1,\"BlockBytesCount\":5}}\n");
  }

  kj::Promise<void> begin(KuboImport::WriteCar write) {
    return kubo.import(kj::mv(write), root, 0x1234);
  }
  kj::Promise<void> begin() {
    return begin([](kj::AsyncOutputStream& out) { return out.write("CAR FILE", 8); });
  }
  kj::String refusal() {
    kj::String why = kj::str("done");
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { begin().wait(waitScope); })) {
      why = kj::str(e->getDescription());
    }
    return why;
  }
};

bool has(kj::StringPtr text, kj::StringPtr part) {
  return std::string(text.cStr()).find(part.cStr()) != std::string::npos;
}

KJ_TEST("a CAR file is a part of a form, as it is written") {
  Fixture f;
  f.begin().wait(f.waitScope);
  KJ_EXPECT(f.node.url == "http://node:5001/SECRET/api/v0/dag/import?pin-roots=true");
  KJ_EXPECT(f.node.contentType == "multipart/form-data; boundary=ww-1234");
  KJ_EXPECT(f.node.body == "--ww-1234\r\nContent-Disposition: form-data; name=\"file\"; "
                           "filename=\"image.car\"\r\nContent-Type: application/octet-stream\r\n"
                           "\r\nCAR FILE\r\n--ww-1234--\r\n");
}

KJ_TEST("what a node may answer instead") {
  struct { kj::uint status; kj::String answer; kj::StringPtr why; } cases[] = {
      {500, kj::str("{\"Message\":\"disk full\",\"Code\":0,\"Type\":\"error\"}"),
       "HTTP 500: disk full"},
      {403, kj::str("403 - Forbidden\n"), "HTTP 403: `403 - Forbidden"},
      {302, kj::str(), "HTTP 302: ``"},
      {103, kj::str(), "node:5001: it answers with an interim HTTP 103, which"},
      {200, kj::str("<html>a gateway</html>"), "the import failed: "},
      {200, kj::str(), "this is no answer of Kubo's to an import: ``"},
      {200, kj::str("{\"Stats\":{}}\n"), "this is no answer of Kubo's"},
      {200, kj::str("[]\n7\nnull\n"), "no JSON that is expected here: `[]`"},
      {200, kj::str("{\"Message\":\"half of it\",\"Type\":\"error\"}\n"),
       "the import failed: half of it"},
      {200, Fixture::answerFor("bafkqaaa", ""), "it says that it imported bafkqaaa, and the image "
                                               "is bafkrei"},
      {200, Fixture::answerFor("no content id", ""), "it says that it imported no content id"},
      {200, Fixture::answerFor(Cid::of(Cid::RAW, "image"_kj.asBytes()).toText(), "pinner is off"),
       "it did not pin the image: pinner is off"}};
  for (auto& c: cases) {
    for (auto mood: {FakeKubo::Mood::ANSWER, FakeKubo::Mood::ANSWER_EARLY}) {
      Fixture f;
      f.node.mood = mood;
      f.node.status = c.status;
      f.node.answer = kj::str(c.answer);
      auto why = f.refusal();
      KJ_EXPECT(why.startsWith(kj::str(NAME, ": ")) && has(why, c.why), why, c.why);
    }
  }
}

KJ_TEST("an answer without end is cut") {
  Fixture f;
  f.node.mood = FakeKubo::Mood::ENDLESS;
  KJ_EXPECT(f.refusal() == kj::str(NAME, ": an answer of more than 1048576 bytes, "
                                   "which is the limit"));
}

KJ_TEST("a node that hangs up is told of") {
  Fixture f;
  f.node.mood = FakeKubo::Mood::HANG_UP;
  auto why = f.refusal();
  KJ_EXPECT(why.startsWith(kj::str(NAME, ": it cannot be reached, or hung up: ")), why);
  KJ_EXPECT(has(why, "; start an IPFS node there, or name another one (--to URL); a node "
                 "of ww is named by its peer id, or an address that ends in /p2p/PEERID"), why);
}

KJ_TEST("one that takes nothing, or says nothing, is given up, and a slow one is not") {
  for (auto mood: {FakeKubo::Mood::READ_NOTHING, FakeKubo::Mood::SAY_NOTHING}) {
    Fixture f;
    f.node.mood = mood;
    auto importing = f.begin();
    KJ_EXPECT(!importing.poll(f.waitScope));
    f.timer.advanceTo(f.timer.now() + PATIENCE - 1 * kj::MILLISECONDS);
    KJ_EXPECT(!importing.poll(f.waitScope));
    f.timer.advanceTo(f.timer.now() + 1 * kj::MILLISECONDS);
    KJ_EXPECT_THROW_MESSAGE("took nothing more, nor answered", importing.wait(f.waitScope));
  }
  Fixture f;
  auto importing = f.begin([&](kj::AsyncOutputStream& out) -> kj::Promise<void> {
    return out.write("CAR ", 4).then([&]() {
      return f.timer.afterDelay(PATIENCE - 1 * kj::MILLISECONDS);
    }).then([&out]() { return out.write("FILE", 4); }).then([&]() {
      return f.timer.afterDelay(PATIENCE - 1 * kj::MILLISECONDS);
    });
  });
  for (int i = 0; i < 2; i++) {
    KJ_EXPECT(!importing.poll(f.waitScope));
    f.timer.advanceTo(f.timer.now() + PATIENCE - 1 * kj::MILLISECONDS);
  }
  importing.wait(f.waitScope);
}

KJ_TEST("an answer has a time as a whole, however much of it comes") {
  Fixture f;
  f.node.mood = FakeKubo::Mood::DRIP;
  auto importing = f.begin();
  auto end = f.timer.now() + PATIENCE;
  while (f.timer.now() < end) {
    KJ_EXPECT(!importing.poll(f.waitScope));
    f.timer.advanceTo(f.timer.now() + 1 * kj::SECONDS);
  }
  KJ_ASSERT(importing.poll(f.waitScope));
  KJ_EXPECT_THROW_MESSAGE("nor answered to the end", importing.wait(f.waitScope));
}

KJ_TEST("who says that it has an image before it has taken it is not believed") {
  Fixture f;
  f.node.mood = FakeKubo::Mood::ANSWER_EARLY;
  KJ_EXPECT(f.refusal() == kj::str(NAME, ": it says that it has the image, and did not take all of "
                                   "it"));
}

KJ_TEST("that the image could not be read is the reason, and not the node") {
  Fixture f;
  auto importing = f.begin([](kj::AsyncOutputStream& out) -> kj::Promise<void> {
    return out.write("CAR", 3).then([]() { kj::throwFatalException(badInput("etc/x: gone")); });
  });
  KJ_EXPECT_THROW_MESSAGE("etc/x: gone", importing.wait(f.waitScope));
}

KJ_TEST("where a node is, as people and Kubo write it") {
  for (auto& [text, url]: std::initializer_list<std::pair<kj::StringPtr, kj::StringPtr>>{
           {"http://127.0.0.1:5001", "http://127.0.0.1:5001"},
           {"http://127.0.0.1:5001/", "http://127.0.0.1:5001"},
           {"https://node.example/ipfs-rpc", "https://node.example/ipfs-rpc"},
           {"/ip4/127.0.0.1/tcp/5001", "http://127.0.0.1:5001"},
           {"/ip6/::1/tcp/5001", "http://[::1]:5001"},
           {"/dns/node.example/tcp/443/https", "https://node.example:443"},
           {"/dns4/node.example/tcp/80/http", "http://node.example:80"}}) {
    KJ_EXPECT(readKuboUrl(text) == url, text, readKuboUrl(text));
  }
  for (auto text: {""_kj, "node"_kj, "ftp://node"_kj, "http://"_kj, "http://me:secret@node"_kj,
                   "http://node/?x=y"_kj, "/"_kj, "/ip4/127.0.0.1"_kj, "/ip4/127.0.0.1/udp/5001"_kj,
                   "/ip4/127.0.0.1/tcp/5001/ws"_kj, "/unix/socket/tcp/1"_kj,
                   "http://node:port/secret"_kj, "http://node/#secret"_kj,
                   "ftp://node/secret"_kj}) {
    auto problem = kj::runCatchingExceptions([&]() { readKuboUrl(text); });
    auto why = kj::str(KJ_ASSERT_NONNULL(problem, text).getDescription());
    KJ_EXPECT(has(why, "is no address of a Kubo node's RPC") && !has(why, "secret"), why);
  }
}

}  // namespace
}  // namespace ww
