#include <ww/cell/cell.h>

#include <kj/debug.h>
#include <ww/base/error.h>
#include <ww/base/text.h>
#include <ww/ffi/engine.h>

namespace ww {
namespace {

// Of a trap, in the log: what it was, and its first frames, whose names are the guest's.
constexpr size_t MAX_CAUSE_BYTES = 256, MAX_BACKTRACE_BYTES = 1024;

kj::String firstOf(kj::StringPtr text, size_t most) {
  if (text.size() <= most) return kj::str(text);
  while (most > 0 && (text[most] & 0xc0) == 0x80) --most;  // whole characters
  return kj::str(text.slice(0, most), "...");
}

}  // namespace

// ---------------------------------------------------------------------------------- CellGroup

CellGroup::CellGroup(kj::Maybe<kj::Own<ffi::GuestBudget>> budget)
    : budget(kj::mv(budget)), account(kj::refcounted<CellAccount>()), removals(*this) {}

CellGroup::CellGroup(uint64_t parent, kj::Own<ffi::GuestBudget> budget, CellGroup& of)
    : parent(parent), budget(kj::mv(budget)), depth(of.depth + 1), tree(kj::addRef(*of.tree)),
      account(of.account->isKeys() ? kj::addRef(*of.account) : kj::refcounted<CellAccount>()),
      removals(*this) {}

CellGroup::CellGroup(CellGroup& of, kj::Maybe<CellAccount&> key)
    : parent(of.parent),
      budget((key == nullptr ? of.budget : KJ_ASSERT_NONNULL(key).budget).map(
          [](kj::Own<ffi::GuestBudget>& b) { return kj::addRef(*b); })),
      depth(of.depth), account(kj::addRef(key.orDefault(*of.account))), removals(*this) {}

size_t CellGroup::size() const {
  auto count = cells.size();
  for (auto& subgroup: subgroups) count += subgroup->size();
  return count;
}

CellGroup::~CellGroup() noexcept(false) { end(); }

void CellGroup::requireOpen() const {
  if (ended) kj::throwFatalException(ww::ended("what would own this cell has ended"));
}

void CellGroup::add(kj::Own<Cell> cell) {
  requireOpen();
  auto place = kj::refcounted<Place>(kj::addRef(*account));
  for (auto pipe: {cell->in.get(), cell->out.get(), cell->err.get()}) {
    pipe->attach(kj::addRef(*place));  // what is left in it is what is counted
  }
  cell->place = kj::mv(place);
  cell->running = kj::refcounted<Running>(kj::addRef(*tree));
  auto id = cell->getId();
  removals.add(cell->onExit().then([this, id](int32_t) { cells.erase(id); }));
  cells.insert(id, kj::mv(cell));
}

kj::Own<CellGroup> CellGroup::makeSubgroup(kj::Maybe<CellAccount&> key) {
  requireOpen();
  // Those that nobody else holds and that hold nothing are of no use any more.
  kj::Vector<kj::Own<CellGroup>> used;
  for (auto& subgroup: subgroups) {
    if (subgroup->isShared() || subgroup->size() > 0) used.add(kj::mv(subgroup));
  }
  subgroups = kj::mv(used);
  auto subgroup = kj::refcounted<CellGroup>(*this, key);
  subgroups.add(kj::addRef(*subgroup));
  return subgroup;
}

void CellGroup::end() {
  ended = true;
  for (auto& subgroup: subgroups) subgroup->end();
  // Not removed here: each removes itself, in an event of its own.
  for (auto& entry: cells) entry.value->end(EXIT_KILLED);
}

bool CellGroup::hasDetached() const {
  for (auto& entry: cells) {
    if (entry.value->isDetached()) return true;
  }
  return false;
}

kj::Promise<void> CellGroup::endAttached() {
  kj::Vector<kj::Promise<void>> ends;
  for (auto& entry: cells) {
    if (entry.value->isDetached()) ends.add(entry.value->onExit().ignoreResult());
    else entry.value->end(EXIT_KILLED);
  }
  return kj::joinPromises(ends.releaseAsArray());
}

void CellGroup::taskFailed(kj::Exception&& exception) {
  KJ_LOG(ERROR, "a cell was not removed from its group", exception);
}

// --------------------------------------------------------------------------------------- Cell

Cell::Cell(uint64_t id, kj::Own<ffi::GuestTask> task, LineQuota& log, CellList& list,
           CellGroup& group)
    : Cell(id, kj::mv(task), log, list, group, kj::newPromiseAndFulfiller<int32_t>()) {}

Cell::Cell(uint64_t id, kj::Own<ffi::GuestTask> guest, LineQuota& log, CellList& list,
           CellGroup& group, kj::PromiseFulfillerPair<int32_t> paf)
    : id(id), log(log), list(list),
      children(kj::refcounted<CellGroup>(id, kj::addRef(guest->getBudget()), group)),
      in(kj::refcounted<PipeEnd>("stdin", PipeEnd::Direction::TO_CELL, guest->takeStdin())),
      out(kj::refcounted<PipeEnd>("stdout", PipeEnd::Direction::FROM_CELL, guest->takeStdout())),
      err(kj::refcounted<PipeEnd>("stderr", PipeEnd::Direction::FROM_CELL, guest->takeStderr())),
      exitFulfiller(kj::mv(paf.fulfiller)), exitPromise(paf.promise.fork()) {
  following = guest->onEnd().then([this](ffi::GuestEnd&& end) { onGuestEnd(kj::mv(end)); })
      .eagerlyEvaluate(nullptr);
  task = kj::mv(guest);
}

Cell::~Cell() noexcept(false) { end(EXIT_KILLED); }

kj::Promise<int32_t> Cell::wait() {
  KJ_IF_MAYBE(code, exitCode) return *code;
  countWaiter(1);
  return onExit().attach(kj::defer([self = kj::addRef(*this)]() mutable {
    self->countWaiter(-1);
  }));
}

void Cell::countWaiter(int difference) {
  waiters += difference;
  out->setAwaited(waiters > 0);
  err->setAwaited(waiters > 0);
}

void Cell::onGuestEnd(ffi::GuestEnd guestEnd) {
  KJ_SWITCH_ONEOF(guestEnd) {
    KJ_CASE_ONEOF(exit, ffi::GuestExit) { end(exit.code); }
    KJ_CASE_ONEOF(trap, ffi::GuestTrap) {
      trapCause = kj::str(trap.cause);
      logTrap(trap);
      end(EXIT_TRAP);
    }
    KJ_CASE_ONEOF(refusal, ffi::GuestRefusal) {
      trapCause = kj::str(refusal.cause);
      refused = true;
      end(EXIT_NOT_RUNNABLE);
    }
    KJ_CASE_ONEOF(spent, ffi::GuestSpent) {
      KJ_IF_MAYBE(hit, onSpent) (*hit)();
      isOutOfTime = true;
      end(EXIT_TIMEOUT);
    }
  }
}

void Cell::end(int32_t code) {
  if (exitCode != nullptr) return;
  exitCode = code;
  if (record.get() != nullptr) record->usage = getUsage();
  // The guest is gone from here on: its memory is freed, its pipes give what is left, and the end.
  task = nullptr;
  running = nullptr;
  KJ_IF_MAYBE(l, link) {
    // A link must not be dropped from within a call that it delivers, which this may be.
    kj::evalLater([dropped = kj::mv(*l)]() {}).detach([](kj::Exception&& exception) {
      KJ_LOG(ERROR, "dropping a cell's link", exception);
    });
    link = nullptr;
  }
  children->end();
  if (record.get() != nullptr) list.end(*record, code, findTrapCause().orDefault(nullptr));
  out->onRefusedRead(nullptr);
  err->onRefusedRead(nullptr);
  logDropped(*out, "stdout");
  logDropped(*err, "stderr");
  exitFulfiller->fulfill(kj::mv(code));
}

CellUsage Cell::getUsage() const {
  CellUsage usage = record->usage;
  KJ_IF_MAYBE(guest, task) {
    auto& budget = (*guest)->getBudget();
    usage.memory = budget.getMemory();
    usage.memoryPeak = budget.getMemoryPeak();
    usage.cpu = (*guest)->getCpuTime();
    usage.children = children->size();
    auto traffic = (*guest)->getTraffic();
    usage.bytesIn = traffic.toGuest;
    usage.bytesOut = traffic.fromGuest;
  }
  return usage;
}

// Tells which limits it hits, and ends it when its time is over. What this refers to outlives it.
void Cell::watch(CellParts& parts) {
  limitHits = parts.hits;
  auto hit = [this, &hits = parts.hits](LimitKind kind, kj::StringPtr limit) {
    hits.hit(kind, record->asHolder(), limit, record->hits);
  };
  auto& limits = parts.limits;
  KJ_ASSERT_NONNULL(task)->onHits([hit, limits, stack = parts.engine.getStackBytes()](
      ffi::GuestHits hits) {
    if (hits.memory) hit(LimitKind::MEMORY, kj::str(limits.memoryBytes));
    if (hits.sharedMemory) {
      hit(LimitKind::KEY_MEMORY, kj::str(limits.memoryBytes * limits.cellsWorthOfKey));
    }
    if (hits.nodeMemory) hit(LimitKind::NODE_MEMORY, kj::str(limits.nodeMemoryBytes));
    if (hits.tables) hit(LimitKind::TABLES, kj::str(limits.tableElements));
    if (hits.memories) hit(LimitKind::MEMORIES, kj::str(limits.memories));
    if (hits.instances) hit(LimitKind::INSTANCES, kj::str(limits.instances));
    if (hits.resources) hit(LimitKind::RESOURCES, kj::str(limits.resources));
    if (hits.hostcallBytes) hit(LimitKind::HOSTCALL_BYTES, kj::str(limits.hostcallBytes));
    if (hits.randomBytes) hit(LimitKind::RANDOM_BYTES, kj::str(limits.randomBytes));
    if (hits.stack) hit(LimitKind::STACK, kj::str(stack));
  });
  for (auto pipe: {out.get(), err.get()}) {
    // Who reads asks for too much: counted for who started this cell, and gave its streams away.
    pipe->onRefusedRead(kj::Function<void()>([this, &hits = parts.hits, &list = parts.list]() {
      auto reader = list.find(record->parent);
      LimitHolder holder{record->parent, record->origin->session, nullptr,
                         record->origin->getTenant()};
      hits.hit(LimitKind::READS, holder, kj::str(MAX_PENDING_READS),
               reader.map([](auto& r) -> CellHits& { return r.hits; }).orDefault(record->hits));
    }));
  }
  KJ_IF_MAYBE(cpu, limits.cpu) {
    onSpent = [hit, cpu = *cpu]() { hit(LimitKind::CPU, kj::str(cpu)); };
  }
  KJ_IF_MAYBE(wall, limits.wall) {
    clock = parts.timer.afterDelay(*wall).then([this, hit, wall = *wall]() {
      if (exitCode != nullptr) return;
      hit(LimitKind::WALL, kj::str(wall));
      isOutOfTime = true;
      end(EXIT_TIMEOUT);
    }).eagerlyEvaluate(nullptr);
  }
}

void Cell::detach() {
  if (isDetached()) return;
  if (record->parent != 0) {
    kj::throwFatalException(denied("detach: another cell started this one, and it ends with it"));
  }
  if (record->origin->session == 0) {
    kj::throwFatalException(denied("detach: this is the node's own cell"));
  }
  auto count = list.countDetached(*record->origin);
  if (count >= CellList::MAX_DETACHED) {
    KJ_IF_MAYBE(hits, limitHits) {
      hits->hit(LimitKind::DETACHED, record->asHolder(), kj::str(CellList::MAX_DETACHED),
                record->hits);
    }
    kj::throwFatalException(overloaded(kj::str("detached: ", count, " cells run already")));
  }
  record->log = kj::refcounted<CellLog>(*out, *err);
}

kj::Maybe<kj::StringPtr> Cell::findTrapCause() const {
  return trapCause.map([](const kj::String& cause) -> kj::StringPtr { return cause; });
}

void Cell::logTrap(const ffi::GuestTrap& trap) {
  LogField fields[] = {{"cell", kj::str(id)}, {"cause", firstOf(trap.cause, MAX_CAUSE_BYTES)},
                       {"backtrace", firstOf(trap.backtrace, MAX_BACKTRACE_BYTES)}};
  log.log(record->origin->getTenant(), LogLevel::WARNING, "a cell trapped", fields);
}

void Cell::logDropped(PipeEnd& pipe, kj::StringPtr name) {
  auto bytes = pipe.droppedBytes();
  if (bytes == 0) return;
  LogField fields[] = {{"cell", kj::str(id)}, {"pipe", kj::str(name)}, {"bytes", kj::str(bytes)}};
  log.log(record->origin->getTenant(), LogLevel::INFO, "output that nobody read was dropped",
          fields);
}

// -------------------------------------------------------------------------------- CellBuilder

namespace {

constexpr kj::StringPtr NOT_INSTANTIATED = "the component could not be instantiated"_kj;
constexpr kj::StringPtr NOT_IN_TIME = "the component was not instantiated"_kj;

void requireText(kj::StringPtr list, size_t index, kj::StringPtr value) {
  if (value.findFirst('\0') != nullptr) {
    kj::throwFatalException(badInput(kj::str(list, "[", index, "] holds a NUL")));
  }
  if (!isUtf8(value.asBytes())) {
    kj::throwFatalException(badInput(kj::str(list, "[", index, "] is not valid UTF-8")));
  }
}

bool isOver(const kj::Exception& failure, kj::StringPtr limit) {
  return failure.getDescription().startsWith(kj::str("overloaded: ", limit, ": "));
}

}  // namespace

kj::Maybe<int32_t> findExitCode(const kj::Exception& failure) {
  auto reason = failure.getDescription();
  if (ffi::isComponentProblem(failure)) return EXIT_NOT_RUNNABLE;
  if (reason.startsWith(NOT_INSTANTIATED)) return EXIT_TRAP;
  if (reason.startsWith(NOT_IN_TIME) || isOver(failure, ffi::COMPILE_TIME)) return EXIT_TIMEOUT;
  for (auto limit: {ffi::COMPILE_MEMORY, ffi::INSTANCES, nameOf(LimitKind::MEMORY)}) {
    if (isOver(failure, limit)) return EXIT_NOT_RUNNABLE;
  }
  return nullptr;
}

void CellBuilder::args(kj::Array<kj::String> values) {
  for (size_t i = 0; i < values.size(); i++) requireText("args", i, values[i]);
  argValues = kj::mv(values);
}

void CellBuilder::env(kj::Array<kj::String> variables) {
  auto names = kj::heapArrayBuilder<kj::String>(variables.size());
  auto values = kj::heapArrayBuilder<kj::String>(variables.size());
  for (size_t i = 0; i < variables.size(); i++) {
    requireText("env", i, variables[i]);
    KJ_IF_MAYBE(pos, variables[i].findFirst('=')) {
      names.add(kj::str(variables[i].slice(0, *pos)));
      values.add(kj::str(variables[i].slice(*pos + 1)));
    } else {
      kj::throwFatalException(badInput(kj::str("env[", i, "] has no `=`: it takes KEY=VALUE")));
    }
  }
  envNames = names.finish();
  envValues = values.finish();
}

void CellBuilder::requireRoom(CellGroup& group) {
  auto refuse = [&](LimitKind kind, kj::StringPtr name, kj::uint limit, kj::StringPtr why) {
    hit(kind, group, kj::str(limit));
    kj::throwFatalException(overloaded(kj::str(name, ": ", why, "; the limit is ", limit)));
  };
  auto& limits = parts.limits;
  auto& engine = parts.engine;
  if (engine.guestCount() >= engine.getMaxGuests()) {
    refuse(LimitKind::HELD, "cells", engine.getMaxGuests(), "so many run on this node");
  }
  auto& account = group.getAccount();
  auto most = account.most.orDefault(limits.held);
  if (account.held >= most) {
    refuse(LimitKind::HELD, "cells", most, account.isKeys()
        ? "so many of this key are held, over all its links, ended ones among them; drop some first"
        : "so many are held by this parent, ended ones among them; drop some first");
  }
  bool isPid0 = cellOrigin->session == 0;
  if (!isPid0 && group.sessionCount() >= limits.descendants) {
    refuse(LimitKind::DESCENDANTS, "descendants", limits.descendants,
           "so many cells run in this session, those that they started among them");
  }
  if (group.getDepth() >= limits.depth) {
    refuse(LimitKind::DEPTH, "depth", limits.depth, "so many generations of cells are above it");
  }
}

void CellBuilder::hit(LimitKind kind, CellGroup& group, kj::StringPtr limit) {
  auto parent = parts.list.find(group.getParent());
  auto& hits = parent.map([](auto& record) -> CellHits& { return record.hits; })
      .orDefault(group.hits);
  LimitHolder holder{group.getParent(), cellOrigin->session, nullptr, cellOrigin->getTenant()};
  parts.hits.hit(kind, holder, limit, hits);
}

kj::Own<Cell> CellBuilder::makeCell(const ffi::Component& component, CellGroup& group) {
  group.requireOpen();
  requireRoom(group);
  auto args = KJ_MAP(arg, argValues) -> kj::StringPtr { return arg; };
  auto env = kj::heapArrayBuilder<ffi::EnvVar>(envNames.size());
  for (size_t i = 0; i < envNames.size(); i++) env.add(ffi::EnvVar{envNames[i], envValues[i]});

  ffi::GuestOptions options;
  options.args = args;
  options.env = env;
  auto& limits = parts.limits;
  options.pipeBytes = limits.pipeBytes;
  options.memoryBytes = limits.memoryBytes;
  options.tableElements = limits.tableElements;
  options.memories = limits.memories;
  options.instances = limits.instances;
  options.resources = limits.resources;
  options.hostcallBytes = limits.hostcallBytes;
  options.randomBytes = limits.randomBytes;
  options.cpu = limits.cpu;
  options.parent = group.findBudget();
  auto task = kj::heap<ffi::GuestTask>(parts.engine, component, options);
  auto connection = task->takeConnection();
  auto cell = kj::refcounted<Cell>(task->getId(), kj::mv(task), parts.log, parts.list, group);
  KJ_IF_MAYBE(factory, bootstrapFactory) {
    cell->link = kj::heap<RpcLink>(kj::mv(connection), (*factory)(*cell->children),
                                   parts.timer, parts.limits.link);
  }
  group.add(kj::addRef(*cell));
  cell->record = parts.list.add(*cell, cell->getId(), group.getParent(), *cellOrigin,
                                component.getHash(), argValues);
  KJ_IF_MAYBE(link, cell->link) {
    (*link)->onHits([&hits = parts.hits, limits = limits.link,
                     record = kj::addRef(*cell->record)](kj::StringPtr limit) mutable {
      KJ_IF_MAYBE(kind, findLimitKind(limit)) {
        hits.hit(*kind, record->asHolder(), valueOf(*kind, limits), record->hits);
      }
    });
  }
  cell->watch(parts);
  return cell;
}

kj::Promise<kj::Own<const ffi::Component>> CellBuilder::compile(kj::Array<const kj::byte> wasm,
                                                                CellGroup& group) {
  ffi::CompileTerms terms;
  auto& limits = parts.limits.compile;
  if (cellOrigin->session != 0) terms = {cellOrigin->getTenant(), limits};
  // A refusal may also be thrown at once.
  return kj::evalNow([&]() { return parts.compiler.compile(kj::mv(wasm), terms); }).catch_(
      [this, &group, limits](kj::Exception&& e) -> kj::Own<const ffi::Component> {
    if (isOver(e, ffi::COMPILE_TIME)) {
      hit(LimitKind::COMPILE_TIME, group, kj::str(limits.cpu));
    } else if (isOver(e, ffi::COMPILE_MEMORY)) {
      hit(LimitKind::COMPILE_MEMORY, group, kj::str(limits.memoryBytes));
    } else if (isOver(e, ffi::COMPILATIONS)) {
      hit(LimitKind::COMPILATIONS, group, "fixed");
    } else if (isOver(e, ffi::INSTANCES)) {
      hit(LimitKind::INSTANCES, group, "fixed");
    }
    kj::throwFatalException(kj::mv(e));
  });
}

kj::Promise<kj::Own<Cell>> CellBuilder::start(kj::Array<const kj::byte> wasm,
                                              kj::Own<CellGroup> group) {
  auto component = co_await compile(kj::mv(wasm), *group);
  KJ_IF_MAYBE(check, startCheck) (*check)();

  auto cell = makeCell(*component, *group);
  bool started = false;
  // Whoever drops the promise, or any failure from here on, ends what was begun.
  KJ_DEFER(if (!started) cell->end(EXIT_KILLED));
  auto entered = KJ_ASSERT_NONNULL(cell->task)->onInstantiated()
      .exclusiveJoin(parts.timer.afterDelay(parts.limits.instantiation).then([&]() -> bool {
    parts.hits.hit(LimitKind::INSTANTIATION, cell->record->asHolder(),
                   kj::str(parts.limits.instantiation), cell->record->hits);
    kj::throwFatalException(badInput(kj::str(NOT_IN_TIME, " within ",
                                             parts.limits.instantiation)));
  }));
  if (!co_await entered) {
    // It ended before `run`: by an exit, which is an exit like any other, or by a trap.
    co_await cell->onExit();
    KJ_IF_MAYBE(cause, cell->findTrapCause()) {
      constexpr auto OVERLOADED = "overloaded: "_kj;
      if (cell->refused && cause->startsWith(OVERLOADED)) {
        kj::throwFatalException(overloaded(cause->slice(OVERLOADED.size())));
      }
      auto why = kj::str(NOT_INSTANTIATED, ": ", *cause);
      kj::throwFatalException(cell->refused ? ffi::componentProblem(why) : badInput(why));
    }
  }
  started = true;
  co_return kj::mv(cell);
}

}  // namespace ww
