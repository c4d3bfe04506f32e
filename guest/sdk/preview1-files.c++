// Files in WASI preview1, as libc calls them, over wasi:filesystem 0.2.

#include <algorithm>
#include <stdlib.h>
#include <string.h>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include "ww/preview1.h"
#include "ww/wasi-files.h"

namespace {

using namespace ww::wasi;
using Text = std::string_view;

struct Entry {
  FileType type;
  std::string name;
};

struct File {
  Handle handle = NO_HANDLE;    // none: the place is free
  FileType type = FileType::UNKNOWN;
  std::string preopen;          // its path, if it is one
  bool appends = false;
  uint64_t position = 0;
  __wasi_rights_t rights = 0;
  std::vector<Entry> entries;   // of a folder that is being read
};

constexpr int FIRST = 3;  // below are stdio's
constexpr __wasi_rights_t ALL_RIGHTS = ~__wasi_rights_t(0);

// In the order of wasi:filesystem's error-code.
constexpr __wasi_errno_t ERRORS[] = {
  __WASI_ERRNO_ACCES, __WASI_ERRNO_AGAIN, __WASI_ERRNO_ALREADY, __WASI_ERRNO_BADF,
  __WASI_ERRNO_BUSY, __WASI_ERRNO_DEADLK, __WASI_ERRNO_DQUOT, __WASI_ERRNO_EXIST,
  __WASI_ERRNO_FBIG, __WASI_ERRNO_ILSEQ, __WASI_ERRNO_INPROGRESS, __WASI_ERRNO_INTR,
  __WASI_ERRNO_INVAL, __WASI_ERRNO_IO, __WASI_ERRNO_ISDIR, __WASI_ERRNO_LOOP,
  __WASI_ERRNO_MLINK, __WASI_ERRNO_MSGSIZE, __WASI_ERRNO_NAMETOOLONG, __WASI_ERRNO_NODEV,
  __WASI_ERRNO_NOENT, __WASI_ERRNO_NOLCK, __WASI_ERRNO_NOMEM, __WASI_ERRNO_NOSPC,
  __WASI_ERRNO_NOTDIR, __WASI_ERRNO_NOTEMPTY, __WASI_ERRNO_NOTRECOVERABLE, __WASI_ERRNO_NOTSUP,
  __WASI_ERRNO_NOTTY, __WASI_ERRNO_NXIO, __WASI_ERRNO_OVERFLOW, __WASI_ERRNO_PERM,
  __WASI_ERRNO_PIPE, __WASI_ERRNO_ROFS, __WASI_ERRNO_SPIPE, __WASI_ERRNO_TXTBSY,
  __WASI_ERRNO_XDEV,
};

int32_t errorOf(FileError error) {
  return error < std::size(ERRORS) ? ERRORS[error] : __WASI_ERRNO_IO;
}

template <typename Result>
int32_t errorOf(const Result& result) {
  return result.isErr ? errorOf(result.error) : 0;
}

__wasi_filetype_t typeOf(FileType type) {
  switch (type) {
    case FileType::BLOCK_DEVICE: return __WASI_FILETYPE_BLOCK_DEVICE;
    case FileType::CHARACTER_DEVICE: return __WASI_FILETYPE_CHARACTER_DEVICE;
    case FileType::DIRECTORY: return __WASI_FILETYPE_DIRECTORY;
    case FileType::SYMBOLIC_LINK: return __WASI_FILETYPE_SYMBOLIC_LINK;
    case FileType::REGULAR_FILE: return __WASI_FILETYPE_REGULAR_FILE;
    default: return __WASI_FILETYPE_UNKNOWN;
  }
}

std::vector<File> makeFiles() {
  std::vector<File> files;
  List list{};
  ww_get_directories(&list);
  auto preopens = static_cast<Preopen*>(list.ptr);
  for (size_t i = 0; i < list.len; i++) {
    File file;
    file.handle = preopens[i].descriptor;
    file.type = FileType::DIRECTORY;
    file.preopen.assign(static_cast<char*>(preopens[i].path.ptr), preopens[i].path.len);
    file.rights = ALL_RIGHTS;
    files.push_back(std::move(file));
    if (preopens[i].path.len > 0) free(preopens[i].path.ptr);
  }
  if (list.len > 0) free(list.ptr);
  return files;
}

std::vector<File>& files() {
  static std::vector<File> all = makeFiles();
  return all;
}

File* find(int fd) {
  auto index = size_t(fd - FIRST);
  bool isThere = fd >= FIRST && index < files().size() && files()[index].handle != NO_HANDLE;
  return isThere ? &files()[index] : nullptr;
}

int add(File file) {
  auto& all = files();
  auto free = std::find_if(all.begin(), all.end(),
                           [](const File& each) { return each.handle == NO_HANDLE; });
  int fd = FIRST + int(free - all.begin());
  if (free == all.end()) {
    all.push_back(std::move(file));
  } else {
    *free = std::move(file);
  }
  return fd;
}

// What the host's list held at the place that it was to go to stays there; else it is copied.
int32_t readAt(const File& file, uint8_t* to, size_t size, uint64_t offset, size_t* read) {
  FileReadResult result{};
  {
    PlaceNextList place(to, size);
    ww_file_read(file.handle, size, offset, &result);
  }
  if (result.isErr) return errorOf(result.error);
  *read = result.ok.bytes.len;
  if (result.ok.bytes.len > 0 && result.ok.bytes.ptr != to) {
    memcpy(to, result.ok.bytes.ptr, result.ok.bytes.len);
    free(result.ok.bytes.ptr);
  }
  return 0;
}

// As much as one read, or write, gives: libc asks again.
int32_t readPieces(int fd, const __wasi_iovec_t* pieces, size_t count, uint64_t* position,
                   size_t* read) {
  auto file = find(fd);
  if (file == nullptr) return __WASI_ERRNO_BADF;
  if (file->type == FileType::DIRECTORY) return __WASI_ERRNO_ISDIR;
  *read = 0;
  for (size_t i = 0; i < count; i++) {
    if (pieces[i].buf_len == 0) continue;
    size_t n = 0;
    auto error = readAt(*file, pieces[i].buf, pieces[i].buf_len, *position, &n);
    if (error != 0) return *read > 0 ? 0 : error;
    *read += n;
    *position += n;
    if (n < pieces[i].buf_len) break;
  }
  return 0;
}

int32_t writePieces(int fd, const __wasi_ciovec_t* pieces, size_t count, uint64_t* position,
                    size_t* written) {
  auto file = find(fd);
  if (file == nullptr || file->type == FileType::DIRECTORY) return __WASI_ERRNO_BADF;
  *written = 0;
  for (size_t i = 0; i < count; i++) {
    if (pieces[i].buf_len == 0) continue;
    FileWriteResult result{};
    ww_file_write(file->handle, pieces[i].buf, pieces[i].buf_len, *position, &result);
    if (result.isErr) return *written > 0 ? 0 : errorOf(result.error);
    *written += result.ok;
    *position += result.ok;
    if (result.ok < pieces[i].buf_len) break;
  }
  return 0;
}

int32_t statOf(const File& file, FileStat* stat) {
  FileStatResult result;
  ww_file_stat(file.handle, &result);
  if (!result.isErr) *stat = result.ok;
  return errorOf(result);
}

int32_t readFile(int fd, const __wasi_iovec_t* pieces, size_t count, size_t* read) {
  auto file = find(fd);
  if (file == nullptr) return __WASI_ERRNO_BADF;
  return readPieces(fd, pieces, count, &file->position, read);
}

int32_t writeFile(int fd, const __wasi_ciovec_t* pieces, size_t count, size_t* written) {
  auto file = find(fd);
  if (file == nullptr) return __WASI_ERRNO_BADF;
  if (file->appends) {
    FileStat stat{};
    auto error = statOf(*file, &stat);
    if (error != 0) return error;
    file->position = stat.size;
  }
  return writePieces(fd, pieces, count, &file->position, written);
}

int32_t seekFile(int fd, int64_t by, int32_t from, uint64_t* position) {
  auto file = find(fd);
  if (file == nullptr) return __WASI_ERRNO_BADF;
  uint64_t start = 0;
  if (from == __WASI_WHENCE_CUR) start = file->position;
  if (from == __WASI_WHENCE_END) {
    FileStat stat{};
    auto error = statOf(*file, &stat);
    if (error != 0) return error;
    start = stat.size;
  }
  int64_t sum;
  if (__builtin_add_overflow(int64_t(start), by, &sum) || sum < 0) return __WASI_ERRNO_INVAL;
  *position = file->position = uint64_t(sum);
  return 0;
}

int32_t getFileStat(int fd, __wasi_fdstat_t* stat) {
  auto file = find(fd);
  if (file == nullptr) return __WASI_ERRNO_BADF;
  *stat = __wasi_fdstat_t{};
  stat->fs_filetype = typeOf(file->type);
  stat->fs_flags = file->appends ? __WASI_FDFLAGS_APPEND : 0;
  stat->fs_rights_base = file->rights;
  stat->fs_rights_inheriting = file->type == FileType::DIRECTORY ? ALL_RIGHTS : 0;
  return 0;
}

int32_t closeFile(int fd) {
  auto file = find(fd);
  if (file == nullptr) return __WASI_ERRNO_BADF;
  ww_file_drop(file->handle);
  *file = File();
  return 0;
}

constexpr ww::preview1::FileCalls CALLS = {readFile, writeFile, seekFile, getFileStat, closeFile};

uint64_t timeOf(const MaybeDateTime& time) {
  return time.isThere ? time.value.seconds * 1'000'000'000 + time.value.nanoseconds : 0;
}

void fill(const FileStat& from, __wasi_filestat_t* to) {
  *to = __wasi_filestat_t{};
  to->filetype = typeOf(from.type);
  to->nlink = from.links;
  to->size = from.size;
  to->atim = timeOf(from.accessed);
  to->mtim = timeOf(from.modified);
  to->ctim = timeOf(from.changed);
}

int32_t readEntries(File& folder) {
  FileHandleResult opened{};
  ww_file_read_directory(folder.handle, &opened);
  if (opened.isErr) return errorOf(opened.error);
  Owned<ww_entries_drop> stream(opened.ok);
  folder.entries.clear();
  for (;;) {
    FileEntryResult result{};
    ww_entries_read(*stream, &result);
    if (result.isErr) return errorOf(result.error);
    if (!result.ok.isThere) return 0;
    auto& [type, name] = result.ok.entry;
    folder.entries.push_back(Entry{type, std::string(static_cast<char*>(name.ptr), name.len)});
    free(name.ptr);
  }
}

// Runs `call` on the folder's handle and the path's bytes.
template <typename Call>
int32_t at(int fd, Call&& call) {
  auto file = find(fd);
  if (file == nullptr) return __WASI_ERRNO_BADF;
  FileResult result{};
  call(file->handle, &result);
  return errorOf(result);
}

struct NewTime {
  int32_t how = TIME_SAME;
  uint64_t seconds = 0;
  uint32_t nanoseconds = 0;
};

struct NewTimes {
  NewTime access, change;

