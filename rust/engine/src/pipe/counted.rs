//! Counted references to pipes. What the last one leaves is the next pipe's, on the thread where it
//! was dropped.

use super::Pipe;
use crate::WwHooks;
use std::cell::RefCell;
use std::mem::{ManuallyDrop, forget};
use std::ops::Deref;
use std::sync::Arc;

/// Pipes that lie unused with a thread: a cell has five.
const MOST_SPARE: usize = 64;

thread_local! {
    static SPARE: RefCell<Vec<Arc<Pipe>>> = const { RefCell::new(Vec::new()) };
}

pub struct PipeRef(ManuallyDrop<Arc<Pipe>>);

impl PipeRef {
    pub fn new(capacity: usize, hooks: WwHooks) -> Self {
        let mut spare = SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten();
        match spare.as_mut().and_then(Arc::get_mut) {
            Some(pipe) => *pipe = Pipe::new(capacity, hooks),
            None => spare = None,
        }
        PipeRef(ManuallyDrop::new(spare.unwrap_or_else(|| Arc::new(Pipe::new(capacity, hooks)))))
    }

    /// For `from_raw`.
    pub fn into_raw(self) -> *const Pipe {
        let raw = Arc::as_ptr(&self.0);
        forget(self);
        raw
    }

    /// # Safety
    /// Of `into_raw`, once.
    pub unsafe fn from_raw(raw: *const Pipe) -> Self {
        PipeRef(ManuallyDrop::new(unsafe { Arc::from_raw(raw) }))
    }
}

impl Clone for PipeRef {
    fn clone(&self) -> Self {
        PipeRef(self.0.clone())
    }
}

impl Deref for PipeRef {
    type Target = Pipe;
    fn deref(&self) -> &Pipe {
        &self.0
    }
}

impl Drop for PipeRef {
    fn drop(&mut self) {
        // Nothing looks at the field from here on.
        let mut counted = unsafe { ManuallyDrop::take(&mut self.0) };
        if Arc::strong_count(&counted) > 1 {
            return;
        }
        let Some(pipe) = Arc::get_mut(&mut counted) else { return };
        *pipe = Pipe::new(0, pipe.hooks); // what was in it is gone, and whoever waited
        // A thread that ends may have none any more.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < MOST_SPARE {
                spare.push(counted);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::HOOKS;
    use super::*;

    fn place(pipe: &PipeRef) -> *const Pipe {
        &raw const **pipe
    }

    #[test]
    fn what_the_last_reference_leaves_is_the_next_pipe_and_an_empty_one() {
        let first = PipeRef::new(8, HOOKS);
        let second = first.clone();
        let at = place(&first);
        drop(first);
        let other = PipeRef::new(8, HOOKS);
        assert_ne!(place(&other), at); // `second` is there
        assert!(second.guest_write(b"unread").is_ok());
        second.close_write();
        let raw = second.into_raw();
        drop(unsafe { PipeRef::from_raw(raw) });
        let again = PipeRef::new(4, HOOKS);
        assert_eq!(place(&again), at);
        assert_eq!((again.total(), again.guest_room()), (0, Some(4)));
    }

    #[test]
    fn those_that_are_there_at_once_are_apart_and_few_are_kept() {
        let held: Vec<_> = (0..2 * MOST_SPARE).map(|_| PipeRef::new(8, HOOKS)).collect();
        let mut places: Vec<_> = held.iter().map(place).collect();
        places.sort();
        places.dedup();
        assert_eq!(places.len(), held.len());
        drop(held);
        SPARE.with_borrow(|spare| assert_eq!(spare.len(), MOST_SPARE));
    }

    #[test]
    fn a_thread_that_ends_drops_to_its_last() {
        struct Late(Option<PipeRef>);
        impl Drop for Late {
            fn drop(&mut self) {
                self.0 = None;
                drop(PipeRef::new(8, HOOKS));
            }
        }
        thread_local!(static LATE: RefCell<Late> = const { RefCell::new(Late(None)) });
        let ended = std::thread::spawn(|| {
            LATE.with_borrow_mut(|_| ()); // made first, so that it goes last
            LATE.with_borrow_mut(|late| late.0 = Some(PipeRef::new(8, HOOKS)));
        });
        assert!(ended.join().is_ok());
    }
}
