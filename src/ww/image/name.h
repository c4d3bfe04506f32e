#pragma once
// Names in an image: what one may be, and which two are too much alike.

#include <kj/string.h>
#include <kj/vector.h>

namespace ww {

constexpr size_t MAX_NAME_BYTES = 255;

// Of one file or directory: not empty, `.` or `..`, no `/` or NUL in it, UTF-8, no longer than
// MAX_NAME_BYTES. Throws otherwise; `in` is the directory's path, for the words of the refusal.
void requireName(kj::StringPtr in, kj::ArrayPtr<const char> name);

// `in` and `name` with a `/` between, where there is an `in`.
kj::String joinPath(kj::StringPtr in, kj::StringPtr name);

// Throws where two of them are one, or differ in case alone: on many a host they are one file.
void requireDistinct(kj::StringPtr in, kj::ArrayPtr<const kj::StringPtr> names);

}  // namespace ww
