//! What a cell may have of memory and tables, it and all that it starts: what a cell takes is taken
//! from its parent's part too, and given back at its end.

use crate::{WwCell, boxed, unheard};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

/// Limits that were hit, a bit each.
pub const HIT_MEMORY: u32 = 1;
pub const HIT_TABLES: u32 = 2;
pub const HIT_MEMORIES: u32 = 4;
pub const HIT_INSTANCES: u32 = 8;
pub const HIT_RESOURCES: u32 = 16;
pub const HIT_HOSTCALL: u32 = 32;
pub const HIT_RANDOM: u32 = 64;
pub const HIT_STACK: u32 = 128;
pub const HIT_SHARED: u32 = 256; // memory that several have a part of
pub const HIT_NODE: u32 = 512; // memory of all cells

pub struct Budget {
    memory: AtomicUsize,         // bytes that are left
    tables: Option<AtomicUsize>, // elements that are left; any number
    used: AtomicUsize,           // bytes, by this cell alone
    peak: AtomicUsize,           // of those
    hits: AtomicU32,             // since somebody asked
    memory_hit: u32,             // what it is that has no memory left
    parent: Option<Arc<Budget>>,
}

type Left = fn(&Budget) -> Option<&AtomicUsize>;

const MEMORY: Left = |budget| Some(&budget.memory);
const TABLES: Left = |budget| budget.tables.as_ref();

impl Budget {
    pub fn new(memory: usize, tables: usize, parent: Option<Arc<Budget>>) -> Arc<Self> {
        Self::of(HIT_MEMORY, memory, tables, parent)
    }

    /// Of no cell. `usize::MAX` elements: any number.
    pub fn shared(memory: usize, tables: usize, parent: Option<Arc<Budget>>) -> Arc<Self> {
        let hit = if parent.is_some() { HIT_SHARED } else { HIT_NODE };
        Self::of(hit, memory, tables, parent)
    }

    fn of(hit: u32, memory: usize, tables: usize, parent: Option<Arc<Budget>>) -> Arc<Self> {
        Arc::new(Budget {
            memory: memory.into(),
            tables: (tables != usize::MAX).then(|| tables.into()),
            used: 0.into(),
            peak: 0.into(),
            hits: 0.into(),
            memory_hit: hit,
            parent,
        })
    }

    /// The error is that which has not so much left: this, or one above it.
    /// Nothing is written for nothing: what is above is every loop's.
    fn take(&self, left: Left, amount: usize) -> Result<(), &Budget> {
        if amount == 0 {
            return Ok(());
        }
        let own = left(self);
        let less = |n: usize| n.checked_sub(amount);
        if own.is_some_and(|own| own.fetch_update(Relaxed, Relaxed, less).is_err()) {
            return Err(self);
        }
        let granted = self.parent.as_ref().map_or(Ok(()), |parent| parent.take(left, amount));
        if let (Err(_), Some(own)) = (&granted, own) {
            own.fetch_add(amount, Relaxed);
        }
        granted
    }

    fn give(&self, left: Left, amount: usize) {
        if amount == 0 {
            return;
        }
        if let Some(own) = left(self) {
            own.fetch_add(amount, Relaxed);
        }
        if let Some(parent) = &self.parent {
            parent.give(left, amount);
        }
    }

    /// Of the limits that are not this one's to keep.
    pub fn tell(&self, hits: u32) {
        self.hits.fetch_or(hits, Relaxed);
    }

    pub fn take_memory(&self, bytes: usize) -> bool {
        match self.take(MEMORY, bytes) {
            Ok(()) => {
                let used = self.used.fetch_add(bytes, Relaxed) + bytes;
                self.peak.fetch_max(used, Relaxed);
                true
            }
            Err(short) => {
                self.tell(short.memory_hit);
                false
            }
        }
    }

    pub fn take_tables(&self, elements: usize) -> bool {
        let granted = self.take(TABLES, elements).is_ok();
        if !granted {
            self.tell(HIT_TABLES);
        }
        granted
    }

