// adoption-kill FOLDER: a follower of a chain on which each block is final and has a new head, kept
// in FOLDER, for adoption_kill_test.py, until it is killed. On stdout, a line a write:
//   loaded SEQ    what it found kept at its start; `loaded none` where nothing was
//   adopted SEQ   one that is new: from here on sessions may be issued under it
// What is kept is a function of its sequence number; anything else ends the program with 1.

#include <kj/debug.h>
#include <kj/io.h>
#include <unistd.h>
#include <ww/node/sqlite-cursor-store.h>
#include <ww/stem/follower.h>

namespace ww {
namespace {

constexpr uint64_t CHAIN = 31337;

void say(kj::StringPtr line) { kj::FdOutputStream(STDOUT_FILENO).write(line.begin(), line.size()); }

EthAddress contract() {
  EthAddress address;
  address.bytes.fill(0xa);
  return address;
}

BlockRef blockOf(uint64_t number) {
  BlockRef block{number, {}};
  for (size_t i = 0; i < block.hash.bytes.size(); i++) {
    block.hash.bytes[i] = i < sizeof(number) ? kj::byte(number >> (8 * i)) : kj::byte(7);
  }
  return block;
}

uint64_t numberOf(const BlockHash& hash) {
  uint64_t number = 0;
  for (size_t i = sizeof(number); i-- > 0;) number = number << 8 | hash.bytes[i];
  return number;
}

// Heads of all lengths, so that rows move from page to page.
StemHead headOf(uint64_t seq) {
  auto head = kj::heapArray<kj::byte>(seq * 37 % (MAX_HEAD_BYTES + 1));
  for (size_t i = 0; i < head.size(); i++) head[i] = kj::byte(seq * 31 + i * (seq / 256 + 1));
  return {seq, kj::mv(head)};
}

void requireWhole(const StemCursor& found) {
  auto seq = found.epoch.seq;
  KJ_REQUIRE(found.chainId == CHAIN && found.final == blockOf(seq) &&
                 found.epoch.head == headOf(seq).value && found.epoch.adoptedBlock == seq,
             "half written", seq);
}

class EndlessChain final: public ChainReader {
 public:
  uint64_t tip = 0;

  kj::StringPtr getName() const override { return "endless"_kj; }
  kj::Promise<uint64_t> chainId() override { return CHAIN; }
  kj::Promise<kj::OneOf<ChainView, NotOffered>> view(const Finality&) override {
    return kj::OneOf<ChainView, NotOffered>(ChainView{blockOf(tip), blockOf(tip)});
  }
  kj::Promise<kj::Maybe<BlockHash>> blockAt(uint64_t number) override {
    return kj::Maybe<BlockHash>(blockOf(number).hash);
  }
  kj::Promise<kj::Maybe<StemHead>> headAt(const BlockHash& hash) override {
    return kj::Maybe<StemHead>(headOf(numberOf(hash)));
  }
  kj::Promise<kj::Array<HeadLog>> logs(uint64_t from, uint64_t to) override {
    kj::Vector<HeadLog> all;
    for (auto i = from; i <= to; i++) all.add(HeadLog{headOf(i), blockOf(i), 0, false});
    return all.releaseAsArray();
  }
  bool canPush() const override { return true; }
  kj::Promise<kj::Maybe<HeadLog>> nextHint() override { return kj::NEVER_DONE; }
};

void run(kj::StringPtr folder) {
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  MemoryLogger logger;
  SqliteCursorStore store(folder);
  auto owned = kj::heap<EndlessChain>();
  auto& chain = *owned;
  bool wasThere = false;
  KJ_IF_MAYBE(found, store.load(contract()).wait(waitScope)) {
    requireWhole(*found);
    wasThere = true;
    chain.tip = found->final.number;
    say(kj::str("loaded ", found->epoch.seq, "\n"));
  } else {
    say("loaded none\n");
  }
  FollowerOptions options;
  options.contract = contract();
  auto readers = kj::heapArrayBuilder<kj::Own<ChainReader>>(1);
  readers.add(kj::mv(owned));
  StemFollower follower(options, readers.finish(), store, timer, []() { return 0; }, logger);
  follower.start().wait(waitScope);
  auto seq = follower.current().seq;
  if (!wasThere) say(kj::str("adopted ", seq, "\n"));
  for (;;) {
    chain.tip++;
    logger.clear();
    waitScope.poll();
    timer.advanceTo(timer.now() + options.interval);
    waitScope.poll();
    timer.advanceTo(timer.now() + options.interval);
    seq = follower.nextAfter(seq).wait(waitScope).seq;
    say(kj::str("adopted ", seq, "\n"));
  }
}

}  // namespace
}  // namespace ww

int main(int argc, char** argv) {
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() {
    KJ_REQUIRE(argc == 2, "usage: adoption-kill FOLDER");
    ww::run(argv[1]);
  })) {
    KJ_LOG(ERROR, *exception);
    return 1;
  }
}
