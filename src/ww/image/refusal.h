#pragma once
// What is wrong with content itself. It is the same whoever has it, and at every other time: to ask
// again is in vain, as it is not where a block cannot be had or a disk is full.

#include <kj/exception.h>
#include <kj/string.h>

namespace ww {

// For a person; of type FAILED.
kj::Exception contentProblem(kj::StringPtr why);

// Whether it is one, whatever was put in front of its words. Not of one that crossed RPC.
bool isContentProblem(const kj::Exception& exception);

}  // namespace ww
