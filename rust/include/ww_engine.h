#pragma once
// The C side of the Rust fence (rust/fence/src/lib.rs, rust/engine/src/lib.rs). Only src/ww/ffi
// includes it. What each function asks of its caller stands beside its Rust definition.

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

// Bytes that the receiver owns: ww_bytes_drop().
typedef struct WwBytes { uint8_t* ptr; size_t len; size_t capacity; } WwBytes;
// Bytes that are borrowed for the call.
typedef struct WwSlice { const uint8_t* ptr; size_t len; } WwSlice;

enum { WW_NOT_COMPONENT = 1, WW_NOT_LINKABLE = 2, WW_RESOURCES = 3, WW_PANIC = 4, WW_OTHER = 5 };
// kind is 0 where nothing failed; else text is the receiver's.
typedef struct WwError { uint32_t kind; WwBytes text; } WwError;

void ww_bytes_drop(WwBytes bytes);
bool ww_fence_panic(WwError* error);

// ---- engine

typedef struct WwEngine WwEngine;

typedef struct WwHooks {
  void (*wake_local)(void* task);
  void (*wake_remote)(void* hub, uint64_t id);
  void (*hub_ref)(void* hub);
  void (*hub_unref)(void* hub);
  void (*pipe_event)(void* end);
} WwHooks;

typedef struct WwEngineOptions {
  uint64_t slice_us;
  uint64_t max_wasm_stack;
  bool debug_info;
  uint32_t max_cells;  // at a time
} WwEngineOptions;

WwEngine* ww_engine_new(const WwEngineOptions* options, const WwHooks* hooks, void* hub,
                        WwError* error);
WwEngine* ww_engine_share(const WwEngine* engine, void* hub, WwError* error);
void ww_engine_drop(WwEngine* engine);
WwBytes ww_engine_version(const WwEngine* engine);

// ---- components

typedef struct WwComponent WwComponent;

WwComponent* ww_component_compile(const WwEngine* engine, WwSlice bytes, WwError* error);
bool ww_footprint(WwSlice bytes, uint64_t* footprint, WwError* error);
bool ww_compile(const WwEngineOptions* options, WwSlice bytes, WwBytes* artifact, WwError* error);
WwComponent* ww_component_load(const WwEngine* engine, WwSlice artifact, WwError* error);
WwComponent* ww_component_load_file(const WwEngine* engine, int32_t file, WwError* error);
bool ww_component_artifact(const WwComponent* component, WwBytes* artifact, WwError* error);
WwComponent* ww_component_twin(const WwComponent* component);
void ww_component_drop(WwComponent* component);
void ww_hash(WwSlice bytes, uint8_t hash[32]);
void ww_checksum(WwSlice bytes, uint8_t sum[16]);

typedef struct WwHasher WwHasher;

WwHasher* ww_hasher_new(void);
void ww_hasher_add(WwHasher* hasher, WwSlice bytes);
void ww_hasher_take(WwHasher* hasher, uint8_t hash[32]);
void ww_hasher_drop(WwHasher* hasher);

// ---- cells

typedef struct WwCell WwCell;
typedef struct WwBudget WwBudget;

typedef struct WwMount {
  int32_t folder;
  WwSlice path;
  bool writable;
  bool foreign;
} WwMount;

typedef struct WwCellOptions {
  const WwSlice* args;
  size_t arg_count;
  const WwSlice* env;   // names and values by turns
  size_t env_count;     // slices, so twice the variables
  uint64_t pipe_capacity;
  uint64_t memory_bytes;
  uint64_t table_elements;
  uint64_t memories;
  uint64_t instances;
  uint64_t resources;
  uint64_t hostcall_bytes;
  uint64_t random_bytes;
  uint64_t footprint;   // ww_footprint() of the component
  const struct WwBudget* parent;  // or null
  const WwMount* mounts;
  size_t mount_count;
  WwSlice scratch;      // empty: none
} WwCellOptions;

enum {
  WW_HIT_MEMORY = 1,
  WW_HIT_TABLES = 2,
  WW_HIT_MEMORIES = 4,
  WW_HIT_INSTANCES = 8,
  WW_HIT_RESOURCES = 16,
  WW_HIT_HOSTCALL = 32,
  WW_HIT_RANDOM = 64,
  WW_HIT_STACK = 128,
  WW_HIT_SHARED = 256,
  WW_HIT_NODE = 512,
};
enum { WW_POLL_PENDING = 0, WW_POLL_EXITED = 1, WW_POLL_TRAPPED = 2, WW_POLL_REFUSED = 3 };
typedef struct WwPoll {
  uint32_t state;
  int32_t exit_code;
  bool instantiated;
  bool yielded;
  uint32_t hits;
  uint64_t deadline;
  WwBytes cause;
  WwBytes backtrace;
} WwPoll;

WwCell* ww_cell_new(const WwEngine* engine, const WwComponent* component,
                    const WwCellOptions* options, void* task, uint64_t id, WwError* error);
void ww_cell_poll(WwCell* cell, WwPoll* poll);
void ww_cell_drop(WwCell* cell);
uint64_t ww_clock_now(void);
uint64_t ww_clock_cpu(void);

typedef struct WwUsage { uint64_t memory; uint64_t memory_peak; } WwUsage;

WwBudget* ww_cell_budget(const WwCell* cell);
WwBudget* ww_budget_new(uint64_t memory_bytes, uint64_t table_elements, const WwBudget* parent);
WwUsage ww_budget_usage(const WwBudget* budget);
void ww_budget_drop(WwBudget* budget);

// ---- pipes, the host's end

typedef struct WwPipe WwPipe;

enum WwPipeKind { WW_CONNECTION_IN, WW_CONNECTION_OUT, WW_STDIN, WW_STDOUT, WW_STDERR };

WwPipe* ww_cell_pipe(const WwCell* cell, uint32_t which);
ssize_t ww_pipe_readable(WwPipe* pipe);
ssize_t ww_pipe_read(WwPipe* pipe, uint8_t* buffer, size_t len);
ssize_t ww_pipe_write(WwPipe* pipe, const WwSlice* pieces, size_t count);
void ww_pipe_set_host(WwPipe* pipe, void* end);
void ww_pipe_close_write(WwPipe* pipe);
void ww_pipe_close_read(WwPipe* pipe);
bool ww_pipe_is_read_closed(WwPipe* pipe);
bool ww_pipe_is_wanted(WwPipe* pipe);
void ww_pipe_set_discards(WwPipe* pipe, bool discards);
uint64_t ww_pipe_discarded(WwPipe* pipe);
uint64_t ww_pipe_total(WwPipe* pipe);
void ww_pipe_drop(WwPipe* pipe);

#ifdef __cplusplus
}
#endif
