// Who keeps or pins an image in the very moment in which another process removes it: between any
// two of its system calls.
#include <dlfcn.h>
#include <fcntl.h>
#include <functional>
#include <stdarg.h>
#include <utility>
#include <ww/node/image-store-fixture-test.h>

namespace ww {
namespace {

// Done once, before the next lock file is opened, or locked.
std::function<void()> beforeOpen, beforeLock;

void take(std::function<void()>& action) {
  auto now = std::exchange(action, nullptr);
  if (now) now();
}

}  // namespace
}  // namespace ww

// In place of libc's, which they call.
extern "C" int openat(int folder, const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  auto mode = va_arg(list, mode_t);
  va_end(list);
  if (strncmp(path, "keep-", 5) == 0) ww::take(ww::beforeOpen);
  static auto real = reinterpret_cast<int (*)(int, const char*, int, ...)>(
      dlsym(RTLD_NEXT, "openat"));
  return real(folder, path, flags, mode);
}

extern "C" int fcntl(int file, int command, ...) {
  va_list list;
  va_start(list, command);
  auto argument = va_arg(list, void*);
  va_end(list);
  if (command == F_OFD_SETLK) ww::take(ww::beforeLock);
  static auto real = reinterpret_cast<int (*)(int, int, ...)>(dlsym(RTLD_NEXT, "fcntl"));
  return real(file, command, argument);
}

namespace ww {
namespace {

struct Race {
  Fixture f{64 << 20};
  ImageStore other{f.folder.at("images"), 64 << 20, f.clock, f.logger};
  bool isRemoved = false;

  explicit Race(std::function<void()>& moment) {
    f.addImage({1, 2});
    moment = [this]() {
      KJ_ASSERT(other.remove(cidOf(1)).images == 1);
      isRemoved = true;
    };
  }
  kj::uint lockFiles() {
    kj::uint count = 0;
    for (auto& name: f.folder.list("images")) count += name.startsWith("keep-");
    return count;
  }
};

KJ_TEST("an image that is removed while it is about to be kept is another one, and is kept") {
  for (auto moment: {&beforeOpen, &beforeLock}) {
    Race race(*moment);
    auto& f = race.f;
    auto image = f.store->keep(cidOf(1));
    KJ_ASSERT(race.isRemoved);
    KJ_EXPECT(!image->isWhole() && f.get(f.get(1)).inUse && race.lockFiles() == 1);
    KJ_EXPECT(has(failure([&]() { race.other.remove(cidOf(1)); }), "in use"));
    for (kj::byte number: {1, 2}) image->put(cidOf(number), block(number));
    image->finish();
    KJ_EXPECT(f.get(f.get(1)).whole && f.get(f.get(1)).blocks == 2);
    image = nullptr;
    KJ_EXPECT(race.other.remove(cidOf(1)).blocks == 2 && race.lockFiles() == 0);
  }
}

KJ_TEST("an image that is removed while it is about to be pinned or named is neither") {
  for (auto moment: {&beforeOpen, &beforeLock}) {
    for (bool pins: {true, false}) {
      Race race(*moment);
      auto why = failure([&]() {
        if (pins) return race.f.store->setPinned(cidOf(1), true);
        race.f.store->setName(cidOf(1), "app");
      });
      KJ_ASSERT(race.isRemoved);
      KJ_EXPECT(has(why, "another process removes"), why);
      KJ_EXPECT(race.lockFiles() == 0 && race.f.store->list().size() == 0);
    }
  }
}

}  // namespace
}  // namespace ww
