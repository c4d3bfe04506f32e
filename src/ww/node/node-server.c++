#include <ww/node/node-server.h>

#include <kj/debug.h>
#include <ww/base/error.h>
#include <ww/cell/cells-server.h>

namespace ww {

kj::Promise<void> NodeServer::cells(CellsContext context) {
  context.getResults(capnp::MessageSize{4, 1})
      .setCells(kj::heap<CellsServer>(*lease, parts.cells, CellView::ofAll(parts.cells.list)));
  return kj::READY_NOW;
}

kj::Promise<void> NodeServer::sessions(SessionsContext context) {
  sessionList->describe(context.getResults().initSessions(sessionList->size()));
  return kj::READY_NOW;
}

kj::Promise<void> NodeServer::ping(PingContext context) {
  auto bytes = context.getParams().getPeerId();
  auto parsed = PeerId::parse(bytes);
  if (parsed == nullptr) {
    kj::throwFatalException(
        badInput(kj::str("ping: peerId is no peer id (", bytes.size(), " bytes)")));
  }
  auto& id = KJ_ASSERT_NONNULL(parsed);
  if (!parts.swarm.isConnected(id)) {
    kj::throwFatalException(badInput(kj::str("ping: no connection to ", id.toText())));
  }
  auto time = co_await parts.swarm.ping(id);
  context.getResults(capnp::MessageSize{4, 0}).setRoundTripNs(time / kj::NANOSECONDS);
}

namespace {

node::ProviderInfo::State stateOf(ProviderStatus::State state) {
  switch (state) {
    case ProviderStatus::NEW: return node::ProviderInfo::State::UNKNOWN;
    case ProviderStatus::ANSWERS: return node::ProviderInfo::State::ANSWERS;
    case ProviderStatus::FAILS: return node::ProviderInfo::State::FAILS;
    case ProviderStatus::LACKS: return node::ProviderInfo::State::LACKS;
    case ProviderStatus::DISAGREES: return node::ProviderInfo::State::DISAGREES;
    case ProviderStatus::FROZEN: return node::ProviderInfo::State::FROZEN;
  }
  KJ_UNREACHABLE;
}

void describe(const ProviderStatus& status, node::ProviderInfo::Builder to) {
  to.setName(status.name);
  to.setState(stateOf(status.state));
  to.setProblem(status.problem);
  to.setLatest(status.latest);
  to.setFinal(status.final);
  to.setFailures(status.failures);
  to.setDisagreements(status.disagreements);
}

void describe(const StemFollower& follower, node::ChainInfo::Builder to) {
  auto status = follower.getStatus();
  auto& options = follower.getOptions();
  to.setContract(options.contract.asBytes());
  to.setChainId(status.chainId.orDefault(0));
  to.setFinality(toText(options.finality));
  to.setQuorum(options.quorum);
  to.setLatest(status.latest);
  to.setFinal(status.final);
  to.setPendingSeq(status.pendingSeq.orDefault(0));
  KJ_IF_MAYBE(problem, status.problem) to.setProblem(*problem);
  auto list = to.initProviders(status.providers.size());
  for (size_t i = 0; i < status.providers.size(); i++) describe(status.providers[i], list[i]);
}

}  // namespace

kj::Promise<void> NodeServer::epoch(EpochContext context) {
  auto info = context.getResults().initInfo();
  auto& current = parts.heads.epoch();
  auto epoch = info.initEpoch();
  epoch.setSeq(current.seq);
  epoch.setHead(current.head);
  epoch.setAdoptedBlock(current.adoptedBlock);
  KJ_IF_MAYBE(f, parts.follower) describe(*f, info.getSource().initChain());
  return kj::READY_NOW;
}

kj::Promise<void> NodeServer::keepImage(KeepImageContext context) {
  KJ_IF_MAYBE(keeper, parts.images) {
    auto root = Cid::fromBytes(context.getParams().getCid());
    if (isKeeping) kj::throwFatalException(overloaded("images: one at a time of a session"));
    isKeeping = true;
    KJ_DEFER({
      isKeeping = false;
      steps = 0;
    });
    auto image = co_await keeper->keepImage(kj::mv(root), ImageKeeper::Asker{
        caller.map([](const PeerId& id) { return id.clone(); }),
        [this]() { lease->check(); }, [this]() { ++steps; }});
    auto results = context.getResults(capnp::MessageSize{4, 0});
    results.setBlocks(image.blocks);
    results.setBytes(image.bytes);
  } else {
    kj::throwFatalException(badInput("this node keeps no images: it has no network (--listen, "
                                     "--bootstrap) over which it could fetch one"));
  }
}

kj::Promise<void> NodeServer::keeping(KeepingContext context) {
  context.getResults(capnp::MessageSize{4, 0}).setSteps(steps);
  return kj::READY_NOW;
}

}  // namespace ww
