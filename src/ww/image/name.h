#pragma once
// Names in an image: what one may be, and which two are too much alike.

#include <kj/string.h>
#include <kj/vector.h>

namespace ww {

constexpr size_t MAX_NAME_BYTES = 255;

// What is wrong with the name of one file or directory, if anything is: it is empty, `.` or `..`,
// has `/` or NUL in it, is not UTF-8, or is longer than MAX_NAME_BYTES.
kj::Maybe<kj::StringPtr> findNameProblem(kj::ArrayPtr<const char> name);

// Throws where there is one; `in` is the directory's path, for the words of the refusal.
void requireName(kj::StringPtr in, kj::ArrayPtr<const char> name);

// The last name of a path, and the path without it: empty, where there is one name alone.
kj::StringPtr nameIn(kj::StringPtr path);
kj::ArrayPtr<const char> parentOf(kj::StringPtr path);

// `in` and `name` with a `/` between, where there is an `in`.
kj::String joinPath(kj::StringPtr in, kj::StringPtr name);

// What names, or paths, have in common that differ in case alone: on many a host they are one file.
kj::String foldName(kj::StringPtr name);

struct FoldedName {
  explicit FoldedName(kj::StringPtr name): folded(foldName(name)), name(name) {}
  bool operator<(const FoldedName& other) const { return folded < other.folded; }

  kj::String folded;
  kj::StringPtr name;  // somebody else's
};

// Throws where two of them are one, or differ in case alone.
void requireDistinct(kj::StringPtr in, kj::ArrayPtr<const kj::StringPtr> names);
void requireDistinct(kj::StringPtr in, kj::ArrayPtr<const FoldedName> sorted);

}  // namespace ww
