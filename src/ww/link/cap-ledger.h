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

  // Whether its sender keeps it in its table until it is released.
  static bool isExport(capnp::rpc::CapDescriptor::Reader cap);
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

// Those of them that were sent with questions, until the peer answers.
class ParamLedger final {
 public:
  explicit ParamLedger(CapLedger& exports): exports(exports) {}
  KJ_DISALLOW_COPY_AND_MOVE(ParamLedger);

  void ask(capnp::rpc::Call::Reader call);
  void finish(capnp::rpc::Finish::Reader finish);

  // False: the question was given up, and what comes is dropped.
  bool answer(capnp::rpc::Return::Reader ret);

 private:
  CapLedger& exports;
  kj::HashMap<uint32_t, CapLedger::Sent> sent;
  kj::HashSet<uint32_t> given;  // up
};

}  // namespace ww
