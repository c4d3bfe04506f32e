//! What one cell may make the engine allocate: one budget over all of its memories and tables.

use wasmtime::{ResourceLimiter, Result};

const MAX_INSTANCES: usize = 100;
const MAX_MEMORIES: usize = 8;
const MAX_TABLES: usize = 100;

pub struct CellLimiter {
    pub memory_left: usize, // bytes
    pub table_elements_left: usize,
}

impl ResourceLimiter for CellLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        Ok(maximum.is_none_or(|most| desired <= most)
            && take(&mut self.memory_left, desired.saturating_sub(current)))
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
        let mut limiter = CellLimiter { memory_left: 100, table_elements_left: 1 };
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(!limiter.memory_growing(0, 41, None).unwrap());
        assert!(limiter.memory_growing(60, 100, None).unwrap());
        assert!(!limiter.memory_growing(100, 101, Some(100)).unwrap());
        assert!(limiter.table_growing(0, 1, None).unwrap());
        assert!(!limiter.table_growing(1, 2, None).unwrap());
    }
}
