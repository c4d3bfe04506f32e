#include "ww/host-channel.h"

namespace ww {
namespace {

void dropError(uint8_t tag, wasi::Handle error) {
  if (tag == 0) wasi::ww_error_drop(error);
}

}  // namespace

HostChannel::HostChannel(EventPort& port)
    : port(port), connection(wasi::ww_create_connection()),
      in(wasi::ww_connection_get_input_stream(*connection)),
      out(wasi::ww_connection_get_output_stream(*connection)),
      inReady(wasi::ww_input_stream_subscribe(*in)),
      outReady(wasi::ww_output_stream_subscribe(*out)) {
  port.setSource(*this);
}

HostChannel::~HostChannel() noexcept(false) { port.setSource(nullptr); }

kj::Maybe<size_t> HostChannel::read(kj::ArrayPtr<kj::byte> buffer) {
  wasi::ReadResult result{};
  {
    wasi::PlaceNextList place(buffer.begin(), buffer.size());
    if (mayBlock) {
      wasi::ww_input_stream_blocking_read(*in, buffer.size(), &result);
    } else {
      wasi::ww_input_stream_read(*in, buffer.size(), &result);
    }
  }
  mayBlock = false;
  if (result.isErr) {
    dropError(result.err.tag, result.err.error);
    return nullptr;
  }
  if (result.ok.len == 0) wantsInput = true;
  return result.ok.len;
}

kj::Maybe<size_t> HostChannel::write(kj::ArrayPtr<const kj::byte> bytes) {
  wasi::CheckWriteResult room{};
  wasi::ww_output_stream_check_write(*out, &room);
  if (room.isErr) {
    dropError(room.err.tag, room.err.error);
    return nullptr;
  }
  size_t size = kj::min(room.ok, uint64_t(bytes.size()));
  full = size < bytes.size();
  if (size == 0) return size;
  wasi::WriteResult result{};
  wasi::ww_output_stream_write(*out, bytes.begin(), size, &result);
  if (result.isErr) {
    dropError(result.err.tag, result.err.error);
    return nullptr;
  }
  return size;
}

void HostChannel::closeWrite() {
  outReady.reset();
  out.reset();
  full = false;
}

void HostChannel::beforeWait() {
  if (!hasOutput) return;
  hasOutput = false;
  KJ_IF_MAYBE(u, user) u->onWritable();
}

EventPort::Source::Pollables HostChannel::waitsFor() {
  return {{wantsInput ? *inReady : wasi::NO_HANDLE, full ? *outReady : wasi::NO_HANDLE}};
}

void HostChannel::onReady() {
  if (full) {
    full = false;
    KJ_IF_MAYBE(u, user) u->onWritable();
  }
  if (!wantsInput) return;
  wantsInput = false;
  KJ_IF_MAYBE(u, user) u->onReadable();
}

bool HostChannel::waitAlone() {
  if (!wantsInput || full) return false;
  wantsInput = false;
  mayBlock = true;
  KJ_IF_MAYBE(u, user) u->onReadable();
  mayBlock = false;
  return true;
}

}  // namespace ww
