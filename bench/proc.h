#pragma once
// What the kernel says of a process.

#include <kj/string.h>

namespace ww::bench {

double residentBytes(kj::StringPtr pid = "self");

// Of this process's linear memories: what is resident of mappings behind which at least a GiB is
// reserved, so that a guest's pointers with any offset stay within.
double linearBytes();

double processorSeconds();  // of this process, its threads together

}  // namespace ww::bench
