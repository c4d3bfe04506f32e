//! What one cell may make the engine allocate: one budget over all of its memories and tables.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use wasmtime::{ResourceLimiter, Result, bail};

const MAX_INSTANCES: usize = 100;
const MAX_MEMORIES: usize = 8;
const MAX_TABLES: usize = 100;

/// Memories beyond the first of each cell, over all cells: each takes some three of the mappings of
/// which a process has 65,530, and of which the cells themselves take most.
#[derive(Clone, Default)]
pub struct FurtherMemories(Arc<AtomicUsize>);

const MAX_FURTHER_MEMORIES: usize = 4_000;

pub struct CellLimiter {
    memory_left: usize, // bytes
    table_elements_left: usize,
    memories: usize,
    further: FurtherMemories,
}

impl CellLimiter {
    pub fn new(memory_left: usize, table_elements_left: usize, further: FurtherMemories) -> Self {
        CellLimiter { memory_left, table_elements_left, memories: 0, further }
    }

    fn count_memory(&mut self) -> Result<()> {
        if self.memories > 0 && self.further.0.fetch_add(1, Relaxed) >= MAX_FURTHER_MEMORIES {
            self.further.0.fetch_sub(1, Relaxed);
            bail!(
                "overloaded: memories: the node's cells have {MAX_FURTHER_MEMORIES} beside one each"
            );
        }
        self.memories += 1;
        Ok(())
    }
}

impl Drop for CellLimiter {
    fn drop(&mut self) {
        self.further.0.fetch_sub(self.memories.saturating_sub(1), Relaxed);
    }
}

impl ResourceLimiter for CellLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        let granted = maximum.is_none_or(|most| desired <= most)
            && take(&mut self.memory_left, desired.saturating_sub(current));
        // Its first growth is a memory's making. One that was made empty counts again as it grows,
        // but never more than there can be.
        if granted && current == 0 && self.memories < MAX_MEMORIES {
            self.count_memory()?;
        }
        Ok(granted)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        Ok(maximum.is_none_or(|most| desired <= most)
            && take(&mut self.table_elements_left, desired.saturating_sub(current)))
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }
}

fn take(left: &mut usize, amount: usize) -> bool {
    match left.checked_sub(amount) {
        Some(rest) => {
            *left = rest;
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_budget_over_all_memories() {
        let mut limiter = CellLimiter::new(100, 1, FurtherMemories::default());
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(!limiter.memory_growing(0, 41, None).unwrap());
        assert!(limiter.memory_growing(60, 100, None).unwrap());
        assert!(!limiter.memory_growing(100, 101, Some(100)).unwrap());
        assert!(limiter.table_growing(0, 1, None).unwrap());
        for _ in 0..MAX_FURTHER_MEMORIES {
            assert!(!limiter.memory_growing(0, 1000, None).unwrap());
            assert!(limiter.memory_growing(0, 0, None).unwrap());
        }
        assert_eq!(limiter.memories, MAX_MEMORIES);
        assert!(!limiter.table_growing(1, 2, None).unwrap());
    }
}
