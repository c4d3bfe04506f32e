#include "child.h"

#include <fcntl.h>
#include <kj/debug.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <kj/vector.h>

namespace ww::bench {
namespace {

// In the child.
[[noreturn]] void become(kj::ArrayPtr<const kj::StringPtr> words, int in, int out) {
  dup2(in, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  kj::Vector<char*> args;
  for (auto word: words) args.add(const_cast<char*>(word.cStr()));
  args.add(nullptr);
  execv(args[0], args.begin());
  _exit(127);
}

constexpr kj::StringPtr ENGINE[] = {WW_BENCH_ENGINE ""_kj, WW_COMPONENTS ""_kj};

}  // namespace

Child::Child(kj::ArrayPtr<const kj::StringPtr> words) {
  int toChild[2], fromChild[2];
  KJ_SYSCALL(pipe2(toChild, O_CLOEXEC));
  KJ_SYSCALL(pipe2(fromChild, O_CLOEXEC));
  KJ_SYSCALL(pid = fork());
  if (pid == 0) become(words, toChild[0], fromChild[1]);
  close(toChild[0]);
  close(fromChild[1]);
  input = kj::AutoCloseFd(toChild[1]);
  output = fdopen(fromChild[0], "r");
}

Child::~Child() {
  fclose(output);
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
}

kj::String Child::readLine() {
  char line[256];
  KJ_REQUIRE(fgets(line, sizeof(line), output) != nullptr, "it has ended", pid);
  return kj::heapString(line, strcspn(line, "\n"));
}

void Child::tell(kj::StringPtr line) {
  kj::FdOutputStream(input.get()).write(line.begin(), line.size());
}

double number(kj::StringPtr text, size_t after) {
  for (size_t i = 0; i < after; i++) {
    text = text.slice(KJ_REQUIRE_NONNULL(text.findFirst(' '), text) + 1);
  }
  return kj::heapString(text.begin(), strcspn(text.cStr(), " \n")).parseAs<double>();
}

BareEngine::BareEngine(): child(ENGINE) {}

double BareEngine::call(size_t bytes) {
  return number(child.ask(kj::str("call ", bytes, '\n')));
}
double BareEngine::instantiate(kj::StringPtr component) {
  return number(child.ask(kj::str("instantiate ", component, '\n')));
}
double BareEngine::compile(kj::StringPtr component) {
  return number(child.ask(kj::str("compile ", component, '\n')));
}

}  // namespace ww::bench
