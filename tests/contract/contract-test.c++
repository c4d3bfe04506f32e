// The compiled schemas, written out in one line each, against the table of the contract: file ids,
// ordinals, names and types. What differs here breaks guests that are already out there.

#include <capnp/schema.h>
#include <kj/test.h>
#include <membrane.capnp.h>
#include <node.capnp.h>
#include <peer.capnp.h>
#include <stem.capnp.h>

namespace ww {
namespace {

kj::StringPtr nameOf(capnp::Schema schema) {
  auto proto = schema.getProto();
  return proto.getDisplayName().slice(proto.getDisplayNamePrefixLength());
}

kj::String typeName(capnp::Type type) {
  switch (type.which()) {
    case capnp::schema::Type::BOOL: return kj::str("Bool");
    case capnp::schema::Type::UINT32: return kj::str("UInt32");
    case capnp::schema::Type::UINT64: return kj::str("UInt64");
    case capnp::schema::Type::INT32: return kj::str("Int32");
    case capnp::schema::Type::TEXT: return kj::str("Text");
    case capnp::schema::Type::DATA: return kj::str("Data");
    case capnp::schema::Type::LIST:
      return kj::str("List(", typeName(type.asList().getElementType()), ")");
    case capnp::schema::Type::ENUM: return kj::str(nameOf(type.asEnum()));
    case capnp::schema::Type::STRUCT: return kj::str(nameOf(type.asStruct()));
    case capnp::schema::Type::INTERFACE: return kj::str(nameOf(type.asInterface()));
    case capnp::schema::Type::ANY_POINTER: return kj::str("a parameter");
    default: return kj::str("type ", kj::uint(type.which()));
  }
}

kj::String fields(capnp::StructSchema schema) {
  // By ordinal, which is what the wire knows.
  auto result = kj::heapArray<kj::String>(schema.getFields().size());
  for (auto field: schema.getFields()) {
    auto ordinal = field.getProto().getOrdinal().getExplicit();
    result[ordinal] = kj::str(field.getProto().getName(), " ", typeName(field.getType()));
  }
  return kj::strArray(result, ", ");
}

kj::String params(capnp::StructSchema schema) {
  return kj::strArray(KJ_MAP(field, schema.getFields()) {
    return kj::str(field.getProto().getName(), " ", typeName(field.getType()));
  }, ", ");
}

kj::String methods(capnp::InterfaceSchema schema) {
  return kj::strArray(KJ_MAP(method, schema.getMethods()) {
    return kj::str(method.getProto().getName(), "(", params(method.getParamType()), ") -> (",
                   params(method.getResultType()), ")");
  }, "; ");
}

template <typename T> kj::String structLine() {
  return fields(capnp::Schema::from<T>());
}
template <typename T> kj::String interfaceLine() {
  return methods(capnp::Schema::from<T>());
}
template <typename T> uint64_t fileOf() {
  return capnp::Schema::from<T>().getProto().getScopeId();
}

KJ_TEST("files have the contract's ids") {
  KJ_EXPECT(fileOf<stem::Epoch>() == 0x9bce094a026970c4u, kj::hex(fileOf<stem::Epoch>()));
  KJ_EXPECT(fileOf<membrane::WetwareSession>() == 0xa59e04af26eca82fu);
  KJ_EXPECT(fileOf<peer::Host>() == 0xbf5147b78c0e6a2fu);
}

// By Cap'n Proto's own rule, which explicit ids would break.
KJ_TEST("types have the ids that follow from the files' and their names") {
  KJ_EXPECT(capnp::typeId<stem::Membrane<>>() == 0xdb52c25106bc2c5eu);
  KJ_EXPECT(capnp::typeId<stem::StatusPoller>() == 0xc1464c90f23af390u);
  KJ_EXPECT(capnp::typeId<stem::Signer>() == 0xafafaf9468b6a274u);
  KJ_EXPECT(capnp::typeId<peer::Host>() == 0x9ea70c8c9aefb70cu);
  KJ_EXPECT(capnp::typeId<peer::Executor>() == 0xbfa37c1e99b4a492u);
  KJ_EXPECT(capnp::typeId<peer::Process>() == 0x97d4030d8435f0b1u);
  KJ_EXPECT(capnp::typeId<peer::ByteStream>() == 0xcb8707ff6dc46ee0u);
}

KJ_TEST("the parameter of a membrane reaches its session") {
  auto graft = capnp::Schema::from<stem::Membrane<membrane::WetwareSession>>()
      .getMethodByName("graft");
  auto session = graft.getResultType().getFieldByName("session").getType().asStruct();
  auto extension = session.getFieldByName("extension").getType();
  KJ_EXPECT(extension.isStruct());
  KJ_EXPECT(nameOf(extension.asStruct()) == "WetwareSession");
}

KJ_TEST("stem") {
  KJ_EXPECT(structLine<stem::Epoch>() == "seq UInt64, head Data, adoptedBlock UInt64");
  auto status = capnp::Schema::from<stem::Status>().getEnumerants();
  KJ_ASSERT(status.size() == 3);
  KJ_EXPECT(status[0].getProto().getName() == "ok");
  KJ_EXPECT(status[1].getProto().getName() == "unauthorized");
  KJ_EXPECT(status[2].getProto().getName() == "internalError");
  KJ_EXPECT(interfaceLine<stem::Signer>() == "sign(domain Text, nonce UInt64) -> (sig Data)");
  KJ_EXPECT(interfaceLine<stem::StatusPoller>() == "pollStatus() -> (status Status)");
  KJ_EXPECT(structLine<stem::Session<>>() ==
            "issuedEpoch Epoch, statusPoller StatusPoller, extension a parameter");
  KJ_EXPECT(interfaceLine<stem::Membrane<>>() == "graft(signer Signer) -> (session Session)");
}

KJ_TEST("membrane") {
  KJ_EXPECT(structLine<membrane::WetwareSession>() == "host Host, executor Executor, node Node");
}

KJ_TEST("what is ours beside the contract: new types and new ordinals only") {
  KJ_EXPECT(fileOf<node::Node>() == 0xcf2776728564e374u);
  KJ_EXPECT(interfaceLine<node::Node>() ==
            "cells() -> (cells Cells); sessions() -> (sessions List(SessionInfo)); "
            "ping(peerId Data) -> (roundTripNs UInt64); epoch() -> (info EpochInfo); "
            "keepImage(cid Data) -> (blocks UInt64, bytes UInt64); "
            "keeping() -> (steps UInt64)");
  KJ_EXPECT(interfaceLine<peer::Cells>() ==
            "list() -> (cells List(CellInfo)); "
            "find(id UInt64) -> (process Process, info CellInfo); "
            "log(id UInt64, follow Bool) -> (stream ByteStream)");
}

KJ_TEST("peer") {
  KJ_EXPECT(structLine<peer::PeerInfo>() == "peerId Data, addrs List(Data)");
  KJ_EXPECT(interfaceLine<peer::Host>() ==
            "id() -> (peerId Data); addrs() -> (addrs List(Data)); "
            "peers() -> (peers List(PeerInfo)); connect(peerId Data, addrs List(Data)) -> (); "
            "executor() -> (executor Executor)");
  KJ_EXPECT(interfaceLine<peer::Executor>() ==
            "runBytes(wasm Data, args List(Text), env List(Text)) -> (process Process); "
            "echo(message Text) -> (response Text); cells() -> (cells Cells)");
  KJ_EXPECT(interfaceLine<peer::Process>() ==
            "stdin() -> (stream ByteStream); stdout() -> (stream ByteStream); "
            "stderr() -> (stream ByteStream); wait() -> (exitCode Int32); kill() -> (); "
            "info() -> (info CellInfo); detach() -> (id UInt64)");
  KJ_EXPECT(interfaceLine<peer::ByteStream>() ==
            "read(maxBytes UInt32) -> (data Data); write(data Data) -> (); close() -> ()");
}

}  // namespace
}  // namespace ww
