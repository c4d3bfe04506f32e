#include <ww/ffi/swarm-thread.h>

#include <kj/debug.h>
#include <ww/ffi/fence.h>
#include <ww/ffi/swarm-stream.h>
#include <ww_swarm.h>

namespace ww::ffi {
namespace {

kj::Array<WwSlice> slices(kj::ArrayPtr<const Bytes> list) {
  return KJ_MAP(bytes, list) { return slice(bytes); };
}
kj::Array<WwSlice> slices(kj::ArrayPtr<const kj::Array<kj::byte>> list) {
  return KJ_MAP(bytes, list) { return slice(bytes.asPtr()); };
}
kj::Array<WwSlice> slices(kj::ArrayPtr<const kj::StringPtr> list) {
  return KJ_MAP(text, list) { return slice(text); };
}

Bytes view(const WwBytes& bytes) { return {bytes.ptr, bytes.len}; }

SwarmThread::Addresses decodeAddresses(Bytes bytes) {
  kj::Vector<kj::Array<kj::byte>> list;
  while (bytes.size() >= 2) {
    size_t size = bytes[0] | size_t(bytes[1]) << 8;
    KJ_ASSERT(size + 2 <= bytes.size());
    list.add(kj::heapArray<kj::byte>(bytes.slice(2, 2 + size)));
    bytes = bytes.slice(2 + size, bytes.size());
  }
  return list.releaseAsArray();
}

kj::Exception::Type typeOf(uint32_t code) {
  switch (code) {
    case WW_NOT_CONNECTED: return kj::Exception::Type::DISCONNECTED;
    case WW_UNSUPPORTED: return kj::Exception::Type::UNIMPLEMENTED;
    case WW_OVERLOADED: return kj::Exception::Type::OVERLOADED;
    default: return kj::Exception::Type::FAILED;
  }
}

kj::Exception problem(const WwSwarmEvent& event) {
  auto text = kj::heapString(reinterpret_cast<const char*>(event.text.ptr), event.text.len);
  auto prefix = event.code == WW_OVERLOADED ? "overloaded: "_kj : ""_kj;
  return kj::Exception(typeOf(event.code), __FILE__, __LINE__, kj::str(prefix, text));
}

// What an operation gave; what is left in it goes with it.
struct Outcome {
  kj::Maybe<kj::Exception> failure;
  SwarmThread::Addresses addrs;
  kj::String text;
  uint64_t value = 0;
  kj::Own<kj::AsyncIoStream> stream;

  void check() {
    KJ_IF_MAYBE(exception, failure) kj::throwFatalException(kj::mv(*exception));
  }
};

}  // namespace

// One that is under way. Dropping its promise forgets it.
class SwarmThread::Operation {
 public:
  template <typename Submit>
  Operation(kj::PromiseFulfiller<Outcome>& fulfiller, SwarmThread& thread, Submit submit)
      : fulfiller(fulfiller), thread(thread), number(thread.nextOperation++) {
    WwError error{};
    if (submit(thread.raw, number, &error)) {
      thread.operations.insert(number, this);
      thread.flushSoon();
    } else {
      Outcome outcome;
      outcome.failure = takeError(error);
      end(kj::mv(outcome));
    }
  }
  ~Operation() noexcept(false) {
    KJ_IF_MAYBE(t, thread) {
      if (t->operations.erase(number)) {
        ww_swarm_forget(t->raw, number);
        t->flushSoon();
      }
    }
  }
  KJ_DISALLOW_COPY_AND_MOVE(Operation);

  void end(Outcome outcome) { fulfiller.fulfill(kj::mv(outcome)); }
  void onThreadGone() {
    thread = nullptr;
    fulfiller.reject(KJ_EXCEPTION(DISCONNECTED, "this node's network has ended"));
  }

