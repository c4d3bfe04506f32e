#include <ww/image/block.h>

#include <kj/one-of.h>
#include <kj/debug.h>
#include <ww/base/error.h>
#include <ww/image/dag-fetch.h>

namespace ww {

kj::Maybe<kj::Array<const kj::byte>> MemoryBlockStore::find(const Cid& cid) {
  return blocks.find(cid).map([](kj::Array<const kj::byte>& block) -> kj::Array<const kj::byte> {
    return kj::heapArray<kj::byte>(block);
  });
}

void MemoryBlockStore::put(const Cid& cid, kj::ArrayPtr<const kj::byte> block) {
  if (blocks.find(cid) != nullptr) return;
  bytes += block.size();
  if (bytes > maxBytes) {
    kj::throwFatalException(badInput(kj::str(
        "its blocks have more than ", maxBytes, " bytes, which is what fits into memory here")));
  }
  blocks.insert(cid.clone(), kj::heapArray<kj::byte>(block));
}

BlockFetcher::BlockFetcher(BlockStore& store, kj::ArrayPtr<kj::Own<BlockSource>> all,
                           Logger& logger, Reads reads)
    : store(store), logger(logger) {
  for (auto& source: all) sources.add(Source { *source });
  if (reads == Reads::DAGS) dags = kj::heap<DagFetch>(store, logger);
}

BlockFetcher::~BlockFetcher() noexcept(false) {}

kj::Promise<kj::Array<const kj::byte>> BlockFetcher::get(const Cid& cid) {
  if (root == nullptr) root = cid.clone();
  KJ_IF_MAYBE(block, cid.findIdentity()) {
    return kj::Array<const kj::byte>(kj::heapArray<kj::byte>(*block));
  }
  KJ_IF_MAYBE(block, store.find(cid)) return kj::mv(*block);
  return fetch(cid.clone());
}

kj::Vector<BlockFetcher::Turn> BlockFetcher::inOrder() {
  kj::Vector<Turn> order;
  for (bool last: {false, true}) {
    for (auto& source: sources) {
      if (source.isLast() == last) order.add(Turn { &source, source.wasLate, false });
    }
  }
  return order;
}

void BlockFetcher::failed(Source& from, const kj::Exception& exception) {
  ++from.lacked;
  if (exception.getType() != kj::Exception::Type::OVERLOADED || from.wasLate) return;
  from.wasLate = true;
  logger.log(LogLevel::WARNING, "a source of blocks does not answer in time, and is asked last",
             {{"source", kj::str(from.source.getName())},
              {"cause", kj::str(exception.getDescription())}});
}

kj::Promise<kj::Array<const kj::byte>> BlockFetcher::fetch(Cid cid) {
  // The empty one is known; and some peers do not have it however many of their files are empty.
  if (cid.isOf(nullptr)) {
    store.put(cid, nullptr);
    co_return nullptr;
  }
  KJ_IF_MAYBE(coming, dags) {
    while ((*coming)->isRunning()) {
      co_await (*coming)->arrival(cid);
      KJ_IF_MAYBE(block, store.find(cid)) co_return kj::mv(*block);
    }
  }
  kj::Vector<kj::String> reasons;
  auto order = inOrder();
  for (size_t i = 0; i < order.size(); i++) {
    auto turn = order[i];
    if (turn.from->sentWrong) {
      reasons.add(kj::str(turn.from->source.getName(), ": it sent a wrong block before"));
      continue;
    }
    KJ_IF_MAYBE(block, co_await ask(turn, cid, reasons)) co_return kj::mv(*block);
    if (turn.isPutOff) order.add(Turn { turn.from, true, true });
  }
  if (reasons.empty()) {
    reasons.add(kj::str("it is not here, and nobody is named who may have it: --gateway URL, "
                        "--ipfs ADDRESS, or of `ww run` peers, by --listen or --bootstrap"));
  }
  kj::throwFatalException(badInput(kj::str(
      "block ", cid.toText(), " cannot be had: ", kj::strArray(reasons, "; "))));
}

kj::Promise<kj::Maybe<kj::Array<const kj::byte>>> BlockFetcher::ask(
    Turn& turn, const Cid& cid, kj::Vector<kj::String>& reasons) {
  auto& from = *turn.from;
  bool isLast = turn.isPutOff;
  auto putOff = [&]() {
    turn.isPutOff = !isLast && (from.source.isResting() || (from.wasLate && !turn.wasLate));
    return turn.isPutOff;
  };
  if (putOff()) co_return nullptr;
  if (dags != nullptr && !from.source.isResting()) {
    auto& whole = *KJ_ASSERT_NONNULL(dags);
    KJ_IF_MAYBE(block, co_await whole.fetch(from.source, cid, reasons)) {
      from.lacked = 0;
      co_return kj::mv(*block);
    }
    KJ_IF_MAYBE(e, whole.takeLate(from.source)) failed(from, *e);
    if (putOff()) co_return nullptr;  // for the block alone, where no other has it
  }
  using Answer = kj::OneOf<kj::Array<const kj::byte>, kj::Exception>;
  Answer answer;
  for (bool isRest = true; isRest;) {
    bool wasResting = from.source.isResting();
    answer = co_await from.source.fetchOf(KJ_ASSERT_NONNULL(root), cid).then(
        [](kj::Array<const kj::byte>&& block) -> Answer { return kj::mv(block); },
        [](kj::Exception&& e) -> Answer { return kj::mv(e); });
    isRest = answer.is<kj::Exception>() && !wasResting && from.source.isResting();
    if (isRest && putOff()) co_return nullptr;
  }
  KJ_IF_MAYBE(e, answer.tryGet<kj::Exception>()) {
    failed(from, *e);
    reasons.add(kj::str(from.source.getName(), ": ", e->getDescription()));
    co_return nullptr;
  }
  auto& block = answer.get<kj::Array<const kj::byte>>();
  KJ_IF_MAYBE(why, whyNot(from, cid, block)) {
    reasons.add(kj::str(from.source.getName(), ": ", *why));
    co_return nullptr;
  }
  from.lacked = 0;
  store.put(cid, block);
  co_return kj::mv(block);
}

kj::Maybe<kj::String> BlockFetcher::whyNot(Source& from, const Cid& cid,
                                           kj::ArrayPtr<const kj::byte> block) {
  if (block.size() <= MAX_BLOCK_BYTES && cid.isOf(block)) return nullptr;
  from.sentWrong = true;
  auto why = block.size() <= MAX_BLOCK_BYTES
      ? kj::str("it sent ", block.size(), " bytes that are another block")
      : kj::str("it sent more than a block may have, ", MAX_BLOCK_BYTES, " bytes");
  logger.log(LogLevel::WARNING, "a source of blocks sent a wrong one, and is asked no more",
             {{"source", kj::str(from.source.getName())}, {"block", cid.toText()},
              {"cause", kj::str(why)}});
  return kj::mv(why);
}

}  // namespace ww
