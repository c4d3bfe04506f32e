#include <ww/cell/far-process.h>

#include <ww/base/error.h>

namespace ww {
namespace {

// Results that hold nothing but one capability, or one number.
constexpr capnp::MessageSize ONE_CAPABILITY{4, 1}, ONE_NUMBER{4, 0};

}  // namespace

// Each stream is given at once: what is called on it follows what was asked for.

kj::Promise<void> FarProcess::stdin(StdinContext context) {
  context.getResults(ONE_CAPABILITY).setStream(
      kj::heap<FarStream>(*lease, there.stdinRequest().send().getStream()));
  return kj::READY_NOW;
}

kj::Promise<void> FarProcess::stdout(StdoutContext context) {
  context.getResults(ONE_CAPABILITY).setStream(
      kj::heap<FarStream>(*lease, there.stdoutRequest().send().getStream()));
  return kj::READY_NOW;
}

kj::Promise<void> FarProcess::stderr(StderrContext context) {
  context.getResults(ONE_CAPABILITY).setStream(
      kj::heap<FarStream>(*lease, there.stderrRequest().send().getStream()));
  return kj::READY_NOW;
}

kj::Promise<void> FarProcess::wait(WaitContext context) {
  auto response = co_await inOwnWords(there.waitRequest().send());
  context.getResults(ONE_NUMBER).setExitCode(response.getExitCode());
}

kj::Promise<void> FarProcess::kill(KillContext) {
  return inOwnWords(there.killRequest().send().ignoreResult());
}

kj::Promise<void> FarProcess::info(InfoContext context) {
  auto response = co_await inOwnWords(there.infoRequest().send());
  context.getResults().setInfo(response.getInfo());
}

kj::Promise<void> FarProcess::detach(DetachContext context) {
  auto response = co_await inOwnWords(there.detachRequest().send());
  context.getResults(ONE_NUMBER).setId(response.getId());
}

kj::Promise<void> FarStream::read(ReadContext context) {
  auto request = there.readRequest(ONE_NUMBER);
  request.setMaxBytes(context.getParams().getMaxBytes());
  auto response = co_await inOwnWords(request.send());
  auto data = response.getData();
  context.getResults(capnp::MessageSize{4 + data.size() / sizeof(capnp::word), 0}).setData(data);
}

kj::Promise<void> FarStream::write(WriteContext context) {
  auto data = context.getParams().getData();
  auto request = there.writeRequest(capnp::MessageSize{4 + data.size() / sizeof(capnp::word), 0});
  request.setData(data);
  return inOwnWords(request.send().ignoreResult());
}

kj::Promise<void> FarStream::close(CloseContext) {
  return inOwnWords(there.closeRequest().send().ignoreResult());
}

}  // namespace ww
