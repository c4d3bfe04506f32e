#pragma once
// Trustless HTTP gateways: one GET a block (`/ipfs/CID?format=raw`), or one for it and all below it
// (`/ipfs/CID?format=car`), and for a name its signed record (`/ipns/NAME?format=ipns-record`).
// Nothing of what they say is believed.
//
// What fetch() and fetchRecord() give is bounded as HttpEndpoint bounds a call, by its time and by
// its size: a block's or a record's. A whole DAG has as long as it goes on coming, and no bound but
// that of who takes it. All reject with the reason and without the gateway's name, which getName()
// has. Lives on one event loop; dropping a promise gives its fetch up.

#include <ww/image/block.h>
#include <ww/image/http-endpoint.h>
#include <ww/image/ipns.h>

namespace ww {

class GatewaySource final: public BlockSource, public IpnsSource {
 public:
  // Throws for what is no URL of one. What `reach` refers to outlives it, and it the promises.
  GatewaySource(HttpReach reach, kj::StringPtr url);

  kj::StringPtr getName() const override { return name; }
  kj::Promise<kj::Array<const kj::byte>> fetch(const Cid& cid) override;
  bool isResting() override { return endpoint.isResting(); }

  // Each block in HttpEndpoint::TIMEOUT, or twice that, after the one before.
  kj::Maybe<kj::Promise<void>> fetchDag(const Cid& root, BlockStore& store) override;
  kj::Promise<kj::Array<const kj::byte>> fetchRecord(const IpnsName& name) override;

 private:
  kj::Promise<void> readDag(kj::String path, BlockStore& store);

  HttpReach reach;
  HttpEndpoint endpoint;
  kj::String name;
};

}  // namespace ww