    /// What this cell itself took.
    pub fn give_back(&self, bytes: usize, elements: usize) {
        self.used.fetch_sub(bytes, Relaxed);
        self.give(MEMORY, bytes);
        self.give(TABLES, elements);
    }

    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    pub fn peak(&self) -> usize {
        self.peak.load(Relaxed)
    }

    pub fn take_hits(&self) -> u32 {
        self.hits.swap(0, Relaxed)
    }
}

// ---- for the loop

/// What a cell may have, for those that it starts. Any thread.
pub struct WwBudget(pub Arc<Budget>);

/// # Safety
/// `cell` lives. Given back with `ww_budget_drop`; it may outlive the cell.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_cell_budget(cell: *const WwCell) -> *mut WwBudget {
    boxed(WwBudget(unsafe { &*cell }.0.budget().clone()))
}

/// Of no cell, for several to have a part of; itself a part of `parent`, unless that is null. Given
/// back with `ww_budget_drop`.
///
/// # Safety
/// `parent` lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_budget_new(
    memory_bytes: u64,
    table_elements: u64,
    parent: *const WwBudget,
) -> *mut WwBudget {
    let parent = unsafe { parent.as_ref() }.map(|budget| budget.0.clone());
    boxed(WwBudget(Budget::shared(memory_bytes as usize, table_elements as usize, parent)))
}

/// # Safety
/// Given back once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_budget_drop(budget: *mut WwBudget) {
    unheard(|| drop(unsafe { Box::from_raw(budget) }));
}

/// Bytes of linear memory that the cell itself has, now and at most, children not counted.
#[repr(C)]
pub struct WwUsage {
    pub memory: u64,
    pub memory_peak: u64,
}

/// # Safety
/// `budget` lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_budget_usage(budget: *const WwBudget) -> WwUsage {
    let budget = unsafe { &(*budget).0 };
    WwUsage { memory: budget.used() as u64, memory_peak: budget.peak() as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_child_takes_is_its_parents_too_until_it_ends() {
        let parent = Budget::new(100, 10, None);
        let child = Budget::new(100, 10, Some(parent.clone()));
        let grandchild = Budget::new(60, 10, Some(child.clone()));
        assert!(parent.take_memory(30) && child.take_memory(20) && grandchild.take_memory(50));
        assert!(!parent.take_memory(1) && !child.take_memory(1) && !grandchild.take_memory(1));
        assert!(grandchild.take_tables(10) && !child.take_tables(1));
        grandchild.give_back(50, 10);
        assert!(!grandchild.take_memory(51), "its parent's parent has 50");
        assert!(grandchild.take_memory(50) && !parent.take_memory(1));
        assert_eq!((parent.used(), child.used(), grandchild.used()), (30, 20, 50));
        assert_eq!(grandchild.peak(), 50);
    }

    #[test]
    fn what_is_short_is_told() {
        let node = Budget::shared(100, 10, None);
        let key = Budget::shared(80, 10, Some(node.clone()));
        let cell = Budget::new(60, 10, Some(key.clone()));
        let other = Budget::new(60, 10, Some(key.clone()));
        assert!(!cell.take_memory(61));
        assert_eq!(cell.take_hits(), HIT_MEMORY);
        assert!(cell.take_memory(60) && !other.take_memory(21));
        assert_eq!(other.take_hits(), HIT_SHARED);
        let owners = Budget::new(60, 10, Some(node.clone()));
        assert!(!owners.take_memory(41) && owners.take_memory(40));
        assert_eq!(owners.take_hits(), HIT_NODE);
        let many = Budget::new(1, 20, Some(Budget::shared(1, usize::MAX, None)));
        assert!(many.take_tables(20) && !many.take_tables(1), "its own are counted");
    }

    #[test]
    fn hits_are_told_once() {
        let budget = Budget::new(1, 1, None);
        assert!(!budget.take_memory(2) && !budget.take_memory(2) && !budget.take_tables(2));
        assert_eq!(budget.take_hits(), HIT_MEMORY | HIT_TABLES);
        assert_eq!(budget.take_hits(), 0);
        assert!(budget.take_memory(1) && budget.take_tables(1));
        assert_eq!((budget.take_hits(), budget.peak()), (0, 1));
    }
}
