// adoption-kill FOLDER: adopts one epoch after another, for adoption_kill_test.py, until it is
// killed. On stdout, a line a write:
//   loaded SEQ    what it found kept at its start; `loaded none` where nothing was
//   adopted SEQ   from here on sessions may be issued under it
// What is kept is a function of its sequence number; anything else ends the program with 1.

#include <kj/debug.h>
#include <kj/io.h>
#include <unistd.h>
#include <ww/node/sqlite-cursor-store.h>

namespace ww {
namespace {

void say(kj::StringPtr line) { kj::FdOutputStream(STDOUT_FILENO).write(line.begin(), line.size()); }

EthAddress contract() {
  EthAddress address;
  address.bytes.fill(0xa);
  return address;
}

// Heads of all lengths, so that rows move from page to page.
StemCursor cursorOf(uint64_t seq) {
  StemCursor cursor;
  cursor.chainId = 31337;
  cursor.final.number = 7 * seq + 5;
  cursor.final.hash.bytes.fill(kj::byte(seq));
  auto head = kj::heapArray<kj::byte>(seq * 37 % (MAX_HEAD_BYTES + 1));
  for (size_t i = 0; i < head.size(); i++) head[i] = kj::byte(seq * 31 + i * (seq / 256 + 1));
  cursor.epoch = {seq, kj::mv(head), 7 * seq + 3};
  return cursor;
}

void requireWhole(const StemCursor& found) {
  auto whole = cursorOf(found.epoch.seq);
  KJ_REQUIRE(found.chainId == whole.chainId && found.final == whole.final &&
                 found.epoch.head == whole.epoch.head &&
                 found.epoch.adoptedBlock == whole.epoch.adoptedBlock,
             "half written", found.epoch.seq);
}

// The one order in which an epoch may be adopted: it is kept, and only then it is in force.
kj::Promise<void> adopt(CursorStore& store, uint64_t seq) {
  return store.save(contract(), cursorOf(seq)).then([seq]() {
    say(kj::str("adopted ", seq, "\n"));
  });
}

void run(kj::StringPtr folder) {
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  SqliteCursorStore store(folder);
  uint64_t next = 0;
  KJ_IF_MAYBE(found, store.load(contract()).wait(waitScope)) {
    requireWhole(*found);
    next = found->epoch.seq + 1;
    say(kj::str("loaded ", found->epoch.seq, "\n"));
  } else {
    say("loaded none\n");
  }
  for (;; next++) adopt(store, next).wait(waitScope);
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
