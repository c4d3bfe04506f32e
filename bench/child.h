#pragma once
// A process that answers lines with lines. It ends with this object.

#include <kj/io.h>
#include <kj/string.h>
#include <stdio.h>
#include <sys/types.h>

namespace ww::bench {

class Child {
 public:
  explicit Child(kj::ArrayPtr<const kj::StringPtr> words);  // the program, and its arguments
  ~Child();
  KJ_DISALLOW_COPY_AND_MOVE(Child);

  pid_t getPid() const { return pid; }
  kj::String readLine();  // throws if it has ended
  void tell(kj::StringPtr line);
  kj::String ask(kj::StringPtr line) {
    tell(line);
    return readLine();
  }

 private:
  pid_t pid;
  kj::AutoCloseFd input;
  FILE* output;
};

// The number behind so many spaces.
double number(kj::StringPtr text, size_t after = 0);

// rust/engine-bench: what the engine does when it is alone, in seconds.
class BareEngine {
 public:
  BareEngine();

  double call(size_t bytes);                   // of a component's export, which answers
  double instantiate(kj::StringPtr component); // and drop
  double compile(kj::StringPtr component);     // what Cranelift takes

 private:
  Child child;
};

}  // namespace ww::bench
