#include <ww/node/node.h>

#include <kj/encoding.h>
#include <ww/base/error.h>
#include <ww/base/recycled.h>
#include <ww/membrane/epoch-policy.h>
#include <ww/net/far-host-server.h>
#include <ww/node/node-server.h>

namespace ww {
namespace {

constexpr kj::StringPtr LINK_GONE = "the link of this session is gone"_kj;

}  // namespace

// One session's making of things: its Host and Executor, and those of the cells that it starts.
class Node::Session final: public ChildBootstrap, public Recycled<Session> {
 public:
  Session(Node& node, DialCount& dials, const CellOrigin& origin)
      : node(node), dials(kj::addRef(dials)), origin(kj::atomicAddRef(origin)) {}

  SessionOffer makeOffer(Lease& lease, CellGroup& group) {
    peer::Executor::Client executor =
        kj::heap<ExecutorServer>(lease, node.loop.parts(), group, *this);
    return {makeHost(lease, executor), kj::mv(executor)};
  }

  peer::Host::Client makeHost(Lease& lease, peer::Executor::Client executor) {
    return kj::heap<HostServer>(lease, node.swarm, *dials, kj::mv(executor));
  }

  kj::Own<const CellOrigin> getOrigin() override { return kj::atomicAddRef(*origin); }

  capnp::Capability::Client serveChild(Lease& lease, CellGroup& children) override {
    return bindToLease<peer::Host>(lease, makeOffer(lease, children).host);
  }

  kj::Own<const BootstrapSeed> makeSeed(Lease& lease) override;

 private:
  friend class Seed;
  Node& node;
  kj::Own<DialCount> dials;
  kj::Own<const CellOrigin> origin;
};

// A session of the first loop, as other loops have it. It is used, and let go, on the first loop.
class Node::Seed final: public BootstrapSeed {
 public:
  Seed(Session& session, Lease& lease)
      : home(kj::atomicAddRef(session.node.board->inboxOf(0))),
        origin(session.getOrigin()), session(kj::addRef(session)), lease(kj::addRef(lease)) {}
  ~Seed() noexcept(false) {
    home->post([session = kj::mv(session), lease = kj::mv(lease)]() {});
  }
  KJ_DISALLOW_COPY_AND_MOVE(Seed);

  kj::Own<ChildBootstrap> unfold(CellLoop& there) const override;

  const CellOrigin& getOrigin() const { return *origin; }

  // The first loop's.
  peer::Host::Client makeHost() const {
    constexpr auto ELSEWHERE = "executors are of the loop of whoever asks for one"_kj;
    return session->makeHost(*lease, peer::Executor::Client(badInput(ELSEWHERE)));
  }

 private:
  kj::Own<const LoopInbox> home;
  kj::Own<const CellOrigin> origin;
  mutable kj::Own<Session> session;
  mutable kj::Own<Lease> lease;
};

// What a session of the first loop gives its cells on another one.
class Node::FarSession final: public ChildBootstrap {
 public:
  FarSession(CellLoop& here, const Seed& seed)
      : here(here), seed(kj::atomicAddRef(seed)), origin(seed.getOrigin().clone()) {}

  kj::Own<const CellOrigin> getOrigin() override { return kj::atomicAddRef(*origin); }

  capnp::Capability::Client serveChild(Lease& lease, CellGroup& children) override {
    peer::Executor::Client executor =
        kj::heap<ExecutorServer>(lease, here.parts(), children, *this);
    auto reach = [&here = here, seed = kj::atomicAddRef(*seed)]() -> peer::Host::Client {
      return here.send(0, [seed = kj::atomicAddRef(*seed)](CellLoop&) {
        return capnp::Capability::Client(seed->makeHost());
      }).then([](capnp::Capability::Client&& host) { return host.castAs<peer::Host>(); });
    };
    return bindToLease<peer::Host>(
        lease, kj::heap<FarHostServer>(lease, kj::mv(reach), kj::mv(executor)));
  }

  kj::Own<const BootstrapSeed> makeSeed(Lease&) override { return kj::atomicAddRef(*seed); }

