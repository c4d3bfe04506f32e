#include <ww/image/ipns.h>

#include <kj/debug.h>
#include <kj/vector.h>
#include <string.h>
#include <ww/base/base58.h>
#include <ww/base/error.h>
#include <ww/base/protobuf.h>
#include <ww/base/text.h>
#include <ww/image/ipns-data.h>

namespace ww {
namespace {

// A public key as libp2p encodes it, and as the multihash of its name holds it.
constexpr kj::byte KEY_PREFIX[] = {0x08, 0x01, 0x12, 0x20};          // Ed25519, 32 bytes
constexpr kj::byte HASH_PREFIX[] = {0x00, 0x24};                     // identity, 36 bytes
constexpr kj::byte CID_PREFIX[] = {0x01, 0x72};                      // version 1, libp2p-key
constexpr kj::StringPtr SIGNED_PREFIX = "ipns-signature:"_kj;
constexpr size_t MAX_VALUE_BYTES = 1 << 10;

[[noreturn]] void refuse(kj::StringPtr why) { kj::throwFatalException(badInput(why)); }

bool takePrefix(kj::ArrayPtr<const kj::byte>& bytes, kj::ArrayPtr<const kj::byte> prefix) {
  if (bytes.size() < prefix.size() || bytes.slice(0, prefix.size()) != prefix) return false;
  bytes = bytes.slice(prefix.size(), bytes.size());
  return true;
}

kj::Maybe<PublicKey> findKey(kj::ArrayPtr<const kj::byte> multihash) {
  PublicKey key;
  if (!takePrefix(multihash, HASH_PREFIX) || !takePrefix(multihash, KEY_PREFIX)) return nullptr;
  if (multihash.size() != sizeof(key.bytes)) return nullptr;
  memcpy(key.bytes, multihash.begin(), sizeof(key.bytes));
  return key;
}

// The fields of a record that are looked at.
struct Entry {
  kj::ArrayPtr<const kj::byte> signature, data;
  kj::Maybe<kj::ArrayPtr<const kj::byte>> value, validity, key;  // for readers of version 1
  kj::Maybe<uint64_t> sequence;
};

Entry readEntry(kj::ArrayPtr<const kj::byte> record) {
  enum Field: uint64_t {
    VALUE = 1, VALIDITY = 4, SEQUENCE = 5, PUBLIC_KEY = 7, SIGNATURE = 8, DATA = 9
  };
  Entry entry;
  ProtobufReader reader(record);
  while (reader.next()) {
    switch (reader.getField()) {
      case VALUE: entry.value = reader.getBytes(); break;
      case VALIDITY: entry.validity = reader.getBytes(); break;
      case SEQUENCE: entry.sequence = reader.getNumber(); break;
      case PUBLIC_KEY: entry.key = reader.getBytes(); break;
      case SIGNATURE: entry.signature = reader.getBytes(); break;
      case DATA: entry.data = reader.getBytes(); break;
      default: break;
    }
  }
  return entry;
}

void requireSigned(const IpnsName& name, const Entry& entry) {
  Signature signature;
  if (entry.data.size() == 0 || entry.signature.size() != sizeof(signature.bytes)) {
    refuse("the record has no signature of version 2");
  }
  KJ_IF_MAYBE(key, entry.key) {
    auto rest = *key;
    bool isNames = takePrefix(rest, KEY_PREFIX) &&
                   rest == kj::arrayPtr(name.getKey().bytes, sizeof(PublicKey::bytes));
    if (key->size() > 0 && !isNames) refuse("the record's key is not the name's");
  }
  memcpy(signature.bytes, entry.signature.begin(), sizeof(signature.bytes));
  kj::Vector<kj::byte> message;
  message.addAll(SIGNED_PREFIX.asBytes());
  message.addAll(entry.data);
  if (!verify(name.getKey(), message, signature)) {
    refuse("the record is not signed by the name's key");
  }
}

// What the unsigned fields say must be what the signed ones do: others read those.
void requireSame(const Entry& entry, const IpnsData& data) {
  bool same = entry.value.orDefault(data.value) == data.value &&
              entry.validity.orDefault(data.validity) == data.validity &&
              entry.sequence.orDefault(data.sequence) == data.sequence;
  if (!same) refuse("the record says one thing and has signed another");
}

IpnsMemory::Seen ageOf(const IpnsRecord& record) { return {record.sequence, record.until}; }

void requireNew(const IpnsRecord& record, const IpnsMemory::Seen& seen) {
  if (!(ageOf(record) < seen)) return;
  if (record.sequence < seen.sequence) {
    refuse(kj::str("the record is older than one that was seen before: its number is ",
                   record.sequence, ", and there was ", seen.sequence));
  }
  refuse(kj::str("the record is older than one that was seen before: of the same number, ",
                 seen.sequence, ", there was one that is valid for longer"));
}

}  // namespace

IpnsName IpnsName::parse(kj::StringPtr text) {
  auto refuseKind = [&]() {
    refuse(kj::str("the key of /ipns/", shorten(text), " is not of Ed25519, and no other is "
                   "verified here; give what it leads to: /ipfs/CID"));
  };
  if (text.findFirst('.') != nullptr) {
    refuse(kj::str("/ipns/", shorten(text), " is a name of DNS: nothing signs what it leads to; "
                   "give what it leads to: /ipfs/CID"));
  }
  // A peer id without a base: identity hashes begin with 12D3Koo, SHA-256 ones with Qm.
  if (text.startsWith("1") || text.startsWith("Qm")) {
    KJ_IF_MAYBE(multihash, decodeBase58(text)) {
      KJ_IF_MAYBE(key, findKey(*multihash)) return IpnsName(*key);
      refuseKind();
    }
  }
  kj::Maybe<Cid> parsed;
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { parsed = Cid::parse(text); })) {
    refuse(kj::str("/ipns/", shorten(text), " is no name of IPNS: ", e->getDescription()));
  }
  auto bytes = KJ_ASSERT_NONNULL(parsed).getBytes();
  if (!takePrefix(bytes, CID_PREFIX)) {
    refuse(kj::str("/ipns/", shorten(text), " is no name of IPNS: its content id is not of a key; "
                   "of content it is /ipfs/", shorten(text)));
  }
  KJ_IF_MAYBE(key, findKey(bytes)) return IpnsName(*key);
  refuseKind();
  KJ_UNREACHABLE;
}

