#pragma once
// Records of IPNS as a key's holder makes them, right and wrong.

#include <kj/vector.h>
#include <ww/base/protobuf.h>
#include <ww/image/ipns.h>

namespace ww {

struct TestRecord {
  kj::String value;
  kj::String until = kj::str("2030-01-01T00:00:00.000000000Z");
  uint64_t sequence = 1;
  uint64_t validityType = 0;
  bool hasOldFields = true;
  kj::String oldValue = kj::str(value);  // what readers of version 1 see
  kj::StringPtr prefix = "ipns-signature:"_kj;

  explicit TestRecord(kj::StringPtr value) : value(kj::str(value)) {}

  kj::Array<kj::byte> getData() const {
    kj::Vector<kj::byte> cbor;
    auto head = [&](kj::byte type, uint64_t size) {  // sizes below 64 KiB
      if (size < 24) return cbor.add(kj::byte(type << 5 | size)), void();
      cbor.add(kj::byte(type << 5 | 25));
      cbor.add(kj::byte(size >> 8));
      cbor.add(kj::byte(size));
    };
    auto text = [&](kj::byte type, kj::StringPtr bytes) {
      head(type, bytes.size());
      cbor.addAll(bytes.asBytes());
    };
    head(5, 5);
    text(3, "TTL"), head(0, 60);
    text(3, "Value"), text(2, value);
    text(3, "Sequence"), head(0, sequence);
    text(3, "Validity"), text(2, until);
    text(3, "ValidityType"), head(0, validityType);
    return cbor.releaseAsArray();
  }

  kj::Array<kj::byte> sign(const SecretKey& key) const { return signData(key, getData()); }

  kj::Array<kj::byte> signData(const SecretKey& key, kj::ArrayPtr<const kj::byte> data) const {
    kj::Vector<kj::byte> message;
    message.addAll(prefix.asBytes());
    message.addAll(data);
    auto signature = key.sign(message);
    ProtobufWriter record;
    if (hasOldFields) {
      record.add(1, oldValue.asBytes());
      record.add(3, uint64_t(0));
      record.add(4, until.asBytes());
      record.add(5, sequence);
    }
    record.add(8, kj::arrayPtr(signature.bytes, sizeof(signature.bytes)));
    record.add(9, data);
    return record.finish();
  }
};

}  // namespace ww
