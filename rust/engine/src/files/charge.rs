//! Memory that the host holds for a cell: taken from the cell's budget, and given back with this.

use crate::budget::Budget;
use std::sync::Arc;

pub struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Charge {
    pub fn none(budget: &Arc<Budget>) -> Self {
        Charge { budget: budget.clone(), bytes: 0 }
    }

    /// Nothing where the cell has not so much left.
    pub fn take(budget: &Arc<Budget>, bytes: usize) -> Option<Self> {
        let mut charge = Self::none(budget);
        charge.more(bytes).then_some(charge)
    }

    pub fn more(&mut self, bytes: usize) -> bool {
        let granted = self.budget.take_memory(bytes);
        if granted {
            self.bytes += bytes;
        }
        granted
    }

    pub fn less(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.give_back(bytes, 0);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes, 0);
    }
}
