// Guests that handle their connection themselves, badly or in the manner of an older generation.
#include <kj/test.h>
#include "test-node.h"

namespace ww {
namespace {

KJ_TEST("what a guest may ask for once traps the second time, by name") {
  struct Case {
    kj::StringPtr mode, text;
  } cases[] = {
    {"connect-twice", "a second create-connection"},
    {"connect-again", "a second create-connection"},
    {"input-twice", "a second connection.get-input-stream"},
    {"output-twice", "a second connection.get-output-stream"},
  };
  for (auto& c: cases) {
    TestNode node;
    KJ_EXPECT(node.runToEnd("cell-bytes", {c.mode}).code == EXIT_TRAP, c.mode);
    KJ_EXPECT(node.logged(c.text), c.mode, node.logger.getLines());
    KJ_EXPECT(node.answers());
  }
}

KJ_TEST("streams, pollables and the connection are dropped in any order") {
  TestNode node;
  constexpr int ORDERS = 120;
  for (auto mode: {"drop"_kj, "drop-used"_kj}) {
    for (int order = 0; order < ORDERS; order++) {
      auto outcome = node.runToEnd("cell-bytes", {mode, kj::str(order)});
      KJ_EXPECT(outcome.code == 0, mode, order);
    }
  }
  KJ_EXPECT(node.answers());
}

KJ_TEST("what no peer sends ends that guest's link and nothing else") {
  TestNode node;
  for (auto mode: {"garbage"_kj, "huge-frame"_kj, "many-segments"_kj, "half-close"_kj}) {
    auto outcome = node.runToEnd("cell-bytes", {mode});
    KJ_EXPECT(outcome.out == "hung up\n", mode, outcome.err);
    KJ_EXPECT(outcome.code == 0, mode);
  }
  KJ_EXPECT(node.answers());
}

KJ_TEST("a guest that parks with its request unsent is nudged") {
  TestNode node;
  for (auto mode: {"nudge-call"_kj, "nudge-timer"_kj}) {
    KJ_EXPECT(node.runToEnd("cell-bytes", {mode}).out == "answered\n", mode);
  }
  auto process = node.run("cell-bytes", {"nudge-stdin"});
  node.write(node.stdin(process), "go\n"_kj.asBytes()).wait(node.waitScope);
  KJ_EXPECT(node.readAll(node.stdout(process)) == "answered\n");
}

}  // namespace
}  // namespace ww
