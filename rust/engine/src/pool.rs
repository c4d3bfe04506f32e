//! What instances are made of, reserved at once and used again: a spawn maps nothing, and finds the
//! pages of a cell that ended still there.

use wasmtime::{Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Of one memory, so much stays with its place when its cell has ended, if the cell had touched it.
const KEPT_MEMORY: usize = 128 << 10;
const KEPT_TABLE: usize = 64 << 10;
const KEPT_STACK: usize = 32 << 10;

/// Places with the image of a component, kept for its next cell before they serve another's.
const WARM: u32 = 128;

/// A component of C++ has one core instance of its own and two or three of adapters.
const INSTANCES_OF_ONE: u32 = 4;

/// Of one memory or table. The cell's own limits are what counts (limits.rs).
const MOST_MEMORY: usize = 1 << 32;
const MOST_TABLE: usize = 1 << 20;

const MEMORIES_OF_MODULE: u32 = 100;

/// What cells may have beside a memory each: one for the exceptions that it throws, which is a
/// memory too, and some for those that have several of their own.
pub fn further_memories(cells: u32) -> u32 {
    cells.saturating_add(4_000)
}

/// For so many cells at a time. Its stacks cost some 4 us each at the start, and at the end:
/// the engine protects the end of each by a call of its own.
pub fn strategy(cells: u32) -> InstanceAllocationStrategy {
    let further = further_memories(cells);
    let parts = cells.saturating_mul(INSTANCES_OF_ONE).saturating_add(further);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(cells)
        .total_core_instances(parts)
        .total_memories(cells.saturating_add(further))
        .total_tables(parts)
        .total_stacks(cells)
        .total_gc_heaps(cells)
        .max_memory_size(MOST_MEMORY)
        .table_elements(MOST_TABLE)
        // These are looked at as a component is loaded, and take nothing: how much of each a cell
        // has is the limiter's to say, and shape.rs's.
        .max_core_instance_size(usize::MAX >> 1)
        .max_component_instance_size(usize::MAX >> 1)
        .max_core_instances_per_component(u32::MAX)
        .max_memories_per_component(u32::MAX)
        .max_tables_per_component(u32::MAX)
        // Each of so many is looked for when a component goes.
        .max_memories_per_module(MEMORIES_OF_MODULE)
        .max_tables_per_module(u32::MAX)
        .max_unused_warm_slots(WARM)
        .linear_memory_keep_resident(KEPT_MEMORY)
        .table_keep_resident(KEPT_TABLE)
        .async_stack_keep_resident(KEPT_STACK)
        .pagemap_scan(Enabled::Auto);
    InstanceAllocationStrategy::Pooling(pool)
}
