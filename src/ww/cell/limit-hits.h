#pragma once
// Which cell came up against which limit: counted, and said once of each cell and limit, so that a
// cell that goes on trying fills no log.
//
// One event loop. Outlives the cells.

#include <array>
#include <kj/string.h>
#include <stdint.h>
#include <ww/base/log.h>

namespace ww {

enum class LimitKind {
  MEMORY,
  TABLES,
  CPU,
  WALL,
  DESCENDANTS,
  DEPTH,
  HELD,
  INSTANTIATION,
  COMPILE_TIME,
  COMPILE_MEMORY,
};

constexpr size_t LIMIT_KINDS = size_t(LimitKind::COMPILE_MEMORY) + 1;

// As operators read it: memory, tables, cpu, timeout, descendants, depth, held, instantiation,
// compileTime, compileMemory.
kj::StringPtr nameOf(LimitKind kind);

// Those that one cell has hit.
struct CellHits {
  uint64_t count = 0;
  kj::uint kinds = 0;  // a bit each
};

class LimitHits final {
 public:
  explicit LimitHits(Logger& logger): logger(logger) {}
  KJ_DISALLOW_COPY_AND_MOVE(LimitHits);

  // `cell` 0: none, a client's own session.
  void hit(LimitKind kind, uint64_t cell, kj::StringPtr limit, CellHits& of);
  void hit(LimitKind kind, uint64_t cell, kj::StringPtr limit);

  uint64_t count(LimitKind kind) const { return counts[size_t(kind)]; }

 private:
  Logger& logger;
  std::array<uint64_t, LIMIT_KINDS> counts{};
};

}  // namespace ww
