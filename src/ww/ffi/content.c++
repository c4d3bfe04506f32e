#include <ww/ffi/content.h>

#include <kj/vector.h>
#include <ww/ffi/fence.h>
#include <ww_content.h>

namespace ww::ffi {
namespace {

static_assert(MAX_CID_BYTES == WW_CID_BYTES);

kj::ArrayPtr<const kj::byte> bytesOf(WwSlice slice) { return { slice.ptr, slice.len }; }

CidBytes copyOf(const WwCid& cid) {
  kj::Maybe<size_t> identity;
  if (cid.is_identity) identity = cid.identity;
  return { kj::heapArray<kj::byte>(cid.bytes, cid.length), cid.codec, identity };
}

// What a call gave, or its error thrown.
template <typename Call>
CidBytes takeCid(Call&& call) {
  WwError error{};
  WwCid cid;
  if (!call(&cid, &error)) kj::throwFatalException(takeError(error));
  return copyOf(cid);
}

template <typename Call>
kj::Array<const kj::byte> takeBytes(Call&& call) {
  WwError error{};
  WwBytes bytes{};
  if (!call(&bytes, &error)) kj::throwFatalException(takeError(error));
  KJ_DEFER(ww_bytes_drop(bytes));
  return kj::heapArray<kj::byte>(bytes.ptr, bytes.len);
}

template <typename T>
kj::Maybe<T> where(bool there, T value) {
  if (there) return value;
  return nullptr;
}

}  // namespace

CidBytes parseCid(kj::StringPtr text) {
  return takeCid([&](WwCid* out, WwError* error) {
    return ww_cid_parse(slice(text), out, error);
  });
}

CidBytes readCid(kj::ArrayPtr<const kj::byte> bytes) {
  return takeCid([&](WwCid* out, WwError* error) {
    return ww_cid_read(slice(bytes), out, error);
  });
}

kj::Maybe<CidBytes> findCid(kj::ArrayPtr<const kj::byte> bytes) {
  WwCid cid;
  if (ww_cid_find(slice(bytes), &cid)) return copyOf(cid);
  return nullptr;
}

kj::Maybe<CidBytes> findCidLike(kj::ArrayPtr<const kj::byte> prefix,
                                kj::ArrayPtr<const kj::byte> block) {
  WwCid cid;
  if (ww_cid_like(slice(prefix), slice(block), &cid)) return copyOf(cid);
  return nullptr;
}

CidBytes cidOf(uint64_t codec, kj::ArrayPtr<const kj::byte> block) {
  return takeCid([&](WwCid* out, WwError* error) {
    return ww_cid_of(codec, slice(block), out, error);
  });
}

kj::String cidText(kj::ArrayPtr<const kj::byte> cid) {
  auto text = takeBytes([&](WwBytes* out, WwError* error) {
    return ww_cid_text(slice(cid), out, error);
  });
  return kj::heapString(text.asChars());
}

bool isCidOf(kj::ArrayPtr<const kj::byte> cid, kj::ArrayPtr<const kj::byte> block) {
  return ww_cid_is_of(slice(cid), slice(block));
}

kj::String foldCase(kj::StringPtr text) {
  auto folded = takeBytes([&](WwBytes* out, WwError* error) {
    return ww_fold_case(slice(text), out, error);
  });
  return kj::heapString(folded.asChars());
}

uint64_t hamtHash(kj::StringPtr name) { return ww_murmur3(slice(name)); }

Node::Node(kj::Array<const kj::byte> blockParam): block(kj::mv(blockParam)) {
  WwError error{};
  WwNode node;
  if (!ww_node_decode(slice(block), &node, &error)) kj::throwFatalException(takeError(error));
  KJ_DEFER(ww_node_drop(&node));
  blockSizes = kj::heapArray<uint64_t>(node.block_sizes, node.block_size_count);
  auto copies = kj::heapArrayBuilder<const Link>(node.link_count);
  for (auto& link: kj::arrayPtr(node.links, node.link_count)) {
    copies.add(Link { bytesOf(link.name).asChars(), bytesOf(link.cid), link.size });
  }
  links = copies.finish();
  auto has = [&](uint32_t flag) { return (node.has & flag) != 0; };
  parts.kind = static_cast<NodeKind>(node.kind);
  parts.data = where(has(WW_NODE_HAS_DATA), bytesOf(node.data));
  parts.fileSize = where(has(WW_NODE_HAS_FILE_SIZE), node.file_size);
  parts.hashType = where(has(WW_NODE_HAS_HASH_TYPE), node.hash_type);
  parts.fanout = where(has(WW_NODE_HAS_FANOUT), node.fanout);
  parts.mode = where(has(WW_NODE_HAS_MODE), kj::uint(node.mode));
  parts.blockSizes = blockSizes;
  parts.links = links;
}

kj::Array<const kj::byte> encodeNode(const NodeParts& parts) {
  WwNode node{};
  node.kind = static_cast<uint32_t>(parts.kind);
  auto set = [&](auto& field, const auto& value, uint32_t flag) {
    KJ_IF_MAYBE(v, value) {
      field = *v;
      node.has |= flag;
    }
  };
  KJ_IF_MAYBE(data, parts.data) {
    node.data = slice(*data);
    node.has |= WW_NODE_HAS_DATA;
  }
  set(node.file_size, parts.fileSize, WW_NODE_HAS_FILE_SIZE);
  set(node.hash_type, parts.hashType, WW_NODE_HAS_HASH_TYPE);
  set(node.fanout, parts.fanout, WW_NODE_HAS_FANOUT);
  set(node.mode, parts.mode, WW_NODE_HAS_MODE);
  node.block_sizes = parts.blockSizes.begin();
  node.block_size_count = parts.blockSizes.size();
  auto links = KJ_MAP(link, parts.links) {
    return WwLink { slice(link.name.asBytes()), slice(link.cid), link.size };
  };
  node.links = links.begin();
  node.link_count = links.size();
  return takeBytes([&](WwBytes* out, WwError* error) {
    return ww_node_encode(&node, out, error);
  });
}

CarHeader decodeCarHeader(kj::ArrayPtr<const kj::byte> header) {
  uint64_t version = 0;
  auto bytes = takeBytes([&](WwBytes* out, WwError* error) {
    return ww_car_header_decode(slice(header), &version, out, error);
  });
  kj::Vector<CidBytes> roots;
  for (auto rest = bytes.asPtr(); rest.size() > 0;) {
    auto& root = roots.add(readCid(rest));
    rest = rest.slice(root.bytes.size(), rest.size());
  }
  return { version, roots.releaseAsArray() };
}

kj::Array<const kj::byte> encodeCarHeader(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> roots) {
  auto slices = KJ_MAP(root, roots) { return slice(root); };
  return takeBytes([&](WwBytes* out, WwError* error) {
    return ww_car_header_encode(slices.begin(), slices.size(), out, error);
  });
}

}  // namespace ww::ffi
