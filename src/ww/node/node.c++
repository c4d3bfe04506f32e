#include <ww/node/node.h>

#include <ww/membrane/epoch-policy.h>

namespace ww {

// One session's making of things: its Host and Executor, and those of the cells that it starts.
class Node::Session final: public ChildBootstrap {
 public:
  Session(Node& node, DialCount& dials): node(node), dials(kj::addRef(dials)) {}

  SessionOffer makeOffer(Lease& lease, CellGroup& group) {
    peer::Executor::Client executor =
        kj::heap<ExecutorServer>(lease, node.parts(), group, *this);
    peer::Host::Client host = kj::heap<HostServer>(lease, node.swarm, *dials, executor);
    return {kj::mv(host), kj::mv(executor)};
  }

  capnp::Capability::Client serveChild(Lease& lease, CellGroup& children) override {
    return bindToLease<peer::Host>(lease, makeOffer(lease, children).host);
  }

 private:
  Node& node;
  kj::Own<DialCount> dials;
};

Node::Node(NodeOptions options, kj::Timer& timer, kj::WaitScope& waitScope, HeadSource& source,
           Swarm& swarm, Logger& logger, kj::Maybe<kj::Own<Store>> codeStore)
    : options(options), timer(timer), swarm(swarm), logger(logger), heads(source),
      engine(options.engine, timer, waitScope),
      threadCompiler(engine, codeStore.map([&](kj::Own<Store>& store) {
        return kj::heap<ffi::CodeStore>(kj::mv(store), engine.getHandle());
      })),
      compiler(threadCompiler), root(kj::refcounted<CellGroup>()),
      gate(kj::refcounted<GraftGate>(heads)), tasks(*this) {
  tasks.add(followHead());
}

Node::~Node() noexcept(false) {
  gate->close();
  root->end();
}

CellParts Node::parts() { return {engine, compiler, timer, logger, options.cell}; }

kj::Promise<kj::Own<Cell>> Node::boot(kj::Array<const kj::byte> wasm, kj::Array<kj::String> args,
                                      kj::Array<kj::String> env) {
  auto builder = kj::heap<CellBuilder>(parts());
  builder->args(kj::mv(args));
  builder->env(kj::mv(env));
  builder->bootstrap([this](CellGroup& children) {
    return serveMembrane(children, {openGraft, options.dial});
  });
  auto& ref = *builder;
  return ref.start(kj::mv(wasm), kj::addRef(*root)).attach(kj::mv(builder));
}

stem::Membrane<membrane::WetwareSession>::Client Node::openMembrane() {
  return serveMembrane(*root, {openGraft, options.dial});
}

stem::Membrane<membrane::WetwareSession>::Client Node::serveMembrane(CellGroup& owner,
                                                                     MembraneParts parts) {
  // Its owner's dials are counted over all of its sessions: a new graft makes no new room.
  auto& policy = parts.policy;
  auto limits = parts.limits;
  auto dials = kj::refcounted<DialCount>(parts.dial, timer);
  return kj::heap<MembraneServer>(*gate, policy,
      [this, group = kj::addRef(owner), dials = kj::mv(dials),
       onSession = kj::mv(parts.onSession)](Lease& lease, kj::Maybe<const AllowedKey&>) mutable {
    onSession(lease);
    return offer(lease, *group, *dials);
  }, limits);
}

SessionOffer Node::offer(Lease& lease, CellGroup& owner, DialCount& dials) {
  auto group = owner.makeSubgroup();
  tasks.add(endWithLease(lease.onEnded(), kj::addRef(*group)));
  return kj::refcounted<Session>(*this, dials)->makeOffer(lease, *group);
}

kj::Promise<void> Node::endWithLease(kj::Promise<void> leaseEnded, kj::Own<CellGroup> group) {
  // Dropped without an end, there is no cell of it either: each holds a capability on the lease.
  bool dropped =
      co_await leaseEnded.then([]() { return false; }, [](kj::Exception&&) { return true; });
  if (!dropped && group->size() > 0) co_await timer.afterDelay(options.grace);
  group->end();
}

kj::Promise<void> Node::followHead() {
  return heads.follow().exclusiveJoin(logAdvances()).catch_([this](kj::Exception&& exception) {
    // The node goes on in the epoch that it has.
    logger.log(LogLevel::ERROR, "the head is followed no longer",
               {{"cause", kj::str(exception.getDescription())}});
  });
}

kj::Promise<void> Node::logAdvances() {
  for (;;) {
    auto seq = heads.seq();
    co_await heads.onAdvance(seq);
    logger.log(LogLevel::INFO, "the epoch moved",
               {{"from", kj::str(seq)}, {"to", kj::str(heads.seq())}});
  }
}

void Node::taskFailed(kj::Exception&& exception) {
  logger.log(LogLevel::ERROR, "a task of the node failed",
             {{"cause", kj::str(exception.getDescription())}});
}

}  // namespace ww