  NewTimes(uint64_t atim, uint64_t mtim, int32_t flags)
      : access(make(atim, flags, __WASI_FSTFLAGS_ATIM, __WASI_FSTFLAGS_ATIM_NOW)),
        change(make(mtim, flags, __WASI_FSTFLAGS_MTIM, __WASI_FSTFLAGS_MTIM_NOW)) {}

  static NewTime make(uint64_t time, int32_t flags, int32_t given, int32_t now) {
    if ((flags & now) != 0) return {TIME_NOW};
    if ((flags & given) == 0) return {};
    return {TIME_GIVEN, time / 1'000'000'000, uint32_t(time % 1'000'000'000)};
  }
};

}  // namespace

extern "C" {

#define P1(name) WW_PREVIEW1(name)

// The first of these calls: libc looks for what it was given before it opens anything.
int32_t P1(fd_prestat_get)(int fd, __wasi_prestat_t* prestat) {
  // What it is set to is hidden from the optimizer, which would else put these calls in its place.
  const ww::preview1::FileCalls* calls = &CALLS;
  asm("" : "+r"(calls));
  ww::preview1::fileCalls = calls;
  auto file = find(fd);
  if (file == nullptr || file->preopen.empty()) return __WASI_ERRNO_BADF;
  prestat->tag = __WASI_PREOPENTYPE_DIR;
  prestat->u.dir.pr_name_len = file->preopen.size();
  return 0;
}

int32_t P1(fd_prestat_dir_name)(int fd, char* path, size_t size) {
  auto file = find(fd);
  if (file == nullptr || file->preopen.empty()) return __WASI_ERRNO_BADF;
  memcpy(path, file->preopen.data(), std::min(size, file->preopen.size()));
  return 0;
}

int32_t P1(path_open)(int fd, int32_t lookup, const char* path, size_t len, int32_t how,
                      __wasi_rights_t rights, __wasi_rights_t, int32_t flags, int* opened) {
  auto folder = find(fd);
  if (folder == nullptr) return __WASI_ERRNO_BADF;
  bool reads = (rights & (__WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_READDIR)) != 0;
  bool writes = (rights & __WASI_RIGHTS_FD_WRITE) != 0 && (how & OPEN_DIRECTORY) == 0;
  FileHandleResult result{};
  ww_file_open_at(folder->handle, lookup & PATH_SYMLINK_FOLLOW, path, len, how,
                  (reads ? DESCRIPTOR_READ : 0) | (writes ? DESCRIPTOR_WRITE : 0), &result);
  if (result.isErr) return errorOf(result.error);
  File file;
  file.handle = result.ok;
  FileStat stat{};
  auto error = statOf(file, &stat);
  if (error != 0) {
    ww_file_drop(result.ok);
    return error;
  }
  file.type = stat.type;
  file.appends = (flags & __WASI_FDFLAGS_APPEND) != 0;
  file.rights = rights;
  *opened = add(std::move(file));
  return 0;
}

// Of the flags, whether writes go to the end; the others mean nothing here.
int32_t P1(fd_fdstat_set_flags)(int fd, int32_t flags) {
  auto file = find(fd);
  if (file == nullptr) return __WASI_ERRNO_BADF;
  file->appends = (flags & __WASI_FDFLAGS_APPEND) != 0;
  return 0;
}

int32_t P1(fd_pread)(int fd, const __wasi_iovec_t* pieces, size_t count, uint64_t offset,
                     size_t* read) {
  return readPieces(fd, pieces, count, &offset, read);
}

int32_t P1(fd_pwrite)(int fd, const __wasi_ciovec_t* pieces, size_t count, uint64_t offset,
                      size_t* written) {
  return writePieces(fd, pieces, count, &offset, written);
}

int32_t P1(fd_tell)(int fd, uint64_t* position) {
  return seekFile(fd, 0, __WASI_WHENCE_CUR, position);
}

int32_t P1(fd_filestat_get)(int fd, __wasi_filestat_t* stat) {
  if (0 <= fd && fd < FIRST) {
    *stat = __wasi_filestat_t{};
    return 0;
  }
  auto file = find(fd);
  if (file == nullptr) return __WASI_ERRNO_BADF;
  FileStat found{};
  auto error = statOf(*file, &found);
  if (error == 0) fill(found, stat);
  return error;
}

int32_t P1(path_filestat_get)(int fd, int32_t lookup, const char* path, size_t len,
                              __wasi_filestat_t* stat) {
  auto folder = find(fd);
  if (folder == nullptr) return __WASI_ERRNO_BADF;
  FileStatResult result;
  ww_file_stat_at(folder->handle, lookup & PATH_SYMLINK_FOLLOW, path, len, &result);
  if (!result.isErr) fill(result.ok, stat);
  return errorOf(result);
}

int32_t P1(fd_filestat_set_size)(int fd, uint64_t size) {
  return at(fd, [&](Handle file, FileResult* ret) { ww_file_set_size(file, size, ret); });
}

int32_t P1(fd_sync)(int fd) { return at(fd, ww_file_sync); }
int32_t P1(fd_datasync)(int fd) { return at(fd, ww_file_sync); }

int32_t P1(path_create_directory)(int fd, const char* path, size_t len) {
  return at(fd, [&](Handle folder, FileResult* ret) {
    ww_file_create_directory_at(folder, path, len, ret);
  });
}

int32_t P1(path_remove_directory)(int fd, const char* path, size_t len) {
  return at(fd, [&](Handle folder, FileResult* ret) {
    ww_file_remove_directory_at(folder, path, len, ret);
  });
}

int32_t P1(path_unlink_file)(int fd, const char* path, size_t len) {
  return at(fd, [&](Handle folder, FileResult* ret) { ww_file_unlink_at(folder, path, len, ret); });
}

int32_t P1(path_rename)(int fd, const char* path, size_t len, int newFd, const char* newPath,
                        size_t newLen) {
  auto target = find(newFd);
  if (target == nullptr) return __WASI_ERRNO_BADF;
  return at(fd, [&](Handle folder, FileResult* ret) {
    ww_file_rename_at(folder, path, len, target->handle, newPath, newLen, ret);
  });
}

int32_t P1(path_link)(int fd, int32_t lookup, const char* path, size_t len, int newFd,
                      const char* newPath, size_t newLen) {
  auto target = find(newFd);
  if (target == nullptr) return __WASI_ERRNO_BADF;
  return at(fd, [&](Handle folder, FileResult* ret) {
    ww_file_link_at(folder, lookup & PATH_SYMLINK_FOLLOW, path, len, target->handle, newPath,
                    newLen, ret);
  });
}

int32_t P1(path_symlink)(const char* target, size_t targetLen, int fd, const char* path,
                         size_t len) {
  return at(fd, [&](Handle folder, FileResult* ret) {
    ww_file_symlink_at(folder, target, targetLen, path, len, ret);
  });
}

int32_t P1(path_readlink)(int fd, const char* path, size_t len, char* buffer, size_t size,
                          size_t* used) {
  auto folder = find(fd);
  if (folder == nullptr) return __WASI_ERRNO_BADF;
  FileTextResult result{};
  ww_file_readlink_at(folder->handle, path, len, &result);
  if (result.isErr) return errorOf(result.error);
  *used = std::min(size, result.ok.len);
  memcpy(buffer, result.ok.ptr, *used);
  if (result.ok.len > 0) free(result.ok.ptr);
  return 0;
}

int32_t P1(fd_filestat_set_times)(int fd, uint64_t atim, uint64_t mtim, int32_t flags) {
  NewTimes to(atim, mtim, flags);
  return at(fd, [&](Handle file, FileResult* ret) {
    ww_file_set_times(file, to.access.how, to.access.seconds, to.access.nanoseconds,
                      to.change.how, to.change.seconds, to.change.nanoseconds, ret);
  });
}

int32_t P1(path_filestat_set_times)(int fd, int32_t lookup, const char* path, size_t len,
                                    uint64_t atim, uint64_t mtim, int32_t flags) {
  NewTimes to(atim, mtim, flags);
  return at(fd, [&](Handle folder, FileResult* ret) {
    ww_file_set_times_at(folder, lookup & PATH_SYMLINK_FOLLOW, path, len, to.access.how,
                         to.access.seconds, to.access.nanoseconds, to.change.how,
                         to.change.seconds, to.change.nanoseconds, ret);
  });
}

// In the place of one that is open, which is closed.
int32_t P1(fd_renumber)(int fd, int to) {
  auto file = find(fd), target = find(to);
  if (file == nullptr || target == nullptr) return __WASI_ERRNO_BADF;
  if (file == target) return 0;
  ww_file_drop(target->handle);
  *target = std::exchange(*file, File());
  return 0;
}

// What does not fit is cut off: libc asks for it again, by its cookie, which is its number.
int32_t P1(fd_readdir)(int fd, uint8_t* buffer, size_t size, uint64_t cookie, size_t* used) {
  auto folder = find(fd);
  if (folder == nullptr) return __WASI_ERRNO_BADF;
  if (cookie == 0) {
    auto error = readEntries(*folder);
    if (error != 0) return error;
  }
  *used = 0;
  auto put = [&](const void* bytes, size_t n) {
    n = std::min(n, size - *used);
    memcpy(buffer + *used, bytes, n);
    *used += n;
  };
  for (auto i = cookie; i < folder->entries.size() && *used < size; i++) {
    auto& [type, name] = folder->entries[i];
    __wasi_dirent_t entry{};
    entry.d_next = i + 1;
    entry.d_namlen = name.size();
    entry.d_type = typeOf(type);
    put(&entry, sizeof(entry));
    put(name.data(), name.size());
  }
  return 0;
}

}  // extern "C"
