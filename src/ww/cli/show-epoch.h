#pragma once
// A node's epoch as `ww epoch` prints it: `json`, else for people. Ends with a newline.

#include <kj/string.h>
#include <node.capnp.h>

namespace ww {

kj::String showEpoch(node::EpochInfo::Reader info, bool json);

}  // namespace ww
