#include <ww/image/wanted-dag.h>

#include <kj/debug.h>
#include <ww/base/error.h>
#include <ww/image/tree.h>

namespace ww {
namespace {

constexpr size_t MAX_HELD_BYTES = TreeLimits().heldBytes;

// Links that are passed over before one block: more than any file of ours has, and no long wait.
constexpr size_t MAX_PASSED = 4096;

[[noreturn]] void refuse(kj::StringPtr why) { kj::throwFatalException(badInput(why)); }

}  // namespace

kj::Maybe<Cid> WantedDag::findNext() {
  KJ_IF_MAYBE(cid, root) return cid->clone();
  while (!nodes.empty() && nodes.back().next == nodes.back().node.getParts().links.size()) {
    held -= nodes.back().node.getFootprint();
    nodes.pop_back();
  }
  if (nodes.empty()) return nullptr;
  auto& last = nodes.back();
  return Cid::fromBytes(last.node.getParts().links[last.next].cid);
}

void WantedDag::take() {
  if (root != nullptr) {
    root = nullptr;
  } else {
    ++nodes.back().next;
  }
}

void WantedDag::descend(const Cid& cid, kj::ArrayPtr<const kj::byte> block) {
  if (cid.getCodec() != Cid::DAG_PB) return;
  ffi::Node node(kj::heapArray<const kj::byte>(block));
  if (node.getParts().links.size() == 0) return;
  held += node.getFootprint();
  nodes.push_back(Node { kj::mv(node) });
  if (held > MAX_HELD_BYTES) {
    refuse(kj::str("its CAR file has blocks so far below each other that they take more than ",
                   MAX_HELD_BYTES, " bytes of memory"));
  }
}

// The next, which nobody has to send. Where it is another image's, it may go before it is read:
// then it is asked for again.
bool WantedDag::passOver(const Cid& cid) {
  KJ_IF_MAYBE(block, cid.findIdentity()) {
    take();
    descend(cid, *block);
    return true;
  }
  if (!store.has(cid)) return false;
  take();
  return true;
}

void WantedDag::put(const Cid& cid, kj::ArrayPtr<const kj::byte> block) {
  for (size_t passed = 0;; passed++) {
    KJ_IF_MAYBE(next, findNext()) {
      if (*next == cid) break;
      if (passed < MAX_PASSED && passOver(*next)) continue;
      refuse(kj::str("its CAR file has block ", cid.toText(), " where ", next->toText(),
                     " is the next"));
    }
    refuse(kj::str("its CAR file has block ", cid.toText(), " behind all that was asked for"));
  }
  if (left.blocks == 0 || block.size() > left.bytes) {
    refuse("its CAR file is beyond what all CAR files of one image may bring");
  }
  --left.blocks;
  left.bytes -= block.size();
  take();
  keep(cid, block);
  descend(cid, block);
}

void WantedDag::keep(const Cid& cid, kj::ArrayPtr<const kj::byte> block) {
  if (store.has(cid)) {
    known += block.size();
    enough = known > MAX_KNOWN_BYTES;
    if (enough) refuse("its CAR file has what is here already");
    return;
  }
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { store.put(cid, block); })) {
    storeFailure = kj::cp(*e);
    kj::throwFatalException(kj::mv(*e));
  }
  onBlock(cid);
}

void WantedDag::requireAll() {
  for (size_t passed = 0; passed < MAX_PASSED; passed++) {
    KJ_IF_MAYBE(next, findNext()) {
      if (passOver(*next)) continue;
      refuse(kj::str("its CAR file ends without block ", next->toText()));
    }
    return;
  }
}

}  // namespace ww
