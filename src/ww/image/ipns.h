#pragma once
// IPNS: names that a key gives. Who holds the key signs a record of what its name leads to; anybody
// may hand the record over. Verified here, as the IPNS specification says for records of version 2:
// the signature is over the record's own CBOR, which alone is believed, until the time it names.
//
// Keys are Ed25519, whose name holds the key itself. Names of other keys, and names of DNS
// (/ipns/example.com), are refused: the former by what they are, the latter since nothing signs
// what they lead to.

#include <kj/async.h>
#include <kj/time.h>
#include <ww/base/ed25519.h>
#include <ww/base/log.h>
#include <ww/image/cid.h>

namespace ww {

constexpr size_t MAX_IPNS_RECORD_BYTES = 10 << 10;  // the specification's

class IpnsName {
 public:
  // As it follows /ipns/: a content id of the codec libp2p-key, in any base, or a peer id in
  // Base58. Throws, naming the text, for any other.
  static IpnsName parse(kj::StringPtr text);
  static IpnsName of(const PublicKey& key);

  const PublicKey& getKey() const { return key; }
  kj::String toText() const;  // a content id in Base32

 private:
  explicit IpnsName(const PublicKey& key) : key(key) {}
  PublicKey key;
};

struct IpnsRecord {
  kj::String value;     // /ipfs/... or /ipns/...: as the key's holder has it, at most 1 KiB
  uint64_t sequence = 0;
  int64_t until = 0;    // seconds since 1970: valid before
};

// Throws where it is none, is not signed by the name's key, or has expired by `now`.
IpnsRecord verifyIpnsRecord(const IpnsName& name, kj::ArrayPtr<const kj::byte> record,
                            kj::Date now);

// Somebody who may have records.
class IpnsSource {
 public:
  virtual ~IpnsSource() noexcept(false) {}

  virtual kj::StringPtr getName() const = 0;

  // What it says the record is, at most some KiB; unverified. As BlockSource::fetch().
  virtual kj::Promise<kj::Array<const kj::byte>> fetchRecord(const IpnsName& name) = 0;
};

// How new the newest record is that was seen of each name: what came before it is signed and valid,
// and not what the key's holder says any more.
class IpnsMemory {
 public:
  virtual ~IpnsMemory() noexcept(false) {}

  struct Seen {
    uint64_t sequence = 0;
    int64_t until = 0;

    bool operator<(const Seen& other) const {
      return sequence != other.sequence ? sequence < other.sequence : until < other.until;
    }
  };
  virtual kj::Maybe<Seen> findSeen(const IpnsName& name) = 0;

  // Unless a newer one was seen. Kept, also where this process ends, once it resolves.
  virtual kj::Promise<void> setSeen(const IpnsName& name, const Seen& seen) = 0;
};

// Asks all sources at once, and takes the valid record with the highest sequence, and of those the
// one that is valid for longest: who holds one back is overruled by any that does not. One that is
// older than what was seen before is none. Rejects with each source's name and reason where none
// has one. References outlive the promise.
kj::Promise<IpnsRecord> resolveIpns(IpnsName name, kj::ArrayPtr<IpnsSource* const> sources,
                                    IpnsMemory& memory, const kj::Clock& clock, Logger& logger);

}  // namespace ww
