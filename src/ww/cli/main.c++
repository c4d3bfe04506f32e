// The program: words in, exit code out.

#include <kj/string.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <ww/cli/ask.h>
#include <ww/cli/exec.h>
#include <ww/cli/image.h>
#include <ww/cli/options.h>
#include <ww/cli/run.h>
#include <ww/node/compile-worker.h>
#include <ww/node/stdio.h>

namespace {

// glibc gives the heap's top back and takes it again at each burst of calls, at almost three times
// the cost of the calls. Said here, so that it is not inherited; docs/choices.md has the figures.
void chooseAllocator() {
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
  mallopt(M_TOP_PAD, 1 << 20);
}

// With a backtrace for each error value, every exception that a guest throws costs 100 times more.
void keepBacktracesOff() {
  setenv("RUST_BACKTRACE", "0", 1);
  setenv("RUST_LIB_BACKTRACE", "0", 1);
}

// False if it could not all be written.
bool show(int fd, kj::StringPtr text) {
  auto rest = text.asArray();
  while (rest.size() > 0) {
    auto n = write(fd, rest.begin(), rest.size());
    if (n <= 0) return false;
    rest = rest.slice(n, rest.size());
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  ww::requireStandardStreams();
  chooseAllocator();
  keepBacktracesOff();
  signal(SIGPIPE, SIG_IGN);
  auto words = KJ_MAP(word, kj::arrayPtr(argv + 1, argc > 0 ? argc - 1 : 0)) -> kj::StringPtr {
    return word;
  };
  if (words.size() > 0 && words[0] == ww::COMPILE_WORKER) {
    return ww::compileWorkerMain(words.slice(1, words.size()));
  }
  auto parsed = ww::parseOptions(words);
  int code;
  KJ_IF_MAYBE(ending, parsed.tryGet<ww::Ending>()) {
    code = show(STDOUT_FILENO, ending->toStdout) ? ending->exitCode : ww::EXIT_NODE_FAILED;
    show(STDERR_FILENO, ending->toStderr);
  } else KJ_IF_MAYBE(options, parsed.tryGet<ww::ExecOptions>()) {
    code = ww::exec(*options);
  } else KJ_IF_MAYBE(options, parsed.tryGet<ww::AskOptions>()) {
    code = ww::ask(*options);
  } else KJ_IF_MAYBE(options, parsed.tryGet<ww::KeygenOptions>()) {
    code = ww::keygen(*options);
  } else KJ_IF_MAYBE(options, parsed.tryGet<ww::ImageOptions>()) {
    code = ww::image(*options);
  } else KJ_IF_MAYBE(options, parsed.tryGet<ww::MakeOptions>()) {
    code = ww::make(*options);
  } else {
    code = ww::run(kj::mv(parsed.get<ww::RunOptions>()));
  }
  // A compilation may still be running on its thread, and nothing waits for it.
  _exit(code);
}
