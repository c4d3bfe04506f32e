#include <ww/cli/default-image.h>

namespace ww {
namespace {

constexpr kj::byte MAIN_WASM[] = {
#embed "default/main.wasm"
};

constexpr kj::byte SHELL_WASM[] = {
#embed "shell/main.wasm"
};

}  // namespace

kj::ArrayPtr<const kj::byte> defaultImage() { return MAIN_WASM; }
kj::ArrayPtr<const kj::byte> shellImage() { return SHELL_WASM; }

}  // namespace ww
