#pragma once
// A running node: the composition root. What comes in by constructor is all that it has of the
// outside; here the rooms that do not know each other are joined.
//
// - `membrane` mints sessions and hands out what offer() makes for each: a Host and an Executor.
// - `cell` runs components and serves each child what the session's serveChild() makes: a Host.
// - Every capability of either hangs on the session's Lease.
//
// Cells run on as many loops as the options say. The first is the one that the node is made on:
// what reaches outside of the process lives there, and so do sessions and pid0. The others have
// threads of their own (loop-thread.h), and this one's part in it is a NodeLoop like theirs.
//
// A session owns the cells that it started: when its lease ends they get a grace, and are ended.
// pid0 holds the Membrane, which outlives sessions; its own end ends everything.

#include <kj/async.h>
#include <ww/base/log.h>
#include <ww/base/store.h>
#include <ww/cell/cell-builder.h>
#include <ww/cell/executor-server.h>
#include <ww/epoch/head-watch.h>
#include <ww/ffi/caching-compiler.h>
#include <ww/ffi/engine.h>
#include <ww/membrane/membrane-server.h>
#include <ww/net/host-server.h>
#include <ww/net/swarm.h>
#include <ww/node/image-keeper.h>
#include <ww/node/loop-thread.h>
#include <ww/node/session-list.h>
#include <ww/stem/follower.h>

namespace ww {

struct NodeOptions {
  ffi::EngineOptions engine;
  Limits cell;
  DialPolicy dial;
  kj::Duration grace = 5 * kj::SECONDS;  // for the cells of a session that has ended
  kj::uint compileThreads = 1;
  kj::uint threads = 1;                  // loops that cells run on, this one's among them
  const kj::Clock& clock = kj::systemPreciseCalendarClock();
};

// Where what does not fit on the loop's thread goes.
struct CompileParts {
  kj::Maybe<kj::Own<Store>> codeStore = nullptr;  // for compiled code, between runs
  kj::Maybe<kj::Own<const ffi::CompileWorker>> worker = nullptr;
};

// What makes one Membrane differ from another.
struct MembraneParts {
  GraftPolicy& policy;                          // outlives the node
  HolderKind holder;
  kj::String from;                              // for a person: where a client is
  DialPolicy dial = {};
  SessionLimits limits = {};
  // May throw, to refuse.
  kj::Function<void(SessionList::Entry& session)> onSession = [](SessionList::Entry&) {};
};

class Node final: private kj::TaskSet::ErrorHandler {
 public:
  // All references outlive the node. `follower`: `heads`, where it follows a chain.
  Node(NodeOptions options, kj::Timer& timer, kj::WaitScope& waitScope, HeadSource& heads,
       Swarm& swarm, Logger& logger, CompileParts compile,
       kj::Maybe<StemFollower&> follower = nullptr);
  ~Node() noexcept(false);  // ends all cells; let the loop turn once more before it goes
  KJ_DISALLOW_COPY_AND_MOVE(Node);

  // Boots pid0 from the bytes of a component. Resolves once its `run` was entered, or it ended
  // before that; rejects as CellBuilder::start() does. The cell ends with what this resolves with,
  // or with the promise. `files` are pid0's alone: what it starts has none.
  kj::Promise<kj::Own<Cell>> boot(kj::Array<const kj::byte> wasm, kj::Array<kj::String> args,
                                  kj::Array<kj::String> env, CellFiles files = {});

  // A Membrane for the node's owner: grafts need no signer, and what is started through it ends
  // with the node. Only while the node lives.
  stem::Membrane<membrane::WetwareSession>::Client openMembrane();

  // One for a client. What is started through it belongs to `owner`, and ends with it.
  stem::Membrane<membrane::WetwareSession>::Client serveMembrane(CellGroup& owner,
                                                                 MembraneParts parts);

  // The link of this session is gone. It ends, at once or with the last of its detached cells.
  void endWithLink(SessionList::Entry& session);

  // For the cells of one client; ends with the node.
  kj::Own<CellGroup> makeClientGroup() { return root->makeSubgroup(); }

  // Who keeps images where a holder of a Node says so. Before anybody has one; outlives the node.
  void setImages(ImageKeeper& keeper) { images = keeper; }

  HeadWatch& getHeadWatch() { return heads; }
  GraftGate& getGraftGate() { return *gate; }
  kj::Maybe<StemFollower&> findFollower() { return follower; }

  // Resolves, with the reason, once the chain took back what was final: all sessions are revoked
  // then, and there are no others.
  kj::Promise<kj::String> onClosed() {
    return closed.addBranch().then([this]() {
      return kj::str(heads.findClosed().orDefault(nullptr));
    });
  }

  // Whether a cell may dial private addresses, whoever started it.
  bool dialsPrivate() const { return options.dial.allowPrivate; }
  ffi::Engine& getEngine() { return engine; }
  LimitHits& getHits() { return hits; }
  const CellList& getCells() const { return cells; }
  const LoopLoads& getLoads() const { return board->getLoads(); }
  uint64_t getMemory() const { return cells.getMemory(); }  // bytes, of the cells that run
  size_t sessionCount() const { return sessions->size(); }

 private:
  class Session;
  class FarSession;
  class Seed;
  struct Holder;
  struct Refusals;

  // Of a key, over all of its links.
  struct KeyUse {
    kj::Own<DialCount> dials;
    kj::Own<const CellAccount> cells;
  };
  KeyUse& useOf(const AllowedKey& key, const Holder& holder);
  SessionOffer offer(Lease& lease, kj::Maybe<const AllowedKey&> key, Holder& holder);
  kj::Promise<void> outliveLink(kj::Own<Lease> lease, kj::Own<CellGroup> group);
  kj::Promise<void> endWithLease(kj::Promise<void> leaseEnded, kj::Own<CellGroup> group);
  void endAuthority(kj::StringPtr why);
  kj::Promise<void> followHead();
  kj::Promise<void> logAdvances();
  void startThreads(ffi::EngineOptions engineOptions);
  void taskFailed(kj::Exception&& exception) override;

  const NodeOptions options;
  kj::Timer& timer;
  Swarm& swarm;
  Logger& logger;
  kj::Own<const LoopBoard> board;
  HeadWatch heads;
  kj::Maybe<StemFollower&> follower;
  kj::Maybe<ImageKeeper&> images;
  kj::PromiseFulfillerPair<void> closing = kj::newPromiseAndFulfiller<void>();
  kj::ForkedPromise<void> closed = closing.promise.fork();
  OpenGraftPolicy openGraft;
  ffi::Engine engine;
  ffi::ThreadCompiler threadCompiler;
  kj::Own<const ffi::KeptComponents> kept = kj::atomicRefcounted<ffi::KeptComponents>();
  ffi::CachingCompiler compiler;
  const CellList cells;
  LineQuota lines;
  LimitHits hits;
  kj::HashMap<kj::String, KeyUse> keyUses;  // by the key, in hexadecimal; of those ever allowed
  kj::Own<SessionList> sessions = kj::refcounted<SessionList>();
  kj::Own<CellGroup> root;
  kj::Own<GraftGate> gate;
  NodeLoop loop;
  kj::Vector<kj::Own<LoopThread>> threads;  // the other loops
  kj::TaskSet tasks;
};

}  // namespace ww
