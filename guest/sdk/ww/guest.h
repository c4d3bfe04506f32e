#pragma once
// What a guest program includes: its host, as capabilities, and the event loop to use them in.
//
//   #include <ww/guest.h>
//
//   WW_GUEST_MAIN(guest) {
//     auto host = guest.bootstrap<ww::peer::Host>();
//     auto response = co_await host.idRequest().send();
//     ...
//   }
//
// The body is a coroutine. When it ends, so does the guest, with exit code 0 or what exitWith()
// was given; when it throws, or a promise that it awaits rejects, the reason goes to stderr as one
// line and the exit code is 1. C++ exceptions work. What is printed is delivered at once.
//
// One trap: with clang 22, a try block with co_await in it must not stand in a loop of the same
// coroutine (the compiler crashes): use attempt().

#include <capnp/capability.h>
#include <kj/async-io.h>
#include <kj/function.h>
#include <kj/one-of.h>
#include <kj/timer.h>

namespace ww {

class Guest {
 public:
  Guest(int argc, char** argv);
  ~Guest() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Guest);

  // The capability that the host offers this guest: pid0 a Membrane, any other cell a Host.
  template <typename Interface>
  typename Interface::Client bootstrap() { return bootstrapAny().castAs<Interface>(); }

  // As given, without a program's name.
  kj::ArrayPtr<const kj::StringPtr> args() const { return arguments; }
  kj::Maybe<kj::StringPtr> findEnv(kj::StringPtr name) const;

  kj::AsyncInputStream& input();  // stdin
  kj::Timer& timer();
  kj::WaitScope& waitScope();

  // Resolves when the host is gone.
  kj::Promise<void> onDisconnect();

  // The exit code for when the body has ended.
  void exitWith(int code) { exitCode = code; }
  int getExitCode() const { return exitCode; }

 private:
  struct Impl;
  kj::Own<Impl> impl;
  kj::Array<kj::StringPtr> arguments;
  int exitCode = 0;

  capnp::Capability::Client bootstrapAny();
};

// Runs `body` in an event loop with a connection to the host until its promise is done. Returns the
// exit code.
int runGuest(int argc, char** argv, kj::FunctionParam<kj::Promise<void>(Guest&)> body);

// Writes to stdout or stderr; returns when the host has it all.
void print(kj::StringPtr text);
void printError(kj::StringPtr text);

// The outcome of `promise` as a value.
template <typename T>
kj::Promise<kj::OneOf<T, kj::Exception>> attempt(kj::Promise<T>&& promise) {
  using Outcome = kj::OneOf<T, kj::Exception>;
  return promise.then([](T&& value) -> Outcome { return kj::mv(value); },
                      [](kj::Exception&& exception) -> Outcome { return kj::mv(exception); });
}

// The same where there is no value: nothing, or why it failed.
inline kj::Promise<kj::Maybe<kj::Exception>> attempt(kj::Promise<void>&& promise) {
  return promise.then([]() -> kj::Maybe<kj::Exception> { return nullptr; },
                      [](kj::Exception&& e) -> kj::Maybe<kj::Exception> { return kj::mv(e); });
}

// A failure's reason, without the `remote exception: ` that Cap'n Proto puts in front.
kj::StringPtr reason(const kj::Exception& exception);

}  // namespace ww

// Followed by a coroutine's body.
#define WW_GUEST_MAIN(guest)                                                            \
  static ::kj::Promise<void> wwGuestMain(::ww::Guest& guest);                           \
  int main(int argc, char** argv) { return ::ww::runGuest(argc, argv, wwGuestMain); }   \
  static ::kj::Promise<void> wwGuestMain(::ww::Guest& guest)
