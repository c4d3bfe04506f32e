//! A `std::task::Waker` that arms an event of the foreign loop.

use crate::WwHooks;
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Wake;

thread_local!(static TAG: u8 = const { 0 });

/// An address that is unique to the calling thread; far cheaper than `thread::current().id()`.
fn thread_tag() -> usize {
    TAG.with(|tag| tag as *const u8 as usize)
}

/// A counted reference to the loop's inbox for wakes from other threads. It may outlive the
/// engine: whoever holds a waker holds one.
pub struct Hub {
    raw: *mut c_void,
    hooks: WwHooks,
}

// The inbox is made for other threads, and its count is atomic.
unsafe impl Send for Hub {}
unsafe impl Sync for Hub {}

impl Hub {
    pub fn new(raw: *mut c_void, hooks: WwHooks) -> Self {
        (hooks.hub_ref)(raw);
        Hub { raw, hooks }
    }
}

impl Clone for Hub {
    fn clone(&self) -> Self {
        Hub::new(self.raw, self.hooks)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        (self.hooks.hub_unref)(self.raw);
    }
}

pub struct CellWaker {
    owner: usize,
    alive: AtomicBool, // written and read on the owning thread only
    task: *mut c_void, // dereferenced on the owning thread only, and only while alive
    id: u64,
    hub: Hub,
}

// Other threads touch only `owner`, `id` and `hub`, which never change.
unsafe impl Send for CellWaker {}
unsafe impl Sync for CellWaker {}

impl CellWaker {
    pub fn new(task: *mut c_void, id: u64, hub: Hub) -> Self {
        CellWaker { owner: thread_tag(), alive: AtomicBool::new(true), task, id, hub }
    }

    /// The task is going away. Owning thread only.
    pub fn disarm(&self) {
        self.alive.store(false, Relaxed);
    }
}

impl Wake for CellWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref()
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if thread_tag() != self.owner {
            (self.hub.hooks.wake_remote)(self.hub.raw, self.id);
        } else if self.alive.load(Relaxed) {
            (self.hub.hooks.wake_local)(self.task);
        }
    }
}
