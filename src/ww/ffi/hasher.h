#pragma once
// contentId() of what strangers send, off the loop: of the largest component it takes as long as
// 20 turns of a cell.
//
// Lives on one loop; what it hashes, it hashes on a thread of its own, in the order it came.

#include <deque>
#include <kj/async.h>
#include <kj/mutex.h>
#include <kj/thread.h>
#include <ww/ffi/component.h>

namespace ww::ffi {

class Hasher final {
 public:
  // What is no longer is hashed at once: it takes less than being passed to and fro.
  static constexpr size_t SHORT = 256 << 10;

  Hasher();
  ~Hasher() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Hasher);

  struct Hashed {
    kj::Array<const kj::byte> bytes;
    kj::String id;
  };

  // Dropping the promise leaves it to its end, unheard.
  kj::Promise<Hashed> hash(kj::Array<const kj::byte> bytes);

 private:
  struct Job {
    kj::Array<const kj::byte> bytes;
    kj::Own<kj::CrossThreadPromiseFulfiller<Hashed>> fulfiller;
  };
  struct State {
    std::deque<Job> jobs;
    bool stopped = false;
  };

  void run();

  kj::MutexGuarded<State> state;
  kj::Thread thread;
};

}  // namespace ww::ffi
