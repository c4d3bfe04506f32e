#include <ww/base/error.h>

#include <kj/debug.h>
#include <kj/test.h>
#include <unistd.h>

namespace ww {
namespace {

using Type = kj::Exception::Type;

KJ_TEST("prefix and type are what the contract says") {
  struct {
    kj::Exception exception;
    Type type;
    kj::StringPtr description;
  } cases[] = {{failure("staleEpoch", "issued 1, current 2"), Type::FAILED,
                "staleEpoch: issued 1, current 2"},
               {badInput("no such thing"), Type::FAILED, "no such thing"},
               {ended("the node is gone"), Type::FAILED, "ended: the node is gone"},
               {denied("not you"), Type::FAILED, "denied: not you"},
               {unauthorized("no signer"), Type::FAILED, "unauthorized: no signer"},
               {overloaded("calls"), Type::OVERLOADED, "overloaded: calls"}};
  for (auto& c: cases) {
    KJ_EXPECT(c.exception.getType() == c.type, c.description);
    KJ_EXPECT(c.exception.getDescription() == c.description, c.exception.getDescription());
  }
}

KJ_TEST("what the system said is told without the call that it said it to") {
  auto exception = kj::runCatchingExceptions([]() {
    int fd = -1;
    KJ_SYSCALL(write(fd, "x", 1), fd, "what is beside the point");
  });
  KJ_EXPECT(systemReason(KJ_ASSERT_NONNULL(exception)) == "Bad file descriptor");
  KJ_EXPECT(systemReason(badInput("no such thing")) == "no such thing");
}

}  // namespace
}  // namespace ww
