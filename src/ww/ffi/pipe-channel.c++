#include <ww/ffi/pipe-channel.h>

#include <ww/ffi/fence.h>

namespace ww::ffi {

PipeChannel::PipeChannel(RunQueue& queue, WwPipe* toGuest, WwPipe* fromGuest)
    : queue(kj::addRef(queue)), toGuest(toGuest), fromGuest(fromGuest) {
  ww_pipe_set_host(toGuest, static_cast<PipeListener*>(&writeEnd));
  ww_pipe_set_host(fromGuest, static_cast<PipeListener*>(&readEnd));
}

PipeChannel::~PipeChannel() noexcept(false) {
  queue->remove(writeEnd);
  for (auto pipe: {toGuest, fromGuest}) ww_pipe_set_host(pipe, nullptr);
  ww_pipe_close_write(toGuest);
  ww_pipe_close_read(fromGuest);
  for (auto pipe: {toGuest, fromGuest}) ww_pipe_drop(pipe);
}

kj::Maybe<size_t> PipeChannel::read(kj::ArrayPtr<kj::byte> buffer) {
  auto n = ww_pipe_read(fromGuest, buffer.begin(), buffer.size());
  if (n < 0) return nullptr;
  return size_t(n);
}

kj::Maybe<size_t> PipeChannel::write(kj::ArrayPtr<const kj::byte> bytes) {
  auto piece = slice(bytes);
  auto n = ww_pipe_write(toGuest, &piece, 1);
  if (n < 0) return nullptr;
  return size_t(n);
}

void PipeChannel::closeWrite() { ww_pipe_close_write(toGuest); }

kj::Maybe<kj::Own<kj::_::Event>> PipeChannel::End::fire() {
  onTurn();
  return nullptr;
}

}  // namespace ww::ffi
