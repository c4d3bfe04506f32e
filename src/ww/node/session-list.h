#pragma once
// Who holds what: every session of a node of which somebody holds something, with whose it is and
// the cells that it started.
//
// One event loop. An entry lives as long as its session's lease; the list may go before.

#include <kj/list.h>
#include <node.capnp.h>
#include <ww/base/recycled.h>
#include <ww/cell/cell-list.h>
#include <ww/cell/cell-group.h>
#include <ww/epoch/lease.h>
#include <ww/net/peer-id.h>

namespace ww {

// To whom a Membrane was given. A client proves its key at each graft.
enum class HolderKind { CELL, OWNER, KEY };

class SessionList final: public kj::Refcounted {
 public:
  struct Facts {
    HolderKind kind;
    kj::Maybe<PublicKey> key;  // of a client's
    kj::String from;           // the link that it came by, for a person; may be empty
    bool hasNode = false;
  };

  class Entry: public Recycled<Entry> {
   public:
    Entry(kj::Own<SessionList> list, Lease& lease, kj::Own<CellGroup> group, uint64_t id,
          Facts facts);
    ~Entry() noexcept(false);
    KJ_DISALLOW_COPY_AND_MOVE(Entry);

    Lease& getLease() { return lease; }
    CellGroup& getGroup() { return *group; }
    const CellOrigin& getOrigin() { return *origin; }
    void describe(node::SessionInfo::Builder info) const;

    // Its link is gone, and it stands for its detached cells alone.
    void setDetached() { detached = true; }

   private:
    friend class SessionList;
    kj::Own<SessionList> list;
    Lease& lease;  // which owns this
    kj::Own<CellGroup> group;
    kj::Own<const CellOrigin> origin;
    const Facts facts;
    bool detached = false;
    kj::ListLink<Entry> link;
  };

  // An entry that `lease` owns.
  Entry& add(Lease& lease, kj::Own<CellGroup> group, Facts facts);

  size_t size() const { return entries.size(); }
  void describe(capnp::List<node::SessionInfo>::Builder list) const;

 private:
  uint64_t last = 0;
  kj::List<Entry, &Entry::link> entries;  // in the order of their grafts
};

}  // namespace ww
