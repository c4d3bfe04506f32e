// Words of the commands that make images and deploy them.
#include <kj/test.h>
#include <stdlib.h>
#include <string>
#include <ww/base/ed25519.h>
#include <ww/cli/options.h>
#include <ww/net/peer-id.h>

namespace ww {
namespace {

using Words = std::initializer_list<kj::StringPtr>;

MakeOptions parse(Words words) {
  auto parsed = parseOptions(kj::arrayPtr(words.begin(), words.size()));
  KJ_IF_MAYBE(ending, parsed.tryGet<Ending>()) KJ_FAIL_ASSERT(ending->toStderr);
  return kj::mv(parsed.get<MakeOptions>());
}

Ending end(Words words) {
  auto parsed = parseOptions(kj::arrayPtr(words.begin(), words.size()));
  KJ_ASSERT(parsed.is<Ending>());
  return kj::mv(parsed.get<Ending>());
}

bool has(kj::StringPtr text, kj::StringPtr part) {
  return std::string(text.cStr()).find(part.cStr()) != std::string::npos;
}

constexpr auto STEM = "0x5FbDB2315678afecb367f032d93F642f64180aa3"_kj;
constexpr auto CID = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"_kj;
constexpr auto URL = "http://127.0.0.1:8545"_kj;

KJ_TEST("a project: where, and in which language") {
  auto here = parse({"init"});
  KJ_EXPECT(here.get<InitOptions>().dir == "." && !here.get<InitOptions>().rust);
  auto there = parse({"init", "hello", "--rust", "-o", "json"});
  auto& init = there.get<InitOptions>();
  KJ_EXPECT(init.dir == "hello" && init.rust && init.json);
  auto build = parse({"build"});
  KJ_EXPECT(build.get<BuildOptions>().dir == "." && build.get<BuildOptions>().sdk == nullptr);
  auto other = parse({"build", "hello", "--sdk", "there"});
  KJ_EXPECT(KJ_ASSERT_NONNULL(other.get<BuildOptions>().sdk) == "there");
  setenv("WW_SDK", "elsewhere", 1);
  KJ_DEFER(unsetenv("WW_SDK"));
  auto path = parse({"sdk-path"});
  KJ_EXPECT(KJ_ASSERT_NONNULL(path.get<SdkPathOptions>().sdk) == "elsewhere");
}

KJ_TEST("push: where to, and the head with it") {
  auto alone = parse({"push", "image"});
  auto& push = alone.get<PushOptions>();
  KJ_EXPECT(push.image == "image" && !push.json);
  KJ_EXPECT(KJ_ASSERT_NONNULL(push.to) == "http://127.0.0.1:5001");
  KJ_EXPECT(push.head == nullptr && push.patience == 60 * kj::SECONDS);

  auto both = parse({"push", "app.car", "--to", "/ip4/192.0.2.1/tcp/5001", "--timeout", "5s",
                     "--stem", STEM, "--key", "key", "--rpc-url", URL, "--chain-id", "5",
                     "--max-fee", "7", "--wait", "2m", "-o", "json"});
  auto& deploy = both.get<PushOptions>();
  KJ_EXPECT(KJ_ASSERT_NONNULL(deploy.to) == "http://192.0.2.1:5001" && deploy.json);
  KJ_EXPECT(deploy.patience == 5 * kj::SECONDS);
  auto& head = KJ_ASSERT_NONNULL(deploy.head);
  KJ_EXPECT(head.key == "key" && head.provider == URL);
  KJ_EXPECT(KJ_ASSERT_NONNULL(head.writer.chainId) == 5);
  KJ_EXPECT(head.writer.maxFee == 7 * WEI_A_GWEI && head.writer.patience == 2 * kj::MINUTES);

  setenv("IPFS_API", "/ip4/192.0.2.2/tcp/5001", 1);
  KJ_DEFER(unsetenv("IPFS_API"));
  auto named = parse({"push", "image"});
  KJ_EXPECT(KJ_ASSERT_NONNULL(named.get<PushOptions>().to) == "http://192.0.2.2:5001");
  auto offered = parse({"push", "image", "--to", "swarm"});
  KJ_EXPECT(offered.get<PushOptions>().to == nullptr);
  KJ_EXPECT(offered.get<PushOptions>().peer == nullptr);
}

KJ_TEST("push to a node: by its address or its id, and as whom") {
  auto peer = PeerId(SecretKey::generate().getPublicKey()).toText();
  auto address = kj::str("/ip4/192.0.2.1/tcp/2020/p2p/", peer);
  for (kj::StringPtr to: {peer.asPtr(), address.asPtr()}) {
    auto parsed = parse({"push", "image", "--to", to});
    auto& push = parsed.get<PushOptions>();
    KJ_EXPECT(push.to == nullptr && KJ_ASSERT_NONNULL(push.peer) == to);
    KJ_EXPECT(push.identity == nullptr && push.dialTimeout == 10 * kj::SECONDS);
  }
  auto parsed = parse({"push", "image", "--to", peer, "--identity", "me.key", "--dial-timeout",
                       "2.5"});
  auto& push = parsed.get<PushOptions>();
  KJ_EXPECT(KJ_ASSERT_NONNULL(push.identity) == "me.key");
  KJ_EXPECT(push.dialTimeout == 2500 * kj::MILLISECONDS);
}

KJ_TEST("stem set-head: all of it is needed") {
  auto parsed = parse({"stem", "set-head", STEM, CID, "--key", "key", "--rpc-url", URL});
  auto& set = parsed.get<SetHeadOptions>();
  KJ_EXPECT(set.cid == CID && set.head.key == "key" && set.head.provider == URL);
  KJ_EXPECT(set.head.writer.chainId == nullptr);
}

KJ_TEST("words that are wrong end it, and are named") {
  struct { Words words; kj::StringPtr named; } cases[] = {
      {{"push"}, "IMAGE is required"},
      {{"push", "image", "--stem", STEM}, "--stem takes the key"},
      {{"push", "image", "--stem", STEM, "--key", "k"}, "--stem takes a provider"},
      {{"push", "image", "--key", "k"}, "--key is for --stem"},
      {{"push", "image", "--to", "node"}, "this is no address of a Kubo node's RPC"},
      {{"push", "image", "--timeout", "soon"}, "soon is no duration"},
      {{"push", "image", "--dial-timeout", "0"}, "--dial-timeout"},
      {{"push", "image", "--identity", ""}, "--identity"},
      {{"push", "image", "--max-fee", "0"}, "--max-fee"},
      {{"push", "image", "--stem", "0x5fbDB2315678afecb367f032d93F642f64180aa3"},
       "it is written 0x5FbDB2315678afecb367f032d93F642f64180aa3"},
      {{"stem"}, "ww stem: a command is missing; it takes set-head"},
      {{"stem", "set-head", STEM}, "CID is required"},
      {{"stem", "set-head", STEM, "bafy", "--key", "k", "--rpc-url", URL}, "bafy"},
      {{"stem", "set-head", STEM, CID, "--rpc-url", URL}, "--key is required"},
      {{"stem", "set-head", STEM, CID, "--key", "k"}, "--rpc-url is required"},
      {{"stem", "set-head", STEM, CID, "--key", "k", "--rpc-url", "ftp://x"}, "not by ftp"},
      {{"stem", "set-head", STEM, CID, "--key", "k", "--rpc-url", URL, "--chain-id", "x"},
       "x is no chain's id"}};
  for (auto& c: cases) {
    auto ending = end(c.words);
    KJ_EXPECT(ending.exitCode == 125 && ending.toStdout == "", c.named);
    KJ_EXPECT(has(ending.toStderr, c.named), c.named, ending.toStderr);
  }
}

KJ_TEST("what follows -- is a folder, whatever it looks like") {
  auto init = parse({"init", "--", "-x"});
  KJ_EXPECT(init.get<InitOptions>().dir == "-x");
  KJ_EXPECT(has(end({"sdk-path", "--", "word"}).toStderr, "word"));
}

KJ_TEST("each command's help has an example") {
  for (Words words: {Words{"init", "-h"}, Words{"build", "-h"}, Words{"sdk-path", "-h"},
                     Words{"push", "-h"}, Words{"stem", "-h"}, Words{"stem", "set-head", "-h"}}) {
    auto ending = end(words);
    KJ_EXPECT(ending.exitCode == 0 && ending.toStderr == "");
    KJ_EXPECT(has(ending.toStdout, "Example"), ending.toStdout);
  }
}

}  // namespace
}  // namespace ww
