#pragma once
// `ww exec`: runs a component on a node, through a session there, and gives its exit code.
// `ww keygen`: makes the key that such a client proves itself with.

#include <ww/cli/options.h>

namespace ww {

int exec(const ExecOptions& options);
int keygen(const KeygenOptions& options);

}  // namespace ww