 private:
  kj::PromiseFulfiller<Outcome>& fulfiller;
  kj::Maybe<SwarmThread&> thread;
  const uint64_t number;
};

kj::OneOf<kj::Array<kj::byte>, kj::String> parseMultiaddr(kj::StringPtr text) {
  WwBytes bytes{};
  WwError error{};
  if (!ww_multiaddr_parse(slice(text), &bytes, &error)) {
    return kj::str(takeError(error).getDescription());
  }
  auto result = kj::heapArray<kj::byte>(view(bytes));
  ww_bytes_drop(bytes);
  return kj::mv(result);
}

SwarmThread::SwarmThread(const SwarmOptions& options, Observer& observer,
                         kj::UnixEventPort& port)
    : observer(observer), isPrivate(options.isPrivate) {
  auto listen = slices(options.listen);
  auto bootstrap = slices(options.bootstrap);
  auto protocols = slices(options.protocols);
  auto direct = slices(options.direct);
  WwSwarmOptions fields{
    slice(options.identity.asPtr()), slice(options.agent), listen.begin(), listen.size(),
    bootstrap.begin(), bootstrap.size(), protocols.begin(), protocols.size(),
    slice(options.privateNetwork.asPtr()), direct.begin(), direct.size(),
    uint64_t(options.dialTimeout / kj::MILLISECONDS), uint32_t(options.dht), options.mdns,
    options.dialPrivate, options.network};
  WwSwarmHooks hooks{&ring, &isPrivateAddr};
  draining = drain().eagerlyEvaluate([](kj::Exception&& exception) {
    KJ_LOG(ERROR, "the network is no longer heard", exception);
  });
  WwError error{};
  raw = ww_swarm_new(&fields, &hooks, this, &error);
  if (raw == nullptr) kj::throwFatalException(takeError(error));
  watching = watch(port).eagerlyEvaluate([](kj::Exception&& exception) {
    KJ_LOG(ERROR, "the network's sockets are no longer watched", exception);
  });
}

SwarmThread::~SwarmThread() noexcept(false) {
  draining = nullptr;
  watching = nullptr;
  flushing = nullptr;
  if (raw != nullptr) ww_swarm_drop(raw);
  // Nobody will wake them any more.
  while (operations.size() > 0) {
    auto entry = operations.begin();
    auto operation = entry->value;
    operations.erase(*entry);
    operation->onThreadGone();
  }
  for (auto& entry: streams) entry.value->onThreadGone();
}

void SwarmThread::ring(void* hub) noexcept {
  auto lock = static_cast<SwarmThread*>(hub)->doorbell.lockExclusive();
  KJ_IF_MAYBE(bell, *lock) (*bell)->fulfill();
}

bool SwarmThread::isPrivateAddr(void* hub, WwSlice addr) noexcept {
  return static_cast<SwarmThread*>(hub)->isPrivate({addr.ptr, addr.len});
}

kj::Promise<void> SwarmThread::onRing() {
  auto paf = kj::newPromiseAndCrossThreadFulfiller<void>();
  *doorbell.lockExclusive() = kj::mv(paf.fulfiller);
  return kj::mv(paf.promise);
}

// Events that are handled in one turn of the loop.
constexpr kj::uint AT_A_TIME = 32;

kj::Promise<void> SwarmThread::drain() {
  auto next = onRing();
  for (;;) {
    co_await next;
    next = onRing();  // before the queue is emptied: what comes from then on rings this one
    handleSome();
  }
}

kj::Promise<void> SwarmThread::watch(kj::UnixEventPort& port) {
  using Observed = kj::UnixEventPort::FdObserver;
  Observed observed(port, ww_swarm_fd(raw), Observed::OBSERVE_READ);
  for (;;) {
    co_await observed.whenBecomesReadable();
    ww_swarm_turn(raw);
    handleSome();
  }
}

void SwarmThread::handleSome() {
  WwSwarmEvent event;
  for (kj::uint i = 0; i < AT_A_TIME; i++) {
    if (!ww_swarm_next(raw, &event)) return;
    // What somebody could not take is lost, and the rest is heard.
    KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() { handle(event); })) {
      KJ_LOG(ERROR, "an event of the network was not taken", *exception);
    }
  }
  ring(this);  // the rest after timers and others have had their turn
}

void SwarmThread::flushSoon() {
  if (mustFlush) return;
  mustFlush = true;
  flushing = kj::evalLater([this]() {
    mustFlush = false;
    ww_swarm_flush(raw);
  }).eagerlyEvaluate(nullptr);
}

kj::Own<kj::AsyncIoStream> SwarmThread::wrap(WwSwarmEvent& event) {
  auto stream = event.stream;
  event.stream = nullptr;
  return kj::heap<SwarmStream>(*this, stream);
}

void SwarmThread::handle(WwSwarmEvent& event) {
  KJ_DEFER({
    for (auto& bytes: {event.peer, event.text, event.from}) ww_bytes_drop(bytes);
    if (event.stream != nullptr) ww_stream_drop(event.stream);
  });
  auto text = kj::heapString(reinterpret_cast<const char*>(event.text.ptr), event.text.len);
  switch (event.kind) {
    case WW_READABLE:
      KJ_IF_MAYBE(stream, streams.find(event.id)) (*stream)->onReadable();
      break;
    case WW_WRITABLE:
      KJ_IF_MAYBE(stream, streams.find(event.id)) (*stream)->onWritable();
      break;
    case WW_DONE: finish(event); break;
    case WW_INBOUND: {
      auto from = kj::heapString(reinterpret_cast<const char*>(event.from.ptr), event.from.len);
      observer.onStream(text, view(event.peer), from, wrap(event));
      break;
    }
    case WW_LISTENING: observer.onListening(decodeAddresses(view(event.from))); break;
    case WW_CONNECTED:
      observer.onConnected(view(event.peer), decodeAddresses(view(event.from)));
      break;
    case WW_DISCONNECTED: observer.onDisconnected(view(event.peer)); break;
    case WW_DIRECT: observer.onDirect(decodeAddresses(view(event.from))); break;
    default: observer.onWarning(text);
  }
}

