#pragma once
// Whose grafts a node takes, as its operator wrote it: keys on the command line, and a file of them
// that is read again when it changes.

#include <kj/async-io.h>
#include <kj/one-of.h>
#include <kj/timer.h>
#include <ww/base/log.h>
#include <ww/membrane/allowed-keys.h>
#include <ww/membrane/signed-graft-policy.h>

struct inotify_event;

namespace ww {

// `KEY` or `KEY,node`: an Ed25519 peer id in base58, as `ww keygen` prints it. Or what is wrong.
kj::OneOf<AllowedKey, kj::String> parseAllowedKey(kj::StringPtr text);

class AllowList final {
 public:
  // `words` are always in the list. `file`, a key a line, may come and go: without it, nobody is
  // added, nor by one above 1 MiB. Empty lines and those that begin with # say nothing; a wrong one
  // is logged and says nothing either. Throws for a wrong word. References outlive it.
  AllowList(kj::ArrayPtr<const kj::String> words, kj::Maybe<kj::StringPtr> file,
            AllowedKeys& keys, Logger& logger);
  KJ_DISALLOW_COPY_AND_MOVE(AllowList);

  // Reads the file again at each change: when its writer closes it or another takes its place. What
  // no event tells is seen by looking every LOOK, and read when it looked the same twice; one that
  // is changed without being closed, or again and again, after PATIENCE looks. Never resolves.
  kj::Promise<void> follow(kj::LowLevelAsyncIoProvider& io, kj::Timer& timer);

 private:
  static constexpr kj::Duration LOOK = 3 * kj::SECONDS;
  static constexpr kj::uint PATIENCE = 10;

  // What a file looks like from outside. None: all zero.
  struct Stamp {
    uint64_t device = 0, inode = 0, size = 0, modifiedNs = 0, changedNs = 0;
    bool operator==(const Stamp&) const = default;
    static Stamp of(kj::StringPtr path);
  };

  void read();
  void readLines(kj::StringPtr text, kj::Vector<AllowedKey>& to);
  bool watchPath(int watch);
  bool isNamed(const inotify_event& event) const;
  bool isDone(const inotify_event& event) const;
  kj::Promise<void> lookOnly(kj::Timer& timer);
  kj::Promise<void> change(kj::AsyncInputStream& changes, kj::Timer& timer);

  kj::Vector<AllowedKey> fixed;
  kj::Maybe<kj::String> lastText;  // none: there was no file, or it was not read yet
  bool wasRead = false;
  Stamp seen;                      // of the file that was read
  kj::Maybe<kj::String> path;
  kj::Vector<kj::String> names;  // of the file and of the links that lead to it
  AllowedKeys& keys;
  Logger& logger;
};

}  // namespace ww
