#include <ww/base/error.h>

namespace ww {

kj::Exception failure(kj::StringPtr prefix, kj::StringPtr text) {
  return badInput(kj::str(prefix, ": ", text));
}

kj::Exception badInput(kj::StringPtr text) {
  return kj::Exception(kj::Exception::Type::FAILED, __FILE__, __LINE__, kj::str(text));
}

kj::Exception late(kj::StringPtr text) {
  return kj::Exception(kj::Exception::Type::OVERLOADED, __FILE__, __LINE__, kj::str(text));
}

kj::Exception ended(kj::StringPtr text) { return failure("ended", text); }
kj::Exception denied(kj::StringPtr text) { return failure("denied", text); }
kj::Exception unauthorized(kj::StringPtr text) { return failure("unauthorized", text); }

kj::String systemReason(const kj::Exception& exception) {
  // write(fd, pos, size): No space left on device; fd = 1
  auto text = exception.getDescription();
  size_t begin = 0;
  for (size_t i = 0; i + 3 < text.size() && begin == 0; i++) {
    if (text.slice(i).startsWith("): ")) begin = i + 3;
  }
  auto end = text.slice(begin).findFirst(';').orDefault(text.size() - begin);
  return kj::str(text.slice(begin, begin + end));
}

kj::Exception overloaded(kj::StringPtr limit) {
  return kj::Exception(kj::Exception::Type::OVERLOADED, __FILE__, __LINE__,
      kj::str("overloaded: ", limit));
}

kj::Maybe<kj::String> findLimit(const kj::Exception& exception) {
  constexpr auto PREFIX = "overloaded: "_kj;
  auto text = exception.getDescription();
  if (exception.getType() != kj::Exception::Type::OVERLOADED || !text.startsWith(PREFIX)) {
    return nullptr;
  }
  auto rest = text.slice(PREFIX.size());
  return kj::str(rest.slice(0, rest.findFirst(':').orDefault(rest.size())));
}

kj::Exception inOwnWords(kj::Exception&& exception) {
  constexpr auto PREFIX = "remote exception: "_kj;
  auto text = exception.getDescription();
  if (!text.startsWith(PREFIX)) return kj::mv(exception);
  return kj::Exception(exception.getType(), exception.getFile(), exception.getLine(),
                       kj::str(text.slice(PREFIX.size())));
}

}  // namespace ww
