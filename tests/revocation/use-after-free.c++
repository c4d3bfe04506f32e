// A property of Cap'n Proto 1.4.0, and that our policy stays clear of it: where a wrapper is given
// an onRevoked() promise, revocation replaces what it wraps, and its destructor then leaves its
// entry in the policy's table behind. A guest that releases a capability after the head has moved,
// while a call that will return the same object is in flight, has the host use freed memory.
//
//   naive   a policy as one would write it from the header: AddressSanitizer must report it
//   policy  our policy in its place, and nothing else of ours: must be silent
//   ours    the node's membrane, where SessionBound destroys the body besides: must be silent
//
// Built with AddressSanitizer, Cap'n Proto's membrane.c++ included.
#include <capnp/membrane.h>
#include <stdio.h>
#include <ww/membrane/epoch-policy.h>
#include "world.h"

namespace ww {
namespace {

class NaivePolicy final: public capnp::MembranePolicy, public kj::Refcounted {
 public:
  explicit NaivePolicy(kj::Promise<void> over): over(over.fork()) {}
  kj::Maybe<capnp::Capability::Client> inboundCall(uint64_t, uint16_t,
                                                   capnp::Capability::Client) override {
    return nullptr;
  }
  kj::Maybe<capnp::Capability::Client> outboundCall(uint64_t, uint16_t,
                                                    capnp::Capability::Client) override {
    return nullptr;
  }
  kj::Own<MembranePolicy> addRef() override { return kj::addRef(*this); }
  kj::Maybe<kj::Promise<void>> onRevoked() override { return over.addBranch(); }

 private:
  kj::ForkedPromise<void> over;
};

// A body that finishes whatever the epoch: nothing but the policy ends what it reached.
class UnboundProbe final: public Probe::Server {
 public:
  explicit UnboundProbe(Trace& trace): trace(trace) {}
  kj::Promise<void> same(SameContext context) override {
    context.getResults().setProbe(shared());
    return kj::READY_NOW;
  }
  kj::Promise<void> late(LateContext context) override {
    ++trace.effects;
    co_await trace.gate.pass();
    context.getResults().setProbe(shared());
  }

 private:
  Probe::Client shared() {
    KJ_IF_MAYBE(client, object) return *client;
    return object.emplace(kj::heap<UnboundProbe>(trace));
  }
  Trace& trace;
  kj::Maybe<Probe::Client> object;
};

// Holds an object, has it asked for once more, and releases it after the head has moved.
void script(World& world, Probe::Client probe, kj::FunctionParam<void()> moveHead) {
  kj::Maybe<Probe::Client> held = probe.sameRequest().send().wait(world.waitScope).getProbe();
  auto late = probe.lateRequest().send();
  world.settle();
  moveHead();
  world.settle();
  held = nullptr;
  world.settle();
  world.trace.gate.open();
  world.settle();
  auto again = late.then([](auto&& response) {
    return response.getProbe().touchRequest().send().ignoreResult();
  });
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() { again.wait(world.waitScope); })) {
    printf("ended with: %s\n", exception->getDescription().cStr());
  }
}

void naive() {
  World world(Reach::LOCAL);
  auto over = kj::newPromiseAndFulfiller<void>();
  Probe::Client inside = kj::heap<UnboundProbe>(world.trace);
  auto policy = kj::refcounted<NaivePolicy>(kj::mv(over.promise));
  auto wrapped = capnp::membrane(kj::mv(inside), kj::mv(policy));
  script(world, world.connect(kj::mv(wrapped)).castAs<Probe>(), [&]() {
    over.fulfiller->reject(KJ_EXCEPTION(FAILED, "over"));
  });
}

void policy() {
  World world(Reach::LOCAL);
  Probe::Client inside = kj::heap<UnboundProbe>(world.trace);
  auto lease = world.watch.issue();
  auto wrapped = bindToLease<Probe>(*lease, kj::mv(inside));
  script(world, world.connect(kj::mv(wrapped)).castAs<Probe>(), [&]() {
    world.moveHead();
    world.announce();
  });
}

void ours(Reach reach) {
  World world(reach);
  script(world, world.graftProbe(), [&]() {
    world.moveHead();
    world.announce();
  });
}

}  // namespace
}  // namespace ww

int main(int argc, char** argv) {
  kj::StringPtr which = argc > 1 ? argv[1] : "";
  if (which == "naive") {
    ww::naive();
  } else if (which == "policy") {
    ww::policy();
  } else if (which == "ours") {
    ww::ours(ww::Reach::LOCAL);
    ww::ours(ww::Reach::TWO_PARTY);
    ww::ours(ww::Reach::CHANNEL);
  } else {
    fprintf(stderr, "usage: %s naive|policy|ours\n", argv[0]);
    return 2;
  }
  puts("survived");
}
