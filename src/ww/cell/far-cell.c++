#include <ww/cell/far-cell.h>

#include <ww/base/error.h>
#include <ww/cell/cell.h>

namespace ww {

void FarCell::end(int32_t code) const {
  int64_t none = NONE;
  if (!wantedEnd.compare_exchange_strong(none, code)) return;
  home->post([self = kj::atomicAddRef(*this), code]() {
    KJ_IF_MAYBE(c, self->cell) {
      auto held = kj::addRef(*c);
      held->end(code);
    }
  });
}

FarCell::Ticket::~Ticket() noexcept(false) {
  if (far.get() == nullptr) return;
  if (far->cell != nullptr) far->cell = nullptr;
  far->onEnd->fulfill();
}

void FarCell::Ticket::requireWanted() const {
  if (far->wantedEnd.load() != NONE) {
    kj::throwFatalException(ended("what would own this cell has ended"));
  }
}

void FarCell::Ticket::arrive(Cell& cell) {
  far->cell = cell;
  auto code = far->wantedEnd.load();
  if (code != NONE) cell.end(int32_t(code));
}

}  // namespace ww
