// What a person means by IMAGE.
#include <ww/image/image-ref.h>

#include <kj/test.h>
#include <string.h>
#include <utility>

namespace ww {
namespace {

constexpr auto CID = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"_kj;
constexpr auto CID_V0 = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"_kj;

kj::String whyNot(kj::StringPtr text) {
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { parseImageRef(text); })) {
    return kj::str(e->getDescription());
  }
  return kj::str("nothing went wrong");
}
bool has(kj::StringPtr text, kj::StringPtr part) {
  return strstr(text.cStr(), part.cStr()) != nullptr;
}

KJ_TEST("a content id is meant by /ipfs/ and by itself, with a path behind the former") {
  for (auto cid: {CID, CID_V0}) {
    auto alone = parseImageRef(cid);
    KJ_EXPECT(alone.get<IpfsRef>().root.toText() == cid && alone.get<IpfsRef>().path == "");
    for (auto [text, path]: std::initializer_list<std::pair<kj::StringPtr, kj::StringPtr>>{
             {"", ""}, {"/", ""}, {"/a", "a"}, {"/a/b c/", "a/b c"}, {"/...", "..."}}) {
      auto ref = parseImageRef(kj::str("/ipfs/", cid, text));
      KJ_EXPECT(ref.get<IpfsRef>().root.toText() == cid && ref.get<IpfsRef>().path == path, text);
    }
  }
}

KJ_TEST("a name is meant by /ipns/") {
  auto name = IpnsName::of(SecretKey::generate().getPublicKey()).toText();
  auto ref = parseImageRef(kj::str("/ipns/", name, "/a/b"));
  KJ_EXPECT(ref.get<IpnsRef>().name.toText() == name && ref.get<IpnsRef>().path == "a/b");
}

KJ_TEST("everything else is a file or a folder") {
  for (auto car: {"app.car"_kj, "./x/APP.CAR"_kj, ".car"_kj}) {
    KJ_EXPECT(parseImageRef(car).get<CarRef>().file == car);
  }
  for (auto path: {"."_kj, "app"_kj, "main.wasm"_kj, "a.car/"_kj, "car"_kj, "ipfs/x"_kj, ""_kj,
                   "./bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"_kj}) {
    KJ_EXPECT(parseImageRef(path).get<PathRef>().path == path);
  }
}

KJ_TEST("what begins like a path of IPFS and is none is refused by name") {
  auto of = [](kj::StringPtr rest) { return whyNot(kj::str("/ipfs/", rest)); };
  KJ_EXPECT(has(of(""), "is to follow"));
  KJ_EXPECT(of("nonsense") != "nothing went wrong" && has(of("nonsense"), "nonsense"));
  for (auto bad: {"/.."_kj, "/a/../b"_kj, "/."_kj}) {
    KJ_EXPECT(has(of(kj::str(CID, bad)), "such as . and .."), bad);
  }
  KJ_EXPECT(has(of(kj::str(CID, "/a//b")), "empty name"));
  KJ_EXPECT(has(of(kj::str(CID, "/\xff")), "UTF-8"));
  KJ_EXPECT(has(of(kj::str(CID, "/\x1b[2J//b")), "/\\x1b[2J//b`"));
  KJ_EXPECT(has(of(kj::str(CID, "/", kj::strArray(kj::repeat('a', 5000), ""))), "too long"));
  KJ_EXPECT(has(whyNot("/ipns/example.com"), "name of DNS"));
  KJ_EXPECT(has(whyNot(kj::str("ipfs://", CID)), kj::str("/ipfs/", CID)));
  KJ_EXPECT(has(whyNot("ipns://x"), "/ipns/x"));
}

}  // namespace
}  // namespace ww
