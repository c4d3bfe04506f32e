//! What the network tells the loop goes through one queue, which rings once a batch: when it turns
//! from empty to not. The loop drains it on its own thread.

use crate::stream::WwStream;
use crate::{WwSwarmEvent, WwSwarmHooks};
use libp2p::Multiaddr;
use std::cell::Cell;
use std::collections::VecDeque;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Wake;
use ww_fence::{WwBytes, WwSlice};

#[repr(u32)]
#[derive(Clone, Copy)]
pub enum Kind {
    Readable = 1,
    Writable = 2,
    Done = 3,
    Inbound = 4,
    Listening = 5,
    Connected = 6,
    Disconnected = 7,
    Warning = 8,
    /// Where direct links are served.
    Direct = 9,
}

pub struct Event {
    pub kind: Kind,
    pub code: u32,
    pub id: u64,
    pub value: u64,
    pub peer: Vec<u8>,
    pub text: Vec<u8>,
    pub from: Vec<u8>,
    pub stream: Option<Box<WwStream>>,
}

impl Event {
    pub fn new(kind: Kind, id: u64) -> Self {
        let (peer, text, from) = (Vec::new(), Vec::new(), Vec::new());
        Event { kind, code: 0, id, value: 0, peer, text, from, stream: None }
    }

    /// An operation that went wrong.
    pub fn failure(op: u64, code: u32, why: impl ToString) -> Self {
        let mut event = Event::new(Kind::Done, op);
        event.code = code;
        event.text = ww_fence::bounded(why.to_string()).into_bytes();
        event
    }

    pub fn into_c(self) -> WwSwarmEvent {
        let bytes = |bytes: Vec<u8>| WwBytes::from(bytes);
        WwSwarmEvent {
            kind: self.kind as u32,
            code: self.code,
            id: self.id,
            value: self.value,
            peer: bytes(self.peer),
            text: bytes(self.text),
            from: bytes(self.from),
            stream: self.stream.map_or(ptr::null_mut(), Box::into_raw),
        }
    }
}

thread_local! {
    static QUIET: Cell<*const Inbox> = const { Cell::new(ptr::null()) };
}

struct Queue {
    events: VecDeque<Event>,
    open: bool,
}

pub struct Inbox {
    queue: Mutex<Queue>,
    streams: AtomicU64, // so many there were
    hooks: WwSwarmHooks,
    hub: *mut c_void,
}

// `hub` is only ever handed back to the hook, which any thread may call.
unsafe impl Send for Inbox {}
unsafe impl Sync for Inbox {}

impl Inbox {
    pub fn new(hooks: WwSwarmHooks, hub: *mut c_void) -> Self {
        let queue = Mutex::new(Queue { events: VecDeque::new(), open: true });
        Inbox { queue, streams: AtomicU64::new(0), hooks, hub }
    }

    /// Without a loop.
    #[cfg(any(test, feature = "bench"))]
    pub fn unheard() -> Arc<Self> {
        extern "C" fn ring(_: *mut c_void) {}
        extern "C" fn is_private(_: *mut c_void, _: WwSlice) -> bool {
            false
        }
        Arc::new(Inbox::new(WwSwarmHooks { ring, is_private }, ptr::null_mut()))
    }

    /// A number for one, never given again.
    pub fn new_stream(&self) -> u64 {
        self.streams.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Any thread. Rings under the lock, so that `close` is a barrier: the hook must only ring.
    pub fn push(&self, event: Event) {
        let mut queue = self.lock();
        if queue.open {
            queue.events.push_back(event);
            if queue.events.len() == 1 && !ptr::eq(QUIET.get(), self) {
                (self.hooks.ring)(self.hub);
            }
        }
    }

    /// What `act` pushes does not ring: its caller takes it.
    pub fn quietly(&self, act: impl FnOnce()) {
        struct Heard;
        impl Drop for Heard {
            fn drop(&mut self) {
                QUIET.set(ptr::null());
            }
        }
        let _heard = Heard; // even where `act` panics
        QUIET.set(self);
        act();
    }

    pub fn is_private(&self, address: &Multiaddr) -> bool {
        let bytes = address.to_vec();
        let slice = WwSlice { ptr: bytes.as_ptr(), len: bytes.len() };
        (self.hooks.is_private)(self.hub, slice)
    }

    pub fn take(&self) -> VecDeque<Event> {
        std::mem::take(&mut self.lock().events)
    }

    /// No ring after this.
    pub fn close(&self) -> VecDeque<Event> {
        let mut queue = self.lock();
        queue.open = false;
        std::mem::take(&mut queue.events)
    }
}

/// Wakes the loop for one direction of one stream.
pub struct StreamWaker {
    pub inbox: Arc<Inbox>,
    pub id: u64,
    pub kind: Kind,
}

impl Wake for StreamWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref()
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.inbox.push(Event::new(self.kind, self.id));
    }
}
