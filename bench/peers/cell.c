// What peers run that know WASI's preview 1 only: says `hello`; with `park` as its argument it then
// waits for the end of its input.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char** argv) {
  puts("hello");
  fflush(stdout);
  if (argc > 1 && strcmp(argv[1], "park") == 0) {
    char byte;
    while (read(0, &byte, 1) > 0) {}
  }
  return 0;
}
