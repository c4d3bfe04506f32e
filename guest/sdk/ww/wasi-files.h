#pragma once
// wasi:filesystem, as ww/wasi.h has the rest of WASI 0.2. Where a guest calls none of it, it
// imports none of it.

#include <ww/wasi.h>

namespace ww::wasi {

// An error-code, by its number.
using FileError = uint8_t;

enum class FileType: uint8_t {
  UNKNOWN, BLOCK_DEVICE, CHARACTER_DEVICE, DIRECTORY, FIFO, SYMBOLIC_LINK, REGULAR_FILE, SOCKET
};

constexpr int32_t PATH_SYMLINK_FOLLOW = 1;
constexpr int32_t OPEN_CREATE = 1, OPEN_DIRECTORY = 2, OPEN_EXCLUSIVE = 4, OPEN_TRUNCATE = 8;
constexpr int32_t DESCRIPTOR_READ = 1, DESCRIPTOR_WRITE = 2;

struct Preopen {
  Handle descriptor;
  List path;
};
static_assert(sizeof(Preopen) == 12);

// result<_, error-code>
struct FileResult {
  uint8_t isErr;
  FileError error;
};
static_assert(sizeof(FileResult) == 2);

// result<own, error-code>
struct FileHandleResult {
  uint8_t isErr;
  union {
    Handle ok;
    FileError error;
  };
};
static_assert(sizeof(FileHandleResult) == 8);

// result<tuple<list<u8>, bool>, error-code>
struct FileReadResult {
  uint8_t isErr;
  union {
    struct { List bytes; bool isEnd; } ok;
    FileError error;
  };
};
static_assert(sizeof(FileReadResult) == 16);

// result<u64, error-code>
struct FileWriteResult {
  uint8_t isErr;
  union {
    uint64_t ok;
    FileError error;
  };
};
static_assert(sizeof(FileWriteResult) == 16);

// result<string, error-code>
struct FileTextResult {
  uint8_t isErr;
  union {
    List ok;
    FileError error;
  };
};
static_assert(sizeof(FileTextResult) == 12);

// A new-timestamp, as the case, and the fields of a datetime, are three parameters.
constexpr int32_t TIME_SAME = 0, TIME_NOW = 1, TIME_GIVEN = 2;

struct MaybeDateTime {
  uint8_t isThere;
  DateTime value;
};
static_assert(sizeof(MaybeDateTime) == 24);

struct FileStat {
  FileType type;
  uint64_t links;
  uint64_t size;
  MaybeDateTime accessed, modified, changed;
};
static_assert(sizeof(FileStat) == 96);

// result<descriptor-stat, error-code>
struct FileStatResult {
  uint8_t isErr;
  union {
    FileStat ok;
    FileError error;
  };
  FileStatResult(): isErr(1), error(0) {}
};
static_assert(sizeof(FileStatResult) == 104);

// result<option<directory-entry>, error-code>
struct FileEntryResult {
  uint8_t isErr;
  union {
    struct { uint8_t isThere; struct { FileType type; List name; } entry; } ok;
    FileError error;
  };
};
static_assert(sizeof(FileEntryResult) == 20 && offsetof(FileEntryResult, ok.entry) == 8);

extern "C" {

#define WW_FILES "wasi:filesystem/types@0.2.9"

WW_IMPORT("wasi:filesystem/preopens@0.2.9", "get-directories") void ww_get_directories(List* ret);

WW_IMPORT(WW_FILES, "[resource-drop]descriptor") void ww_file_drop(Handle self);
WW_IMPORT(WW_FILES, "[method]descriptor.open-at")
void ww_file_open_at(Handle self, int32_t pathFlags, const char* path, size_t len,
                     int32_t openFlags, int32_t flags, FileHandleResult* ret);
WW_IMPORT(WW_FILES, "[method]descriptor.read")
void ww_file_read(Handle self, uint64_t len, uint64_t offset, FileReadResult* ret);
WW_IMPORT(WW_FILES, "[method]descriptor.write")
void ww_file_write(Handle self, const uint8_t* ptr, size_t len, uint64_t offset,
                   FileWriteResult* ret);
WW_IMPORT(WW_FILES, "[method]descriptor.read-via-stream")
void ww_file_read_via_stream(Handle self, uint64_t offset, FileHandleResult* ret);
WW_IMPORT(WW_FILES, "[method]descriptor.set-size")
void ww_file_set_size(Handle self, uint64_t size, FileResult* ret);
WW_IMPORT(WW_FILES, "[method]descriptor.set-times")
void ww_file_set_times(Handle self, int32_t access, uint64_t accessSeconds, uint32_t accessNs,
                       int32_t change, uint64_t changeSeconds, uint32_t changeNs,
                       FileResult* ret);
WW_IMPORT(WW_FILES, "[method]descriptor.set-times-at")
void ww_file_set_times_at(Handle self, int32_t pathFlags, const char* path, size_t len,
                          int32_t access, uint64_t accessSeconds, uint32_t accessNs,
                          int32_t change, uint64_t changeSeconds, uint32_t changeNs,
                          FileResult* ret);
WW_IMPORT(WW_FILES, "[method]descriptor.sync") void ww_file_sync(Handle self, FileResult* ret);
WW_IMPORT(WW_FILES, "[method]descriptor.stat") void ww_file_stat(Handle self, FileStatResult* ret);
WW_IMPORT(WW_FILES, "[method]descriptor.stat-at")
void ww_file_stat_at(Handle self, int32_t pathFlags, const char* path, size_t len,
                     FileStatResult* ret);
WW_IMPORT(WW_FILES, "[method]descriptor.create-directory-at")
void ww_file_create_directory_at(Handle self, const char* path, size_t len, FileResult* ret);
WW_IMPORT(WW_FILES, "[method]descriptor.remove-directory-at")
void ww_file_remove_directory_at(Handle self, const char* path, size_t len, FileResult* ret);
WW_IMPORT(WW_FILES, "[method]descriptor.unlink-file-at")
void ww_file_unlink_at(Handle self, const char* path, size_t len, FileResult* ret);
WW_IMPORT(WW_FILES, "[method]descriptor.rename-at")
void ww_file_rename_at(Handle self, const char* path, size_t len, Handle to, const char* newPath,
                       size_t newLen, FileResult* ret);
WW_IMPORT(WW_FILES, "[method]descriptor.link-at")
void ww_file_link_at(Handle self, int32_t pathFlags, const char* path, size_t len, Handle to,
                     const char* newPath, size_t newLen, FileResult* ret);
WW_IMPORT(WW_FILES, "[method]descriptor.symlink-at")
void ww_file_symlink_at(Handle self, const char* target, size_t targetLen, const char* path,
                        size_t len, FileResult* ret);
WW_IMPORT(WW_FILES, "[method]descriptor.readlink-at")
void ww_file_readlink_at(Handle self, const char* path, size_t len, FileTextResult* ret);
WW_IMPORT(WW_FILES, "[method]descriptor.read-directory")
void ww_file_read_directory(Handle self, FileHandleResult* ret);
WW_IMPORT(WW_FILES, "[method]directory-entry-stream.read-directory-entry")
void ww_entries_read(Handle self, FileEntryResult* ret);
WW_IMPORT(WW_FILES, "[resource-drop]directory-entry-stream") void ww_entries_drop(Handle self);

}  // extern "C"

}  // namespace ww::wasi
