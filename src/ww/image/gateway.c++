#include <ww/image/gateway.h>

#include <ww/base/error.h>
#include <ww/image/car-reader.h>
#include <ww/image/patience.h>

namespace ww {
namespace {

constexpr kj::StringPtr RAW = "application/vnd.ipld.raw"_kj;
constexpr kj::StringPtr CAR = "application/vnd.ipld.car; version=1; order=dfs; dups=n"_kj;
constexpr kj::StringPtr RECORD = "application/vnd.ipfs.ipns-record"_kj;

// Of what is no CAR file: why there is none.
constexpr size_t MAX_ERROR_BYTES = 64 << 10;

// Passes blocks on, and counts them.
class CountedStore final: public BlockStore {
 public:
  CountedStore(BlockStore& inner, kj::TimePoint begin) : inner(inner), begin(begin) {}

  kj::Maybe<kj::Array<const kj::byte>> find(const Cid& cid) override { return inner.find(cid); }
  bool has(const Cid& cid) override { return inner.has(cid); }
  void put(const Cid& cid, kj::ArrayPtr<const kj::byte> block) override {
    bytes += block.size();
    inner.put(cid, block);
  }

  // Rejects, as late, once nothing has come for a while, or too little.
  kj::Promise<void> untilLate(kj::Timer& timer) {
    Patience patience(timer.now(), HttpEndpoint::TIMEOUT, HttpEndpoint::LEAST_RATE, MOST_BYTES);
    for (uint64_t heard = 0; patience.getEnd() > timer.now(); heard = bytes) {
      co_await timer.atTime(patience.getEnd());
      if (bytes > heard) patience.hear(bytes - heard, timer.now());
    }
    kj::throwFatalException(late(kj::str("its CAR file stalls: ", bytes, " bytes of blocks in ",
                                         timer.now() - begin)));
  }

 private:
  static constexpr uint64_t MOST_BYTES = uint64_t(8) << 30;  // that buy time

  BlockStore& inner;
  const kj::TimePoint begin;
  uint64_t bytes = 0;
};

}  // namespace

GatewaySource::GatewaySource(HttpReach reach, kj::StringPtr url)
    : reach(reach), endpoint(reach, url, "a gateway"),
      name(kj::str("gateway ", endpoint.getName())) {}

kj::Promise<kj::Array<const kj::byte>> GatewaySource::fetch(const Cid& cid) {
  HttpEndpoint::Call call;
  call.path = kj::str("/ipfs/", cid.toText(), "?format=raw");
  call.accept = RAW;
  call.maxBytes = MAX_BLOCK_BYTES;
  call.waits = isResting();
  return endpoint.call(kj::mv(call));
}

kj::Maybe<kj::Promise<void>> GatewaySource::fetchDag(const Cid& root, BlockStore& store) {
  return readDag(kj::str("/ipfs/", root.toText(), "?format=car&dag-scope=all&car-version=1"
                         "&car-order=dfs&car-dups=n"), store);
}

kj::Promise<void> GatewaySource::readDag(kj::String path, BlockStore& store) {
  HttpEndpoint::Call call;
  call.path = kj::mv(path);
  call.accept = CAR;
  call.maxBytes = MAX_ERROR_BYTES;
  call.waits = isResting();
  auto in = co_await endpoint.open(kj::mv(call)).catch_(
      [](kj::Exception&& e) -> kj::Own<kj::AsyncInputStream> {
    using Type = kj::Exception::Type;
    bool isSaid = e.getType() == Type::OVERLOADED || e.getType() == Type::UNIMPLEMENTED;
    kj::throwFatalException(kj::Exception(isSaid ? e.getType() : Type::DISCONNECTED, __FILE__,
                                          __LINE__, kj::str("no CAR file: ", e.getDescription())));
  });
  CountedStore counted(store, reach.timer.now());
  auto reading = readCar(*in, "its CAR file", CarLimits(), counted).ignoreResult();
  co_await reading.exclusiveJoin(counted.untilLate(reach.timer));
}

kj::Promise<kj::Array<const kj::byte>> GatewaySource::fetchRecord(const IpnsName& ipnsName) {
  HttpEndpoint::Call call;
  call.path = kj::str("/ipns/", ipnsName.toText(), "?format=ipns-record");
  call.accept = RECORD;
  call.maxBytes = MAX_IPNS_RECORD_BYTES;
  return endpoint.call(kj::mv(call));
}

}  // namespace ww
