#pragma once
// Where a node keeps what it keeps.

#include <kj/string.h>

namespace ww {

// What was asked for, else $XDG_DATA_HOME/ww, else ~/.local/share/ww. Throws where there is no
// home.
kj::String dataDir(const kj::Maybe<kj::String>& asked);

}  // namespace ww
