#pragma once
// The commands that ask a node what it knows, or tell it something: `ww ps`, `kill`, `logs`,
// `inspect`, `caps` and `peer ...`. Each grafts a session, and asks within its rights.

#include <ww/cli/options.h>

namespace ww {

int ask(const AskOptions& options);

}  // namespace ww
