// Words of `ww image`, and what it prints.
#include <kj/test.h>
#include <stdlib.h>
#include <string.h>
#include <ww/cli/options.h>
#include <ww/cli/show-image.h>

namespace ww {
namespace {

using What = ImageOptions::What;
using Words = std::initializer_list<kj::StringPtr>;

ImageOptions parse(Words words) {
  auto parsed = parseOptions(kj::arrayPtr(words.begin(), words.size()));
  KJ_IF_MAYBE(ending, parsed.tryGet<Ending>()) KJ_FAIL_ASSERT(ending->toStderr);
  return kj::mv(parsed.get<ImageOptions>());
}

Ending end(kj::ArrayPtr<const kj::StringPtr> words) {
  auto parsed = parseOptions(words);
  KJ_ASSERT(parsed.is<Ending>(), words);
  return kj::mv(parsed.get<Ending>());
}
Ending end(Words words) { return end(kj::arrayPtr(words.begin(), words.size())); }

bool has(kj::StringPtr text, kj::StringPtr part) {
  return strstr(text.cStr(), part.cStr()) != nullptr;
}

// Each with the least that it takes.
struct {
  What what;
  Words words;
} const COMMANDS[] = {
    {What::LS, {"image", "ls"}},
    {What::ADD, {"image", "add", "app.car"}},
    {What::RM, {"image", "rm", "app"}},
    {What::PIN, {"image", "pin", "app"}},
    {What::UNPIN, {"image", "unpin", "app"}},
    {What::GC, {"image", "gc"}},
    {What::VERIFY, {"image", "verify"}},
    {What::EXPORT, {"image", "export", "app", "app.car"}},
};

KJ_TEST("each command, with what it is where nothing is said") {
  for (auto& command: COMMANDS) {
    auto options = parse(command.words);
    KJ_EXPECT(options.what == command.what && !options.json && options.dataDir == nullptr);
    KJ_EXPECT(options.logLevel == "info" && options.logFormat == "text");
    KJ_EXPECT(options.storeBytes == DEFAULT_STORE_BYTES && options.name == nullptr);
  }
}

KJ_TEST("each command takes -o json and the words that all take, and refuses others") {
  for (auto& command: COMMANDS) {
    auto with = [&](Words more) {
      kj::Vector<kj::StringPtr> words;
      words.addAll(command.words);
      words.addAll(more);
      return words.releaseAsArray();
    };
    auto words = with({"-o", "json", "--data-dir", "there", "--log-level", "debug", "--log-format",
                       "json"});
    auto parsed = parseOptions(words);
    KJ_ASSERT(parsed.is<ImageOptions>(), words);
    auto& options = parsed.get<ImageOptions>();
    KJ_EXPECT(options.json && KJ_ASSERT_NONNULL(options.dataDir) == "there", words);
    KJ_EXPECT(options.logLevel == "debug" && options.logFormat == "json", words);
    for (Words wrong: {Words{"-o", "yaml"}, Words{"--no-such"}, Words{"--log-level", "loud"}}) {
      auto ending = end(with(wrong));
      KJ_EXPECT(ending.exitCode == 125 && ending.toStdout == "");
      KJ_EXPECT(has(ending.toStderr, wrong.begin()[wrong.size() - 1]), ending.toStderr);
    }
  }
}

KJ_TEST("each command's help has an example") {
  for (auto& command: COMMANDS) {
    auto ending = end({"image", command.words.begin()[1], "--help"});
    KJ_EXPECT(ending.exitCode == 0 && ending.toStderr == "");
    KJ_EXPECT(has(ending.toStdout, kj::str("ww image ", command.words.begin()[1])) &&
              has(ending.toStdout, "Example"), ending.toStdout);
  }
  KJ_EXPECT(has(end({"image", "-h"}).toStdout, "Example"));
}

KJ_TEST("add: what, under which name, from whom, for how long") {
  auto plain = parse({"image", "add", "app.car"});
  KJ_EXPECT(plain.images.size() == 1 && plain.images[0] == "app.car" && plain.pin);
  KJ_EXPECT(plain.sources.gateways.size() == 0 && plain.sources.ipfs == nullptr);
  auto all = parse({"image", "add", "--name", "app", "--no-pin", "--gateway", "https://a.example",
                    "--gateway", "https://b.example", "--ipfs", "http://127.0.0.1:5001",
                    "--store-size", "1g", "/ipns/k51"});
  KJ_EXPECT(KJ_ASSERT_NONNULL(all.name) == "app" && !all.pin && all.images[0] == "/ipns/k51");
  KJ_EXPECT(all.sources.gateways.size() == 2 && all.sources.gateways[1] == "https://b.example");
  KJ_EXPECT(KJ_ASSERT_NONNULL(all.sources.ipfs) == "http://127.0.0.1:5001");
  KJ_EXPECT(all.storeBytes == 1 << 30);
  setenv("WW_STORE_SIZE", "32m", 1);
  KJ_DEFER(unsetenv("WW_STORE_SIZE"));
  KJ_EXPECT(parse({"image", "add", "app.car"}).storeBytes == 32 << 20);
}

KJ_TEST("rm, pin and unpin take several; pin a name; gc a size; export a file") {
  for (auto word: {"rm", "pin", "unpin"}) {
    auto options = parse({"image", word, "one", "two"});
    KJ_EXPECT(options.images.size() == 2 && options.images[1] == "two");
  }
  KJ_EXPECT(KJ_ASSERT_NONNULL(parse({"image", "pin", "--name", "app", "bafy"}).name) == "app");
  KJ_EXPECT(parse({"image", "gc"}).toBytes == 0);
  KJ_EXPECT(parse({"image", "gc", "--to", "4g"}).toBytes == uint64_t(4) << 30);
  auto exported = parse({"image", "export", "app", "app.car"});
  KJ_EXPECT(exported.images.size() == 1 && exported.images[0] == "app");
  KJ_EXPECT(exported.file == "app.car");
}

KJ_TEST("words that are wrong or missing end it, and are named") {
  struct { Words words; kj::StringPtr named; } cases[] = {
      {{"image"}, "a command is missing"},
      {{"image", "fetch"}, "fetch"},
      {{"image", "ls", "app"}, "app"},
      {{"image", "verify", "app"}, "app"},
      {{"image", "add"}, "IMAGE is required"},
      {{"image", "add", ""}, "IMAGE"},
      {{"image", "add", "one", "two"}, "two"},
      {{"image", "add", "--name", "", "app"}, "--name"},
      {{"image", "add", "--gateway", "ftp://a", "app"}, "not by ftp"},
      {{"image", "add", "--ipfs", "nowhere", "app"}, "no URL of an IPFS node"},
      {{"image", "add", "--store-size", "1m", "app"}, "1m is no size from 16m on"},
      {{"image", "rm"}, "IMAGE is required"},
      {{"image", "rm", "--name", "x", "app"}, "--name"},
      {{"image", "pin"}, "IMAGE is required"},
      {{"image", "unpin"}, "IMAGE is required"},
      {{"image", "gc", "--to", "much"}, "much is no size"},
      {{"image", "export"}, "IMAGE is required"},
      {{"image", "export", "app"}, "FILE is required"},
      {{"image", "export", "app", ""}, "FILE"}};
  for (auto& c: cases) {
    auto ending = end(c.words);
    KJ_EXPECT(ending.exitCode == 125 && ending.toStdout == "", c.named);
    KJ_EXPECT(has(ending.toStderr, c.named), c.named, ending.toStderr);
  }
}

// ------------------------------------------------------------------------------------ output

StoredImage stored(kj::StringPtr content) {
  return StoredImage{Cid::of(Cid::RAW, content.asBytes())};
}

KJ_TEST("images in columns, with sizes that a person reads") {
  kj::Vector<StoredImage> images;
  auto& first = images.add(stored("first"));
  first.name = kj::str("app");
  first.pinned = first.whole = true;
  first.blocks = 12345;
  first.bytes = 3 << 19;
  auto& second = images.add(stored("second"));
  second.inUse = true;
  second.blocks = 1;
  second.bytes = 5;
  second.used = 86400;
  auto cid = second.cid.toText();
  auto text = showImages(images, false);
  auto expected = kj::str(
      "NAME  SIZE     BLOCKS  STATE            USED                  CID\n"
      "app   1.5 MiB  12345   pinned           1970-01-01T00:00:00Z  ", first.cid.toText(), "\n"
      "-     5 B      1       in use, in part  1970-01-02T00:00:00Z  ", cid, "\n");
  KJ_EXPECT(text == expected, text);
  KJ_EXPECT(showImage(second, false) == kj::str(cid, '\n'));
  KJ_EXPECT(showImage(second, true) == kj::str(
      "{\"cid\":\"", cid, "\",\"name\":null,\"bytes\":5,\"blocks\":1,\"pinned\":false,"
      "\"whole\":false,\"inUse\":true,\"addedAt\":\"1970-01-01T00:00:00Z\","
      "\"usedAt\":\"1970-01-02T00:00:00Z\"}\n"));
  KJ_EXPECT(showImages(nullptr, true) == "[]\n");
  KJ_EXPECT(showImages(nullptr, false) == "NAME  SIZE  BLOCKS  STATE  USED  CID\n");
}

KJ_TEST("what a collection took, and what a check found") {
  KJ_EXPECT(showCollected({2, 7, 1536}, 0, false) ==
            "removed 2 images, 7 blocks of 1.5 KiB; 0 B are left\n");
  KJ_EXPECT(showCollected({1, 1, 1}, 0, false) ==
            "removed 1 image, 1 block of 1 B; 0 B are left\n");
  KJ_EXPECT(showCollected({2, 7, 1536}, 9, true) ==
            "{\"images\":2,\"blocks\":7,\"bytes\":1536,\"bytesLeft\":9}\n");
  StoreCheck check;
  check.blocks = 3;
  check.bytes = 4096;
  KJ_EXPECT(showCheck(check, false) == "3 blocks of 4.0 KiB: all are what their content ids say\n");
  auto cid = stored("damaged").cid.toText();
  check.damaged.add(stored("damaged").cid.clone());
  check.incomplete.add(stored("damaged").cid.clone());
  KJ_EXPECT(showCheck(check, false) == kj::str(
      "3 blocks of 4.0 KiB: damaged, and gone: 1\ndamaged block  ", cid,
      "\nimage in part  ", cid, '\n'));
  KJ_EXPECT(showCheck(check, true) == kj::str(
      "{\"blocks\":3,\"bytes\":4096,\"damaged\":[\"", cid, "\"],\"incomplete\":[\"", cid,
      "\"]}\n"));
}

}  // namespace
}  // namespace ww
