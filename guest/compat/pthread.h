#pragma once
// A guest has one thread: locks are always free, and waiting for another thread is a bug.

#include <errno.h>
#include <time.h>

#define __NEED_pthread_t
#define __NEED_pthread_once_t
#define __NEED_pthread_key_t
#define __NEED_pthread_attr_t
#define __NEED_pthread_mutexattr_t
#define __NEED_pthread_condattr_t
#define __NEED_pthread_rwlockattr_t
#define __NEED_pthread_mutex_t
#define __NEED_pthread_cond_t
#include <bits/alltypes.h>

typedef struct { int unused; } ww_pthread_rwlock_t;
#define pthread_rwlock_t ww_pthread_rwlock_t

#define PTHREAD_ONCE_INIT 0
#define PTHREAD_MUTEX_INITIALIZER {{{0}}}
#define PTHREAD_COND_INITIALIZER {{{0}}}
#define PTHREAD_RWLOCK_INITIALIZER {0}

#ifdef __cplusplus
extern "C" {
#endif

#define WW_SUCCEEDS(function, type) static inline int function(type* object) { return 0; }
WW_SUCCEEDS(pthread_mutex_lock, pthread_mutex_t)
WW_SUCCEEDS(pthread_mutex_unlock, pthread_mutex_t)
WW_SUCCEEDS(pthread_mutex_trylock, pthread_mutex_t)
WW_SUCCEEDS(pthread_mutex_destroy, pthread_mutex_t)
WW_SUCCEEDS(pthread_rwlock_rdlock, pthread_rwlock_t)
WW_SUCCEEDS(pthread_rwlock_wrlock, pthread_rwlock_t)
WW_SUCCEEDS(pthread_rwlock_tryrdlock, pthread_rwlock_t)
WW_SUCCEEDS(pthread_rwlock_trywrlock, pthread_rwlock_t)
WW_SUCCEEDS(pthread_rwlock_unlock, pthread_rwlock_t)
WW_SUCCEEDS(pthread_rwlock_destroy, pthread_rwlock_t)
WW_SUCCEEDS(pthread_cond_signal, pthread_cond_t)
WW_SUCCEEDS(pthread_cond_broadcast, pthread_cond_t)
WW_SUCCEEDS(pthread_cond_destroy, pthread_cond_t)
WW_SUCCEEDS(pthread_condattr_init, pthread_condattr_t)
WW_SUCCEEDS(pthread_condattr_destroy, pthread_condattr_t)
#undef WW_SUCCEEDS

static inline int pthread_condattr_setclock(pthread_condattr_t* attr, clockid_t clock) { return 0; }
static inline int pthread_mutex_init(pthread_mutex_t* mutex, const void* attr) { return 0; }
static inline int pthread_cond_init(pthread_cond_t* cond, const void* attr) { return 0; }
static inline int pthread_cond_wait(pthread_cond_t* cond, pthread_mutex_t* mutex) {
  __builtin_trap();
}
static inline int pthread_cond_timedwait(pthread_cond_t* cond, pthread_mutex_t* mutex,
                                         const struct timespec* until) {
  __builtin_trap();
}
static inline int pthread_once(pthread_once_t* once, void (*init)(void)) {
  if (!*once) {
    *once = 1;
    init();
  }
  return 0;
}
static inline pthread_t pthread_self(void) { return 1; }

#ifdef __cplusplus
}
#endif
