#pragma once
// Capabilities that one party of a link has sent and the other has not released: the size of its
// export table, as the messages tell it.
//
// One event loop.

#include <capnp/rpc.capnp.h>
#include <kj/map.h>
#include <kj/vector.h>
#include <stdint.h>

namespace ww {

class CapLedger final {
 public:
  using Descriptors = capnp::List<capnp::rpc::CapDescriptor>::Reader;

  // A list sent with a message whose end releases it: once each, however often one is in it.
  using Sent = kj::Vector<uint32_t>;

  static uint64_t countIn(Descriptors caps);

  void add(capnp::rpc::CapDescriptor::Reader cap);
  Sent add(Descriptors caps);
  void release(uint32_t id, uint32_t times = 1);
  void release(const Sent& sent);

  bool has(uint32_t id) const { return references.find(id) != nullptr; }

  size_t size() const { return references.size(); }

 private:
  kj::HashMap<uint32_t, uint32_t> references;
};

}  // namespace ww