IpnsName IpnsName::of(const PublicKey& key) { return IpnsName(key); }

kj::String IpnsName::toText() const {
  kj::Vector<kj::byte> bytes;
  for (kj::ArrayPtr<const kj::byte> part: {kj::ArrayPtr<const kj::byte>(CID_PREFIX),
                                           kj::ArrayPtr<const kj::byte>(HASH_PREFIX),
                                           kj::ArrayPtr<const kj::byte>(KEY_PREFIX),
                                           kj::ArrayPtr<const kj::byte>(key.bytes)}) {
    bytes.addAll(part);
  }
  return Cid::fromBytes(bytes).toText();
}

IpnsRecord verifyIpnsRecord(const IpnsName& name, kj::ArrayPtr<const kj::byte> record,
                            kj::Date now) {
  if (record.size() > MAX_IPNS_RECORD_BYTES) {
    refuse(kj::str("a record of ", record.size(), " bytes; the limit is ", MAX_IPNS_RECORD_BYTES));
  }
  auto entry = readEntry(record);
  requireSigned(name, entry);
  auto data = readIpnsData(entry.data);
  requireSame(entry, data);
  if (data.validityType != 0) refuse("the record is valid in a way that is not known here");
  IpnsRecord result;
  result.sequence = data.sequence;
  auto validity = kj::heapString(data.validity.asChars());
  KJ_IF_MAYBE(until, parseIpnsTime(validity)) {
    result.until = *until;
  } else {
    refuse(kj::str("the record is valid until no time: `", shorten(validity), "`"));
  }
  if ((now - kj::UNIX_EPOCH) / kj::SECONDS >= result.until) {
    refuse(kj::str("the record has expired, at ", escapeText(validity)));
  }
  if (data.value.size() > MAX_VALUE_BYTES || !isUtf8(data.value)) {
    refuse("the record leads to what is no path");
  }
  result.value = kj::heapString(data.value.asChars());
  return result;
}

kj::Promise<IpnsRecord> resolveIpns(IpnsName name, kj::ArrayPtr<IpnsSource* const> sources,
                                    IpnsMemory& memory, const kj::Clock& clock, Logger& logger) {
  if (sources.size() == 0) {
    refuse(kj::str("nobody can be asked what /ipns/", name.toText(), " leads to: name a gateway "
                   "(--gateway URL) or an IPFS node (--ipfs URL)"));
  }
  auto seen = memory.findSeen(name);
  kj::Maybe<IpnsRecord> best;
  kj::Vector<kj::String> failures;
  auto ask = [&](IpnsSource& source) {
    return source.fetchRecord(name).then([&](kj::Array<const kj::byte> bytes) {
      auto record = verifyIpnsRecord(name, bytes, clock.now());
      KJ_IF_MAYBE(newest, seen) requireNew(record, *newest);
      auto isBetter = best.map([&](IpnsRecord& other) {
        return ageOf(other) < ageOf(record);
      }).orDefault(true);
      if (isBetter) best = kj::mv(record);
    }).catch_([&](kj::Exception&& e) {
      logger.log(LogLevel::INFO, "a source has no record of a name that is believed",
                 {{"source", kj::str(source.getName())}, {"name", name.toText()},
                  {"cause", kj::str(e.getDescription())}});
      failures.add(kj::str(source.getName(), ": ", e.getDescription()));
    });
  };
  auto asking = kj::heapArrayBuilder<kj::Promise<void>>(sources.size());
  for (auto source: sources) asking.add(ask(*source));
  co_await kj::joinPromises(asking.finish());
  KJ_IF_MAYBE(record, best) {
    co_await memory.setSeen(name, ageOf(*record));
    co_return kj::mv(*record);
  }
  refuse(kj::str("/ipns/", name.toText(), " leads nowhere: ", kj::strArray(failures, "; ")));
}

}  // namespace ww
