#pragma once
// Included before every file of KJ and Cap'n Proto that is compiled for a guest: declares what they
// mention and wasi-libc lacks. Nothing here is reached by a guest that uses the SDK; what is called
// all the same says so (ENOSYS).

#include <errno.h>
#include <unistd.h>

static inline int pipe(int* fds) { errno = ENOSYS; return -1; }
static inline int dup(int fd) { errno = ENOSYS; return -1; }

#ifndef SO_SNDBUF
#define SO_SNDBUF 7
#endif

// WebAssembly has no return addresses to look at; KJ uses them for traces only.
#define __builtin_return_address(level) ((void*)0)

#ifdef __cplusplus
#include <coroutine>
#endif
