#include <ww/image/bitswap-message.h>

#include <ww/base/error.h>
#include <ww/base/protobuf.h>

namespace ww {
namespace {

// Numbers of fields, as the protocol has them.
enum Field: uint64_t { WANTLIST = 1, PAYLOAD = 3, PRESENCE = 4 };
enum WantlistField: uint64_t { ENTRY = 1 };
enum EntryField: uint64_t {
  ENTRY_CID = 1, PRIORITY = 2, CANCEL = 3, WANT_TYPE = 4, SEND_DONT_HAVE = 5
};
enum BlockField: uint64_t { PREFIX = 1, DATA = 2 };
enum PresenceField: uint64_t { PRESENCE_CID = 1, PRESENCE_TYPE = 2 };
enum PresenceType: uint64_t { HAVE = 0, DONT_HAVE = 1 };
enum WantType: uint64_t { WANT_BLOCK = 0, WANT_HAVE = 1 };

kj::Maybe<Cid> findCid(kj::ArrayPtr<const kj::byte> bytes) {
  kj::Maybe<Cid> cid;
  kj::runCatchingExceptions([&]() { cid = Cid::fromBytes(bytes); });
  return kj::mv(cid);
}

void readWant(kj::ArrayPtr<const kj::byte> bytes, BitswapMessage& message) {
  kj::Maybe<Cid> cid;
  bool cancel = false, blockItself = true, sayIfNot = false;
  ProtobufReader reader(bytes);
  while (reader.next()) {
    switch (reader.getField()) {
      case ENTRY_CID: cid = findCid(reader.getBytes()); break;
      case CANCEL: cancel = reader.getNumber() != 0; break;
      case WANT_TYPE: blockItself = reader.getNumber() == WANT_BLOCK; break;
      case SEND_DONT_HAVE: sayIfNot = reader.getNumber() != 0; break;
      default: break;
    }
  }
  KJ_IF_MAYBE(c, cid) message.wants.add(BitswapMessage::Want{kj::mv(*c), cancel, blockItself,
                                                             sayIfNot});
}

void readWantlist(kj::ArrayPtr<const kj::byte> bytes, BitswapMessage& message) {
  ProtobufReader reader(bytes);
  while (reader.next()) {
    bool isMore = message.wants.size() < MAX_BITSWAP_ENTRIES;
    if (reader.getField() == ENTRY && isMore) readWant(reader.getBytes(), message);
  }
}

void readPresence(kj::ArrayPtr<const kj::byte> bytes, BitswapMessage& message) {
  kj::Maybe<Cid> cid;
  bool has = true;
  ProtobufReader reader(bytes);
  while (reader.next()) {
    if (reader.getField() == PRESENCE_CID) cid = findCid(reader.getBytes());
    if (reader.getField() == PRESENCE_TYPE) has = reader.getNumber() == HAVE;
  }
  KJ_IF_MAYBE(c, cid) message.presences.add(BitswapMessage::Presence{kj::mv(*c), has});
}

void readBlock(kj::ArrayPtr<const kj::byte> bytes, BitswapMessage& message) {
  BitswapMessage::Block block;
  ProtobufReader reader(bytes);
  while (reader.next()) {
    auto copy = [&]() { return kj::heapArray<const kj::byte>(reader.getBytes()); };
    if (reader.getField() == PREFIX) block.prefix = copy();
    if (reader.getField() == DATA) block.bytes = copy();
  }
  message.blocks.add(kj::mv(block));
}

}  // namespace

BitswapMessage BitswapMessage::decode(kj::ArrayPtr<const kj::byte> bytes) {
  BitswapMessage message;
  ProtobufReader reader(bytes);
  while (reader.next()) {
    switch (reader.getField()) {
      case WANTLIST: readWantlist(reader.getBytes(), message); break;
      case PAYLOAD:
        if (message.blocks.size() < MAX_BITSWAP_ENTRIES) readBlock(reader.getBytes(), message);
        break;
      case PRESENCE:
        if (message.presences.size() < MAX_BITSWAP_ENTRIES) {
          readPresence(reader.getBytes(), message);
        }
        break;
      default: break;
    }
  }
  return message;
}

kj::Array<kj::byte> BitswapMessage::encode() const {
  ProtobufWriter out, wantlist;
  for (auto& want: wants) {
    ProtobufWriter entry;
    entry.add(ENTRY_CID, want.cid.getBytes());
    entry.add(PRIORITY, uint64_t(1));
    if (want.cancel) entry.add(CANCEL, uint64_t(1));
    if (!want.blockItself) entry.add(WANT_TYPE, uint64_t(WANT_HAVE));
    if (want.sayIfNot) entry.add(SEND_DONT_HAVE, uint64_t(1));
    wantlist.add(ENTRY, entry.getBytes());
  }
  // Others take a message without one for none.
  out.add(WANTLIST, wantlist.getBytes());
  for (auto& block: blocks) {
    ProtobufWriter payload;
    payload.add(PREFIX, block.prefix);
    payload.add(DATA, block.bytes);
    out.add(PAYLOAD, payload.getBytes());
  }
  for (auto& presence: presences) {
    ProtobufWriter own;
    own.add(PRESENCE_CID, presence.cid.getBytes());
    own.add(PRESENCE_TYPE, uint64_t(presence.has ? HAVE : DONT_HAVE));
    out.add(PRESENCE, own.getBytes());
  }
  kj::Vector<kj::byte> framed;
  addVarint(framed, out.getBytes().size());
  framed.addAll(out.getBytes());
  return framed.releaseAsArray();
}

kj::Array<const kj::byte> BitswapMessage::prefixOf(const Cid& cid) {
  auto bytes = cid.getBytes();
  // Version 0 is nothing but a multihash of SHA-256: what it leaves out is said here.
  constexpr kj::byte V0[] = {0, Cid::DAG_PB, 0x12, 0x20};
  if (bytes.size() > 1 && bytes[0] == V0[2] && bytes[1] == V0[3]) {
    return kj::heapArray<const kj::byte>(kj::ArrayPtr<const kj::byte>(V0));
  }
  auto rest = bytes;
  for (int i = 0; i < 4; i++) takeVarint(rest);  // version, codec, hash, its length
  return kj::heapArray<const kj::byte>(bytes.slice(0, bytes.size() - rest.size()));
}

kj::Promise<kj::Maybe<kj::Array<kj::byte>>> readBitswap(kj::AsyncInputStream& stream,
                                                        kj::Function<size_t()> maxBytes) {
  constexpr size_t AT_ONCE = 64 << 10, MOST_DIGITS = 4;
  kj::Vector<kj::byte> head;
  do {
    kj::byte next;
    auto count = co_await stream.tryRead(&next, 1, 1);
    if (count == 0 && head.empty()) co_return nullptr;
    if (count == 0 || head.size() == MOST_DIGITS) {
      kj::throwFatalException(badInput("what came is no message of bitswap"));
    }
    head.add(next);
  } while (head.back() & 0x80);
  kj::ArrayPtr<const kj::byte> digits = head;
  auto size = takeVarint(digits);
  auto limit = maxBytes();
  if (size > limit) {
    kj::throwFatalException(badInput(kj::str("a message of bitswap of ", size,
                                             " bytes; the limit is ", limit)));
  }
  kj::Vector<kj::byte> body;
  while (body.size() < size) {
    auto begin = body.size();
    auto part = kj::min(size - begin, AT_ONCE);
    body.resize(begin + part);
    auto count = co_await stream.tryRead(body.begin() + begin, part, part);
    if (count < part) kj::throwFatalException(badInput("a message of bitswap that was cut off"));
  }
  co_return body.releaseAsArray();
}

}  // namespace ww