void SwarmThread::finish(WwSwarmEvent& event) {
  KJ_IF_MAYBE(found, operations.find(event.id)) {
    auto operation = *found;
    operations.erase(event.id);
    Outcome outcome;
    if (event.code != 0) {
      outcome.failure = problem(event);
    } else {
      outcome.addrs = decodeAddresses(view(event.from));
      outcome.text = kj::heapString(reinterpret_cast<const char*>(event.text.ptr),
                                    event.text.len);
      outcome.value = event.value;
      if (event.stream != nullptr) outcome.stream = wrap(event);
    }
    operation->end(kj::mv(outcome));
  }
}

kj::Promise<SwarmThread::Resolved> SwarmThread::resolve(Bytes peer,
                                                        kj::ArrayPtr<const Bytes> addrs) {
  auto list = slices(addrs);
  return kj::newAdaptedPromise<Outcome, Operation>(*this,
      [&](WwSwarm* swarm, uint64_t number, WwError* error) {
    return ww_swarm_resolve(swarm, number, slice(peer), list.begin(), list.size(), error);
  }).then([](Outcome&& outcome) -> Resolved {
    outcome.check();
    return {kj::mv(outcome.addrs), kj::mv(outcome.text)};
  });
}

kj::Promise<void> SwarmThread::dial(Bytes peer, kj::ArrayPtr<const Bytes> addrs) {
  auto list = slices(addrs);
  return kj::newAdaptedPromise<Outcome, Operation>(*this,
      [&](WwSwarm* swarm, uint64_t number, WwError* error) {
    return ww_swarm_dial(swarm, number, slice(peer), list.begin(), list.size(), error);
  }).then([](Outcome&& outcome) { outcome.check(); });
}

kj::Promise<kj::Own<kj::AsyncIoStream>> SwarmThread::open(Bytes peer, kj::StringPtr protocol) {
  return kj::newAdaptedPromise<Outcome, Operation>(*this,
      [&](WwSwarm* swarm, uint64_t number, WwError* error) {
    return ww_swarm_open(swarm, number, slice(peer), slice(protocol), error);
  }).then([](Outcome&& outcome) {
    outcome.check();
    return kj::mv(outcome.stream);
  });
}

kj::Promise<kj::Duration> SwarmThread::ping(Bytes peer) {
  return kj::newAdaptedPromise<Outcome, Operation>(*this,
      [&](WwSwarm* swarm, uint64_t number, WwError* error) {
    return ww_swarm_ping(swarm, number, slice(peer), error);
  }).then([](Outcome&& outcome) {
    outcome.check();
    return int64_t(outcome.value) * kj::NANOSECONDS;
  });
}

kj::Own<void> SwarmThread::protect(Bytes peer) {
  ww_swarm_protect(raw, slice(peer), true);
  return kj::heap(kj::defer([this, peer = kj::heapArray(peer)]() {
    ww_swarm_protect(raw, slice(peer.asPtr()), false);
  }));
}

kj::Promise<void> SwarmThread::find(Bytes peer) {
  return kj::newAdaptedPromise<Outcome, Operation>(*this,
      [&](WwSwarm* swarm, uint64_t number, WwError* error) {
    return ww_swarm_find(swarm, number, slice(peer), error);
  }).then([](Outcome&& outcome) { outcome.check(); });
}

kj::Promise<SwarmThread::Addresses> SwarmThread::findProviders(Bytes multihash) {
  return kj::newAdaptedPromise<Outcome, Operation>(*this,
      [&](WwSwarm* swarm, uint64_t number, WwError* error) {
    return ww_swarm_providers(swarm, number, slice(multihash), error);
  }).then([](Outcome&& outcome) -> Addresses {
    outcome.check();
    return kj::mv(outcome.addrs);
  });
}

void SwarmThread::provide(Bytes multihash) {
  ww_swarm_provide(raw, slice(multihash));
  ww_swarm_flush(raw);
}

kj::Promise<kj::Own<kj::AsyncIoStream>> SwarmThread::openDirect(
    Bytes peer, kj::ArrayPtr<const Bytes> addrs, kj::StringPtr protocol) {
  auto list = slices(addrs);
  return kj::newAdaptedPromise<Outcome, Operation>(*this,
      [&](WwSwarm* swarm, uint64_t number, WwError* error) {
    return ww_swarm_open_direct(swarm, number, slice(peer), list.begin(), list.size(),
                                slice(protocol), error);
  }).then([](Outcome&& outcome) {
    outcome.check();
    return kj::mv(outcome.stream);
  });
}

}  // namespace ww::ffi
