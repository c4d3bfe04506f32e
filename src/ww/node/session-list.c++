#include <ww/node/session-list.h>

#include <kj/debug.h>

namespace ww {

SessionList::Entry::Entry(kj::Own<SessionList> owner, Lease& lease, kj::Own<CellGroup> group,
                          uint64_t id, Facts facts)
    : list(kj::mv(owner)), lease(lease), group(kj::mv(group)),
      origin(kj::atomicRefcounted<CellOrigin>(id, facts.key)), facts(kj::mv(facts)) {
  list->entries.add(*this);
}

SessionList::Entry::~Entry() noexcept(false) { list->entries.remove(*this); }

void SessionList::Entry::describe(node::SessionInfo::Builder info) const {
  info.setId(origin->session);
  auto& issued = lease.issued();
  auto epoch = info.initEpoch();
  epoch.setSeq(issued.seq);
  epoch.setHead(issued.head);
  epoch.setAdoptedBlock(issued.adoptedBlock);
  auto holder = info.getHolder();
  switch (facts.kind) {
    case HolderKind::CELL: holder.setCell(group->getParent()); break;
    case HolderKind::OWNER: holder.setOwner(); break;
    case HolderKind::KEY:
      holder.setKey(PeerId(KJ_ASSERT_NONNULL(facts.key)).asBytes());
      break;
  }
  info.setOrigin(facts.from);
  info.setHasNode(facts.hasNode);
  KJ_IF_MAYBE(end, lease.findEnd()) info.setEnded(end->getDescription());
  info.setDetached(detached);
}

SessionList::Entry& SessionList::add(Lease& lease, kj::Own<CellGroup> group, Facts facts) {
  auto entry = kj::heap<Entry>(kj::addRef(*this), lease, kj::mv(group), ++last, kj::mv(facts));
  auto& ref = *entry;
  lease.attach(kj::mv(entry));
  return ref;
}

void SessionList::describe(capnp::List<node::SessionInfo>::Builder list) const {
  kj::uint i = 0;
  for (auto& entry: entries) entry.describe(list[i++]);
}

}  // namespace ww
