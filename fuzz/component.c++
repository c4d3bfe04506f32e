// Whatever bytes are given to be run: they are refused, or run within their limits, and ended.
// The loader, the compiler and the engine are not instrumented: inputs are damaged blindly.
#include <kj/debug.h>
#include "cell-host.h"

namespace ww {
namespace {

Limits small() {
  Limits limits;
  limits.memoryBytes = 32 << 20;
  limits.cpu = 20 * kj::MILLISECONDS;
  limits.wall = 100 * kj::MILLISECONDS;
  return limits;
}

void run(CellHost& host, kj::ArrayPtr<const kj::byte> bytes) {
  auto group = kj::refcounted<CellGroup>();
  CellBuilder builder(host.parts(small()));
  kj::runCatchingExceptions([&]() {
    auto cell = builder.start(kj::heapArray<const kj::byte>(bytes), kj::addRef(*group))
        .wait(host.waitScope);
    cell->wait().wait(host.waitScope);
  });
  group->end();
  group = nullptr;
  host.settle();
}

}  // namespace
}  // namespace ww

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto& host = *new ww::CellHost();
  ww::run(host, kj::arrayPtr(data, size));
  return 0;
}
