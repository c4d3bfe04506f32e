#pragma once
// Who came up against which limit: counted, and said once of each cell, session or client and
// limit, and seldom enough of each key, so that who goes on trying fills no log.
//
// Any number of loops: each has a LimitHits of its own, which outlives its cells; what is counted
// is shared.

#include <array>
#include <atomic>
#include <kj/refcount.h>
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

// Those that one cell, session or client has hit. Any thread.
class CellHits {
 public:
  uint64_t count() const { return hits.load(std::memory_order_relaxed); }

  // True for the first of its kind.
  bool add(LimitKind kind) const;

 private:
  mutable std::atomic<uint64_t> hits{0};
  mutable std::atomic<uint64_t> kinds{0};  // a bit each
};

// Those that all of a node's cells, sessions and clients have hit. Any thread.
class LimitCounts final: public kj::AtomicRefcounted {
 public:
  LimitCounts() {}
  KJ_DISALLOW_COPY_AND_MOVE(LimitCounts);

  void add(LimitKind kind) const {
    counts[size_t(kind)].fetch_add(1, std::memory_order_relaxed);
  }
  uint64_t get(LimitKind kind) const {
    return counts[size_t(kind)].load(std::memory_order_relaxed);
  }

 private:
  mutable std::array<std::atomic<uint64_t>, LIMIT_KINDS> counts{};
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
  explicit LimitHits(LineSink& log,
                     kj::Own<const LimitCounts> counts = kj::atomicRefcounted<LimitCounts>())
      : log(log), counts(kj::mv(counts)) {}
  KJ_DISALLOW_COPY_AND_MOVE(LimitHits);

  // `limit` is its value.
  void hit(LimitKind kind, LimitHolder who, kj::StringPtr limit, const CellHits& of);

  uint64_t count(LimitKind kind) const { return counts->get(kind); }
  const LimitCounts& getCounts() const { return *counts; }

 private:
  LineSink& log;
  kj::Own<const LimitCounts> counts;
};

}  // namespace ww
