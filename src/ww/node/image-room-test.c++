// A disk that is nearly full: what nothing keeps goes before anything is refused.
#include <dlfcn.h>
#include <functional>
#include <sys/statvfs.h>
#include <ww/node/image-store-fixture-test.h>

namespace ww {
namespace {

std::function<uint64_t()> diskFree;  // of any disk; where there is none, as it is

}  // namespace
}  // namespace ww

// In place of libc's, which it calls.
extern "C" int fstatvfs(int file, struct statvfs* disk) noexcept {
  static auto real = reinterpret_cast<int (*)(int, struct statvfs*)>(dlsym(RTLD_NEXT, "fstatvfs"));
  int result = real(file, disk);
  if (ww::diskFree) {
    disk->f_frsize = 1;
    disk->f_bavail = ww::diskFree();
  }
  return result;
}

namespace ww {
namespace {

constexpr size_t MIB = 1 << 20;

struct NearlyFull {
  Fixture f{64 * MIB};
  uint64_t left = ImageStore::DISK_RESERVE;

  NearlyFull() {
    for (kj::byte number: {1, 2, 3}) f.addImage({number}, MIB);
    f.store->setPinned(cidOf(1, MIB), true);
    diskFree = [this]() { return left; };
  }
  ~NearlyFull() { diskFree = nullptr; }

  bool isThere(kj::byte number) { return f.isThere(number, MIB); }
};

KJ_TEST("room on the disk is made by what nothing keeps") {
  NearlyFull disk;
  disk.f.addImage({4}, MIB);
  KJ_EXPECT(disk.isThere(1) && !disk.isThere(2) && disk.isThere(3) && disk.isThere(4));
  auto kept = disk.f.store->keep(cidOf(3, MIB));
  disk.f.store->put(cidOf(5, MIB), block(5, MIB));
  KJ_EXPECT(disk.isThere(1) && disk.isThere(3) && !disk.isThere(4) && disk.isThere(5));
}

KJ_TEST("where all is kept it is refused, with what to do, and nothing is gone") {
  NearlyFull disk;
  for (kj::byte number: {2, 3}) disk.f.store->setPinned(cidOf(number, MIB), true);
  auto why = failure([&]() { disk.f.addImage({4}, MIB); });
  KJ_EXPECT(has(why, "the disk is nearly full: of 64 MiB that are free, 64 MiB stay so"), why);
  KJ_EXPECT(has(why, disk.f.folder.at("images")) && has(why, "`ww image rm`"), why);
  for (kj::byte number: {1, 2, 3}) KJ_EXPECT(disk.isThere(number), number);
  KJ_EXPECT(!disk.isThere(4));
  KJ_EXPECT(disk.f.store->remove(cidOf(2, MIB)).blocks == 1);
  disk.left += 2 * MIB;
  disk.f.addImage({4}, MIB);
  KJ_EXPECT(disk.isThere(1) && disk.isThere(3) && disk.isThere(4));
}

KJ_TEST("for what may never be run nothing has to go") {
  NearlyFull disk;
  KJ_EXPECT(!disk.f.store->hasRoom(1));
  disk.left += MIB;
  KJ_EXPECT(disk.f.store->hasRoom(MIB) && !disk.f.store->hasRoom(MIB + 1));
}

}  // namespace
}  // namespace ww
