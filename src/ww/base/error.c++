#include <ww/base/error.h>

namespace ww {

kj::Exception failure(kj::StringPtr prefix, kj::StringPtr text) {
  return badInput(kj::str(prefix, ": ", text));
}

kj::Exception badInput(kj::StringPtr text) {
  return kj::Exception(kj::Exception::Type::FAILED, __FILE__, __LINE__, kj::str(text));
}

kj::Exception ended(kj::StringPtr text) { return failure("ended", text); }
kj::Exception denied(kj::StringPtr text) { return failure("denied", text); }
kj::Exception unauthorized(kj::StringPtr text) { return failure("unauthorized", text); }

kj::Exception overloaded(kj::StringPtr limit) {
  return kj::Exception(kj::Exception::Type::OVERLOADED, __FILE__, __LINE__,
      kj::str("overloaded: ", limit));
}

}  // namespace ww
