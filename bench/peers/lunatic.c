// Lunatic's processes. Each child makes one call, a message to its parent.
//
//   hello         says `hello`
//   spawn COUNT   one child after the other, 32 at a time; prints nanoseconds each
//   idle COUNT    so many that wait for ever once they have made their call; says `idle`, and waits
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))

IMPORT("lunatic::message", "create_data") void create_data(int64_t tag, int64_t capacity);
IMPORT("lunatic::message", "send") int send_message(int64_t process);
IMPORT("lunatic::message", "receive") int receive(const int64_t* tags, int count, int64_t timeout);
IMPORT("lunatic::process", "process_id") int64_t process_id(void);
IMPORT("lunatic::process", "spawn")
int spawn(int64_t link, int64_t config, int64_t module, const char* function, int function_size,
          const void* params, int params_size, int64_t* id);

enum { AT_ONCE = 32 };
static const int64_t SAME = -1, FOR_EVER = -1;

static void call(int64_t parent) {
  create_data(1, 0);
  send_message(parent);
}

EXPORT("leaves") void leaves(int64_t parent) { call(parent); }

EXPORT("stays") void stays(int64_t parent) {
  call(parent);
  for (;;) receive(0, 0, FOR_EVER);
}

static void start(const char* function) {
  // Its one argument: a type and 16 bytes.
  unsigned char param[17] = {0x7e};
  int64_t self = process_id(), child = 0;
  memcpy(param + 1, &self, sizeof(self));
  if (spawn(0, SAME, SAME, function, (int)strlen(function), param, sizeof(param), &child) != 0) {
    puts("no child could be started");
    exit(1);
  }
}

static void many(const char* function, int count) {
  int started = 0;
  for (int heard = 0; heard < count; heard++) {
    while (started < count && started - heard < AT_ONCE) {
      start(function);
      started++;
    }
    receive(0, 0, FOR_EVER);
  }
}

int main(int argc, char** argv) {
  // The first argument may be the program's name.
  const char* mode = argc > 1 ? argv[argc - 2] : "";
  int count = argc > 1 ? atoi(argv[argc - 1]) : 0;
  if (strcmp(mode, "spawn") == 0) {
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    many("leaves", count);
    clock_gettime(CLOCK_MONOTONIC, &end);
    double ns = (double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec);
    printf("%f\n", ns / count);
  } else if (strcmp(mode, "idle") == 0) {
    many("stays", count);
    puts("idle");
    fflush(stdout);
    for (;;) receive(0, 0, FOR_EVER);
  } else {
    puts("hello");
  }
  return 0;
}
