#pragma once
// A node of IPFS that speaks Kubo's RPC: POST /api/v0/block/get, and /api/v0/routing/get for names.
// The operator's own, and yet nothing of what it says is believed.
//
// A fetch is bounded as HttpEndpoint bounds a call, by its time and its size, and is redirected
// nowhere. It rejects with the reason and without the node's name, which getName() has. Lives on
// one event loop; dropping a promise gives its fetch up.

#include <capnp/compat/json.h>
#include <kj/function.h>
#include <ww/image/block.h>
#include <ww/image/http-endpoint.h>
#include <ww/image/ipns.h>

namespace ww {

class KuboSource final: public BlockSource, public IpnsSource {
 public:
  // A URL, or a multiaddr as IPFS's own tools take it: /ip4/127.0.0.1/tcp/5001. Throws for what is
  // neither. What `reach` refers to outlives it, and it the promises.
  KuboSource(HttpReach reach, kj::StringPtr address);

  kj::StringPtr getName() const override { return name; }
  kj::Promise<kj::Array<const kj::byte>> fetch(const Cid& cid) override;
  bool isResting() override { return endpoint.isResting(); }
  kj::Promise<kj::Array<const kj::byte>> fetchRecord(const IpnsName& name) override;

 private:
  HttpEndpoint endpoint;
  kj::String name;
};

// The URL that /ip4/A/tcp/P, /ip6/A/tcp/P or /dns/NAME/tcp/P stands for, /http or /https behind it;
// the text itself where it begins otherwise.
kj::String urlOfMultiaddr(kj::StringPtr text);

// The record of a name in what /api/v0/routing/get answers: JSON, an object a line, of which one
// has it as Base64 in `Extra`. Throws for what is no such answer.
kj::Array<const kj::byte> readKuboRecord(kj::ArrayPtr<const kj::byte> answer);

// What such a node answers: a JSON object a line, which `onLine` is given. Throws for a line that
// is none, showing it, or that is nested deeper than any of Kubo's. `text` is as long as the caller
// lets it be.
void readJsonLines(kj::StringPtr text,
                   kj::FunctionParam<void(capnp::json::Value::Reader)> onLine);

}  // namespace ww
