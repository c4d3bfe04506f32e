#include <ww/node/loop-board.h>

#include <kj/debug.h>

namespace ww {

LoopBoard::LoopBoard(kj::uint loops): loads(loops) {
  auto builder = kj::heapArrayBuilder<kj::Own<const LoopInbox>>(loops);
  for (kj::uint i = 0; i < loops; i++) builder.add(kj::atomicRefcounted<LoopInbox>());
  inboxes = builder.finish();
  auto seats = kj::heapArray<kj::Own<LoopLink::Seat>>(loops * loops);
  for (kj::uint i = 0; i < loops; i++) {
    for (kj::uint j = 0; j < i; j++) {
      auto pair = LoopLink::makePair();
      seats[i * loops + j] = kj::mv(pair.first);
      seats[j * loops + i] = kj::mv(pair.second);
    }
  }
  state.lockExclusive()->seats = kj::mv(seats);
}

LoopBoard::~LoopBoard() noexcept(false) {}

kj::Own<LoopLink::Seat> LoopBoard::takeSeat(kj::uint loop, kj::uint other) const {
  return kj::mv(state.lockExclusive()->seats[loop * loopCount() + other]);
}

uint64_t LoopBoard::leave(CellLoop::Errand errand) const {
  auto lock = state.lockExclusive();
  lock->errands.insert(++lock->last, kj::mv(errand));
  return lock->last;
}

kj::Maybe<CellLoop::Errand> LoopBoard::take(uint64_t number) const {
  auto lock = state.lockExclusive();
  KJ_IF_MAYBE(errand, lock->errands.find(number)) {
    auto taken = kj::mv(*errand);
    lock->errands.erase(number);
    return kj::mv(taken);
  }
  return nullptr;
}

}  // namespace ww
