#pragma once
// Content ids, blocks of UnixFS and headers of CAR files, in Rust (rust/content). Only src/ww/ffi
// includes it. What each function asks of its caller stands beside its Rust definition.

#include <ww_engine.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { WW_CID_BYTES = 200 };
typedef struct WwCid {
  uint64_t codec;
  size_t length;
  size_t identity;    // bytes at its end that are the block itself
  bool is_identity;
  uint8_t bytes[WW_CID_BYTES];
} WwCid;

bool ww_cid_parse(WwSlice text, WwCid* out, WwError* error);
bool ww_cid_read(WwSlice bytes, WwCid* out, WwError* error);
bool ww_cid_find(WwSlice bytes, WwCid* out);
bool ww_cid_like(WwSlice prefix, WwSlice block, WwCid* out);
bool ww_cid_of(uint64_t codec, WwSlice block, WwCid* out, WwError* error);
bool ww_cid_text(WwSlice cid, WwBytes* text, WwError* error);
bool ww_cid_is_of(WwSlice cid, WwSlice block);
bool ww_fold_case(WwSlice text, WwBytes* folded, WwError* error);
uint64_t ww_murmur3(WwSlice bytes);

typedef struct WwLink { WwSlice name; WwSlice cid; uint64_t size; } WwLink;

enum {
  WW_NODE_HAS_DATA = 1,
  WW_NODE_HAS_FILE_SIZE = 2,
  WW_NODE_HAS_HASH_TYPE = 4,
  WW_NODE_HAS_FANOUT = 8,
  WW_NODE_HAS_MODE = 16,
};
typedef struct WwNode {
  uint32_t kind;       // UnixFS's
  uint32_t has;
  WwSlice data;        // this and the links' are of the block
  uint64_t file_size;
  uint64_t hash_type;
  uint64_t fanout;
  uint32_t mode;
  const uint64_t* block_sizes;
  size_t block_size_count;
  const WwLink* links;
  size_t link_count;
} WwNode;

bool ww_node_decode(WwSlice block, WwNode* node, WwError* error);
void ww_node_drop(WwNode* node);
bool ww_node_encode(const WwNode* node, WwBytes* block, WwError* error);

bool ww_car_header_decode(WwSlice header, uint64_t* version, WwBytes* roots, WwError* error);
bool ww_car_header_encode(const WwSlice* roots, size_t count, WwBytes* header, WwError* error);

#ifdef __cplusplus
}
#endif
