#include <ww/cell/loop-cells.h>

#include <ww/cell/cell.h>

namespace ww {

void LoopCells::add(Cell& cell) { cells.insert(cell.getId(), &cell); }

void LoopCells::remove(Cell& cell) {
  cells.erase(cell.getId());
  if (logs.size() == 0) return;
  logs.eraseAll([this](uint64_t id, kj::Own<CellLog>&) { return all.find(id) == nullptr; });
}

kj::Maybe<Cell&> LoopCells::find(uint64_t id) {
  return cells.find(id).map([](Cell* cell) -> Cell& { return *cell; });
}

void LoopCells::keepLog(uint64_t id, kj::Own<CellLog> log) { logs.insert(id, kj::mv(log)); }

kj::Maybe<CellLog&> LoopCells::findLog(uint64_t id) {
  return logs.find(id).map([](kj::Own<CellLog>& log) -> CellLog& { return *log; });
}

}  // namespace ww
