#pragma once
// Splits a line into words as a POSIX shell quotes them: 'literal', "with \" and \\ escaped", and
// \x outside of quotes. Nothing is expanded.

#include <kj/one-of.h>
#include <kj/string.h>

namespace ww {

// The words, or what is wrong with the line.
kj::OneOf<kj::Array<kj::String>, kj::StringPtr> splitWords(kj::StringPtr line);

}  // namespace ww