 private:
  CellLoop& here;
  kj::Own<const Seed> seed;
  kj::Own<const CellOrigin> origin;  // this loop's, which counts its cells in it
};

kj::Own<const BootstrapSeed> Node::Session::makeSeed(Lease& lease) {
  return kj::atomicRefcounted<Seed>(*this, lease);
}

kj::Own<ChildBootstrap> Node::Seed::unfold(CellLoop& there) const {
  if (there.getNumber() == 0) return kj::addRef(*session);
  return kj::refcounted<FarSession>(there, *this);
}

// Who holds one Membrane. Its dials are counted over all of its sessions, and those of a key over
// all of its links: a new graft, or link, makes no new room.
struct Node::Holder {
  HolderKind kind;
  kj::String from;
  kj::Own<CellGroup> group;
  kj::Own<DialCount> dials;
  kj::Function<void(SessionList::Entry&)> onSession;
};

// What one holder of a Membrane, or one key, is refused before it comes to any cell.
struct Node::Refusals final: public kj::Refcounted {
  Refusals(Node& node, uint64_t cell, kj::String client)
      : node(node), cell(cell), client(kj::mv(client)) {}

  void hit(LimitKind kind, uint64_t limit) {
    LimitHolder holder{cell, 0, client};
    KJ_IF_MAYBE(record, node.cells.find(cell)) {
      holder.tenant = (*record)->getFacts().origin->getTenant();
      return node.hits.hit(kind, holder, kj::str(limit), (*record)->hits);
    }
    node.hits.hit(kind, holder, kj::str(limit), hits);
  }

  kj::Own<DialCount> countDials(const DialPolicy& policy) {
    return kj::refcounted<DialCount>(policy, node.timer,
                                     [self = kj::addRef(*this)](kj::uint limit) mutable {
      self->hit(LimitKind::DIALS, limit);
    });
  }

