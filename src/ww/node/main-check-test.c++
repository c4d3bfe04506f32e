// What of a tree is run, and whether it can be.
#include <kj/test.h>
#include <ww/node/main-check.h>

namespace ww {
namespace {

using Bytes = kj::ArrayPtr<const kj::byte>;

constexpr kj::byte COMPONENT[] = {0, 'a', 's', 'm', 0x0d, 0, 1, 0, 7, 7};
constexpr kj::byte MODULE[] = {0, 'a', 's', 'm', 1, 0, 0, 0};

// In pieces of that many bytes.
void pass(TreeSink& sink, kj::StringPtr path, Bytes bytes, size_t piece) {
  sink.beginFile(path, false);
  for (size_t begin = 0; begin < bytes.size(); begin += piece) {
    sink.piece(bytes.slice(begin, kj::min(begin + piece, bytes.size())));
  }
  sink.endFile();
}

KJ_TEST("a component is one in whatever pieces it comes, and no other file is looked at") {
  for (size_t piece: {1, 3, 10}) {
    MainCheck check("app");
    pass(check, "lib/main.wasm", MODULE, piece);
    pass(check, "main.wasm", COMPONENT, piece);
    pass(check, "main.wasm.txt", MODULE, piece);
    KJ_EXPECT(check.findProblem(false) == nullptr);
  }
}

KJ_TEST("of two places the first counts") {
  for (bool isFirst: {false, true}) {
    MainCheck check("app");
    pass(check, "bin/main.wasm", isFirst ? Bytes(MODULE) : Bytes(COMPONENT), 8);
    if (isFirst) pass(check, "main.wasm", COMPONENT, 8);
    KJ_EXPECT(check.findProblem(false) == nullptr);
  }
}

KJ_TEST("what is no component, or not there, is named") {
  for (auto bytes: {Bytes(MODULE), "# Wetware"_kj.asBytes(), ""_kj.asBytes(),
                    Bytes(COMPONENT).slice(0, 7)}) {
    MainCheck check("app");
    pass(check, "main.wasm", bytes, 4);
    KJ_EXPECT(KJ_ASSERT_NONNULL(check.findProblem(true)) ==
              "app: main.wasm is no component: it does not begin as one");
  }
  MainCheck none("app");
  none.directory("etc");
  pass(none, "etc/config", MODULE, 8);
  KJ_EXPECT(none.findProblem(true) == nullptr);
  KJ_EXPECT(KJ_ASSERT_NONNULL(none.findProblem(false)) ==
            "app: this is no image: it has no main.wasm or bin/main.wasm");
}

}  // namespace
}  // namespace ww
