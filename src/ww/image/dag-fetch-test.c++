// Whole DAGs in one answer of a gateway's: what is taken, and what becomes of those that send
// something else.
#include <ww/image/dag-fetch.h>

#include <kj/test.h>
#include <ww/image/car-sections-test.h>
#include <ww/image/dag-fixture-test.h>
#include <ww/image/gateway.h>
#include <ww/image/http-service-test.h>

namespace ww {
namespace {

constexpr auto GATEWAY = "https://gateway.example"_kj;

// A gateway that has `far`; a tree that is read from there into `near`.
struct Fixture {
  FakeInternet internet;
  MemoryLogger logger;
  MemoryBlockStore far, near;
  TreeLimits limits;
  kj::Vector<kj::Own<BlockSource>> sources;
  bool dups = false;
  kj::Function<void(Sections&)> changeCar = [](Sections&) {};
  kj::Function<void(FakeAnswer&)> changeAnswer = [](FakeAnswer&) {};

  Fixture() {
    internet.serve("http://10.0.0.7", false, [](kj::StringPtr) { return FakeAnswer(); });
    internet.serve(GATEWAY, true, [this](kj::StringPtr path) { return answer(path); });
    sources.add(kj::heap<GatewaySource>(internet.reach(), GATEWAY));
  }

  FakeAnswer answer(kj::StringPtr path) {
    auto rest = path.slice(kj::StringPtr("/ipfs/").size());
    auto end = KJ_ASSERT_NONNULL(rest.findFirst('?'));
    auto cid = Cid::parse(kj::str(rest.slice(0, end)));
    FakeAnswer result;
    if (has(path, "?format=car")) {
      auto sections = Sender(far, dups).send(cid);
      changeCar(sections);
      result.body = join(sections);
      result.type = kj::str("application/vnd.ipld.car; version=1; order=dfs; dups=n");
      result.how = FakeAnswer::CHUNKED;
      changeAnswer(result);
      return result;
    }
    KJ_EXPECT(has(path, "?format=raw"), path);
    result.body = kj::heapArray<kj::byte>(KJ_ASSERT_NONNULL(far.find(cid)));
    return result;
  }

  // Files of many blocks, some twice, in a directory that is sharded.
  Cid tree(kj::uint files = 20, size_t size = 5000) {
    Importer importer(far, { .chunkBytes = 1000, .fileLinks = 3, .directoryBytes = 300 });
    auto add = [&](kj::StringPtr path, kj::ArrayPtr<const kj::byte> bytes) {
      importer.beginFile(path, false);
      importer.piece(bytes);
      importer.endFile();
    };
    add("main.wasm", noise(12345));
    importer.directory("lib");
    for (kj::uint i = 0; i < files; i++) add(kj::str("lib/", i), noise(size, i / 2));
    return importer.finish();
  }

  void putFirst(kj::Own<BlockSource> source) {
    auto gateway = kj::mv(sources[0]);
    sources.clear();
    sources.add(kj::mv(source));
    sources.add(kj::mv(gateway));
  }

