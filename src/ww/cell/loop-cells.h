#pragma once
// The cells that run on one loop, by number, and the logs of those that were detached here.
//
// Lives on its loop. Outlives the running of its cells.

#include <kj/map.h>
#include <ww/cell/cell-list.h>
#include <ww/cell/cell-log.h>

namespace ww {

class Cell;

class LoopCells final {
 public:
  // `all` outlives it.
  explicit LoopCells(const CellList& all): all(all) {}
  KJ_DISALLOW_COPY_AND_MOVE(LoopCells);

  void add(Cell& cell);
  void remove(Cell& cell);  // at its end
  kj::Maybe<Cell&> find(uint64_t id);

  // A log is kept for as long as the list knows its cell, and until the next one here ends.
  void keepLog(uint64_t id, kj::Own<CellLog> log);
  kj::Maybe<CellLog&> findLog(uint64_t id);

 private:
  const CellList& all;
  kj::HashMap<uint64_t, Cell*> cells;
  kj::HashMap<uint64_t, kj::Own<CellLog>> logs;
};

}  // namespace ww
