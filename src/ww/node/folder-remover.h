#pragma once
// Removes what is in a folder on a thread of its own, which comes when it is needed: whoever has
// something removed waits for no disk.

#include <atomic>
#include <kj/io.h>
#include <kj/mutex.h>
#include <kj/string.h>
#include <kj/thread.h>
#include <kj/vector.h>

namespace ww {

// The names in a folder, without `.` and `..`. Throws where it cannot be read to its end.
kj::Vector<kj::String> listNames(int folder);

class FolderRemover final {
 public:
  // It outlives this.
  explicit FolderRemover(int folder): folder(folder) {}

  // What is left of that which was removed is, but for more than LAST_ENTRIES files and folders.
  ~FolderRemover() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(FolderRemover);
  static constexpr kj::uint LAST_ENTRIES = 4096;

  // A file, or a folder with all that is in it, as deep as a tree may be. What cannot be removed
  // stays. Nobody else uses the name meanwhile.
  void remove(kj::String name);

  // The same of what somebody else left there, after all else. Only while this lives: what it does
  // not come to stays, so that nobody who was short-lived ends later for it.
  void removeLeftover(kj::String name);

  void waitUntilRemoved();

 private:
  struct State {
    kj::Vector<kj::String> names, leftovers;
    bool isBusy = false, isEnding = false;

    bool isDone() const { return names.empty() && (leftovers.empty() || isEnding); }
  };

  void add(kj::Vector<kj::String> State::*to, kj::String name);
  void run() noexcept;
  void removeAll(int folder, kj::StringPtr name);
  bool isAtItsEnd() const;

  const int folder;
  kj::MutexGuarded<State> state;
  std::atomic<bool> isEnding = false;
  bool isLeftover = false;        // what is being removed
  kj::uint last = 0;              // that were removed since it is ending
  kj::Maybe<kj::Own<kj::Thread>> thread;  // the last: it uses the others
};

}  // namespace ww
