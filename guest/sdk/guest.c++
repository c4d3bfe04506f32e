#include "ww/guest.h"

#include <kj/debug.h>
#include <stdio.h>
#include <stdlib.h>
#include "ww/event-port.h"
#include "ww/host-link.h"
#include "ww/streams.h"

namespace ww {

struct Guest::Impl {
  EventPort port;
  kj::EventLoop loop{port};
  kj::WaitScope waitScope{loop};
  // Each only for a guest that wants it: a cell need not speak to its host, nor read its input.
  kj::Maybe<HostLink> link;
  kj::Maybe<InputStream> input;

  HostLink& getLink() {
    KJ_IF_MAYBE(existing, link) return *existing;
    return link.emplace(port);
  }
};

Guest::Guest(int argc, char** argv): impl(kj::heap<Impl>()) {
  arguments = KJ_MAP(arg, kj::arrayPtr(argv, argc)) -> kj::StringPtr { return arg; };
}
Guest::~Guest() noexcept(false) {}

capnp::Capability::Client Guest::bootstrapAny() { return impl->getLink().bootstrap(); }
kj::Promise<void> Guest::onDisconnect() { return impl->getLink().onDisconnect(); }
kj::Timer& Guest::timer() { return impl->port.timer(); }
kj::WaitScope& Guest::waitScope() { return impl->waitScope; }

kj::AsyncInputStream& Guest::input() {
  KJ_IF_MAYBE(existing, impl->input) return *existing;
  return impl->input.emplace(impl->port, wasi::ww_get_stdin());
}

kj::Maybe<kj::StringPtr> Guest::findEnv(kj::StringPtr name) const {
  auto value = getenv(name.cStr());
  if (value == nullptr) return nullptr;
  return kj::StringPtr(value);
}

kj::StringPtr reason(const kj::Exception& exception) {
  constexpr auto PREFIX = "remote exception: "_kj;
  auto text = exception.getDescription();
  while (text.startsWith(PREFIX)) text = text.slice(PREFIX.size());
  return text;
}

void print(kj::StringPtr text) { fwrite(text.begin(), 1, text.size(), stdout); }
void printError(kj::StringPtr text) { fwrite(text.begin(), 1, text.size(), stderr); }

int runGuest(int argc, char** argv, kj::FunctionParam<kj::Promise<void>(Guest&)> body) {
  int code = 1;
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() {
    Guest guest(argc, argv);
    kj::evalNow([&]() { return body(guest); }).wait(guest.waitScope());
    code = guest.getExitCode();
  })) {
    printError(kj::str(exception->getType(), ": ", reason(*exception), '\n'));
    code = 1;
  }
  return code;
}

}  // namespace ww
