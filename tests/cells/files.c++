// A plain program that has files, or would like to. A failure is told as libc tells it.
//
//   given              the folders that it was given
//   cat PATH...        by stdio
//   ls PATH            names, sorted; a folder's with a slash
//   links PATH         how many names it has
//   write PATH TEXT    | append PATH TEXT
//   change FOLDER      each way to change what is in it
//   use FOLDER         all that libc does with files; says `used`, or which line went wrong
//   link FOLDER        hard and symbolic links, and times that are set
//   rest               what else libc asks the host for; says `done`, or which line went wrong
//   open PATH...       as the host is asked, below the first folder that it was given
//   fill FOLDER        writes until it fails, removes that, and writes again
//   create FOLDER      files until it fails
//   hold PATH COUNT    opens it so often, and then once more when it has closed one
//   stream PATH COUNT  the same with streams of one descriptor
//   take               blocking reads of stdin, to its end and behind it: what each gave
//   take PATH          the same of a file's stream
//   hole FOLDER        a file with a huge hole, and one that is larger still
//   park               says `parked`, waits for the end of stdin
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <wasi/api.h>
#include <wasi/libc.h>
#include <ww/wasi-files.h>
#include <ww/wasi.h>
#include <algorithm>
#include <initializer_list>
#include <string>
#include <vector>

using namespace ww::wasi;

namespace {

using Words = std::vector<std::string>;

int fail(const std::string& what) {
  printf("%s: %s\n", what.c_str(), strerror(errno));
  return 1;
}

int listGiven() {
  List list{};
  ww_get_directories(&list);
  auto given = static_cast<Preopen*>(list.ptr);
  for (size_t i = 0; i < list.len; i++) {
    printf("%.*s\n", int(given[i].path.len), static_cast<char*>(given[i].path.ptr));
  }
  return 0;
}

int cat(const std::string& path) {
  FILE* file = fopen(path.c_str(), "r");
  if (file == nullptr) return fail(path);
  char buffer[1000];
  while (size_t n = fread(buffer, 1, sizeof(buffer), file)) fwrite(buffer, 1, n, stdout);
  if (ferror(file)) return fail(path);
  return fclose(file);
}

Words namesIn(const std::string& path) {
  Words names;
  DIR* dir = opendir(path.c_str());
  if (dir == nullptr) return {strerror(errno)};
  while (auto entry = readdir(dir)) {
    names.push_back(std::string(entry->d_name) + (entry->d_type == DT_DIR ? "/" : ""));
  }
  closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

int ls(const std::string& path) {
  for (auto& name: namesIn(path)) puts(name.c_str());
  return 0;
}

int links(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) < 0) return fail(path);
  printf("%d", int(info.st_nlink));
  int fd = open(path.c_str(), O_RDONLY);
  if (fd < 0 || fstat(fd, &info) < 0) return fail(path);
  printf(" %d\n", int(info.st_nlink));
  return close(fd);
}

int put(const std::string& path, const char* how, const std::string& text) {
  FILE* file = fopen(path.c_str(), how);
  if (file == nullptr) return fail(path);
  if (fputs(text.c_str(), file) < 0 || fclose(file) != 0) return fail(path);
  puts("written");
  return 0;
}

void tell(const char* what, int result) {
  printf("%s: %s\n", what, result >= 0 ? "done" : strerror(errno));
}

int change(const std::string& folder) {
  auto at = [&](const char* name) { return folder + "/" + name; };
  tell("create", open(at("new").c_str(), O_CREAT | O_WRONLY, 0600));
  tell("write", open(at("file").c_str(), O_WRONLY));
  tell("truncate", open(at("file").c_str(), O_WRONLY | O_TRUNC));
  tell("mkdir", mkdir(at("dir").c_str(), 0700));
  tell("rename", rename(at("file").c_str(), at("other").c_str()));
  tell("unlink", unlink(at("file").c_str()));
  tell("rmdir", rmdir(at("empty").c_str()));
  return 0;
}

#define CHECK(condition) \
    if (!(condition)) { printf("line %d: %s\n", __LINE__, strerror(errno)); return 1; }

