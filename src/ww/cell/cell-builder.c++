#include <ww/cell/cell-builder.h>

#include <kj/debug.h>
#include <ww/base/error.h>
#include <ww/base/text.h>
#include <ww/ffi/engine.h>

namespace ww {
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

CellSeat CellBuilder::takeSeat(CellGroup& group) {
  auto refuse = [&](LimitKind kind, kj::StringPtr name, kj::uint limit, kj::StringPtr why) {
    hit(kind, group, kj::str(limit));
    kj::throwFatalException(overloaded(kj::str(name, ": ", why, "; the limit is ", limit)));
  };
  auto& limits = parts.limits;
  auto& engine = parts.engine;
  auto& terms = group.getTerms();
  if (engine.guestCount() >= engine.getMaxGuests()) {
    refuse(LimitKind::HELD, "cells", engine.getMaxGuests(), "so many run on this node");
  }
  auto most = terms.account->most.orDefault(limits.held);
  auto held = terms.account->held().tryTake(most);
  if (held == nullptr) {
    refuse(LimitKind::HELD, "cells", most, terms.account->isKeys()
        ? "so many of this key are held, over all its links, ended ones among them; drop some first"
        : "so many are held by this parent, ended ones among them; drop some first");
  }
  bool isPid0 = cellOrigin->session == 0;
  auto running = terms.tree->tryTake(isPid0 ? size_t(kj::maxValue) : limits.descendants);
  if (running == nullptr) {
    refuse(LimitKind::DESCENDANTS, "descendants", limits.descendants,
           "so many cells run in this session, those that they started among them");
  }
  if (terms.depth >= limits.depth) {
    refuse(LimitKind::DEPTH, "depth", limits.depth, "so many generations of cells are above it");
  }
  return {kj::mv(KJ_ASSERT_NONNULL(held)), kj::mv(KJ_ASSERT_NONNULL(running)), nullptr};
}

void CellBuilder::hit(LimitKind kind, CellGroup& group, kj::StringPtr limit) {
  auto parent = parts.list.find(group.getParent());
  LimitHolder holder{group.getParent(), cellOrigin->session, nullptr, cellOrigin->getTenant()};
  parts.hits.hit(kind, holder, limit, hitsOf(parent, group.hits));
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

kj::Promise<CellPlan> CellBuilder::plan(kj::Array<const kj::byte> wasm, CellGroup& group) {
  auto component = co_await compile(kj::mv(wasm), group);
  co_return plan(kj::mv(component), group);
}

CellPlan CellBuilder::plan(kj::Own<const ffi::Component> component, CellGroup& group) {
  group.requireOpen();
  auto seat = takeSeat(group);
  return {kj::mv(component), kj::mv(argValues), kj::mv(envNames), kj::mv(envValues),
          kj::atomicAddRef(*cellOrigin), group.getTerms().clone(), kj::mv(seat), nullptr,
          kj::mv(cellFiles)};
}

kj::Promise<kj::Own<Cell>> CellBuilder::start(kj::Array<const kj::byte> wasm,
                                              kj::Own<CellGroup> group) {
  auto planned = co_await plan(kj::mv(wasm), *group);
  KJ_IF_MAYBE(loop, parts.loop) {
    planned.seat.load = LoopLoads::Mark(loop->getLoads(), loop->getNumber());
  }
  co_return co_await CellPlan::start(kj::mv(planned), parts, kj::mv(bootstrapFactory),
                                     kj::mv(group));
}

// ------------------------------------------------------------------------------- its making

// A friend of the cell's, which it is put together by.
class CellMaker {
 public:
  CellMaker(CellPlan& plan, CellParts& parts): plan(plan), parts(parts) {}

  kj::Own<Cell> make(kj::Maybe<BootstrapFactory>& bootstrap, CellGroup& keeper) {
    keeper.requireOpen();
    auto task = makeTask();
    auto connection = task->takeConnection();
    kj::Own<const ffi::GuestMeter> meter = kj::atomicAddRef(task->getMeter());
    auto cell = kj::refcounted<Cell>(kj::mv(task), parts, plan.group, kj::mv(plan.seat));
    KJ_IF_MAYBE(factory, bootstrap) {
      cell->link = kj::heap<RpcLink>(kj::mv(connection), (*factory)(*cell->children),
                                     parts.timer, parts.limits.link);
    }
    keeper.add(kj::addRef(*cell));
    record(*cell, *meter);
    cell->watch(parts);
    KJ_IF_MAYBE(far, plan.far) {
      auto& ticket = cell->far.emplace(kj::mv(*far));
      ticket.arrive(*cell);
    }
    return cell;
  }

  static kj::Promise<bool> onEntered(Cell& cell) {
    KJ_IF_MAYBE(task, cell.task) return (*task)->onInstantiated();
    return false;  // it was ended as it came
  }

  // It ended before `run`: by an exit, which is an exit like any other, or by a trap.
  static void requireNoTrap(const Cell& cell) {
    KJ_IF_MAYBE(cause, cell.findTrapCause()) {
      constexpr auto OVERLOADED = "overloaded: "_kj;
      if (cell.refused && cause->startsWith(OVERLOADED)) {
        kj::throwFatalException(overloaded(cause->slice(OVERLOADED.size())));
      }
      auto why = kj::str(NOT_INSTANTIATED, ": ", *cause);
      kj::throwFatalException(cell.refused ? ffi::componentProblem(why) : badInput(why));
    }
  }

 private:
  CellPlan& plan;
  CellParts& parts;

  kj::Own<ffi::GuestTask> makeTask() {
    auto args = KJ_MAP(arg, plan.args) -> kj::StringPtr { return arg; };
    auto env = kj::heapArrayBuilder<ffi::EnvVar>(plan.envNames.size());
    for (size_t i = 0; i < plan.envNames.size(); i++) {
      env.add(ffi::EnvVar{plan.envNames[i], plan.envValues[i]});
    }
    auto folders = KJ_MAP(each, plan.files.folders) {
      return ffi::GuestFolder{each.folder, each.path, each.writable, each.foreign};
    };
    ffi::GuestOptions options;
    options.folders = folders;
    options.scratch = plan.files.scratch.map([](kj::String& p) -> kj::StringPtr { return p; });
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
    options.parent = plan.group.findBudget();
    return kj::heap<ffi::GuestTask>(parts.engine, *plan.component, options);
  }

  void record(Cell& cell, const ffi::GuestMeter& meter) {
    auto loop = parts.loop.map([](CellLoop& l) { return l.getNumber(); }).orDefault(0);
    cell.record = parts.list.add({cell.getId(), plan.group.parent, loop, kj::mv(plan.origin),
                                  kj::str(plan.component->getId()), kj::mv(plan.args)}, meter);
    parts.here.add(cell);
    KJ_IF_MAYBE(link, cell.link) {
      (*link)->onHits([&hits = parts.hits, limits = parts.limits.link,
                       record = kj::atomicAddRef(*cell.record)](kj::StringPtr limit) {
        KJ_IF_MAYBE(kind, findLimitKind(limit)) {
          hits.hit(*kind, record->asHolder(), valueOf(*kind, limits), record->hits);
        }
      });
    }
  }
};

kj::Promise<kj::Own<Cell>> CellPlan::start(CellPlan plan, CellParts parts,
                                           kj::Maybe<BootstrapFactory> bootstrap,
                                           kj::Own<CellGroup> keeper) {
  auto cell = CellMaker(plan, parts).make(bootstrap, *keeper);
  bool started = false;
  // Whoever drops the promise, or any failure from here on, ends what was begun.
  KJ_DEFER(if (!started) cell->end(EXIT_KILLED));
  auto entered = CellMaker::onEntered(*cell)
      .exclusiveJoin(parts.timer.afterDelay(parts.limits.instantiation).then([&]() -> bool {
    auto& record = cell->getRecord();
    parts.hits.hit(LimitKind::INSTANTIATION, record.asHolder(),
                   kj::str(parts.limits.instantiation), record.hits);
    kj::throwFatalException(badInput(kj::str(NOT_IN_TIME, " within ",
                                             parts.limits.instantiation)));
  }));
  if (!co_await entered) {
    co_await cell->onExit();
    CellMaker::requireNoTrap(*cell);
  }
  started = true;
  co_return kj::mv(cell);
}

}  // namespace ww
