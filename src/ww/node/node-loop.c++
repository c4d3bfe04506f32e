#include <ww/node/node-loop.h>

#include <capnp/any.h>
#include <kj/debug.h>
#include <string.h>
#include <ww/base/error.h>

namespace ww {
namespace {

// The one call between loops: an errand's number for what it brings back. No guest sees it.
constexpr uint64_t ERRANDS = 0xd4b6d1f0a3c2e917;
constexpr capnp::MessageSize NUMBER{4, 0}, ONE_CAPABILITY{4, 1};

}  // namespace

// What a loop offers to another one.
class NodeLoop::Door final: public capnp::Capability::Server {
 public:
  explicit Door(NodeLoop& loop): loop(loop) {}

  DispatchCallResult dispatchCall(uint64_t interface, uint16_t,
      capnp::CallContext<capnp::AnyPointer, capnp::AnyPointer> context) override {
    KJ_ASSERT(interface == ERRANDS);
    auto data = context.getParams().getAs<capnp::Data>();
    uint64_t errand;
    KJ_ASSERT(data.size() == sizeof(errand));
    memcpy(&errand, data.begin(), sizeof(errand));
    auto done = loop.carryOut(errand).then([context](capnp::Capability::Client&& result) mutable {
      context.getResults(ONE_CAPABILITY).setAs<capnp::Capability>(kj::mv(result));
    });
    return {kj::mv(done), false, true};
  }

 private:
  NodeLoop& loop;  // outlives its links
};

NodeLoop::NodeLoop(const LoopBoard& board, kj::uint number, NodeLoopParts parts)
    : board(kj::atomicAddRef(board)), number(number), given(kj::mv(parts)), here(given.list),
      links(kj::heapArray<kj::Maybe<kj::Own<LoopLink>>>(board.loopCount())),
      serving(board.inboxOf(number).serve().eagerlyEvaluate([](kj::Exception&& exception) {
        KJ_LOG(ERROR, "other loops are heard no more", exception);
      })) {
  for (kj::uint i = 0; i < links.size(); i++) {
    if (i == number) continue;
    links[i] = kj::heap<LoopLink>(board.takeSeat(number, i), kj::heap<Door>(*this));
  }
}

NodeLoop::~NodeLoop() noexcept(false) { links = nullptr; }

CellParts NodeLoop::parts() {
  return {given.engine, given.compiler, given.timer, given.log, given.list, here, given.hits,
          given.limits, *this};
}

kj::Promise<capnp::Capability::Client> NodeLoop::send(kj::uint loop, Errand errand) {
  auto number = board->leave(kj::mv(errand));
  // One that is never asked for goes with who waits for it.
  auto owner = kj::defer([board = kj::atomicAddRef(*board), number]() { board->take(number); });
  auto& link = KJ_ASSERT_NONNULL(links[loop], "an errand to this very loop");
  auto request = link->bootstrap().typelessRequest(ERRANDS, 0, NUMBER, {});
  request.setAs<capnp::Data>(kj::arrayPtr(reinterpret_cast<const kj::byte*>(&number),
                                          sizeof(number)));
  return inOwnWords(request.send().then([](capnp::Response<capnp::AnyPointer>&& response) {
    return response.getAs<capnp::Capability>();
  }).attach(kj::mv(owner)));
}

kj::Promise<capnp::Capability::Client> NodeLoop::carryOut(uint64_t errand) {
  auto taken = board->take(errand);
  KJ_IF_MAYBE(mine, taken) co_return co_await (*mine)(*this);
  kj::throwFatalException(ended("nobody waits for this errand any more"));
}

}  // namespace ww
