//! What one cell may make the engine allocate: one budget over all of its memories and tables.

use crate::budget::{
    Budget, HIT_HOSTCALL, HIT_INSTANCES, HIT_MEMORIES, HIT_RANDOM, HIT_RESOURCES, HIT_STACK,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use wasmtime::component::ResourceTableError;
use wasmtime::{ResourceLimiter, Result, Trap, bail};

const MAX_TABLES: usize = 100;

/// Memories beyond the first of each cell, over all cells, and at most so many: each takes some
/// three of the mappings of which a process has 65,530, and a place that was reserved for it.
#[derive(Clone)]
pub struct FurtherMemories {
    count: Arc<AtomicUsize>,
    most: usize,
}

impl FurtherMemories {
    pub fn new(most: usize) -> Self {
        FurtherMemories { count: Arc::default(), most }
    }
}

/// So much of what a cell takes beside its memories goes unaccounted, as the rest of it does.
const FREE_FOOTPRINT: usize = 64 << 10;

/// So many a cell may have.
#[derive(Clone, Copy)]
pub struct Most {
    pub memories: usize,
    pub instances: usize,
}

pub struct CellLimiter {
    budget: Arc<Budget>,
    memory: usize, // bytes taken of it
    table_elements: usize,
    most: Most,
    memories: usize,
    further: Arc<FurtherMemories>,
}

impl CellLimiter {
    pub fn new(budget: Arc<Budget>, most: Most, further: Arc<FurtherMemories>) -> Self {
        CellLimiter { budget, memory: 0, table_elements: 0, most, memories: 0, further }
    }

    /// What it takes beside its memories and tables, as long as it lives. It is memory like theirs.
    pub fn take_footprint(&mut self, bytes: usize) -> Result<()> {
        let bytes = bytes.saturating_sub(FREE_FOOTPRINT);
        if !self.budget.take_memory(bytes) {
            bail!("overloaded: memory: its instances, arguments and variables take {bytes} bytes");
        }
        self.memory += bytes;
        Ok(())
    }

    fn count_memory(&mut self) -> Result<()> {
        let FurtherMemories { count, most } = &*self.further;
        if self.memories > 0 && count.fetch_add(1, Relaxed) >= *most {
            count.fetch_sub(1, Relaxed);
            bail!("overloaded: memories: the node's cells have {most} beside one each");
        }
        self.memories += 1;
        Ok(())
    }
}

/// What the engine says where it has no type for it. The tests of these limits hold it to that.
const SAID: [(&str, u32); 6] = [
    ("memory count too high", HIT_MEMORIES),
    ("overloaded: memories", HIT_MEMORIES),
    ("instance count too high", HIT_INSTANCES),
    ("store handle limit exceeded", HIT_RESOURCES),
    ("fuel allocated for hostcalls has been exhausted", HIT_HOSTCALL),
    ("requested len", HIT_RANDOM),
];

/// The limit that a cell was ended by; none for another reason.
pub fn hit_by(error: &wasmtime::Error) -> u32 {
    if error.downcast_ref() == Some(&Trap::StackOverflow) {
        return HIT_STACK;
    }
    let cause = error.root_cause();
    if matches!(cause.downcast_ref(), Some(ResourceTableError::Full)) {
        return HIT_RESOURCES;
    }
    let text = cause.to_string();
    SAID.iter().find(|(said, _)| text.contains(said)).map_or(0, |(_, hit)| *hit)
}

impl Drop for CellLimiter {
    fn drop(&mut self) {
        self.budget.give_back(self.memory, self.table_elements);
        if self.memories > 1 {
            self.further.count.fetch_sub(self.memories - 1, Relaxed);
        }
    }
}

impl ResourceLimiter for CellLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        let amount = desired.saturating_sub(current);
        let granted = maximum.is_none_or(|most| desired <= most) && self.budget.take_memory(amount);
        if granted {
            self.memory += amount;
        }
        // Its first growth is a memory's making. One that was made empty counts again as it grows,
        // but never more than there can be.
        if granted && current == 0 && self.memories < self.most.memories {
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
        let amount = desired.saturating_sub(current);
        let granted = maximum.is_none_or(|most| desired <= most) && self.budget.take_tables(amount);
        if granted {
            self.table_elements += amount;
        }
        Ok(granted)
    }

    fn instances(&self) -> usize {
        self.most.instances
    }

    fn memories(&self) -> usize {
        self.most.memories
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn further(most: usize) -> Arc<FurtherMemories> {
        Arc::new(FurtherMemories::new(most))
    }

    #[test]
    fn what_instances_take_is_of_the_budget_too() {
        let budget = Budget::new(100, 1, None);
        let most = Most { memories: 8, instances: 100 };
        let mut limiter = CellLimiter::new(budget.clone(), most, further(10));
        assert!(limiter.take_footprint(FREE_FOOTPRINT).is_ok() && budget.used() == 0);
        assert!(limiter.take_footprint(FREE_FOOTPRINT + 101).is_err());
        assert!(limiter.take_footprint(FREE_FOOTPRINT + 60).is_ok() && budget.used() == 60);
        assert!(!limiter.memory_growing(0, 41, None).unwrap());
        drop(limiter);
        assert!(budget.take_memory(100), "all of it is given back");
    }

    #[test]
    fn one_budget_over_all_memories() {
        let budget = Budget::new(100, 1, None);
        let most = Most { memories: 8, instances: 100 };
        let mut limiter = CellLimiter::new(budget.clone(), most, further(10));
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(!limiter.memory_growing(0, 41, None).unwrap());
        assert!(limiter.memory_growing(60, 100, None).unwrap());
        assert!(!limiter.memory_growing(100, 101, Some(100)).unwrap());
        assert!(limiter.table_growing(0, 1, None).unwrap());
        for _ in 0..10 {
            assert!(!limiter.memory_growing(0, 1000, None).unwrap());
            assert!(limiter.memory_growing(0, 0, None).unwrap());
        }
        assert_eq!(limiter.memories, 8);
        assert!(!limiter.table_growing(1, 2, None).unwrap());
        drop(limiter);
        assert!(budget.take_memory(100) && budget.take_tables(1), "all of it is given back");
    }
}