int use(const std::string& folder) {
  auto at = [&](const char* name) { return folder + "/" + name; };
  auto a = at("a"), b = at("b"), d = at("d"), in = at("d/in");
  CHECK(put(a, "w", "one\n") == 0 && put(a, "a", "two\n") == 0);
  struct stat info;
  CHECK(stat(a.c_str(), &info) == 0 && info.st_size == 8 && S_ISREG(info.st_mode));
  int fd = open(a.c_str(), O_RDWR);
  char bytes[16];
  CHECK(fd > 2 && pread(fd, bytes, 3, 4) == 3 && memcmp(bytes, "two", 3) == 0);
  CHECK(pwrite(fd, "TWO", 3, 4) == 3 && lseek(fd, 0, SEEK_CUR) == 0);
  CHECK(lseek(fd, -4, SEEK_END) == 4 && read(fd, bytes, 16) == 4 && bytes[0] == 'T');
  CHECK(read(fd, bytes, 16) == 0);
  CHECK(ftruncate(fd, 2) == 0 && fstat(fd, &info) == 0 && info.st_size == 2);
  CHECK(ftruncate(fd, 5) == 0 && pread(fd, bytes, 16, 0) == 5 && memcmp(bytes, "on\0\0\0", 5) == 0);
  CHECK(fsync(fd) == 0 && fdatasync(fd) == 0);
  CHECK(mkdir(d.c_str(), 0700) == 0 && mkdir(d.c_str(), 0700) < 0 && errno == EEXIST);
  CHECK(rename(a.c_str(), in.c_str()) == 0 && stat(a.c_str(), &info) < 0 && errno == ENOENT);
  CHECK(rmdir(d.c_str()) < 0 && errno == ENOTEMPTY);
  CHECK(namesIn(folder) == Words{"d/"} && namesIn(d) == Words{"in"});
  CHECK(rename(d.c_str(), b.c_str()) == 0 && namesIn(b) == Words{"in"});
  CHECK(unlink(at("b/in").c_str()) == 0 && pread(fd, bytes, 2, 0) == 2 && bytes[0] == 'o');
  CHECK(close(fd) == 0 && close(fd) < 0 && errno == EBADF);
  CHECK(rmdir(b.c_str()) == 0 && namesIn(folder).empty());
  for (int i = 0; i < 200; i++) CHECK(put(at(std::to_string(i).c_str()), "wx", "x") == 0);
  CHECK(namesIn(folder).size() == 200);
  for (int i = 0; i < 200; i++) CHECK(unlink(at(std::to_string(i).c_str()).c_str()) == 0);
  puts("used");
  return 0;
}

