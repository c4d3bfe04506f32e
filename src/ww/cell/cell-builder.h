#pragma once
// From the bytes of a component to a running cell, in two steps: a plan, made on the loop of who
// starts it, which takes its seat among all that is counted; and the cell, made on the loop that it
// is to run on.

#include <ww/cell/cell-files.h>
#include <ww/cell/cell.h>

namespace ww {

// Of whoever runs a component as a program: the exit code for why start() rejected. Nothing where
// the node is to blame.
kj::Maybe<int32_t> findExitCode(const kj::Exception& startFailure);

// Makes the bootstrap capability of a new cell. `children` is the group of what that cell will
// start. The factory decides what the capability is; this room only serves it.
using BootstrapFactory = kj::Function<capnp::Capability::Client(CellGroup& children)>;

// All that a cell is made of. May be moved to another thread.
struct CellPlan {
  kj::Own<const ffi::Component> component;
  kj::Array<kj::String> args, envNames, envValues;
  kj::Own<const CellOrigin> origin;
  CellTerms group;
  CellSeat seat;
  kj::Maybe<FarCell::Ticket> far = nullptr;  // where its group is on another loop
  CellFiles files = {};

  // Makes it, as a cell of `keeper`; resolves when its `run` was entered, or when it exited before
  // that. Rejects, and nothing is left behind, when it traps before `run`, is not instantiated in
  // time, or with `overloaded: cells`. Dropping the promise ends what was begun.
  static kj::Promise<kj::Own<Cell>> start(CellPlan plan, CellParts parts,
                                          kj::Maybe<BootstrapFactory> bootstrap,
                                          kj::Own<CellGroup> keeper);
};

class CellBuilder final {
 public:
  explicit CellBuilder(CellParts parts): parts(parts) {}

  // The argument list, verbatim. Each throws a failure that names the index for an entry that is
  // not UTF-8 or holds a NUL; env() also for one without `=`.
  void args(kj::Array<kj::String> values);
  void env(kj::Array<kj::String> variables);

  void bootstrap(BootstrapFactory factory) { bootstrapFactory = kj::mv(factory); }

  // None by default.
  void files(CellFiles given) { cellFiles = kj::mv(given); }

  // Whose it is; the node's own by default.
  void origin(kj::Own<const CellOrigin> value) { cellOrigin = kj::mv(value); }

  // That who starts it in this group came up against a limit.
  void hit(LimitKind kind, CellGroup& group, kj::StringPtr limit);

  // Compiles the component for a cell of `group`, and takes its seat. Rejects when the bytes are no
  // component (ffi::isComponentProblem() holds), and where there is no room. Once.
  kj::Promise<CellPlan> plan(kj::Array<const kj::byte> wasm, CellGroup& group);

  // The same of one that is compiled. Throws.
  CellPlan plan(kj::Own<const ffi::Component> component, CellGroup& group);

  // Both steps, on this loop. Once.
  kj::Promise<kj::Own<Cell>> start(kj::Array<const kj::byte> wasm, kj::Own<CellGroup> group);

 private:
  kj::Promise<kj::Own<const ffi::Component>> compile(kj::Array<const kj::byte> wasm,
                                                     CellGroup& group);
  CellSeat takeSeat(CellGroup& group);

  CellParts parts;
  kj::Array<kj::String> argValues;
  kj::Array<kj::String> envNames, envValues;
  kj::Own<const CellOrigin> cellOrigin = kj::atomicRefcounted<CellOrigin>(0, nullptr);
  kj::Maybe<BootstrapFactory> bootstrapFactory;
  CellFiles cellFiles;
};

}  // namespace ww
