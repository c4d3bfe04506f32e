#pragma once
// Who may graft: what a MembraneServer asks before it issues a lease.

#include <stem.capnp.h>
#include <ww/membrane/allowed-keys.h>

namespace ww {

// That somebody may graft, and on what that hangs. Good for one lease.
class Admission {
 public:
  // Nobody in particular, in any epoch.
  Admission() = default;

  // The holder of a key, who proved it for this epoch.
  Admission(kj::Own<AllowedKeys::Hold> hold, uint64_t epochSeq)
      : hold(kj::mv(hold)), epochSeq(epochSeq) {}

  // Nothing after bind().
  kj::Maybe<const AllowedKey&> findKey() const {
    return hold.map([](const kj::Own<AllowedKeys::Hold>& h) -> const AllowedKey& {
      return h->key();
    });
  }

  // Throws `unauthorized:` if it was given for another epoch than the lease's. Otherwise what
  // withdraws the admission ends the lease from now on; it may have been withdrawn already.
  void bind(Lease& lease);

 private:
  kj::Maybe<kj::Own<AllowedKeys::Hold>> hold;
  kj::Maybe<uint64_t> epochSeq;
};

class GraftPolicy {
 public:
  virtual ~GraftPolicy() noexcept(false) {}

  // Resolves to admit the caller, who may have given no signer. Rejects with `unauthorized:` to
  // refuse. `epochSeq` is that of the epoch current now. It may take its time: the session is of
  // the epoch current afterwards, and an Admission for an earlier one is void.
  virtual kj::Promise<Admission> admit(kj::Maybe<stem::Signer::Client> signer,
                                       uint64_t epochSeq) = 0;

  // Asked first: the admission of whoever is admitted without a question.
  virtual kj::Maybe<Admission> findOpen() { return nullptr; }
};

// Everybody: whoever holds the Membrane was given it on purpose.
class OpenGraftPolicy final: public GraftPolicy {
 public:
  kj::Promise<Admission> admit(kj::Maybe<stem::Signer::Client>, uint64_t) override {
    return Admission();
  }
  kj::Maybe<Admission> findOpen() override { return Admission(); }
};

}  // namespace ww
