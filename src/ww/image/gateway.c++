#include <ww/image/gateway.h>

#include <ww/base/error.h>

namespace ww {
namespace {

constexpr kj::StringPtr RAW = "application/vnd.ipld.raw"_kj;
constexpr kj::StringPtr RECORD = "application/vnd.ipfs.ipns-record"_kj;

}  // namespace

GatewaySource::GatewaySource(HttpReach reach, kj::StringPtr url)
    : endpoint(reach, url, "a gateway"), name(kj::str("gateway ", endpoint.getName())) {}

kj::Promise<kj::Array<const kj::byte>> GatewaySource::fetch(const Cid& cid) {
  HttpEndpoint::Call call;
  call.path = kj::str("/ipfs/", cid.toText(), "?format=raw");
  call.accept = RAW;
  call.maxBytes = MAX_BLOCK_BYTES;
  return endpoint.call(kj::mv(call));
}

kj::Promise<kj::Array<const kj::byte>> GatewaySource::fetchRecord(const IpnsName& ipnsName) {
  HttpEndpoint::Call call;
  call.path = kj::str("/ipns/", ipnsName.toText(), "?format=ipns-record");
  call.accept = RECORD;
  call.maxBytes = MAX_IPNS_RECORD_BYTES;
  return endpoint.call(kj::mv(call));
}

}  // namespace ww
