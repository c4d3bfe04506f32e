#pragma once
// Whose grafts a node takes, as its operator wrote it: keys on the command line, and a file of them
// that is read again when it changes.

#include <kj/async-io.h>
#include <kj/one-of.h>
#include <ww/base/log.h>
#include <ww/membrane/allowed-keys.h>
#include <ww/membrane/signed-graft-policy.h>

namespace ww {

// `KEY` or `KEY,node`: an Ed25519 peer id in base58, as `ww keygen` prints it. Or what is wrong.
kj::OneOf<AllowedKey, kj::String> parseAllowedKey(kj::StringPtr text);

class AllowList final {
 public:
  // `words` are always in the list. `file`, a key a line, may come and go: without it, nobody is
  // added. Empty lines and those that begin with # say nothing; a wrong one is logged and says
  // nothing either. Throws for a wrong word. References outlive it.
  AllowList(kj::ArrayPtr<const kj::String> words, kj::Maybe<kj::StringPtr> file,
            AllowedKeys& keys, Logger& logger);
  KJ_DISALLOW_COPY_AND_MOVE(AllowList);

  // Reads the file again at each change. Never resolves.
  kj::Promise<void> follow(kj::LowLevelAsyncIoProvider& io);

 private:
  void read();
  bool watchPath(int watch);

  kj::Vector<AllowedKey> fixed;
  kj::Maybe<kj::String> lastText;  // none: there was no file, or it was not read yet
  bool wasRead = false;
  kj::Maybe<kj::String> path;
  AllowedKeys& keys;
  Logger& logger;
};

}  // namespace ww