  // What is read, or why it is not.
  kj::String read(const Cid& root) { return readFrom(near, sources, root); }
  kj::String there(const Cid& root) { return readFrom(far, nullptr, root); }
  kj::String readFrom(BlockStore& store, kj::ArrayPtr<kj::Own<BlockSource>> from,
                      const Cid& root) {
    BlockFetcher blocks(store, from, logger, BlockFetcher::Reads::DAGS);
    ListingSink sink;
    auto why = internet.failureOf(readTree(blocks, root, limits, sink));
    return why == "nothing went wrong" ? sink.text() : kj::mv(why);
  }
  size_t count(kj::StringPtr part) {
    size_t n = 0;
    for (auto& asked: internet.asked) n += has(asked, part);
    return n;
  }
  kj::String logged() { return kj::strArray(logger.getLines(), "\n"); }
};

KJ_TEST("a tree comes in one answer, and is asked for as the specification has it") {
  Fixture f;
  auto root = f.tree();
  KJ_EXPECT(f.read(root) == f.there(root));
  KJ_ASSERT(f.internet.asked.size() == 1);
  KJ_EXPECT(f.internet.asked[0] == kj::str(
      "GET ", GATEWAY, "/ipfs/", root.toText(),
      "?format=car&dag-scope=all&car-version=1&car-order=dfs&car-dups=n"));
  KJ_EXPECT(f.logged() == "", f.logged());
  KJ_EXPECT(f.read(root) == f.there(root));  // which is here now
  KJ_EXPECT(f.internet.asked.size() == 1);
}

KJ_TEST("blocks that come as often as they are linked to are taken, too") {
  Fixture f;
  f.dups = true;
  auto root = f.tree();
  KJ_EXPECT(Sender(f.far, true).send(root).size() > Sender(f.far, false).send(root).size());
  KJ_EXPECT(f.read(root) == f.there(root));
  KJ_EXPECT(f.internet.asked.size() == 1);
  KJ_EXPECT(f.logged() == "", f.logged());
}

KJ_TEST("what leads to a path, and a block without any below it, is asked for by the block") {
  Fixture f;
  auto root = f.tree();
  BlockFetcher blocks(f.near, f.sources, f.logger);
  resolvePath(blocks, root, "lib/7").wait(f.internet.waitScope);
  KJ_EXPECT(f.count("format=car") == 0 && f.count("format=raw") > 1);
  auto raw = Cid::of(Cid::RAW, "hello"_bytes);
  f.far.put(raw, "hello"_bytes);
  BlockFetcher whole(f.near, f.sources, f.logger, BlockFetcher::Reads::DAGS);
  KJ_EXPECT(whole.get(raw).wait(f.internet.waitScope) == "hello"_bytes);
  KJ_EXPECT(f.count("format=car") == 0);
}

// What is changed where the block of that number would be, and what is said of it.
struct Change {
  kj::StringPtr said;
  void (*make)(Sections& all, size_t at);
};

void cutOff(Sections& all, size_t at) {
  while (all.size() > at) all.removeLast();
}

const Change CHANGES[] = {
  {"other bytes under", [](Sections& all, size_t at) { all[at].back() ^= 1; }},
  {"is the next", [](Sections& all, size_t at) { std::swap(all[at], all[at + 1]); }},
  {"is the next", [](Sections& all, size_t at) {  // right, and nobody asked for it
    auto cid = Cid::of(Cid::RAW, "spam"_bytes);
    all[at] = sectionOf(cid.getBytes(), "spam"_bytes);
  }},
  {"ends without block", [](Sections& all, size_t at) { cutOff(all, at); }},
  {"cut short", [](Sections& all, size_t at) {
    cutOff(all, at + 1);
    all[at] = kj::heapArray<kj::byte>(all[at].slice(0, all[at].size() / 2));
  }},
  {"is the most", [](Sections& all, size_t at) {
    kj::byte length[] = {0xff, 0xff, 0xff, 0xff, 0x0f};
    all[at] = kj::heapArray<kj::byte>(kj::ArrayPtr<const kj::byte>(length));
  }},
  {"length without an end", [](Sections& all, size_t at) {
    memset(all[at].begin(), 0xff, all[at].size());
  }},
};

KJ_TEST("a gateway that sends something else is named, and the rest is asked for by the block") {
  for (auto& change: CHANGES) {
    size_t blocks = 0;
    for (size_t at = 0; at == 0 || at + 1 < blocks; at += 9) {
      Fixture f;
      auto root = f.tree();
      f.changeCar = [&](Sections& all) {
        blocks = all.size() - 1;
        change.make(all, at + 1);
      };
      KJ_EXPECT(f.read(root) == f.there(root), change.said, at);
      KJ_EXPECT(f.count("format=car") == 1, change.said, at);
      KJ_EXPECT(f.count("format=raw") == blocks - at, change.said, at, blocks);
      KJ_EXPECT(f.logger.getLines().size() == 1 && has(f.logged(), "warning:"), f.logged());
      KJ_EXPECT(has(f.logged(), "gateway https://gateway.example"), f.logged());
      KJ_EXPECT(has(f.logged(), change.said), change.said, at, f.logged());
    }
    KJ_EXPECT(blocks > 50);
  }
}

KJ_TEST("what comes behind all that was asked for ends the answer, and costs nothing") {
  Fixture f;
  auto root = f.tree();
  f.changeCar = [](Sections& all) {
    for (kj::byte i = 0; i < 100; i++) {
      kj::byte spam[] = {'s', 'p', 'a', 'm', i};
      all.add(sectionOf(Cid::of(Cid::RAW, spam).getBytes(), spam));
    }
  };
  KJ_EXPECT(f.read(root) == f.there(root));
  KJ_EXPECT(f.internet.asked.size() == 1);
  KJ_EXPECT(f.near.getCount() == f.far.getCount());
}

KJ_TEST("a gateway that gives no CAR files, and will not, is asked for one once") {
  for (auto status: {200u, 302u, 400u, 401u, 403u, 406u, 415u, 501u}) {
    Fixture f;
    auto root = f.tree();
    f.changeAnswer = [&](FakeAnswer& answer) {
      answer.status = status;
      answer.type = kj::str(status == 200 ? "text/html" : "text/plain");
      answer.body = kj::heapArray<kj::byte>("no such format"_bytes);
      if (status == 302) answer.location = kj::str("http://10.0.0.7/");
    };
    KJ_EXPECT(f.read(root) == f.there(root));
    KJ_EXPECT(f.count("format=car") == 1 && f.count("format=raw") == f.far.getCount());
    KJ_EXPECT(has(f.logged(), "info:") && !has(f.logged(), "warning:"), f.logged());
    KJ_EXPECT(has(f.logged(), status == 200 ? "a page of HTML" : status == 302
        ? "which is no public address" : "HTTP "), f.logged());
  }
}

KJ_TEST("a gateway that just gives no CAR file is asked for the next one, and not for ever") {
  for (auto status: {404u, 408u, 410u, 429u, 451u, 500u, 503u}) for (bool always: {false, true}) {
    Fixture f;
    auto root = f.tree();
    f.changeAnswer = [&](FakeAnswer& answer) {
      if (!always && f.count("format=car") > 1) return;
      answer.status = status;
      answer.type = kj::str("text/plain");
      answer.body = kj::heapArray<kj::byte>("not now"_bytes);
    };
    KJ_EXPECT(f.read(root) == f.there(root));
    auto cars = f.count("format=car"), raws = f.count("format=raw");
    if (always) {
      KJ_EXPECT(cars == DagFetch::MAX_CUT && raws == f.far.getCount(), cars, raws);
      KJ_EXPECT(has(f.logged(), "info:") && has(f.logged(), "is asked for single blocks"));
    } else {
      KJ_EXPECT(cars > 1 && cars < 6 && raws == 1, status, cars, raws);
      KJ_EXPECT(!has(f.logged(), "info:"), f.logged());
    }
    KJ_EXPECT(!has(f.logged(), "warning:"), f.logged());
  }
}

KJ_TEST("a gateway that wants no CAR file for a while is asked for another after that") {
  Fixture f;
  auto root = f.tree();
  f.changeAnswer = [&](FakeAnswer& answer) {
    if (f.count("format=car") > 1) return;
    answer.status = 429;
    answer.retryAfter = kj::str("5");
  };
  KJ_EXPECT(f.read(root) == f.there(root));
  auto cars = f.count("format=car"), raws = f.count("format=raw");
  KJ_EXPECT(cars > 1 && cars < 6 && raws == 1, cars, raws);
  auto waited = f.internet.timer.now() - kj::origin<kj::TimePoint>();
  KJ_EXPECT(waited == 5 * kj::SECONDS, waited);
}

KJ_TEST("a gateway that stalls is waited for so long, before an answer and within it") {
  for (auto how: {FakeAnswer::SILENCE, FakeAnswer::HALF_AND_SILENCE}) {
    Fixture f;
    auto root = f.tree();
    f.changeAnswer = [how](FakeAnswer& answer) { answer.how = how; };
    KJ_EXPECT(f.read(root) == f.there(root));
    KJ_EXPECT(f.count("format=car") == 1);
    KJ_EXPECT((f.count("format=raw") == f.far.getCount()) == (how == FakeAnswer::SILENCE));
    KJ_EXPECT(has(f.logged(), how == FakeAnswer::SILENCE ? "no answer within" : "stalls"),
              f.logged());
    auto waited = f.internet.timer.now() - kj::origin<kj::TimePoint>();
    KJ_EXPECT(waited <= 2 * HttpEndpoint::TIMEOUT + 2 * kj::SECONDS, waited);
  }
}

// Peers, who are asked for single blocks.
struct Other final: public BlockSource {
  MemoryBlockStore& far;
  kj::uint asked = 0;
  explicit Other(MemoryBlockStore& far): far(far) {}
  kj::StringPtr getName() const override { return "other"; }
  kj::Promise<kj::Array<const kj::byte>> fetch(const Cid& cid) override {
    ++asked;
    KJ_IF_MAYBE(block, far.find(cid)) return kj::mv(*block);
    return KJ_EXCEPTION(FAILED, "none of them has it");
  }
};

KJ_TEST("peers before a gateway: who has it gives it, and the rest comes in one answer") {
  for (bool isMissing: {false, true}) {
    Fixture f;
    auto root = f.tree();
    MemoryBlockStore theirs;
    if (!isMissing) {
      f.readFrom(theirs, f.sources, root);
      f.internet.asked.clear();
    }
    auto own = kj::heap<Other>(theirs);
    auto& other = *own;
    f.putFirst(kj::mv(own));
    KJ_EXPECT(f.read(root) == f.there(root));
    if (isMissing) {
      KJ_EXPECT(f.internet.asked.size() == 1 && f.count("format=car") == 1, f.internet.asked);
      KJ_EXPECT(other.asked == 1, other.asked);
    } else {
      KJ_EXPECT(f.internet.asked.size() == 0 && other.asked == f.far.getCount());
    }
    KJ_EXPECT(f.logged() == "", f.logged());
  }
}

// Has none, and says so when it is told to.
struct Lacker final: public BlockSource {
  kj::HashMap<Cid, kj::Own<kj::PromiseFulfiller<kj::Array<const kj::byte>>>> asked;
  kj::StringPtr getName() const override { return "lacker"; }
  kj::Promise<kj::Array<const kj::byte>> fetch(const Cid& cid) override {
    auto pair = kj::newPromiseAndFulfiller<kj::Array<const kj::byte>>();
    asked.insert(cid.clone(), kj::mv(pair.fulfiller));
    return kj::mv(pair.promise);
  }
  void lack(const Cid& cid) {
    KJ_ASSERT_NONNULL(asked.find(cid))->reject(KJ_EXCEPTION(FAILED, "it does not have it"));
  }
};

KJ_TEST("what comes while another is asked for it is had, and not waited for to the end of all") {
  Fixture f;
  auto root = f.tree();
  ffi::Node node(KJ_ASSERT_NONNULL(f.far.find(root)));
  auto child = Cid::fromBytes(node.getParts().links[0].cid);
  KJ_ASSERT(child.getCodec() == Cid::DAG_PB);
  auto own = kj::heap<Lacker>();
  auto& lacker = *own;
  f.putFirst(kj::mv(own));
  f.changeAnswer = [](FakeAnswer& answer) { answer.how = FakeAnswer::HALF_AND_SILENCE; };
  BlockFetcher blocks(f.near, f.sources, f.logger, BlockFetcher::Reads::DAGS);
  auto first = blocks.get(root), second = blocks.get(child);
  KJ_EXPECT(!first.poll(f.internet.waitScope) && !second.poll(f.internet.waitScope));
  lacker.lack(root);
  KJ_ASSERT(first.poll(f.internet.waitScope));
  KJ_EXPECT(first.wait(f.internet.waitScope) == KJ_ASSERT_NONNULL(f.far.find(root)));
  KJ_EXPECT(!second.poll(f.internet.waitScope));
  lacker.lack(child);
  KJ_ASSERT(second.poll(f.internet.waitScope));
  KJ_EXPECT(second.wait(f.internet.waitScope) == KJ_ASSERT_NONNULL(f.far.find(child)));
  KJ_EXPECT(f.internet.asked.size() == 1 && f.logged() == "", f.logged());
}

KJ_TEST("that the store takes no more is said to who comes next, where nobody waits") {
  Fixture f;
  auto root = f.tree();
  MemoryBlockStore small(20'000);
  DagFetch dags(small, f.logger);
  kj::Vector<kj::String> reasons;
  auto got = dags.fetch(*f.sources[0], root, reasons).wait(f.internet.waitScope);
  KJ_EXPECT(got != nullptr);
  f.internet.waitScope.poll();
  KJ_EXPECT(!dags.isRunning());
  auto missing = Cid::of(Cid::DAG_PB, "missing"_bytes);
  auto why = f.internet.failureOf(dags.fetch(*f.sources[0], missing, reasons).ignoreResult());
  KJ_EXPECT(has(why, "fits into memory") && f.internet.asked.size() == 1, why);
}

KJ_TEST("where a gateway stalls another source is asked, and it the last from then on") {
  for (auto how: {FakeAnswer::SILENCE, FakeAnswer::HALF_AND_SILENCE}) {
    Fixture f;
    auto own = kj::heap<Other>(f.far);
    auto& other = *own;
    f.sources.add(kj::mv(own));
    auto root = f.tree();
    f.changeAnswer = [how](FakeAnswer& answer) { answer.how = how; };
    KJ_EXPECT(f.read(root) == f.there(root));
    KJ_EXPECT(f.count("format=car") == 1 && f.count("format=raw") == 0, f.internet.asked);
    KJ_EXPECT(other.asked > 0);
    KJ_EXPECT(has(f.logged(), "does not answer in time, and is asked last"), f.logged());
  }
}

KJ_TEST("of those who wait as a CAR file stalls none asks its gateway again where another has it") {
  for (bool isNobodyFirst: {false, true}) {
    Fixture f;
    MemoryBlockStore nothing;
    if (isNobodyFirst) f.putFirst(kj::heap<Other>(nothing));
    f.sources.add(kj::heap<Other>(f.far));
    auto root = f.tree();
    f.changeAnswer = [](FakeAnswer& answer) { answer.how = FakeAnswer::HALF_AND_SILENCE; };
    BlockFetcher blocks(f.near, f.sources, f.logger, BlockFetcher::Reads::DAGS);
    blocks.get(root).wait(f.internet.waitScope);
    f.internet.waitScope.poll();
    KJ_EXPECT(f.near.getCount() < f.far.getCount());
    kj::Vector<kj::Promise<void>> waiting;
    for (auto& cid: Sender(f.far, false).list(root)) {
      if (f.near.has(cid)) continue;
      waiting.add(blocks.get(cid).then([&far = f.far, cid = cid.clone()](auto&& block) {
        KJ_EXPECT(block == KJ_ASSERT_NONNULL(far.find(cid)));
      }));
    }
    KJ_EXPECT(waiting.size() > 10);
    auto why = f.internet.failureOf(kj::joinPromises(waiting.releaseAsArray()));
    KJ_EXPECT(why == "nothing went wrong", why);
    KJ_EXPECT(f.count("format=car") == 1 && f.count("format=raw") == 0, f.internet.asked);
    KJ_EXPECT(!has(f.logged(), "source=other"), f.logged());
  }
}

KJ_TEST("where much is here already, what is not is asked for by the part") {
  Fixture f;
  Importer importer(f.far);
  auto add = [&](kj::StringPtr path, size_t size, uint64_t seed) {
    importer.beginFile(path, false);
    importer.piece(noise(size, seed));
    importer.endFile();
  };
  add("a", 5 << 20, 1);
  auto before = f.far.getCount();
  add("b", 5 << 20, 2);
  auto root = importer.finish();
  KJ_EXPECT(f.read(root) == f.there(root));
  // Another version of it, of which `a` and five parts of `b` are known.
  Importer next(f.far);
  for (auto& [path, seed]: {std::pair("a"_kj, 1), std::pair("b"_kj, 2), std::pair("c"_kj, 3)}) {
    next.beginFile(path, false);
    next.piece(noise(5 << 20, seed));
    next.endFile();
  }
  auto other = next.finish();
  KJ_EXPECT(before > 0);
  f.internet.asked.clear();
  KJ_EXPECT(f.read(other) == f.there(other));
  KJ_EXPECT(f.count("format=car") == 2, f.internet.asked);  // the root, and then `c`
  KJ_EXPECT(f.count("format=raw") == 0);
  KJ_EXPECT(has(f.logged(), "debug:") && !has(f.logged(), "warning:"), f.logged());
}

KJ_TEST("what the store refuses is said as that, and nobody else is asked") {
  Fixture f;
  auto root = f.tree();
  MemoryBlockStore small(20'000);
  auto why = f.readFrom(small, f.sources, root);
  KJ_EXPECT(has(why, "fits into memory"), why);
  KJ_EXPECT(f.count("format=car") == 1 && f.count("format=raw") == 0);
}

KJ_TEST("all answers together bring so many blocks, and so many bytes") {
  Fixture f;
  auto root = f.tree();
  auto sections = Sender(f.far, false).send(root);
  for (bool isBytes: {false, true}) {
    MemoryBlockStore store;
    CarLimits left;
    (isBytes ? left.bytes : left.blocks) = isBytes ? 10'000 : 10;
    kj::uint told = 0;
    WantedDag wanted(store, root, left, [&](const Cid&) { ++told; });
    auto why = kj::runCatchingExceptions([&]() {
      for (auto& section: sections.slice(1, sections.size())) {
        size_t prefix = section[0] < 0x80 ? 1 : 2;
        auto cid = Cid::startOf(section.slice(prefix, section.size()));
        wanted.put(cid, section.slice(prefix + cid.getBytes().size(), section.size()));
      }
    });
    KJ_EXPECT(has(KJ_ASSERT_NONNULL(why).getDescription(), "beyond what all CAR files"));
    KJ_EXPECT(told == store.getCount() && told < f.far.getCount() / 2, told);
    KJ_EXPECT((isBytes ? told > 5 : told == 10), told);
  }
}

}  // namespace
}  // namespace ww
