#pragma once
// Values that crossed the Rust fence, as KJ values. For the files of this room only, like
// <ww_engine.h> itself.

#include <kj/array.h>
#include <kj/exception.h>
#include <kj/string.h>
#include <ww_engine.h>

namespace ww::ffi {

inline WwSlice slice(kj::ArrayPtr<const kj::byte> bytes) { return { bytes.begin(), bytes.size() }; }
inline WwSlice slice(kj::StringPtr text) { return slice(text.asBytes()); }

// Takes what the other side gave, as text.
kj::String takeText(WwBytes bytes);

// Takes the error that a call reported. Its kind can be asked for later: isComponentProblem().
kj::Exception takeError(WwError& error);

}  // namespace ww::ffi
