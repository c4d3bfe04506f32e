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

[[noreturn]] void refuse(kj::StringPtr why) { kj::throwFatalException(badInput(why)); }

// Nothing for one of a kind that is not known here. Throws for what is no content id.
kj::Maybe<Cid> findCid(kj::ArrayPtr<const kj::byte> bytes) {
  auto found = Cid::find(bytes);
  if (found != nullptr) return found;
  constexpr uint64_t VERSION_1 = 1;
  auto rest = bytes;
  bool isOne = rest.size() > 0 && takeVarint(rest) == VERSION_1;
  if (isOne) {
    takeVarint(rest);  // the codec
    takeVarint(rest);  // the hash
    isOne = takeVarint(rest) == rest.size();
  }
  if (!isOne) refuse("a content id in a message of bitswap is none");
  return nullptr;
}

// Reads a message, and counts what of it was looked at.
class Decoder {
 public:
  void read(kj::ArrayPtr<const kj::byte> bytes) {
    ProtobufReader reader(bytes);
    while (reader.next()) {
      switch (reader.getField()) {
        case WANTLIST: readWantlist(reader.getBytes()); break;
        case PAYLOAD: if (isMore()) readBlock(reader.getBytes()); break;
        case PRESENCE: if (isMore()) readPresence(reader.getBytes()); break;
        default: break;
      }
    }
  }

  BitswapMessage message;

 private:
  size_t seen = 0;

  bool isMore() { return seen++ < MAX_BITSWAP_ENTRIES; }

  void readWantlist(kj::ArrayPtr<const kj::byte> bytes) {
    ProtobufReader reader(bytes);
    while (reader.next()) {
      if (reader.getField() == ENTRY && isMore()) readWant(reader.getBytes());
    }
  }

  void readWant(kj::ArrayPtr<const kj::byte> bytes) {
    kj::ArrayPtr<const kj::byte> cid;
    bool cancel = false, blockItself = true, sayIfNot = false;
    ProtobufReader reader(bytes);
    while (reader.next()) {
      switch (reader.getField()) {
        case ENTRY_CID: cid = reader.getBytes(); break;
        case CANCEL: cancel = reader.getNumber() != 0; break;
        case WANT_TYPE: blockItself = reader.getNumber() == WANT_BLOCK; break;
        case SEND_DONT_HAVE: sayIfNot = reader.getNumber() != 0; break;
        default: break;
      }
    }
    KJ_IF_MAYBE(c, findCid(cid)) {
      message.wants.add(BitswapMessage::Want{kj::mv(*c), cancel, blockItself, sayIfNot});
    }
  }

  void readPresence(kj::ArrayPtr<const kj::byte> bytes) {
    kj::ArrayPtr<const kj::byte> cid;
    bool has = true;
    ProtobufReader reader(bytes);
    while (reader.next()) {
      if (reader.getField() == PRESENCE_CID) cid = reader.getBytes();
      if (reader.getField() == PRESENCE_TYPE) has = reader.getNumber() == HAVE;
    }
    KJ_IF_MAYBE(c, findCid(cid)) {
      message.presences.add(BitswapMessage::Presence{kj::mv(*c), has});
    }
  }

  void readBlock(kj::ArrayPtr<const kj::byte> bytes) {
    kj::ArrayPtr<const kj::byte> prefix, data;
    ProtobufReader reader(bytes);
    while (reader.next()) {
      if (reader.getField() == PREFIX) prefix = reader.getBytes();
      if (reader.getField() == DATA) data = reader.getBytes();
    }
    message.blocks.add(BitswapMessage::Block{kj::heapArray<const kj::byte>(prefix),
                                             kj::heapArray<const kj::byte>(data)});
  }
};

}  // namespace

BitswapMessage BitswapMessage::decode(kj::ArrayPtr<const kj::byte> bytes) {
  Decoder decoder;
  decoder.read(bytes);
  return kj::mv(decoder.message);
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
                                                        kj::Function<size_t()> maxBytes,
                                                        kj::Function<void(size_t)> onBytes) {
  constexpr size_t AT_ONCE = 64 << 10, MOST_DIGITS = 4;
  kj::Vector<kj::byte> head;
  do {
    kj::byte next;
    auto count = co_await stream.tryRead(&next, 1, 1);
    if (count == 0 && head.empty()) co_return nullptr;
    if (count == 0 || head.size() == MOST_DIGITS) {
      refuse("what came is no message of bitswap");
    }
    head.add(next);
    onBytes(1);
  } while (head.back() & 0x80);
  kj::ArrayPtr<const kj::byte> digits = head;
  auto size = takeVarint(digits);
  auto limit = maxBytes();
  if (size > limit) {
    refuse(kj::str("a message of bitswap of ", size, " bytes; the limit is ", limit));
  }
  kj::Vector<kj::byte> body;
  while (body.size() < size) {
    auto begin = body.size();
    auto part = kj::min(size - begin, AT_ONCE);
    body.resize(begin + part);
    auto count = co_await stream.tryRead(body.begin() + begin, 1, part);
    if (count == 0) refuse("a message of bitswap that was cut off");
    body.resize(begin + count);
    onBytes(count);
  }
  co_return body.releaseAsArray();
}

}  // namespace ww
