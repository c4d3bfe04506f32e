#include "ww/event-port.h"

#include <kj/debug.h>
#include <stdlib.h>

namespace ww {
namespace {

kj::TimePoint readClock() {
  return kj::origin<kj::TimePoint>() + int64_t(wasi::ww_monotonic_now()) * kj::NANOSECONDS;
}

void* nextListSpace = nullptr;
size_t nextListSize = 0;

}  // namespace

namespace wasi {

PlaceNextList::PlaceNextList(void* space, size_t size) {
  nextListSpace = space;
  nextListSize = size;
}
PlaceNextList::~PlaceNextList() { nextListSpace = nullptr; }

// The host calls this to place a list or a string that it returns.
extern "C" __attribute__((export_name("cabi_realloc")))
void* cabi_realloc(void* old, size_t oldSize, size_t align, size_t newSize) {
  if (nextListSpace != nullptr && oldSize == 0 && newSize <= nextListSize &&
      reinterpret_cast<uintptr_t>(nextListSpace) % align == 0) {
    void* space = nextListSpace;
    nextListSpace = nullptr;
    return space;
  }
  if (newSize == 0) return reinterpret_cast<void*>(align);
  void* space = realloc(old, newSize);
  if (space == nullptr) abort();
  return space;
}

}  // namespace wasi

EventPort::Waiter::Waiter(kj::PromiseFulfiller<void>& fulfiller, EventPort& port,
                          wasi::Handle pollable)
    : fulfiller(fulfiller), port(port), pollable(pollable) {
  port.waiters.add(*this);
}
EventPort::Waiter::~Waiter() noexcept(false) {
  if (link.isLinked()) port.waiters.remove(*this);
}
void EventPort::Waiter::fire() {
  port.waiters.remove(*this);
  fulfiller.fulfill();
}

kj::TimePoint EventPort::Clock::now() const { return readClock(); }

EventPort::EventPort(): timerImpl(readClock()) {}

kj::Promise<void> EventPort::whenReady(wasi::Handle pollable) {
  return kj::newAdaptedPromise<void, Waiter>(*this, pollable);
}

bool EventPort::wait() {
  auto until = timerImpl.nextEvent();
  KJ_IF_MAYBE(s, source) {
    s->beforeWait();
    if (waiters.empty() && until == nullptr && s->waitAlone()) return false;
  }
  pollAll(until);
  return false;
}

size_t EventPort::addSource() {
  size_t before = handles.size();
  KJ_IF_MAYBE(s, source) {
    for (auto handle: s->waitsFor().handles) {
      if (handle != wasi::NO_HANDLE) handles.add(handle);
    }
  }
  return handles.size() - before;
}

void EventPort::pollAll(kj::Maybe<kj::TimePoint> until) {
  handles.clear();
  polled.clear();
  for (auto& waiter: waiters) {
    handles.add(waiter.pollable);
    polled.add(&waiter);
  }
  auto ofSource = addSource();
  // Nothing could ever wake this guest: a bug in it, and better said than hung.
  KJ_REQUIRE(!handles.empty() || until != nullptr,
             "this guest waits, but neither for the host nor for a timer");
  wasi::Owned<wasi::ww_pollable_drop> timeout;
  KJ_IF_MAYBE(time, until) {
    auto now = readClock();
    uint64_t ns = *time > now ? (*time - now) / kj::NANOSECONDS : 0;
    timeout.adopt(wasi::ww_subscribe_duration(ns));
    handles.add(*timeout);
  }
  readyIndices.resize(handles.size());
  wasi::List ready{};
  {
    wasi::PlaceNextList place(readyIndices.begin(), handles.size() * sizeof(uint32_t));
    wasi::ww_poll(handles.begin(), handles.size(), &ready);
  }
  for (auto index: kj::arrayPtr(static_cast<uint32_t*>(ready.ptr), ready.len)) {
    if (index < polled.size()) {
      polled[index]->fire();
    } else if (index < polled.size() + ofSource) {
      KJ_IF_MAYBE(s, source) s->onReady();
    }
  }
  if (timeout) timerImpl.advanceTo(readClock());
}

bool EventPort::poll() {
  KJ_IF_MAYBE(s, source) {
    s->beforeWait();
    for (auto handle: s->waitsFor().handles) {
      if (handle != wasi::NO_HANDLE && wasi::ww_pollable_ready(handle)) s->onReady();
    }
  }
  polled.clear();
  for (auto& waiter: waiters) {
    if (wasi::ww_pollable_ready(waiter.pollable)) polled.add(&waiter);
  }
  for (auto waiter: polled) waiter->fire();
  timerImpl.advanceTo(readClock());
  return false;
}

}  // namespace ww
