#pragma once
// A CursorStore in `stem.db` of the data directory, a SQLite database: its commits reach the disk
// before save() resolves (WAL, synchronous=FULL), and a kill or a loss of power at any instruction
// leaves what was saved last, or what was being saved, whole.
//
// The disk is never waited for on the event loop: a thread of the store's own does all the work,
// one call after another. It opens the file at the first call. A file that is damaged, another
// program's or a newer ww's is left as it is, and every call rejects, with the file's name and what
// a person can do: nothing is guessed, since a cursor that is wrong lets an old epoch come back.
// What else goes wrong rejects the call that it happened to, and the next one tries again.
//
// The folder must be locked against a second process (lockDataDir()). While the store has the file
// open, no other program can open it.

#include <deque>
#include <kj/function.h>
#include <kj/mutex.h>
#include <kj/thread.h>
#include <ww/stem/cursor.h>

namespace ww {

class SqliteCursorStore final: public CursorStore {
 public:
  // The folder is made as openPrivateFolder() makes it. Does not touch the disk, nor throw.
  explicit SqliteCursorStore(kj::StringPtr folder);

  // Waits for the disk: all that was asked for is done, and the file is closed.
  ~SqliteCursorStore() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(SqliteCursorStore);

  kj::Promise<kj::Maybe<StemCursor>> load(const EthAddress& contract) override;
  kj::Promise<void> save(const EthAddress& contract, StemCursor cursor) override;
  kj::Promise<void> forget(const EthAddress& contract) override;

 private:
  class File;
  class Opener;
  using Job = kj::Function<void(Opener&)>;
  struct State {
    std::deque<Job> jobs;
    bool stopped = false;
  };

  template <typename T>
  kj::Promise<T> ask(kj::Function<T(File&)> action);
  void work();
  kj::Maybe<Job> next();

  const kj::String folder;
  kj::MutexGuarded<State> state;
  kj::Thread thread;  // the last: it uses the others
};

}  // namespace ww
