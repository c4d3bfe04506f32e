#include <ww/cell/executor-server.h>

#include <ww/base/error.h>
#include <ww/cell/cells-server.h>
#include <ww/cell/process-server.h>

namespace ww {
namespace {

constexpr kj::StringPtr ECHO_PREFIX = "Echo: "_kj;

kj::Array<kj::String> copyTexts(kj::StringPtr name, capnp::List<capnp::Text>::Reader list) {
  if (list.size() > MAX_TEXTS) {
    kj::throwFatalException(
        overloaded(kj::str(name, ": ", list.size(), " texts; the limit is ", MAX_TEXTS)));
  }
  size_t bytes = 0;
  for (auto text: list) bytes += text.size();
  if (bytes > MAX_TEXT_BYTES) {
    kj::throwFatalException(
        overloaded(kj::str(name, ": ", bytes, " bytes; the limit is ", MAX_TEXT_BYTES)));
  }
  return KJ_MAP(text, list) { return kj::heapString(text.begin(), text.size()); };
}

// What a holder may see: a cell its own, a client those of its key, the owner all.
CellView viewOf(CellList& list, uint64_t parent, const CellOrigin& origin) {
  if (parent != 0) return CellView::ofParent(list, parent);
  KJ_IF_MAYBE(key, origin.key) return CellView::ofKey(list, *key);
  return CellView::ofAll(list);
}

}  // namespace

ExecutorServer::ExecutorServer(Lease& lease, CellParts parts, CellGroup& group,
                               ChildBootstrap& bootstrap)
    : SessionBound(lease), parts(parts), group(kj::addRef(group)),
      bootstrap(kj::addRef(bootstrap)) {}

kj::Promise<void> ExecutorServer::runBytes(RunBytesContext context) {
  auto params = context.getParams();
  auto wasm = params.getWasm();
  if (wasm.size() > MAX_WASM_BYTES) {
    kj::throwFatalException(overloaded(kj::str("wasm: a component of ", wasm.size(),
        " bytes; the limit is ", MAX_WASM_BYTES)));
  }
  CellBuilder builder(parts);
  builder.args(copyTexts("args", params.getArgs()));
  builder.env(copyTexts("env", params.getEnv()));
  builder.bootstrap([this](CellGroup& children) {
    return bootstrap->serveChild(*lease, children);
  });
  builder.origin(bootstrap->getOrigin());
  builder.beforeStart([this]() { lease->check(); });
  auto bytes = kj::heapArray<kj::byte>(wasm);
  context.releaseParams();

  auto cell = co_await builder.start(kj::mv(bytes), kj::addRef(*group));
  auto results = context.getResults(capnp::MessageSize{4, 1});
  results.setProcess(kj::heap<ProcessServer>(*lease, kj::mv(cell)));
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
  context.getResults(capnp::MessageSize{4, 1}).setCells(kj::heap<CellsServer>(*lease, view));
  return kj::READY_NOW;
}

}  // namespace ww
