#pragma once
// Text from outside: is it what it says it is, and how is it shown without letting it act.

#include <kj/array.h>
#include <kj/string.h>

namespace ww {

// Strictly: no overlong forms, no surrogates, nothing above U+10FFFF.
bool isUtf8(kj::ArrayPtr<const kj::byte> bytes);

// `text` with everything escaped that could end a line, command a terminal or make a line look like
// another (control characters, bytes that are not UTF-8, marks of direction, what is not seen), as
// \n, \t, \\ or \xHH.
kj::String escapeText(kj::StringPtr text);

// What comes before the last `/` of a path of the host: the folder that it is in.
kj::String folderOf(kj::StringPtr path);

// As much of what a person wrote as an error has to show of it.
kj::String shorten(kj::StringPtr text);

// `value` as a JSON string, with its quotes.
kj::String quoteJson(kj::StringPtr value);

}  // namespace ww
