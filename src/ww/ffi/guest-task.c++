#include <ww/ffi/guest-task.h>

#include <kj/debug.h>
#include <kj/vector.h>
#include <ww/base/error.h>
#include <ww/ffi/engine.h>
#include <ww/ffi/fence.h>

namespace ww::ffi {
namespace {

constexpr uint64_t MOST_NS = uint64_t(24 * kj::HOURS / kj::NANOSECONDS);

WwCell* makeCell(const Engine& engine, const Component& component, const GuestOptions& options,
                 void* task, uint64_t id) {
  kj::Vector<WwSlice> args(options.args.size());
  for (auto& arg: options.args) args.add(slice(arg));
  kj::Vector<WwSlice> env(options.env.size() * 2);
  for (auto& variable: options.env) {
    env.add(slice(variable.name));
    env.add(slice(variable.value));
  }
  kj::Vector<WwMount> mounts(options.folders.size());
  for (auto& folder: options.folders) {
    mounts.add(WwMount{folder.fd, slice(folder.path), folder.writable, folder.foreign});
  }
  const WwBudget* parent = nullptr;
  KJ_IF_MAYBE(p, options.parent) parent = GuestTask::rawOf(*p);
  WwCellOptions raw{args.begin(), args.size(), env.begin(), env.size(), options.pipeBytes,
                    options.memoryBytes, options.tableElements, options.memories,
                    options.instances, options.resources, options.hostcallBytes,
                    options.randomBytes, component.getFootprint(), parent,
                    mounts.begin(), mounts.size(), slice(options.scratch.orDefault(""_kj))};
  WwError error{};
  auto cell = ww_cell_new(engine.getHandle().getRaw(), component.getRaw(), &raw, task, id, &error);
  if (cell == nullptr) kj::throwFatalException(takeError(error));
  return cell;
}

}  // namespace

GuestTask::GuestTask(Engine& engine, const Component& component, const GuestOptions& options)
    : kj::_::Event(kj::SourceLocation()), engine(engine), id(engine.handle->guests().nextId()),
      component(kj::atomicAddRef(component)),
      cpuLimitNs(options.cpu.map([](kj::Duration limit) {
        return uint64_t(limit / kj::NANOSECONDS);
      }).orDefault(kj::maxValue)) {
  auto& guests = engine.handle->guests();
  if (!guests.tryAdd(engine.options.maxGuests)) kj::throwFatalException(overloaded("cells"));
  bool made = false;
  KJ_DEFER(if (!made) guests.remove());
  auto instantiatedPaf = kj::newPromiseAndFulfiller<bool>();
  instantiatedPromise = kj::mv(instantiatedPaf.promise);
  instantiatedFulfiller = kj::mv(instantiatedPaf.fulfiller);
  auto endPaf = kj::newPromiseAndFulfiller<void>();
  endPromise = kj::mv(endPaf.promise);
  endFulfiller = kj::mv(endPaf.fulfiller);

  raw = makeCell(engine, component, options, this, id);
  meter = kj::atomicRefcounted<GuestMeter>(raw);
  engine.tasks.insert(id, this);
  made = true;
  armBreadthFirst();
}

GuestEnd GuestTask::takeEnd() { return kj::mv(KJ_REQUIRE_NONNULL(end, "it runs")); }

void GuestTask::finish(GuestEnd how) {
  if (!endFulfiller->isWaiting()) return;  // it has ended
  end = kj::mv(how);
  endFulfiller->fulfill();
}

GuestTask::~GuestTask() noexcept(false) {
  if (queueLink.isLinked()) engine.runQueue->remove(*this);
  engine.tasks.erase(id);
  engine.handle->guests().remove();
  ww_cell_drop(raw);
  if (!instantiated) instantiatedFulfiller->fulfill(false);  // whoever waits learns how it ended
}

GuestMeter::GuestMeter(WwCell* cell)
    : budget(kj::atomicRefcounted<GuestBudget>(ww_cell_budget(cell))),
      toGuest{ww_cell_pipe(cell, WW_CONNECTION_IN), ww_cell_pipe(cell, WW_STDIN)},
      fromGuest{ww_cell_pipe(cell, WW_CONNECTION_OUT), ww_cell_pipe(cell, WW_STDOUT),
                ww_cell_pipe(cell, WW_STDERR)} {}

GuestMeter::~GuestMeter() noexcept(false) {
  for (auto pipe: toGuest) ww_pipe_drop(pipe);
  for (auto pipe: fromGuest) ww_pipe_drop(pipe);
}

GuestMeter::Traffic GuestMeter::getTraffic() const {
  Traffic traffic{0, 0};
  for (auto pipe: toGuest) traffic.toGuest += ww_pipe_total(pipe);
  for (auto pipe: fromGuest) traffic.fromGuest += ww_pipe_total(pipe);
  return traffic;
}

kj::Own<const GuestBudget> GuestBudget::make(uint64_t memoryBytes, uint64_t tableElements,
                                             kj::Maybe<const GuestBudget&> parent) {
  const WwBudget* raw = nullptr;
  KJ_IF_MAYBE(p, parent) raw = p->raw;
  return kj::atomicRefcounted<GuestBudget>(ww_budget_new(memoryBytes, tableElements, raw));
}
GuestBudget::~GuestBudget() noexcept(false) { ww_budget_drop(raw); }

uint64_t GuestBudget::getMemory() const { return ww_budget_usage(raw).memory; }
uint64_t GuestBudget::getMemoryPeak() const { return ww_budget_usage(raw).memory_peak; }

kj::Own<PipeChannel> GuestTask::takeConnection() {
  return kj::heap<PipeChannel>(*engine.runQueue, ww_cell_pipe(raw, WW_CONNECTION_IN),
                               ww_cell_pipe(raw, WW_CONNECTION_OUT));
}
kj::Own<PipeStream> GuestTask::takeStdin() {
  return kj::heap<PipeStream>(ww_cell_pipe(raw, WW_STDIN), nullptr);
}
kj::Own<PipeStream> GuestTask::takeStdout() {
  return kj::heap<PipeStream>(nullptr, ww_cell_pipe(raw, WW_STDOUT));
}
kj::Own<PipeStream> GuestTask::takeStderr() {
  return kj::heap<PipeStream>(nullptr, ww_cell_pipe(raw, WW_STDERR));
}

void GuestTask::wake() {
  if (isSpent()) return;
  if (polling) {
    wokenWhilePolling = true;
  } else if (!queueLink.isLinked()) {
    armBreadthFirst();
  }
}

kj::Maybe<kj::Own<kj::_::Event>> GuestTask::fire() {
  if (queueLink.isLinked()) return nullptr;  // its turn comes
  auto before = cpuNs;
  poll();
  engine.runQueue->onOtherPoll(cpuNs - before);
  return nullptr;
}

void GuestTask::poll() {
  WwPoll result;
  polling = true;
  ++engine.polls;
  wokenWhilePolling = false;
  engine.cpuClock.begin();
  ww_cell_poll(raw, &result);
  cpuNs += engine.cpuClock.endNs();
  meter->cpuNs.store(cpuNs, std::memory_order_relaxed);
  polling = false;
  if (result.hits != 0) tellHits(result.hits);

  if (result.instantiated && !instantiated) {
    instantiated = true;
    instantiatedFulfiller->fulfill(true);
  }
  auto cause = takeText(result.cause);
  auto backtrace = takeText(result.backtrace);
  switch (result.state) {
    case WW_POLL_PENDING:
      if (isSpent()) {
        finish(GuestSpent{});
        break;
      }
      setDeadline(result.deadline);
      if (result.yielded) {
        engine.runQueue->add(*this);
      } else if (wokenWhilePolling) {
        armBreadthFirst();
      }
      return;
    case WW_POLL_EXITED:
      finish(GuestExit{result.exit_code});
      break;
    case WW_POLL_REFUSED:
      finish(GuestRefusal{kj::mv(cause)});
      break;
    default:
      finish(GuestTrap{kj::mv(cause), kj::mv(backtrace)});
      break;
  }
  setDeadline(kj::maxValue);
  instantiatedFulfiller->fulfill(false);
}

void GuestTask::tellHits(uint32_t hits) {
  KJ_IF_MAYBE(handler, hitHandler) {
    auto has = [hits](uint32_t bit) { return (hits & bit) != 0; };
    (*handler)({has(WW_HIT_MEMORY), has(WW_HIT_TABLES), has(WW_HIT_SHARED),
                has(WW_HIT_NODE), has(WW_HIT_MEMORIES),
                has(WW_HIT_INSTANCES), has(WW_HIT_RESOURCES), has(WW_HIT_HOSTCALL),
                has(WW_HIT_RANDOM), has(WW_HIT_STACK)});
  }
}

void GuestTask::setDeadline(uint64_t ns) {
  // Most deadlines are replaced before they come. An alarm that rings too early only looks again,
  // so one that is set already will do.
  deadlineNs = ns;
  if (ns < alarmNs) alarm = ringAt(ns).eagerlyEvaluate(nullptr);
}

kj::Promise<void> GuestTask::ringAt(uint64_t ns) {
  alarmNs = ns;
  uint64_t now = ww_clock_now();
  // In bounds that KJ's clock can count; one that rings too early is set again.
  auto delay = int64_t(kj::min(ns > now ? ns - now : 0, MOST_NS)) * kj::NANOSECONDS;
  return engine.timer.afterDelay(delay).then([this]() -> kj::Promise<void> {
    alarmNs = kj::maxValue;
    if (deadlineNs == uint64_t(kj::maxValue)) return kj::READY_NOW;
    if (deadlineNs > ww_clock_now()) return ringAt(deadlineNs);
    wake();
    return kj::READY_NOW;
  });
}

}  // namespace ww::ffi
