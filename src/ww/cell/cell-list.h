#pragma once
// What a node knows of its cells beyond their running: whose they are, since when, how they ended.
// Of those that have ended it keeps the last few. A view is the part of it that somebody may see.
//
// One of a node, whatever its loops: any thread may ask and tell. Each loop has a part of it for
// its own cells, with a lock that is taken where one starts and ends, and by whoever looks: so
// loops that start many do not wait for one another, nor free what another allocated. A record
// outlives its cell.

#include <deque>
#include <kj/map.h>
#include <kj/mutex.h>
#include <kj/refcount.h>
#include <kj/time.h>
#include <kj/vector.h>
#include <peer.capnp.h>
#include <vector>
#include <ww/base/ed25519.h>
#include <ww/cell/limit-hits.h>
#include <ww/ffi/guest-task.h>

namespace ww {

// Through which session a cell was started, directly or by a cell of that session.
struct CellOrigin final: public kj::AtomicRefcounted {
  CellOrigin(uint64_t session, kj::Maybe<PublicKey> key): session(session), key(key) {}

  kj::Own<const CellOrigin> clone() const {
    return kj::atomicRefcounted<CellOrigin>(session, key);
  }

  // Those of one key are one tenant, the owner is one, and pid0's cells are.
  uint64_t getTenant() const;

  const uint64_t session;          // 0: the node itself started it
  const kj::Maybe<PublicKey> key;  // of the session's client; none: the owner's, or pid0's
};

// What is known of a cell from its start on.
struct CellFacts {
  uint64_t id = 0;
  uint64_t parent = 0;
  kj::uint loop = 0;            // that it runs on
  kj::Own<const CellOrigin> origin;
  kj::String component;         // its content id
  kj::Array<kj::String> args;   // as many as are kept
};

class CellRecord final: public kj::AtomicRefcounted {
 public:
  CellRecord(CellFacts facts, kj::Date startedAt, const ffi::GuestMeter& meter);

  const CellFacts& getFacts() const { return facts; }
  LimitHolder asHolder() const { return {facts.id, 0, nullptr, facts.origin->getTenant()}; }

  bool isRunning() const;
  bool isDetached() const { return detached.load(std::memory_order_acquire); }
  uint64_t getMemory() const;  // bytes; 0 once it has ended
  kj::uint countChildren() const { return children.load(std::memory_order_relaxed); }
  void describe(peer::CellInfo::Builder info) const;

  const CellHits hits;

 private:
  friend class CellList;
  struct Usage {
    uint64_t memoryPeak = 0;
    kj::Duration cpu = 0 * kj::NANOSECONDS;
    uint64_t bytesIn = 0, bytesOut = 0;  // over its connection and its stdio
  };
  struct State {
    kj::Maybe<kj::Own<const ffi::GuestMeter>> meter;  // while it runs
    Usage usage;                                      // once it does not
    int32_t exitCode = 0;
    kj::String cause;                                 // why it trapped
  };
  static Usage usageOf(const ffi::GuestMeter& meter);

  const CellFacts facts;
  const kj::Date startedAt;
  mutable std::atomic<bool> detached{false};
  mutable std::atomic<kj::uint> children{0};  // that run
  kj::MutexGuarded<State> state;
};

class CellList final {
 public:
  static constexpr size_t KEPT = 64;                // of each loop's that have ended
  static constexpr size_t KEPT_ARG_BYTES = 1024;    // of each one's arguments
  static constexpr kj::uint MAX_DETACHED = 64;      // running ones of one holder

  explicit CellList(const kj::Clock& clock, kj::uint loops = 1): clock(clock), parts(loops) {}
  KJ_DISALLOW_COPY_AND_MOVE(CellList);

  // From the loop that it is to run on.
  kj::Own<const CellRecord> add(CellFacts facts, const ffi::GuestMeter& meter) const;

  kj::Maybe<kj::Own<const CellRecord>> find(uint64_t id) const;

  // Bytes of linear memory, of the cells that run.
  uint64_t getMemory() const;

  // Of a cell of this list, at its end. From its loop.
  void end(const CellRecord& record, int32_t exitCode, kj::StringPtr cause) const;

  // Makes it one of the detached cells of its holder. If so many run already: how many.
  kj::Maybe<kj::uint> detach(const CellRecord& record) const;

 private:
  friend class CellView;
  struct State {
    kj::HashMap<uint64_t, kj::Own<const CellRecord>> records;
    std::deque<uint64_t> ended;  // in the order of their ends
  };
  struct alignas(128) Part {  // a cache line, and the one that is fetched with it
    kj::MutexGuarded<State> state;
  };

  // All of it: no record comes or goes meanwhile. What one says of its cell may change: it ends.
  class Snapshot {
   public:
    explicit Snapshot(const CellList& list);
    kj::Maybe<const CellRecord&> find(uint64_t id) const;
    void forEach(kj::FunctionParam<void(const CellRecord&)> each) const;

   private:
    kj::Vector<kj::Locked<const State>> parts;
  };

  // Of any loop's, looked for in that one's first.
  void countChild(uint64_t parent, kj::uint loop, int difference) const;

  const kj::Clock& clock;
  const std::vector<Part> parts;  // by loop; KJ's arrays take no note of the alignment
  struct Turn {};
  kj::MutexGuarded<Turn> detaching;  // one at a time
};

// Where a cell's hits are counted; elsewhere, if it is not known any more.
inline const CellHits& hitsOf(const kj::Maybe<kj::Own<const CellRecord>>& record,
                              const CellHits& otherwise) {
  KJ_IF_MAYBE(r, record) return (*r)->hits;
  return otherwise;
}

// Some of the cells of a list, which outlives it.
class CellView {
 public:
  static CellView ofAll(const CellList& list) { return CellView(list); }

  // What this cell started, and their descendants.
  static CellView ofParent(const CellList& list, uint64_t id);

  // Those of all sessions of this key.
  static CellView ofKey(const CellList& list, const PublicKey& key);

  // In the order of their numbers.
  kj::Array<kj::Own<const CellRecord>> list() const;

  // Throws, naming the number, if there is none here.
  kj::Own<const CellRecord> get(uint64_t id) const;

 private:
  explicit CellView(const CellList& cells): cells(cells) {}
  bool includes(const CellList::Snapshot& all, const CellRecord& record) const;

  const CellList& cells;
  uint64_t parent = 0;       // of all it sees; 0: any
  kj::Maybe<PublicKey> key;  // likewise
};

}  // namespace ww
