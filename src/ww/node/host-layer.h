#pragma once
// A layer that is on the host: a folder, or a .wasm file, handed over to a TreeSink.
//
// A symbolic link within a folder stands for what it leads to, which must be within that folder
// too. Refused by name: a link that leads out of it, nowhere, or in a circle; whatever is neither a
// file nor a folder (devices, sockets, FIFOs), unopened; names that findPathProblem() finds fault
// with; more than the limits say.
//
// What the host changes meanwhile may be handed over as it was or as it becomes.

#include <kj/string.h>
#include <ww/image/tree.h>

namespace ww {

// Throws layerProblem(), and what the sink throws. Waits for the disk.
void readHostLayer(kj::StringPtr path, const TreeLimits& limits, TreeSink& sink);

// One component, as the whole of an image.
void readComponentLayer(kj::ArrayPtr<const kj::byte> wasm, TreeSink& sink);

}  // namespace ww
