#include <ww/cell/process-server.h>

namespace ww {
namespace {

// A result that holds nothing but one capability.
constexpr capnp::MessageSize ONE_CAPABILITY{4, 1};

}  // namespace

ProcessServer::ProcessServer(Lease& lease, kj::Own<Cell> cell)
    : SessionBound(lease), cell(kj::mv(cell)), stdinHold(this->cell->getStdin().hold()) {}

kj::Promise<void> ProcessServer::stdin(StdinContext context) {
  context.getResults(ONE_CAPABILITY)
      .setStream(kj::heap<ByteStreamServer>(*lease, cell->getStdin()));
  stdinHold = nullptr;
  return kj::READY_NOW;
}

kj::Promise<void> ProcessServer::stdout(StdoutContext context) {
  context.getResults(ONE_CAPABILITY)
      .setStream(kj::heap<ByteStreamServer>(*lease, cell->getStdout()));
  return kj::READY_NOW;
}

kj::Promise<void> ProcessServer::stderr(StderrContext context) {
  context.getResults(ONE_CAPABILITY)
      .setStream(kj::heap<ByteStreamServer>(*lease, cell->getStderr()));
  return kj::READY_NOW;
}

kj::Promise<void> ProcessServer::wait(WaitContext context) {
  auto code = co_await cell->wait();
  context.getResults(capnp::MessageSize{4, 0}).setExitCode(code);
}

kj::Promise<void> ProcessServer::kill(KillContext context) {
  cell->end(EXIT_KILLED);
  return kj::READY_NOW;
}

kj::Promise<void> ProcessServer::info(InfoContext context) {
  cell->getRecord().describe(context.getResults().initInfo());
  return kj::READY_NOW;
}

kj::Promise<void> ProcessServer::detach(DetachContext context) {
  cell->detach();
  context.getResults(capnp::MessageSize{4, 0}).setId(cell->getId());
  return kj::READY_NOW;
}

ByteStreamServer::ByteStreamServer(Lease& lease, PipeEnd& pipe)
    : SessionBound(lease), pipe(pipe.hold()) {}

kj::Promise<void> ByteStreamServer::read(ReadContext context) {
  auto reading = co_await (*pipe)->read(context.getParams().getMaxBytes());
  auto size = reading.size();
  reading.into(context.getResults(capnp::MessageSize{5 + size / sizeof(capnp::word), 0})
                   .initData(size));
}

kj::Promise<void> ByteStreamServer::write(WriteContext context) {
  // The data stays in the call's own message until the pipe has it.
  return (*pipe)->write(context.getParams().getData(), *lease);
}

kj::Promise<void> ByteStreamServer::close(CloseContext context) { return (*pipe)->close(); }

}  // namespace ww
