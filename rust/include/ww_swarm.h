#pragma once
// The C side of the Rust fence for peers (rust/swarm/src). Only src/ww/ffi includes it. What
// each function asks of its caller stands beside its Rust definition.

#include <ww_engine.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct WwSwarm WwSwarm;
typedef struct WwStream WwStream;

typedef struct WwSwarmHooks {
  void (*ring)(void* hub);
  bool (*is_private)(void* hub, WwSlice address);
} WwSwarmHooks;

typedef struct WwSwarmOptions {
  WwSlice identity;
  WwSlice agent;
  const WwSlice* listen;
  size_t listen_count;
  const WwSlice* bootstrap;
  size_t bootstrap_count;
  const WwSlice* protocols;
  size_t protocol_count;
  WwSlice private_network;
  const WwSlice* direct;
  size_t direct_count;
  uint64_t dial_timeout_ms;
  uint32_t dht;
  bool mdns;
  bool dial_private;
  bool network;
} WwSwarmOptions;

enum {
  WW_READABLE = 1, WW_WRITABLE = 2, WW_DONE = 3, WW_INBOUND = 4, WW_LISTENING = 5,
  WW_CONNECTED = 6, WW_DISCONNECTED = 7, WW_WARNING = 8, WW_DIRECT = 9
};
enum {
  WW_FAILED = 1, WW_NOT_CONNECTED = 2, WW_UNSUPPORTED = 3, WW_OVERLOADED = 4, WW_ENDED = 5
};

typedef struct WwSwarmEvent {
  uint32_t kind;
  uint32_t code;     // 0: went well
  uint64_t id;       // of the operation, or of the stream
  uint64_t value;
  WwBytes peer;
  WwBytes text;
  WwBytes from;      // addresses, each with its length before it in two bytes; of INBOUND a text
  WwStream* stream;  // the receiver's, like the bytes
} WwSwarmEvent;

bool ww_multiaddr_parse(WwSlice text, WwBytes* bytes, WwError* error);
WwSwarm* ww_swarm_new(const WwSwarmOptions* options, const WwSwarmHooks* hooks, void* hub,
                      WwError* error);
void ww_swarm_drop(WwSwarm* swarm);
bool ww_swarm_resolve(const WwSwarm* swarm, uint64_t op, WwSlice peer, const WwSlice* addrs,
                      size_t count, WwError* error);
bool ww_swarm_dial(const WwSwarm* swarm, uint64_t op, WwSlice peer, const WwSlice* addrs,
                   size_t count, WwError* error);
bool ww_swarm_find(const WwSwarm* swarm, uint64_t op, WwSlice peer, WwError* error);
bool ww_swarm_providers(const WwSwarm* swarm, uint64_t op, WwSlice key, WwError* error);
void ww_swarm_provide(const WwSwarm* swarm, WwSlice key);
bool ww_swarm_open_direct(const WwSwarm* swarm, uint64_t op, WwSlice peer, const WwSlice* addrs,
                          size_t count, WwSlice protocol, WwError* error);
bool ww_swarm_open(const WwSwarm* swarm, uint64_t op, WwSlice peer, WwSlice protocol,
                   WwError* error);
bool ww_swarm_ping(const WwSwarm* swarm, uint64_t op, WwSlice peer, WwError* error);
void ww_swarm_forget(const WwSwarm* swarm, uint64_t op);
void ww_swarm_protect(const WwSwarm* swarm, WwSlice peer, bool on);
void ww_swarm_flush(const WwSwarm* swarm);
int32_t ww_swarm_fd(const WwSwarm* swarm);
void ww_swarm_turn(const WwSwarm* swarm);
bool ww_swarm_next(WwSwarm* swarm, WwSwarmEvent* event);

uint64_t ww_stream_id(const WwStream* stream);
ssize_t ww_stream_read(WwStream* stream, uint8_t* buffer, size_t len);
ssize_t ww_stream_write(WwStream* stream, const WwSlice* pieces, size_t count);
void ww_stream_drive(WwStream* stream);
void ww_stream_close_write(WwStream* stream);
void ww_stream_drop(WwStream* stream);

#ifdef __cplusplus
}
#endif
