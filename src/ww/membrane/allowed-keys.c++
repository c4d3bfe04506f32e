#include <ww/membrane/allowed-keys.h>

namespace ww {

AllowedKeys::Hold::Hold(AllowedKeys& owner, AllowedKey admitted)
    : owner(owner), admitted(admitted) {
  owner.holds.add(*this);
}

AllowedKeys::Hold::~Hold() noexcept(false) {
  KJ_IF_MAYBE(o, owner) o->holds.remove(*this);
}

void AllowedKeys::Hold::bind(kj::Own<Hold> hold, Lease& lease) {
  auto& self = *hold;
  self.lease = lease;
  lease.attach(kj::mv(hold));
  if (!self.stands) self.end();
}

void AllowedKeys::Hold::checkAgainst(const AllowedKeys& list) {
  reason = "this key is no longer allowed"_kj;
  KJ_IF_MAYBE(now, list.find(admitted.key)) {
    if (now->node || !admitted.node) return;
    reason = "this key is still allowed, but no longer with ,node"_kj;
  }
  stands = false;
  end();
}

void AllowedKeys::Hold::end() {
  KJ_IF_MAYBE(l, lease) {
    if (owner == nullptr) {
      l->finish("the node is shutting down");
    } else {
      l->revoke(reason);
    }
  }
}

AllowedKeys::~AllowedKeys() noexcept(false) {
  while (!holds.empty()) {
    auto& hold = holds.front();
    holds.remove(hold);
    hold.owner = nullptr;
    hold.stands = false;
    hold.end();
  }
}

void AllowedKeys::set(kj::Array<AllowedKey> replacement) {
  keys = kj::mv(replacement);
  // Ending a lease runs nobody's code before the next event.
  for (auto& hold: holds) hold.checkAgainst(*this);
}

kj::Maybe<AllowedKey> AllowedKeys::find(const PublicKey& key) const {
  bool found = false;
  AllowedKey result{key, false};
  for (auto& entry: keys) {
    bool same = equalInConstantTime(entry.key, key);
    found |= same;
    result.node |= same & entry.node;
  }
  if (!found) return nullptr;
  return result;
}

}  // namespace ww
