#include <ww/image/dag.h>

#include <kj/debug.h>
#include <ww/base/text.h>
#include <ww/image/refusal.h>

namespace ww {
namespace {

kj::String shown(kj::StringPtr path) {
  return path == nullptr ? kj::str("the image") : kj::str("'", escapeText(path), "'");
}

}  // namespace

kj::Exception inPath(kj::StringPtr path, kj::Exception&& e) {
  e.setDescription(kj::str(shown(path), ": ", e.getDescription()));
  return kj::mv(e);
}

void refuse(kj::StringPtr path, kj::StringPtr why) {
  kj::throwFatalException(contentProblem(kj::str(shown(path), " ", why)));
}

DagBlock readDagBlock(kj::StringPtr path, const Cid& cid, kj::Array<const kj::byte> block) {
  if (cid.getCodec() == Cid::RAW) return kj::mv(block);
  if (cid.getCodec() != Cid::DAG_PB) {
    refuse(path, kj::str("is in a block of codec 0x", kj::hex(cid.getCodec()), ", ", cid.toText(),
                         ": files and directories are in dag-pb and raw ones"));
  }
  kj::Maybe<DagBlock> read;
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { read = DagBlock(ffi::Node(kj::mv(block))); })) {
    kj::throwFatalException(inPath(path, contentProblem(kj::str(
        "block ", cid.toText(), " is no file and no directory: ", e->getDescription()))));
  }
  return kj::mv(KJ_ASSERT_NONNULL(read));
}

kj::Promise<kj::Array<const kj::byte>> DagWalk::get(kj::StringPtr path, const Cid& cid) {
  if (++visited > limits.blocks) {
    refuse(path, kj::str("is beyond ", limits.blocks, " blocks, which is what may be read of one "
                         "image"));
  }
  auto got = blocks.get(cid).catch_(
      [path = kj::str(path)](kj::Exception&& e) -> kj::Promise<kj::Array<const kj::byte>> {
        return inPath(path, kj::mv(e));
      }).then([this, path = kj::str(path)](kj::Array<const kj::byte>&& block) {
        visitedBytes += block.size();
        if (visitedBytes > limits.blockBytes) {
          refuse(path, kj::str("is beyond ", limits.blockBytes, " bytes of blocks, which is what "
                               "may be read of one image"));
        }
        return kj::mv(block);
      });
  KJ_IF_MAYBE(rest, breath.after()) {
    return rest->then([got = kj::mv(got)]() mutable { return kj::mv(got); });
  }
  return got;
}

kj::Promise<DagBlock> DagWalk::load(kj::StringPtr path, const Cid& cid) {
  return get(path, cid).then(
      [path = kj::str(path), cid = cid.clone()](kj::Array<const kj::byte>&& block) {
        return readDagBlock(path, cid, kj::mv(block));
      });
}

void DagWalk::Hold::add(size_t more) {
  bytes += more;
  walk.held += more;
  if (walk.held > walk.limits.heldBytes) {
    refuse(path, kj::str("is in directories that take more than ", walk.limits.heldBytes,
                         " bytes of memory"));
  }
}

DagWalk::Ahead::Taken DagWalk::Ahead::take() {
  while (asked < links.size() && (waiting.empty() || walk.ahead < MOST_AHEAD)) {
    auto cid = Cid::fromBytes(links[asked].cid);
    auto block = walk.get(path, cid).eagerlyEvaluate(nullptr);
    waiting.push_back(Taken { kj::mv(cid), kj::mv(block) });
    ++asked;
    ++walk.ahead;
  }
  auto next = kj::mv(waiting.front());
  waiting.pop_front();
  --walk.ahead;
  return next;
}

}  // namespace ww
