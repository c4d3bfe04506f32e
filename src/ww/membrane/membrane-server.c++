#include <ww/membrane/membrane-server.h>

#include <kj/list.h>
#include <ww/base/error.h>
#include <ww/base/recycled.h>
#include <ww/membrane/epoch-policy.h>
#include <ww/membrane/status-poller.h>

namespace ww {

// The sessions that somebody holds. May outlive the Membrane that made them.
class MembraneServer::Register final: public kj::Refcounted {
 public:
  // One session's place, which its lease keeps.
  class Entry: public Recycled<Entry> {
   public:
    Entry(kj::Own<Register> owner, const Lease& lease): owner(kj::mv(owner)), lease(lease) {
      this->owner->entries.add(*this);
    }
    ~Entry() noexcept(false) { owner->entries.remove(*this); }
    KJ_DISALLOW_COPY_AND_MOVE(Entry);

   private:
    friend class Register;
    kj::Own<Register> owner;
    const Lease& lease;
    kj::ListLink<Entry> link;
  };

  void add(Lease& lease) { lease.attach(kj::heap<Entry>(kj::addRef(*this), lease)); }

  size_t countHeld() const { return entries.size(); }
  size_t countStanding() const {
    size_t count = 0;
    for (auto& entry: entries) count += entry.lease.stands();
    return count;
  }

 private:
  kj::List<Entry, &Entry::link> entries;
};

namespace {

constexpr kj::StringPtr SESSIONS = "sessions"_kj;

kj::Exception nodeEnded() { return ended("the node is shutting down"); }

}  // namespace

void GraftGate::close() {
  closed = true;
  grafts.cancel(nodeEnded());
}

void GraftGate::requireImage() {
  KJ_IF_MAYBE(why, whyPending) {
    bool isReady = readySeq.map([&](uint64_t seq) { return seq == heads.seq(); }).orDefault(false);
    if (isReady || heads.findClosed() != nullptr) return;
    kj::throwFatalException(failure(EPOCH_PENDING, (*why)()));
  }
}

MembraneServer::MembraneServer(GraftGate& gate, GraftPolicy& policy, Offer offer,
                               SessionLimits limits, OnRefused onRefused)
    : gate(kj::addRef(gate)), policy(policy), offer(kj::mv(offer)), limits(limits),
      onRefused(kj::mv(onRefused)), sessions(kj::refcounted<Register>()) {}

MembraneServer::~MembraneServer() noexcept(false) {}

void MembraneServer::refuse(kj::StringPtr name, size_t limit, kj::StringPtr why) {
  onRefused(name, limit);
  kj::throwFatalException(overloaded(kj::str(name, ": ", limit, ' ', why)));
}

void MembraneServer::requireRoom() {
  auto held = sessions->countHeld();
  if (held >= limits.held) {
    refuse(SESSIONS, limits.held, "are held, ended ones among them; drop some first");
  }
  if (held >= limits.standing && sessions->countStanding() >= limits.standing) {
    refuse(SESSIONS, limits.standing, "are held; drop some first");
  }
}

capnp::Capability::Server::DispatchCallResult MembraneServer::dispatchCall(
    uint64_t interfaceId, uint16_t methodId,
    capnp::CallContext<capnp::AnyPointer, capnp::AnyPointer> context) {
  if (interfaceId != capnp::typeId<peer::Host>()) {
    return Server::dispatchCall(interfaceId, methodId, context);
  }
  kj::Exception notAHost(kj::Exception::Type::UNIMPLEMENTED, __FILE__, __LINE__, kj::str(
      "this guest takes what it was handed for a Host, and it is a Membrane: `ww exec` runs it "
      "with a Host, on a node that runs; an image's main.wasm has a Membrane "
      "(capnp/stem.capnp)"));
  return {kj::mv(notAHost), false, true};
}

kj::Promise<void> MembraneServer::graft(GraftContext context) {
  if (gate->closed) return nodeEnded();
  requireRoom();
  gate->requireImage();
  KJ_IF_MAYBE(admission, policy.findOpen()) {
    answer(context, *admission);
    return kj::READY_NOW;
  }
  return gate->grafts.wrap(graftThroughGate(context));
}

kj::Promise<void> MembraneServer::graftThroughGate(GraftContext context) {
  auto params = context.getParams();
  kj::Maybe<stem::Signer::Client> signer;
  if (params.hasSigner()) signer = params.getSigner();
  if (pending >= limits.pending) refuse("grafts", limits.pending, "are pending");
  ++pending;
  KJ_DEFER(--pending);
  auto admission = co_await policy.admit(kj::mv(signer), gate->heads.seq());
  requireRoom();
  gate->requireImage();
  answer(context, admission);
}

// In one turn: the session is of the epoch that is current now.
void MembraneServer::answer(GraftContext& context, Admission& admission) {
  auto lease = gate->heads.issue();
  auto key = admission.findKey().map([](const AllowedKey& k) { return k; });
  admission.bind(*lease);
  lease->check();
  sessions->add(*lease);
  kj::Maybe<const AllowedKey&> holder;
  KJ_IF_MAYBE(k, key) holder = *k;
  auto offered = offer(*lease, holder);
  auto wrap = kj::refcounted<EpochPolicy>(kj::addRef(*lease));

  auto& issued = lease->issued();
  auto session = context.getResults(capnp::MessageSize{64 + issued.head.size() / 8, 4})
      .initSession();
  auto epoch = session.initIssuedEpoch();
  epoch.setSeq(issued.seq);
  epoch.setHead(issued.head);
  epoch.setAdoptedBlock(issued.adoptedBlock);
  stem::StatusPoller::Client poller = kj::heap<StatusPollerServer>(*lease);
  session.setStatusPoller(capnp::membrane(kj::mv(poller), kj::addRef(*wrap)));
  auto extension = session.initExtension();
  extension.setHost(capnp::membrane(kj::mv(offered.host), kj::addRef(*wrap)));
  extension.setExecutor(capnp::membrane(kj::mv(offered.executor), kj::addRef(*wrap)));
  KJ_IF_MAYBE(node, offered.node) {
    extension.setNode(capnp::membrane(kj::mv(*node), kj::addRef(*wrap)));
  }
}

}  // namespace ww
