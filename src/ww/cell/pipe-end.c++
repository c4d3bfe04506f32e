#include <ww/cell/pipe-end.h>

#include <ww/base/error.h>

namespace ww {

PipeEnd::PipeEnd(kj::StringPtr name, Direction direction, kj::Own<ffi::PipeStream> stream)
    : name(name), direction(direction), stream(kj::mv(stream)) {}

PipeEnd::~PipeEnd() noexcept(false) {}

PipeEnd::Holder::Holder(kj::Own<PipeEnd> pipe): pipe(kj::mv(pipe)) {
  ++this->pipe->holders;
  this->pipe->updateDiscards();
}

PipeEnd::Holder::~Holder() noexcept(false) {
  --pipe->holders;
  // Nobody writes any more: a write in progress would hold it. A close that was given up on its way
  // is made good.
  if (pipe->holders == 0 && pipe->direction == Direction::TO_CELL) pipe->shutDown();
  pipe->updateDiscards();
}

void PipeEnd::requireStream() const {
  if (stream.get() == nullptr) {
    kj::throwFatalException(denied(kj::str(name, " of this cell is the node's own")));
  }
}

size_t PipeEnd::Reading::size() const {
  KJ_IF_MAYBE(p, pipe) {
    if (!p->closed && p->stream.get() != nullptr) return kj::min(limit, p->stream->readableNow());
  }
  return 0;
}

void PipeEnd::Reading::into(kj::ArrayPtr<kj::byte> space) {
  if (space.size() == 0) return;
  KJ_IF_MAYBE(p, pipe) p->stream->readNow(space);
}

kj::Promise<PipeEnd::Reading> PipeEnd::read(uint32_t maxBytes) {
  requireStream();
  if (direction == Direction::TO_CELL) {
    return badInput(kj::str("read: ", name, " can only be written to"));
  }
  if (maxBytes == 0 || closed) return Reading();
  if (turnstile->countPending() >= MAX_PENDING_READS) {
    KJ_IF_MAYBE(told, refusedRead) (*told)();
    return overloaded(kj::str("reads: ", MAX_PENDING_READS, " reads of this cell's ", name,
                              " wait already"));
  }
  return readInTurn(kj::min(maxBytes, MAX_READ_BYTES));
}

kj::Promise<PipeEnd::Reading> PipeEnd::readInTurn(size_t limit) {
  auto pass = co_await turnstile->enter();
  if (!closed && stream->readableNow() == 0) {
    auto paf = kj::newPromiseAndFulfiller<void>();
    closedFulfiller = kj::mv(paf.fulfiller);
    co_await stream->whenReadable().exclusiveJoin(kj::mv(paf.promise));
  }
  co_return Reading(*this, limit, kj::mv(pass));
}

void PipeEnd::shutDown() {
  closed = true;
  if (shut || stream.get() == nullptr) return;
  shut = true;
  stream->shutdownWrite();
}

kj::Promise<void> PipeEnd::write(kj::ArrayPtr<const kj::byte> data, const Lease& lease) {
  requireStream();
  if (direction == Direction::FROM_CELL) {
    kj::throwFatalException(badInput(kj::str("write: ", name, " can only be read from")));
  }
  if (closed) kj::throwFatalException(badInput(kj::str("write: ", name, " is closed")));
  auto pass = co_await turnstile->enter();
  lease.check();
  KJ_IF_MAYBE(exception, co_await kj::evalNow([&]() {
    return stream->write(data.begin(), data.size());
  }).then([]() -> kj::Maybe<kj::Exception> { return nullptr; },
          [](kj::Exception&& e) -> kj::Maybe<kj::Exception> { return kj::mv(e); })) {
    if (exception->getType() != kj::Exception::Type::DISCONNECTED) {
      kj::throwFatalException(kj::mv(*exception));
    }
    kj::throwFatalException(ended(kj::str("write: nobody reads ", name, " any more")));
  }
}

kj::Promise<void> PipeEnd::close() {
  requireStream();
  if (closed) co_return;
  closed = true;
  if (direction == Direction::FROM_CELL) {
    stream->abortRead();
    if (closedFulfiller.get() != nullptr) closedFulfiller->fulfill();
  } else {
    // Behind the writes that came before.
    auto pass = co_await turnstile->enter();
    shutDown();
  }
}

void PipeEnd::setAwaited(bool awaited) {
  if (awaited == this->awaited) return;  // one of many who wait comes or goes
  this->awaited = awaited;
  updateDiscards();
}

void PipeEnd::updateDiscards() {
  if (direction == Direction::FROM_CELL && stream.get() != nullptr) {
    stream->setDiscards(awaited && holders == 0);
  }
}

uint64_t PipeEnd::droppedBytes() const {
  return stream.get() == nullptr ? 0 : stream->discardedBytes();
}

}  // namespace ww
