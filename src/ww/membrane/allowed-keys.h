#pragma once
// Whose grafts a node takes: Ed25519 public keys, each with its rights. The list can be replaced
// while the node runs, and what it no longer grants is revoked in that same call: sessions of a key
// that is gone, and sessions admitted with a right that their key has lost.
//
// Lives on one event loop. Leases may outlive it: its end finishes those with `ended:`.

#include <kj/array.h>
#include <kj/list.h>
#include <ww/base/ed25519.h>
#include <ww/epoch/lease.h>

namespace ww {

struct AllowedKey {
  PublicKey key;
  bool node = false;  // may act on the node itself, beyond a session of its own
};

class AllowedKeys final {
 public:
  // One admission, registered until it is dropped: a key removed before there is a lease is not
  // missed.
  class Hold {
   public:
    Hold(AllowedKeys& owner, AllowedKey admitted);
    ~Hold() noexcept(false);
    KJ_DISALLOW_COPY_AND_MOVE(Hold);

    // As the list had it on admission.
    const AllowedKey& key() const { return admitted; }

    // `lease` ends with the admission, at once if that has passed. It owns the hold from here on.
    static void bind(kj::Own<Hold> hold, Lease& lease);

   private:
    friend class AllowedKeys;
    void checkAgainst(const AllowedKeys& list);
    void end();

    kj::Maybe<AllowedKeys&> owner;  // while it lists this hold
    const AllowedKey admitted;
    kj::StringPtr reason;  // of its end, once it stands no more
    bool stands = true;
    kj::Maybe<Lease&> lease;  // which owns this hold
    kj::ListLink<Hold> link;
  };

  AllowedKeys() = default;  // nobody
  explicit AllowedKeys(kj::Array<AllowedKey> keys): keys(kj::mv(keys)) {}
  ~AllowedKeys() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(AllowedKeys);

  // Replaces the list. A key that is in it twice has the rights of both. A right that a key gains
  // is for grafts to come.
  void set(kj::Array<AllowedKey> keys);

  // The key with its rights, or nothing if it is not in the list. Compares with the whole list, in
  // time that depends on its length only.
  kj::Maybe<AllowedKey> find(const PublicKey& key) const;

  kj::Own<Hold> hold(AllowedKey admitted) { return kj::heap<Hold>(*this, admitted); }
  size_t holdCount() const { return holds.size(); }

 private:
  kj::Array<AllowedKey> keys;
  kj::List<Hold, &Hold::link> holds;
};

}  // namespace ww
