#include <ww/cell/executor-server.h>

#include <ww/base/error.h>
#include <ww/cell/cells-server.h>
#include <ww/cell/far-process.h>
#include <ww/cell/process-server.h>
#include <ww/ffi/engine.h>

namespace ww {
namespace {

constexpr kj::StringPtr ECHO_PREFIX = "Echo: "_kj;

using Hit = kj::Function<void(LimitKind kind, kj::StringPtr limit)>;

kj::Array<kj::String> copyTexts(LimitKind kind, capnp::List<capnp::Text>::Reader list, Hit& hit) {
  auto requireFew = [&](size_t count, kj::StringPtr what, size_t most) {
    if (count <= most) return;
    hit(kind, kj::str(most));
    kj::throwFatalException(
        overloaded(kj::str(nameOf(kind), ": ", count, what, "; the limit is ", most)));
  };
  requireFew(list.size(), " texts", MAX_TEXTS);
  size_t bytes = 0;
  for (auto text: list) bytes += text.size();
  requireFew(bytes, " bytes", MAX_TEXT_BYTES);
  return KJ_MAP(text, list) { return kj::heapString(text.begin(), text.size()); };
}

// In one go the largest component would take as long as many turns of a cell.
constexpr size_t PIECE_BYTES = size_t(1) << 20;

// The data outlives the promise.
kj::Promise<kj::Array<kj::byte>> copy(ffi::Engine& engine, capnp::Data::Reader data) {
  auto busy = engine.beBusy();
  auto bytes = kj::heapArray<kj::byte>(data.size());
  for (size_t at = 0; at < data.size(); at += PIECE_BYTES) {
    // As an event of its own: a coroutine does not suspend for what would come next anyway.
    if (at > 0) co_await kj::evalLater([]() {}).eagerlyEvaluate(nullptr);
    memcpy(bytes.begin() + at, data.begin() + at, kj::min(PIECE_BYTES, data.size() - at));
  }
  co_return kj::mv(bytes);
}

// What a holder may see: a cell its own, a client those of its key, the owner all.
CellView viewOf(const CellList& list, uint64_t parent, const CellOrigin& origin) {
  if (parent != 0) return CellView::ofParent(list, parent);
  KJ_IF_MAYBE(key, origin.key) return CellView::ofKey(list, *key);
  return CellView::ofAll(list);
}

// What goes to the loop that a cell is to run on.
struct FarOrder {
  CellPlan plan;
  LeaseShare lease;
  kj::Own<const BootstrapSeed> session;
};

// On that loop. The cell, its Host and its Executor hang on a lease of their own there.
kj::Promise<capnp::Capability::Client> carryOut(kj::Own<FarOrder> order, CellLoop& there) {
  auto lease = there.getLeases().join(kj::mv(order->lease));
  lease->check();
  KJ_ASSERT_NONNULL(order->plan.far).requireWanted();
  auto session = order->session->unfold(there);
  kj::Maybe<BootstrapFactory> factory = BootstrapFactory([&](CellGroup& children) {
    return session->serveChild(*lease, children);
  });
  auto cell = co_await lease->hold(CellPlan::start(
      kj::mv(order->plan), there.parts(), kj::mv(factory), kj::addRef(there.getKeeper())));
  co_return peer::Process::Client(kj::heap<ProcessServer>(*lease, kj::mv(cell)));
}

kj::Promise<capnp::Capability::Client> startFar(CellLoop& here, kj::uint loop,
                                                kj::Own<FarOrder> order) {
  return here.send(loop, [order = kj::mv(order)](CellLoop& there) mutable {
    return carryOut(kj::mv(order), there);
  });
}

}  // namespace

ExecutorServer::ExecutorServer(Lease& lease, CellParts parts, CellGroup& group,
                               ChildBootstrap& bootstrap)
    : SessionBound(lease), parts(parts), group(kj::addRef(group)),
      bootstrap(kj::addRef(bootstrap)) {}

kj::Promise<void> ExecutorServer::runBytes(RunBytesContext context) {
  auto params = context.getParams();
  auto wasm = params.getWasm();
  CellBuilder builder(parts);
  builder.origin(bootstrap->getOrigin());
  Hit hit = [&](LimitKind kind, kj::StringPtr limit) { builder.hit(kind, *group, limit); };
  if (wasm.size() > MAX_WASM_BYTES) {
    hit(LimitKind::WASM, kj::str(MAX_WASM_BYTES));
    kj::throwFatalException(overloaded(kj::str("wasm: a component of ", wasm.size(),
        " bytes; the limit is ", MAX_WASM_BYTES)));
  }
  builder.args(copyTexts(LimitKind::ARGS, params.getArgs(), hit));
  builder.env(copyTexts(LimitKind::ENV, params.getEnv(), hit));
  auto recent = parts.compiler.findRecent(wasm);
  kj::Maybe<CellPlan> plan;
  KJ_IF_MAYBE(component, recent) {
    context.releaseParams();
    plan = builder.plan(kj::mv(*component), *group);
  } else {
    auto bytes = co_await copy(parts.engine, wasm);
    context.releaseParams();
    plan = co_await builder.plan(kj::mv(bytes), *group);
    lease->check();
  }
  auto process = co_await start(kj::mv(KJ_ASSERT_NONNULL(plan)));
  context.getResults(capnp::MessageSize{4, 1}).setProcess(kj::mv(process));
}

kj::Promise<peer::Process::Client> ExecutorServer::start(CellPlan plan) {
  KJ_IF_MAYBE(loop, parts.loop) {
    auto& load = plan.seat.load.emplace(loop->getLoads().place(loop->getNumber()));
    if (load.getLoop() != loop->getNumber()) {
      auto to = load.getLoop();
      plan.far = group->addFar(loop->getInbox(to));
      auto far = co_await startFar(*loop, to, kj::heap<FarOrder>(FarOrder{
          kj::mv(plan), lease->share(), bootstrap->makeSeed(*lease)}));
      co_return kj::heap<FarProcess>(*lease, far.castAs<peer::Process>());
    }
  }
  kj::Maybe<BootstrapFactory> factory = BootstrapFactory([this](CellGroup& children) {
    return bootstrap->serveChild(*lease, children);
  });
  auto cell = co_await CellPlan::start(kj::mv(plan), parts, kj::mv(factory), kj::addRef(*group));
  co_return kj::heap<ProcessServer>(*lease, kj::mv(cell));
}

kj::Promise<void> ExecutorServer::echo(EchoContext context) {
  auto message = context.getParams().getMessage();
  auto size = ECHO_PREFIX.size() + message.size();
  auto response = context.getResults(capnp::MessageSize{4 + size / sizeof(capnp::word), 0})
      .initResponse(size);
  memcpy(response.begin(), ECHO_PREFIX.begin(), ECHO_PREFIX.size());
  memcpy(response.begin() + ECHO_PREFIX.size(), message.begin(), message.size());
  return kj::READY_NOW;
}

kj::Promise<void> ExecutorServer::cells(CellsContext context) {
  auto view = viewOf(parts.list, group->getParent(), *bootstrap->getOrigin());
  context.getResults(capnp::MessageSize{4, 1})
      .setCells(kj::heap<CellsServer>(*lease, parts, view));
  return kj::READY_NOW;
}

}  // namespace ww
