#include <ww/cell/cell-log.h>

#include <string.h>

namespace ww {
namespace {

constexpr size_t FIRST_BYTES = 4096;

}  // namespace

CellLog::CellLog(PipeEnd& out, PipeEnd& err)
    : CellLog(out, err, kj::newPromiseAndFulfiller<void>()) {}

CellLog::CellLog(PipeEnd& outPipe, PipeEnd& errPipe, kj::PromiseFulfillerPair<void> paf)
    : more(kj::mv(paf.fulfiller)), onRing(paf.promise.fork()) {
  out = follow(outPipe.hold()).eagerlyEvaluate(nullptr);
  err = follow(errPipe.hold()).eagerlyEvaluate(nullptr);
}

CellLog::~CellLog() noexcept(false) {}

kj::Promise<void> CellLog::follow(kj::Own<PipeEnd::Holder> pipe) {
  KJ_DEFER({
    --open;
    ring();
  });
  for (;;) {
    // Whatever goes wrong with a pipe is its end.
    auto reading = co_await (*pipe)->read(MAX_READ_BYTES).catch_([](kj::Exception&&) {
      return PipeEnd::Reading();
    });
    auto read = kj::heapArray<kj::byte>(reading.size());
    if (read.size() == 0) co_return;
    reading.into(read);
    append(read);
  }
}

void CellLog::append(kj::ArrayPtr<const kj::byte> piece) {
  while (kept + piece.size() > bytes.size() && bytes.size() < MAX_BYTES) {
    auto larger = kj::heapArray<kj::byte>(kj::max(FIRST_BYTES, bytes.size() * 2));
    auto position = begin();
    for (uint64_t at = position; at < end; at++) {
      larger[at % larger.size()] = bytes[at % bytes.size()];
    }
    bytes = kj::mv(larger);
  }
  while (piece.size() > 0) {
    auto at = end % bytes.size();
    auto n = kj::min(piece.size(), bytes.size() - at);
    memcpy(bytes.begin() + at, piece.begin(), n);
    piece = piece.slice(n, piece.size());
    end += n;
    kept = kj::min(kept + n, bytes.size());
  }
  ring();
}

kj::Array<kj::byte> CellLog::take(uint64_t& position, size_t maxBytes) const {
  position = kj::max(position, begin());
  auto size = size_t(kj::min(end - kj::min(position, end), uint64_t(maxBytes)));
  auto piece = kj::heapArray<kj::byte>(size);
  for (size_t i = 0; i < size; i++) piece[i] = bytes[(position + i) % bytes.size()];
  position += size;
  return piece;
}

void CellLog::ring() {
  auto paf = kj::newPromiseAndFulfiller<void>();
  auto ringing = kj::mv(more);
  more = kj::mv(paf.fulfiller);
  onRing = paf.promise.fork();
  ringing->fulfill();
}

}  // namespace ww
