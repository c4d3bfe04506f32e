#pragma once
// The node's identity in its data folder: made on first use, readable by its user only.

#include <ww/net/identity.h>

namespace ww {

// Reads `folder`/identity.key, or makes it with mode 0600. The file appears whole or not at all, so
// that a kill at any moment leaves nothing that breaks the next start; of two processes that make
// it at the same time both get the same. Throws, naming the file and what to do, when it is damaged
// or when others may read it.
Identity loadOrMakeIdentity(kj::StringPtr folder);

// The same of a file that is there. Throws, naming it and what to do, if it is not.
Identity readIdentity(kj::StringPtr path);

// A new one in a new file, with mode 0600. Throws, naming it, if the file is there already.
Identity makeIdentityFile(kj::StringPtr path);

}  // namespace ww
