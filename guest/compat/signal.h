#pragma once
// Types that KJ's crash handler names; a guest has no signals, so the calls do nothing.

#define _WASI_EMULATED_SIGNAL
#include_next <signal.h>
#include <stddef.h>

typedef struct { int si_signo; int si_code; void* si_addr; } siginfo_t;
typedef struct { void* ss_sp; int ss_flags; size_t ss_size; } stack_t;
struct sigaction {
  union {
    void (*sa_handler)(int);
    void (*sa_sigaction)(int, siginfo_t*, void*);
  };
  sigset_t sa_mask;
  int sa_flags;
};

#define SA_ONSTACK 1
#define SA_NODEFER 2
#define SA_RESETHAND 4
#define SA_SIGINFO 8
#define SIG_BLOCK 0
#define SIG_UNBLOCK 1
#define SIG_SETMASK 2

static inline int sigaltstack(const stack_t* stack, stack_t* old) { return 0; }
static inline int sigemptyset(sigset_t* set) { return 0; }
static inline int sigaddset(sigset_t* set, int signal) { return 0; }
static inline int sigprocmask(int how, const sigset_t* set, sigset_t* old) { return 0; }
static inline int sigaction(int signal, const struct sigaction* action, struct sigaction* old) {
  return 0;
}
