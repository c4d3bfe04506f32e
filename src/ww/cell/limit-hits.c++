#include <ww/cell/limit-hits.h>

#include <ww/ffi/compiler.h>

namespace ww {

kj::StringPtr nameOf(LimitKind kind) {
  switch (kind) {
    case LimitKind::MEMORY: return "memory";
    case LimitKind::TABLES: return "tables";
    case LimitKind::CPU: return "cpu";
    case LimitKind::WALL: return "timeout";
    case LimitKind::DESCENDANTS: return "descendants";
    case LimitKind::DEPTH: return "depth";
    case LimitKind::HELD: return "held";
    case LimitKind::INSTANTIATION: return "instantiation";
    case LimitKind::COMPILE_TIME: return ffi::COMPILE_TIME;
    case LimitKind::COMPILE_MEMORY: return ffi::COMPILE_MEMORY;
  }
  KJ_UNREACHABLE;
}

void LimitHits::hit(LimitKind kind, uint64_t cell, kj::StringPtr limit, CellHits& of) {
  ++of.count;
  auto bit = 1u << kj::uint(kind);
  bool isFirst = (of.kinds & bit) == 0;
  of.kinds |= bit;
  if (isFirst) return hit(kind, cell, limit);
  ++counts[size_t(kind)];
}

void LimitHits::hit(LimitKind kind, uint64_t cell, kj::StringPtr limit) {
  ++counts[size_t(kind)];
  logger.log(LogLevel::WARNING, "a limit was hit",
             {{"limit", kj::str(nameOf(kind))}, {"cell", kj::str(cell)},
              {"value", kj::str(limit)}});
}

}  // namespace ww