int linkAndTime(const std::string& folder) {
  auto at = [&](const char* name) { return folder + "/" + name; };
  auto file = at("file"), soft = at("soft");
  if (access(file.c_str(), F_OK) < 0) put(file, "w", "two");
  tell("link", link(file.c_str(), at("hard").c_str()));
  tell("symlink", symlink("file", soft.c_str()));
  char target[8];
  errno = 0;
  auto n = readlink(soft.c_str(), target, sizeof(target));
  tell("readlink", n == 4 && memcmp(target, "file", 4) == 0 ? 0 : -1);
  struct stat info;
  timespec times[2] = {{1'000'000'000, 1}, {2'000'000'000, 2}};
  tell("utimensat", utimensat(AT_FDCWD, file.c_str(), times, 0));
  if (stat(file.c_str(), &info) == 0) printf("at %lld\n", (long long)info.st_mtim.tv_sec);
  int fd = open(file.c_str(), O_RDONLY);
  times[0].tv_nsec = UTIME_OMIT;
  times[1] = {1'500'000'000, 3};
  tell("futimens", futimens(fd, times));
  if (fstat(fd, &info) == 0) printf("at %lld\n", (long long)info.st_mtim.tv_sec);
  return 0;
}

long long nanosecondsFrom(const timespec& before, const timespec& after) {
  return (after.tv_sec - before.tv_sec) * 1'000'000'000LL + after.tv_nsec - before.tv_nsec;
}

int callRest() {
  timespec time;
  CHECK(clock_getres(CLOCK_MONOTONIC, &time) == 0 && time.tv_nsec > 0);
  CHECK(clock_getres(CLOCK_REALTIME, &time) == 0 && time.tv_nsec > 0);
  timespec before, after, wait = {0, 20'000'000};
  CHECK(clock_gettime(CLOCK_MONOTONIC, &before) == 0 && nanosleep(&wait, nullptr) == 0);
  CHECK(clock_gettime(CLOCK_MONOTONIC, &after) == 0);
  CHECK(nanosecondsFrom(before, after) >= wait.tv_nsec);
  after.tv_sec -= 1;  // has been
  CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &after, nullptr) == 0);
  int a = open("/etc/greeting", O_RDONLY), b = open("/file", O_RDONLY);
  pollfd polled[] = {{0, POLLRDNORM, 0}, {1, POLLWRNORM, 0}, {a, POLLRDNORM, 0},
                     {77, POLLRDNORM, 0}};
  CHECK(poll(polled, 1, 0) == 0 && polled[0].revents == 0);  // its stdin stays open
  CHECK(poll(polled, 4, -1) == 3 && polled[0].revents == 0 && polled[1].revents == POLLWRNORM);
  CHECK(polled[2].revents == POLLRDNORM && polled[3].revents == POLLNVAL);
  CHECK(clock_gettime(CLOCK_MONOTONIC, &before) == 0 && poll(polled, 1, 20) == 0);
  CHECK(clock_gettime(CLOCK_MONOTONIC, &after) == 0 && polled[0].revents == 0);
  CHECK(nanosecondsFrom(before, after) >= wait.tv_nsec);
  std::vector<uint8_t> random(10'000), zeros(16);  // more than one call of the host gives
  CHECK(__wasi_random_get(random.data(), random.size()) == 0);
  CHECK(!std::equal(zeros.begin(), zeros.end(), random.begin()));
  CHECK(!std::equal(zeros.begin(), zeros.end(), random.end() - zeros.size()));
  char bytes[256] = {};
  CHECK(getentropy(bytes, sizeof(bytes)) == 0 && memcmp(bytes, zeros.data(), zeros.size()) != 0);
  CHECK(sched_yield() == 0 && posix_fadvise(a, 0, 0, POSIX_FADV_SEQUENTIAL) == 0);
  CHECK(posix_fallocate(a, 0, 100) == ENOTSUP);
  CHECK(__wasilibc_fd_renumber(b, a) == 0 && read(a, bytes, 3) == 3 && bytes[0] == 'o');
  CHECK(read(b, bytes, 3) < 0 && errno == EBADF);
  CHECK(send(a, bytes, 3, 0) < 0 && errno == ENOTSOCK && recv(a, bytes, 3, 0) < 0);
  CHECK(errno == ENOTSOCK && shutdown(a, SHUT_RD) < 0 && errno == ENOTSOCK);
  CHECK(accept(a, nullptr, nullptr) < 0 && errno == ENOTSOCK);
  puts("done");
  return 0;
}

Handle firstGiven() {
  List list{};
  ww_get_directories(&list);
  return list.len == 0 ? NO_HANDLE : static_cast<Preopen*>(list.ptr)->descriptor;
}

int openEach(const Words& paths) {
  auto root = firstGiven();
  for (auto& path: paths) {
    FileHandleResult opened{};
    ww_file_open_at(root, PATH_SYMLINK_FOLLOW, path.data(), path.size(), 0, DESCRIPTOR_READ,
                    &opened);
    if (opened.isErr) {
      printf("%s: error %d\n", path.c_str(), opened.error);
      continue;
    }
    printf("%s: opened\n", path.c_str());
    ww_file_drop(opened.ok);
  }
  return 0;
}

// How much there is room for.
size_t fillUp(const std::string& path) {
  int fd = open(path.c_str(), O_CREAT | O_WRONLY, 0600);
  std::vector<char> piece(1 << 20, 'x');
  size_t total = 0;
  for (;;) {
    auto n = ::write(fd, piece.data(), piece.size());
    if (n <= 0) break;
    total += n;
  }
  printf("%zu MiB, then: %s\n", total >> 20, strerror(errno));
  close(fd);
  return total;
}

int fill(const std::string& folder) {
  auto path = folder + "/full";
  auto first = fillUp(path);
  if (unlink(path.c_str()) < 0) return fail(path);
  auto second = fillUp(path);
  puts(second + (1 << 20) > first ? "as much again" : "not as much again");
  return 0;
}

int create(const std::string& folder) {
  int count = 0;
  for (;; count++) {
    int fd = open((folder + "/" + std::to_string(count)).c_str(), O_CREAT | O_WRONLY, 0600);
    if (fd < 0) break;
    close(fd);
  }
  printf("%d files, then: %s\n", count, strerror(errno));
  return 0;
}

