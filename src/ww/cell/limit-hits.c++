#include <ww/cell/limit-hits.h>

#include <ww/ffi/compiler.h>

namespace ww {

kj::StringPtr nameOf(LimitKind kind) {
  switch (kind) {
    case LimitKind::MEMORY: return "memory";
    case LimitKind::KEY_MEMORY: return "memoriesOfKey";
    case LimitKind::NODE_MEMORY: return "nodeMemory";
    case LimitKind::TABLES: return "tables";
    case LimitKind::MEMORIES: return "memories";
    case LimitKind::INSTANCES: return ffi::INSTANCES;
    case LimitKind::RESOURCES: return "resources";
    case LimitKind::HOSTCALL_BYTES: return "hostcallBytes";
    case LimitKind::RANDOM_BYTES: return "randomBytes";
    case LimitKind::STACK: return "stack";
    case LimitKind::READS: return "reads";
    case LimitKind::CPU: return "cpu";
    case LimitKind::WALL: return "timeout";
    case LimitKind::DESCENDANTS: return "descendants";
    case LimitKind::DETACHED: return "detached";
    case LimitKind::DEPTH: return "depth";
    case LimitKind::HELD: return "cells";
    case LimitKind::WASM: return "wasm";
    case LimitKind::ARGS: return "args";
    case LimitKind::ENV: return "env";
    case LimitKind::INSTANTIATION: return "instantiation";
    case LimitKind::COMPILE_TIME: return ffi::COMPILE_TIME;
    case LimitKind::COMPILE_MEMORY: return ffi::COMPILE_MEMORY;
    case LimitKind::COMPILATIONS: return ffi::COMPILATIONS;
    case LimitKind::SESSIONS: return "sessions";
    case LimitKind::GRAFTS: return "grafts";
    case LimitKind::DIALS: return "dials";
    case LimitKind::LINKS: return "links";
    case LimitKind::LINK_CALLS: return "calls";
    case LimitKind::LINK_ANSWERS: return "answers";
    case LimitKind::LINK_HELD_BYTES: return "heldBytes";
    case LimitKind::LINK_MESSAGE: return "message";
    case LimitKind::LINK_SEGMENTS: return "segments";
    case LimitKind::LINK_DEPTH: return "pipelining";
    case LimitKind::LINK_PROMISES: return "promises";
    case LimitKind::LINK_EXPORTS: return "exports";
    case LimitKind::LINK_SENT_CAPS: return "sentCaps";
    case LimitKind::LINK_UNSENT_BYTES: return "unsentBytes";
    case LimitKind::LINK_STALLED: return "stalled";
  }
  KJ_UNREACHABLE;
}

kj::Maybe<LimitKind> findLimitKind(kj::StringPtr name) {
  for (size_t i = 0; i < LIMIT_KINDS; i++) {
    if (nameOf(LimitKind(i)) == name) return LimitKind(i);
  }
  return nullptr;
}

bool CellHits::add(LimitKind kind) const {
  hits.fetch_add(1, std::memory_order_relaxed);
  auto bit = uint64_t(1) << kj::uint(kind);
  return (kinds.fetch_or(bit, std::memory_order_relaxed) & bit) == 0;
}

void LimitHits::hit(LimitKind kind, LimitHolder who, kj::StringPtr limit, const CellHits& of) {
  counts->add(kind);
  if (!of.add(kind)) return;
  kj::Vector<LogField> fields;
  fields.add(LogField{"limit", kj::str(nameOf(kind))});
  if (who.cell != 0) {
    fields.add(LogField{"cell", kj::str(who.cell)});
  } else if (who.session != 0) {
    fields.add(LogField{"session", kj::str(who.session)});
  }
  if (who.client != nullptr) fields.add(LogField{"client", kj::str(who.client)});
  fields.add(LogField{"value", kj::str(limit)});
  // Whoever can reach the node can be as many clients as it likes.
  constexpr uint64_t CLIENTS = 2;
  auto whose = who.tenant == 0 && who.client != nullptr ? CLIENTS : who.tenant;
  log.log(whose, LogLevel::WARNING, "a limit was hit", fields);
}

}  // namespace ww
