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

// --------------------------------------------------------------------------------------- Cell

Cell::Cell(kj::Own<ffi::GuestTask> guest, CellParts& parts, const CellTerms& group, CellSeat seat)
    : id(guest->getId()), log(parts.log), list(parts.list), here(parts.here),
      place(kj::refcounted<HeldPlace>(kj::mv(seat.held))),
      running(Running{kj::mv(seat.running), kj::mv(seat.load)}),
      children(kj::refcounted<CellGroup>(group.ofChildren(id, guest->getMeter().getBudget()))),
      in(kj::refcounted<PipeEnd>("stdin", PipeEnd::Direction::TO_CELL, guest->takeStdin())),
      out(kj::refcounted<PipeEnd>("stdout", PipeEnd::Direction::FROM_CELL, guest->takeStdout())),
      err(kj::refcounted<PipeEnd>("stderr", PipeEnd::Direction::FROM_CELL, guest->takeStderr())) {
  for (auto pipe: {in.get(), out.get(), err.get()}) {
    pipe->attach(kj::addRef(*place));  // what is left in it is what is counted
  }
  following = guest->onEnd().then([this]() {
    KJ_IF_MAYBE(t, task) onGuestEnd((*t)->takeEnd());  // none: it was ended before that was told
  }).eagerlyEvaluate(nullptr);
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

kj::Promise<int32_t> Cell::onExit() {
  KJ_IF_MAYBE(code, exitCode) return *code;
  KJ_IF_MAYBE(e, exit) return e->promise.addBranch();
  auto paf = kj::newPromiseAndFulfiller<int32_t>();
  return exit.emplace(Exit{kj::mv(paf.fulfiller), paf.promise.fork()}).promise.addBranch();
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
  if (record.get() != nullptr) {
    list.end(*record, code, findTrapCause().orDefault(nullptr));
    here.remove(*this);
  }
  out->onRefusedRead(nullptr);
  err->onRefusedRead(nullptr);
  logDropped(*out, "stdout");
  logDropped(*err, "stderr");
  KJ_IF_MAYBE(e, exit) e->fulfiller->fulfill(kj::mv(code));
  tellEnd();
  far = nullptr;
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
    pipe->onRefusedRead(kj::Function<void()>([this, &hits = parts.hits]() {
      auto& facts = record->getFacts();
      auto reader = list.find(facts.parent);
      LimitHolder holder{facts.parent, facts.origin->session, nullptr, facts.origin->getTenant()};
      hits.hit(LimitKind::READS, holder, kj::str(MAX_PENDING_READS), hitsOf(reader, record->hits));
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
  auto& facts = record->getFacts();
  if (facts.parent != 0) {
    kj::throwFatalException(denied("detach: another cell started this one, and it ends with it"));
  }
  if (facts.origin->session == 0) {
    kj::throwFatalException(denied("detach: this is the node's own cell"));
  }
  KJ_IF_MAYBE(count, list.detach(*record)) {
    KJ_IF_MAYBE(hits, limitHits) {
      hits->hit(LimitKind::DETACHED, record->asHolder(), kj::str(CellList::MAX_DETACHED),
                record->hits);
    }
    kj::throwFatalException(overloaded(kj::str("detached: ", *count, " cells run already")));
  }
  KJ_IF_MAYBE(f, far) f->setDetached();
  here.keepLog(id, kj::refcounted<CellLog>(*out, *err));
}

kj::Maybe<kj::StringPtr> Cell::findTrapCause() const {
  return trapCause.map([](const kj::String& cause) -> kj::StringPtr { return cause; });
}

void Cell::logTrap(const ffi::GuestTrap& trap) {
  LogField fields[] = {{"cell", kj::str(id)}, {"cause", firstOf(trap.cause, MAX_CAUSE_BYTES)},
                       {"backtrace", firstOf(trap.backtrace, MAX_BACKTRACE_BYTES)}};
  log.log(record->getFacts().origin->getTenant(), LogLevel::WARNING, "a cell trapped", fields);
}

void Cell::logDropped(PipeEnd& pipe, kj::StringPtr name) {
  auto bytes = pipe.droppedBytes();
  if (bytes == 0) return;
  LogField fields[] = {{"cell", kj::str(id)}, {"pipe", kj::str(name)}, {"bytes", kj::str(bytes)}};
  log.log(record->getFacts().origin->getTenant(), LogLevel::INFO,
          "output that nobody read was dropped", fields);
}

}  // namespace ww
