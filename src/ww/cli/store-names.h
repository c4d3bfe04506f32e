#pragma once
// Images that a person calls by the names that the store has for them.

#include <kj/string.h>
#include <kj/vector.h>
#include <ww/base/log.h>

namespace ww {

// Where the images of a data folder are kept.
kj::String storeFolder(kj::StringPtr dataDir);

// Whether there is a store in it: to look makes none. True where that cannot be told, too.
bool hasStore(kj::StringPtr folder);

// What a person means by IMAGE: /ipfs/CID for a name of the store, and else the text itself. What
// is on the disk under that path comes before a name. Throws noImage() where it is neither, and
// where it begins like content and is none.
kj::String resolveImage(kj::StringPtr image, kj::StringPtr dataDir, Logger& logger);

// Likewise for each.
void resolveLayers(kj::Vector<kj::String>& layers, kj::StringPtr dataDir, Logger& logger);

}  // namespace ww