int hold(const std::string& path, int most) {
  std::vector<int> held;
  while (int(held.size()) < most) {
    int fd = open(path.c_str(), O_RDONLY);
    if (fd < 0) break;
    held.push_back(fd);
  }
  printf("%zu open: %s\n", held.size(), int(held.size()) < most ? strerror(errno) : "as asked");
  close(held.back());
  tell("again", open(path.c_str(), O_RDONLY));
  return 0;
}

int stream(const std::string& path, int most) {
  FileHandleResult opened{};
  ww_file_open_at(firstGiven(), 0, path.data(), path.size(), 0, DESCRIPTOR_READ, &opened);
  if (opened.isErr) return 2;
  for (int count = 0; count < most; count++) {
    FileHandleResult result{};
    ww_file_read_via_stream(opened.ok, 0, &result);
    if (result.isErr) {
      printf("%d streams, then: error %d\n", count, result.error);
      return 0;
    }
    ReadResult read{};
    ww_input_stream_read(result.ok, 64 << 10, &read);
  }
  puts("as many as asked");
  return 0;
}

int take(Handle from, std::initializer_list<uint64_t> sizes) {
  for (auto size: sizes) {
    ReadResult read{};
    ww_input_stream_blocking_read(from, size, &read);
    if (read.isErr) {
      puts(read.err.tag == 1 ? "closed" : "failed");
    } else {
      printf("%zu: %.*s\n", read.ok.len, int(read.ok.len), reinterpret_cast<char*>(read.ok.ptr));
    }
    fflush(stdout);
  }
  return 0;
}

int takeFile(const std::string& path) {
  FileHandleResult opened{}, stream{};
  ww_file_open_at(firstGiven(), 0, path.data(), path.size(), 0, DESCRIPTOR_READ, &opened);
  if (opened.isErr) return 2;
  ww_file_read_via_stream(opened.ok, 0, &stream);
  return stream.isErr ? 2 : take(stream.ok, {2, 1000, 1000, 1000, 0});
}

int hole(const std::string& folder) {
  int fd = open((folder + "/hole").c_str(), O_CREAT | O_RDWR, 0600);
  constexpr off_t FAR = off_t(1) << 39;
  char bytes[4] = {1, 1, 1, 1};
  tell("far", pwrite(fd, "x", 1, FAR));
  CHECK(pread(fd, bytes, 2, FAR - 1) == 2 && bytes[0] == 0 && bytes[1] == 'x');
  tell("too far", pwrite(fd, "x", 1, off_t(1) << 50));
  tell("farthest", pwrite(fd, "x", 1, INT64_MAX));
  tell("too large", ftruncate(fd, off_t(1) << 50));
  return 0;
}

int park() {
  puts("parked");
  char byte;
  while (read(0, &byte, 1) > 0) {}
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Words words(argv, argv + argc);
  if (words.empty()) return 2;
  Words rest(words.begin() + 1, words.end());
  auto is = [&](const char* mode, size_t count) {
    return words[0] == mode && (rest.size() == count || count == SIZE_MAX);
  };
  if (is("given", 0)) return listGiven();
  if (is("cat", SIZE_MAX)) {
    int code = 0;
    for (auto& path: rest) code |= cat(path);
    return code;
  }
  if (is("ls", 1)) return ls(rest[0]);
  if (is("links", 1)) return links(rest[0]);
  if (is("write", 2)) return put(rest[0], "w", rest[1]);
  if (is("append", 2)) return put(rest[0], "a", rest[1]);
  if (is("change", 1)) return change(rest[0]);
  if (is("use", 1)) return use(rest[0]);
  if (is("link", 1)) return linkAndTime(rest[0]);
  if (is("rest", 0)) return callRest();
  if (is("open", SIZE_MAX)) return openEach(rest);
  if (is("fill", 1)) return fill(rest[0]);
  if (is("create", 1)) return create(rest[0]);
  if (is("hold", 2)) return hold(rest[0], atoi(rest[1].c_str()));
  if (is("stream", 2)) return stream(rest[0], atoi(rest[1].c_str()));
  if (is("take", 0)) return take(ww_get_stdin(), {0, 2, 1000, 1000, 1000, 1000, 0});
  if (is("take", 1)) return takeFile(rest[0]);
  if (is("hole", 1)) return hole(rest[0]);
  if (is("park", 0)) return park();
  return 2;
}
