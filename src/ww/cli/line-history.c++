#include <ww/cli/line-history.h>

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ww/base/error.h>
#include <ww/base/random.h>
#include <ww/base/text.h>
#include <ww/node/directory-store.h>

namespace ww {
namespace {

constexpr kj::StringPtr NAME = "history"_kj;

// Nobody types more; whatever else is in the file is none of ours.
constexpr size_t MAX_FILE_BYTES = 2 * LineHistory::MAX_LINES * LineHistory::MAX_LINE_BYTES;

}  // namespace

bool LineHistory::isWorthKeeping(kj::ArrayPtr<const char> line) {
  bool blank = true;
  for (char c: line) {
    if ((c >= 0 && c < ' ' && c != '\t') || c == 0x7f) return false;
    blank &= c == ' ' || c == '\t';
  }
  return !blank && line.size() <= MAX_LINE_BYTES && isUtf8(line.asBytes());
}

LineHistory::LineHistory(kj::StringPtr folderPath)
    : path(kj::str(folderPath, "/", NAME)), folder(openPrivateFolder(folderPath)) {
  read();
  if (inFile > MAX_LINES) rewrite();
}

kj::AutoCloseFd LineHistory::open(int flags) const {
  int fd = openat(folder, NAME.cStr(),
                  flags | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
  if (fd < 0) kj::throwFatalException(badInput(kj::str(path, ": ", strerror(errno))));
  kj::AutoCloseFd file(fd);
  struct stat info;
  KJ_SYSCALL(fstat(file, &info));
  if (!S_ISREG(info.st_mode)) kj::throwFatalException(badInput(kj::str(path, ": no plain file")));
  if ((info.st_mode & 077) != 0) {
    KJ_SYSCALL(fchmod(file, 0600));
  }
  return file;
}

void LineHistory::read() {
  auto file = open(O_RDONLY);
  auto bytes = kj::heapArray<char>(MAX_FILE_BYTES);
  auto size = kj::FdInputStream(file.get()).tryRead(bytes.begin(), bytes.size(), bytes.size());
  lines.clear();
  inFile = 0;
  size_t start = 0;
  for (size_t i = 0; i < size; i++) {
    if (bytes[i] != '\n') continue;
    auto line = bytes.slice(start, i);
    start = i + 1;
    ++inFile;
    if (isWorthKeeping(line)) lines.add(kj::str(line));
  }
  if (lines.size() <= MAX_LINES) return;
  kj::Vector<kj::String> last;
  for (auto& line: lines.slice(lines.size() - MAX_LINES, lines.size())) last.add(kj::mv(line));
  lines = kj::mv(last);
}

void LineHistory::rewrite() {
  auto part = kj::str(".", NAME, ".", kj::hex(randomNonce()));
  int fd = openat(folder, part.cStr(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  KJ_SYSCALL(fd, path);
  kj::AutoCloseFd file(fd);
  KJ_ON_SCOPE_FAILURE(unlinkat(folder, part.cStr(), 0));
  auto text = kj::str(kj::strArray(lines, "\n"), "\n");
  kj::FdOutputStream(file.get()).write(text.begin(), text.size());
  KJ_SYSCALL(renameat(folder, part.cStr(), folder, NAME.cStr()), path);
  inFile = lines.size();
}

void LineHistory::add(kj::StringPtr line) {
  if (!isWorthKeeping(line.asArray()) || (!lines.empty() && lines.back() == line)) return;
  lines.add(kj::str(line));
  auto text = kj::str(line, "\n");
  // Opened each time: another process may have put a shorter one in its place.
  kj::FdOutputStream(open(O_WRONLY | O_APPEND)).write(text.begin(), text.size());
  if (++inFile <= MAX_LINES) return;
  read();  // with what others added
  rewrite();
}

}  // namespace ww
