#include <ww/cli/default-image.h>

namespace ww {
namespace {

constexpr kj::byte MAIN_WASM[] = {
#embed "main.wasm"
};

}  // namespace

kj::ArrayPtr<const kj::byte> defaultImage() { return MAIN_WASM; }

}  // namespace ww
