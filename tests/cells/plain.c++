// A plain WASI program: it has stdio, arguments and an environment, and never hears of RPC.
//
//   args | env | exit N | return N | trap | throw | spin | recurse | grow
//   cat               stdin to stdout, until its end
//   drain             reads stdin to its end
//   drain-late        sleeps a little, then the same
//   out N | err N     N bytes of a pattern; then `done` on the other one
//   until-closed      writes to stdout until nobody reads it, exits with 9
//   sleep MS          says `asleep` on stderr; then `slept`
//   park              says `parked`, waits for the end of stdin
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <ww/wasi.h>
#include <stdexcept>
#include <vector>

extern char** environ;

namespace {

int printList(char** list) {
  for (; *list != nullptr; list++) printf("%zu:%s\n", strlen(*list), *list);
  return 0;
}

int pattern(FILE* to, FILE* other, size_t size) {
  std::vector<char> piece(26 * 2520);  // whole alphabets, so that each piece continues the last
  for (size_t i = 0; i < piece.size(); i++) piece[i] = char('a' + i % 26);
  for (size_t left = size; left > 0;) {
    size_t n = std::min(piece.size(), left);
    if (fwrite(piece.data(), 1, n, to) != n) return 9;
    left -= n;
  }
  fputs("done\n", other);
  return 0;
}

int cat(bool writes) {
  std::vector<char> piece(64 * 1024);
  for (;;) {
    ssize_t n = read(0, piece.data(), piece.size());
    if (n <= 0) return n < 0;
    if (writes && fwrite(piece.data(), 1, n, stdout) != size_t(n)) return 9;
  }
}

int park() {
  puts("parked");
  char byte;
  while (read(0, &byte, 1) > 0) {}
  return 0;
}

int sleepMs(uint64_t ms) {
  auto timer = ww::wasi::ww_subscribe_duration(ms * 1'000'000);
  fputs("asleep\n", stderr);
  ww::wasi::ww_pollable_block(timer);
  ww::wasi::ww_pollable_drop(timer);
  puts("slept");
  return 0;
}

int grow() {
  size_t total = 0;
  // Volatile: the compiler knows malloc, and would have it succeed for ever.
  while (char* volatile more = static_cast<char*>(malloc(16 << 20))) {
    *more = 1;
    total += 16;
  }
  printf("%zu MiB, then no more\n", total);
  return 7;
}

// Ends only in theory: the stack is used up long before the count wraps.
[[gnu::noinline]] unsigned recurse(volatile unsigned* above) {
  volatile unsigned here = *above + 1;
  return here == 0 ? 0 : recurse(&here) + here;
}

unsigned recurseForEver() {
  volatile unsigned start = 0;
  return recurse(&start);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 0) return 0;
  auto is = [&](const char* mode) { return strcmp(argv[0], mode) == 0; };
  size_t number = argc > 1 ? strtoull(argv[1], nullptr, 10) : 0;
  if (is("args")) return printList(argv + 1);
  if (is("env")) return printList(environ);
  if (is("exit")) exit(int(number));
  if (is("return")) return int(number);
  if (is("trap")) __builtin_trap();
  if (is("throw")) throw std::runtime_error("thrown on purpose");
  if (is("spin")) {
    puts("spinning");
    for (volatile unsigned i = 0;; i = i + 1) {}
  }
  if (is("recurse")) return int(recurseForEver());
  if (is("grow")) return grow();
  if (is("cat") || is("drain")) return cat(is("cat"));
  if (is("drain-late")) {
    sleepMs(1);
    return cat(false);
  }
  if (is("out")) return pattern(stdout, stderr, number);
  if (is("err")) return pattern(stderr, stdout, number);
  if (is("until-closed")) return pattern(stdout, stderr, SIZE_MAX);
  if (is("sleep")) return sleepMs(number);
  if (is("park")) return park();
  fprintf(stderr, "no such mode: %s\n", argv[0]);
  return 2;
}
