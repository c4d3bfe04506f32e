#pragma once
// Who came up against which limit: counted, and said once of each cell, session or client and
// limit, and seldom enough of each key, so that who goes on trying fills no log.
//
// One event loop. Outlives the cells.

#include <array>
#include <kj/string.h>
#include <stdint.h>
#include <ww/base/line-quota.h>

namespace ww {

enum class LimitKind {
  MEMORY,
  KEY_MEMORY,
  NODE_MEMORY,
  TABLES,
  MEMORIES,
  INSTANCES,
  RESOURCES,
  HOSTCALL_BYTES,
  RANDOM_BYTES,
  STACK,
  READS,
  CPU,
  WALL,
  DESCENDANTS,
  DETACHED,
  DEPTH,
  HELD,
  WASM,
  ARGS,
  ENV,
  INSTANTIATION,
  COMPILE_TIME,
  COMPILE_MEMORY,
  COMPILATIONS,
  SESSIONS,
  GRAFTS,
  DIALS,
  LINKS,
  LINK_CALLS,  // of a link: those that link/quota-network.h and its kin name
  LINK_ANSWERS,
  LINK_HELD_BYTES,
  LINK_MESSAGE,
  LINK_SEGMENTS,
  LINK_DEPTH,
  LINK_PROMISES,
  LINK_EXPORTS,
  LINK_SENT_CAPS,
  LINK_UNSENT_BYTES,
  LINK_STALLED,
};

constexpr size_t LIMIT_KINDS = size_t(LimitKind::LINK_STALLED) + 1;
static_assert(LIMIT_KINDS <= 64, "CellHits has a bit for each");

// As operators read it, and as refusals say it: memory, compileTime, heldBytes.
kj::StringPtr nameOf(LimitKind kind);
kj::Maybe<LimitKind> findLimitKind(kj::StringPtr name);

// Those that one cell, session or client has hit.
struct CellHits {
  uint64_t count = 0;
  uint64_t kinds = 0;  // a bit each
};

// Who it was. Without a cell it is who holds the session; without either, a client's link.
struct LimitHolder {
  uint64_t cell = 0;     // 0: none
  uint64_t session = 0;  // likewise
  kj::StringPtr client = nullptr;
  uint64_t tenant = 0;  // CellOrigin::getTenant(), where there is one; all clients' links are one
};

class LimitHits final {
 public:
  explicit LimitHits(LineQuota& log): log(log) {}
  KJ_DISALLOW_COPY_AND_MOVE(LimitHits);

  // `limit` is its value.
  void hit(LimitKind kind, LimitHolder who, kj::StringPtr limit, CellHits& of);

  uint64_t count(LimitKind kind) const { return counts[size_t(kind)]; }

 private:
  bool count(LimitKind kind, CellHits& of);  // whether it is the first

  LineQuota& log;
  std::array<uint64_t, LIMIT_KINDS> counts{};
};

}  // namespace ww
