#pragma once
// A file that a person names to have something written there.

#include <kj/async-io.h>
#include <kj/function.h>

namespace ww {

// What is at `path`, or where it leads to as a symbolic link:
// - nothing, or a plain file, whose place is taken whole: when `write`, which is given the stream,
//   has resolved, what it wrote is on the disk under that name, with the mode that what was there
//   had. A process that is killed meanwhile leaves `path`.part-NUMBER.
// - a FIFO or a character device, or standard output, which is `-`: it is written to as it is, and
//   waited for, by the whole thread.
//
// Rejects, naming it, where it is anything else (a terminal, a disk), is in the folder `kept`,
// which need not be there, or in what a link in that one leads to, or cannot be written.
kj::Promise<void> writeOutput(kj::StringPtr path, kj::StringPtr kept,
                              kj::Function<kj::Promise<void>(kj::AsyncOutputStream&)> write);

// Whether what is written there is what is on standard output.
bool isStandardOutput(kj::StringPtr path);

}  // namespace ww