  Node& node;
  const uint64_t cell;  // 0: none
  const kj::String client;
  CellHits hits;
};

Node::Node(NodeOptions options, kj::Timer& timer, kj::WaitScope& waitScope, HeadSource& source,
           Swarm& swarm, Logger& logger, CompileParts compile,
           kj::Maybe<StemFollower&> follower)
    : options(options), timer(timer), swarm(swarm), logger(logger),
      board(kj::atomicRefcounted<LoopBoard>(kj::max(options.threads, 1u))),
      heads(source, kj::atomicAddRef(board->inboxOf(0))), follower(follower),
      engine(options.engine, timer, waitScope),
      threadCompiler(engine, {compile.codeStore.map([&](kj::Own<Store>& store) {
        return kj::heap<ffi::CodeStore>(kj::mv(store), engine.getHandle());
      }), kj::mv(compile.worker), options.compileThreads}),
      compiler(threadCompiler, kj::atomicAddRef(*kept)),
      cells(options.clock, board->loopCount()), lines(logger, timer),
      hits(lines),
      root(kj::refcounted<CellGroup>(ffi::GuestBudget::make(options.cell.nodeMemoryBytes,
                                                               kj::maxValue))),
      gate(kj::refcounted<GraftGate>(heads)),
      loop(*board, 0, {engine, compiler, timer, lines, cells, hits, heads.getLeases(),
                       options.cell}), tasks(*this) {
  startThreads(options.engine);
  tasks.add(followHead());
}

void Node::startThreads(ffi::EngineOptions engineOptions) {
  for (kj::uint i = 1; i < board->loopCount(); i++) {
    threads.add(kj::heap<LoopThread>(i, LoopThreadParts{
        *board, engineOptions, engine.getHandle(), threadCompiler, *kept, cells, lines,
        hits.getCounts(), options.cell}));
  }
  heads.onMove([this]() {
    for (auto& thread: threads) thread->settleLeases();
  });
}

Node::~Node() noexcept(false) {
  gate->close();
  root->end();
  loop.getKeeper().end();
  for (auto& thread: threads) thread->stop();
  threads.clear();
  // What they let go of here, at their ends.
  board->inboxOf(0).runAll();
  board->inboxOf(0).close();
}

kj::Promise<kj::Own<Cell>> Node::boot(kj::Array<const kj::byte> wasm, kj::Array<kj::String> args,
                                      kj::Array<kj::String> env, CellFiles files) {
  auto builder = kj::heap<CellBuilder>(loop.parts());
  builder->args(kj::mv(args));
  builder->env(kj::mv(env));
  builder->files(kj::mv(files));
  builder->bootstrap([this](CellGroup& children) {
    return serveMembrane(children, {openGraft, HolderKind::CELL, nullptr, options.dial});
  });
  // A group keeps its cells running, whoever lets go of one: this one ends with what is given out,
  // so that the cell is nobody's at no point of its way.
  auto group = root->makeSubgroup();
  auto& ref = *group;
  auto ending = kj::heap(kj::defer([group = kj::mv(group)]() mutable { group->end(); }));
  auto cell = co_await builder->start(kj::mv(wasm), kj::addRef(ref));
  co_return cell.attach(kj::mv(ending));
}

stem::Membrane<membrane::WetwareSession>::Client Node::openMembrane() {
  return serveMembrane(*root, {openGraft, HolderKind::OWNER, nullptr, options.dial});
}

stem::Membrane<membrane::WetwareSession>::Client Node::serveMembrane(CellGroup& owner,
                                                                     MembraneParts parts) {
  auto refusals = kj::refcounted<Refusals>(*this, owner.getParent(), kj::str(parts.from));
  auto holder = kj::heap<Holder>(Holder{parts.holder, kj::mv(parts.from), kj::addRef(owner),
                                        refusals->countDials(parts.dial),
                                        kj::mv(parts.onSession)});
  return kj::heap<MembraneServer>(*gate, parts.policy,
      [this, holder = kj::mv(holder)](Lease& lease, kj::Maybe<const AllowedKey&> key) mutable {
    return offer(lease, key, *holder);
  }, parts.limits, [refusals = kj::mv(refusals)](kj::StringPtr name, size_t limit) mutable {
    KJ_IF_MAYBE(kind, findLimitKind(name)) refusals->hit(*kind, limit);
  });
}

Node::KeyUse& Node::useOf(const AllowedKey& key, const Holder& holder) {
  auto name = kj::encodeHex(kj::arrayPtr(key.key.bytes, sizeof(key.key.bytes)));
  return keyUses.findOrCreate(name, [&]() {
    auto& limits = options.cell;
    auto budget = ffi::GuestBudget::make(limits.memoryBytes * limits.cellsWorthOfKey,
                                         limits.tableElements * limits.cellsWorthOfKey,
                                         root->getTerms().findBudget());
    return kj::HashMap<kj::String, KeyUse>::Entry{kj::str(name), KeyUse{
        kj::refcounted<Refusals>(*this, 0, kj::str(name))->countDials(holder.dials->policy),
        kj::atomicRefcounted<CellAccount>(limits.heldOfKey, kj::mv(budget))}};
  });
}

SessionOffer Node::offer(Lease& lease, kj::Maybe<const AllowedKey&> key, Holder& holder) {
  SessionList::Facts facts{holder.kind, nullptr, nullptr, holder.kind == HolderKind::OWNER};
  if (holder.from.size() > 0) facts.from = kj::str(holder.from);
  DialCount* dials = holder.dials;
  kj::Maybe<const CellAccount&> account;
  kj::Maybe<PeerId> caller;
  KJ_IF_MAYBE(k, key) {
    auto& use = useOf(*k, holder);
    dials = use.dials;
    account = *use.cells;
    facts.key = k->key;
    facts.hasNode = k->node;
    caller = PeerId(k->key);
  }
  bool hasNode = facts.hasNode;
  auto group = holder.group->makeSubgroup(account);
  auto& entry = sessions->add(lease, kj::addRef(*group), kj::mv(facts));
  holder.onSession(entry);
  // Whoever starts one in it holds the lease.
  group->onFirst([this, &lease, &group = *group]() {
    tasks.add(endWithLease(lease.onEnded(), kj::addRef(group)));
  });
  auto offered = kj::refcounted<Session>(*this, *dials, entry.getOrigin())
      ->makeOffer(lease, *group);
  if (hasNode) {
    offered.node = kj::heap<NodeServer>(
        lease, NodeParts{loop.parts(), *sessions, swarm, heads, follower, images},
        kj::mv(caller));
  }
  return offered;
}

void Node::endWithLink(SessionList::Entry& session) {
  auto& lease = session.getLease();
  if (lease.stands() && session.getGroup().hasDetached()) {
    session.setDetached();
    tasks.add(outliveLink(kj::addRef(lease), kj::addRef(session.getGroup())));
  } else {
    lease.finish(LINK_GONE);
  }
}

kj::Promise<void> Node::outliveLink(kj::Own<Lease> lease, kj::Own<CellGroup> group) {
  auto detachedEnded = timer.afterDelay(options.grace)
      .then([&group = *group]() { return group.endAttached(); });
  co_await detachedEnded.exclusiveJoin(lease->onEnded());
  lease->finish(LINK_GONE);
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
    if (exception.getDescription().startsWith(REORG_TOO_DEEP)) {
      return endAuthority(exception.getDescription());
    }
    // The node goes on in the epoch that it has.
    logger.log(LogLevel::ERROR, "the head is followed no longer",
               {{"cause", kj::str(exception.getDescription())}});
  });
}

void Node::endAuthority(kj::StringPtr why) {
  heads.close(why);
  closing.fulfiller->fulfill();
  logger.log(LogLevel::ERROR, "all sessions are revoked, and no other is handed out: what was "
             "final on the chain is no longer", {{"cause", kj::str(why)}});
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
