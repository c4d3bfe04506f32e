#pragma once
// Between the two parts of WASI preview1 in this SDK: what libc's calls do with descriptors that
// are not stdio's. A guest that opens no file is linked without it.

#include <wasi/api.h>

#define WW_PREVIEW1(name) __imported_wasi_snapshot_preview1_##name

namespace ww::preview1 {

struct FileCalls {
  int32_t (*read)(int fd, const __wasi_iovec_t* pieces, size_t count, size_t* read);
  int32_t (*write)(int fd, const __wasi_ciovec_t* pieces, size_t count, size_t* written);
  int32_t (*seek)(int fd, int64_t by, int32_t from, uint64_t* position);
  int32_t (*getStat)(int fd, __wasi_fdstat_t* stat);
  int32_t (*close)(int fd);
};

// Those of preview1-files.c++, once it is used.
extern const FileCalls* fileCalls;

}  // namespace ww::preview1
