#pragma once
// What a node knows of its cells beyond their running: whose they are, since when, how they ended.
// Of those that have ended it keeps the last few. A view is the part of it that somebody may see.
//
// One event loop. A record outlives its cell; the list outlives the running of every cell in it.

#include <deque>
#include <kj/map.h>
#include <kj/refcount.h>
#include <kj/time.h>
#include <peer.capnp.h>
#include <ww/base/ed25519.h>
#include <ww/cell/cell-log.h>
#include <ww/cell/limit-hits.h>

namespace ww {

class Cell;

// Through which session a cell was started, directly or by a cell of that session.
struct CellOrigin final: public kj::Refcounted {
  CellOrigin(uint64_t session, kj::Maybe<PublicKey> key): session(session), key(key) {}

  // Those of one key are one tenant, the owner is one, and pid0's cells are.
  uint64_t getTenant() const;

  const uint64_t session;          // 0: the node itself started it
  const kj::Maybe<PublicKey> key;  // of the session's client; none: the owner's, or pid0's
};

struct CellUsage {
  uint64_t memory = 0;      // bytes of its linear memories; 0 once it has ended
  uint64_t memoryPeak = 0;
  kj::Duration cpu = 0 * kj::NANOSECONDS;
  size_t children = 0;      // that run
  uint64_t bytesIn = 0, bytesOut = 0;  // over its connection and its stdio
};

struct CellRecord final: public kj::Refcounted {
  uint64_t id = 0;
  uint64_t parent = 0;
  kj::Own<CellOrigin> origin;
  kj::String component;               // its hash
  kj::Array<kj::String> args;         // as many as are kept
  kj::Date startedAt = kj::UNIX_EPOCH;
  kj::Maybe<Cell&> cell;              // while it runs
  int32_t exitCode = 0;               // once it does not
  kj::String cause;                   // why it trapped
  kj::Maybe<kj::Own<CellLog>> log;    // if it is detached
  CellUsage usage;                    // once it has ended
  CellHits hits;

  void describe(peer::CellInfo::Builder info) const;
  LimitHolder asHolder() const { return {id, 0, nullptr, origin->getTenant()}; }
};

class CellList final {
 public:
  static constexpr size_t KEPT = 64;                // of those that have ended
  static constexpr size_t KEPT_ARG_BYTES = 1024;    // of each one's arguments
  static constexpr kj::uint MAX_DETACHED = 64;      // running ones of one holder

  explicit CellList(const kj::Clock& clock): clock(clock) {}
  KJ_DISALLOW_COPY_AND_MOVE(CellList);

  kj::Own<CellRecord> add(Cell& cell, uint64_t id, uint64_t parent, CellOrigin& origin,
                          kj::StringPtr component, kj::ArrayPtr<const kj::String> args);

  kj::Maybe<CellRecord&> find(uint64_t id) {
    return records.find(id).map([](auto& record) -> CellRecord& { return *record; });
  }

  // Bytes of linear memory, of the cells that run.
  uint64_t getMemory() const;

  // Of a cell of this list, at its end.
  void end(CellRecord& record, int32_t exitCode, kj::StringPtr cause);

  // Detached cells of the same holder that run.
  kj::uint countDetached(const CellOrigin& of) const;

 private:
  friend class CellView;
  const kj::Clock& clock;
  kj::TreeMap<uint64_t, kj::Own<CellRecord>> records;
  std::deque<uint64_t> ended;  // in the order of their ends
};

// Some of the cells of a list, which outlives it.
class CellView {
 public:
  static CellView ofAll(CellList& list) { return CellView(list); }

  // What this cell started, and their descendants.
  static CellView ofParent(CellList& list, uint64_t id);

  // Those of all sessions of this key.
  static CellView ofKey(CellList& list, const PublicKey& key);

  bool includes(const CellRecord& record) const;
  kj::Array<kj::Own<CellRecord>> list() const;

  // Throws, naming the number, if there is none here.
  CellRecord& get(uint64_t id) const;

 private:
  explicit CellView(CellList& cells): cells(cells) {}
  CellList& cells;
  uint64_t parent = 0;       // of all it sees; 0: any
  kj::Maybe<PublicKey> key;  // likewise
};

}  // namespace ww
