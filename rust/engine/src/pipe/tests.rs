use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

extern "C" fn no_task(_: *mut c_void) {}
extern "C" fn no_remote(_: *mut c_void, _: u64) {}

/// The host's end is a counter of its events.
extern "C" fn count(end: *mut c_void) {
    unsafe { &*(end as *const AtomicUsize) }.fetch_add(1, Ordering::Relaxed);
}

pub(super) const HOOKS: WwHooks = WwHooks {
    wake_local: no_task,
    wake_remote: no_remote,
    hub_ref: no_task,
    hub_unref: no_task,
    pipe_event: count,
};

#[derive(Default)]
struct Woken(AtomicUsize);
impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn bytes_of(moved: Moved) -> Option<usize> {
    match moved {
        Moved::Bytes(n) => Some(n),
        Moved::Closed => None,
    }
}

fn write(pipe: &Pipe, bytes: &[u8]) -> Option<usize> {
    pipe.guest_write(bytes).ok().and_then(bytes_of)
}

fn read(pipe: &Pipe, size: usize) -> Vec<u8> {
    let mut to = vec![0; size];
    let n = bytes_of(pipe.host_read(&mut to)).unwrap_or_default();
    to.truncate(n);
    to
}

fn slice(bytes: &[u8]) -> WwSlice {
    WwSlice { ptr: bytes.as_ptr(), len: bytes.len() }
}

#[test]
fn a_guest_writes_no_more_than_there_is_room() {
    let pipe = Pipe::new(8, HOOKS);
    let woken = Arc::new(Woken::default());
    let waker = woken.clone().into();
    assert_eq!(pipe.guest_room(), Some(8));
    assert_eq!(write(&pipe, b"12345"), Some(5));
    assert!(pipe.guest_write(b"6789").is_err());
    assert_eq!(write(&pipe, b"678"), Some(3));
    assert!(!pipe.poll_writable(&waker));
    assert_eq!(read(&pipe, 2), b"12");
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert_eq!(pipe.guest_room(), Some(2));
    assert_eq!(read(&pipe, 99), b"345678");
}

#[test]
fn the_host_hears_of_bytes_once_it_found_none() {
    let events = AtomicUsize::new(0);
    let pipe = Pipe::new(8, HOOKS);
    pipe.set_host(&events as *const _ as *mut c_void);
    assert_eq!(write(&pipe, b"a"), Some(1));
    assert_eq!(events.load(Ordering::Relaxed), 0);
    assert_eq!(read(&pipe, 9), b"a");
    assert_eq!(read(&pipe, 9), b"");
    assert_eq!(write(&pipe, b"b"), Some(1));
    assert_eq!(write(&pipe, b"c"), Some(1));
    assert_eq!(events.load(Ordering::Relaxed), 1);
}

#[test]
fn what_was_written_before_the_close_is_read_before_the_end() {
    let pipe = Pipe::new(8, HOOKS);
    assert_eq!(write(&pipe, b"last"), Some(4));
    pipe.close_write();
    assert_eq!(write(&pipe, b"more"), None);
    assert_eq!(read(&pipe, 9), b"last");
    assert!(bytes_of(pipe.host_read(&mut [0; 9])).is_none());

    let pipe = Pipe::new(8, HOOKS);
    assert_eq!(bytes_of(pipe.host_write(&[slice(b"last")])), Some(4));
    pipe.close_write();
    assert_eq!(pipe.guest_read(2), Some(b"la".to_vec()));
    assert_eq!(pipe.guest_read(9), Some(b"st".to_vec()));
    assert_eq!(pipe.guest_read(9), None);
}

#[test]
fn a_host_write_takes_what_fits_and_hears_of_room() {
    let events = AtomicUsize::new(0);
    let pipe = Pipe::new(8, HOOKS);
    pipe.set_host(&events as *const _ as *mut c_void);
    assert_eq!(bytes_of(pipe.host_write(&[slice(b"12345"), slice(b"6789")])), Some(8));
    assert_eq!(pipe.guest_read(3), Some(b"123".to_vec()));
    assert_eq!(events.load(Ordering::Relaxed), 1);
    assert_eq!(bytes_of(pipe.host_write(&[slice(b"9abcdef")])), Some(3));
    assert_eq!(pipe.guest_read(99), Some(b"456789ab".to_vec()));
}

#[test]
fn a_permit_outlives_the_dropping_of_bytes_that_it_came_from() {
    let pipe = Pipe::new(4, HOOKS);
    assert_eq!(write(&pipe, b"1234"), Some(4));
    pipe.set_discards(true);
    assert_eq!(pipe.guest_room(), Some(4));
    pipe.set_discards(false);
    assert_eq!(write(&pipe, b"5678"), Some(4));
    assert!(pipe.guest_write(b"9").is_err());
    assert_eq!(read(&pipe, 99), b"12345678");
}

#[test]
fn the_host_hears_once_that_the_guest_looks_for_bytes() {
    let events = AtomicUsize::new(0);
    let pipe = Pipe::new(8, HOOKS);
    pipe.set_host(&events as *const _ as *mut c_void);
    assert!(!pipe.is_wanted());
    let waker = Arc::new(Woken::default()).into();
    for _ in 0..3 {
        assert!(!pipe.poll_readable(&waker));
        assert_eq!(pipe.guest_read(9), Some(Vec::new()));
    }
    assert!(pipe.is_wanted());
    assert_eq!(events.load(Ordering::Relaxed), 1);
}

#[test]
fn without_a_reader_bytes_are_dropped_and_counted() {
    let pipe = Pipe::new(4, HOOKS);
    let woken = Arc::new(Woken::default());
    let waker = woken.clone().into();
    assert_eq!(write(&pipe, b"1234"), Some(4));
    assert!(!pipe.poll_writable(&waker));
    pipe.set_discards(true);
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert_eq!(write(&pipe, b"5678"), Some(4));
    assert_eq!(pipe.discarded(), 4);
    assert_eq!(read(&pipe, 99), b"1234");

    pipe.close_read();
    assert_eq!(pipe.guest_room(), None);
    assert_eq!(write(&pipe, b"x"), None);
    assert!(pipe.is_read_closed());
}

#[test]
fn large_writes_come_out_as_they_went_in() {
    let pipe = Pipe::new(4 * BLOCK, HOOKS);
    let mut sizes = vec![BLOCK, 3, BLOCK / 2 + 1, SMALL];
    sizes.extend([SMALL / 2; 21]); // more than a block of small ones
    for round in 0..3 {
        let mut written = Vec::new();
        for (i, size) in sizes.iter().enumerate() {
            let bytes: Vec<u8> = (0..*size).map(|at| (at * 31 + i + round) as u8).collect();
            assert_eq!(write(&pipe, &bytes), Some(*size));
            written.extend(bytes);
        }
        let mut seen = read(&pipe, BLOCK + 1);
        seen.extend(read(&pipe, 4 * BLOCK));
        assert!(seen == written);
    }
}

#[test]
fn no_more_than_a_few_blocks_stay() {
    let pipe = Pipe::new(64 * BLOCK, HOOKS);
    for _ in 0..64 {
        assert_eq!(write(&pipe, &[7; BLOCK]), Some(BLOCK));
    }
    pipe.close_read();
    assert_eq!(SPARE.with_borrow(Vec::len), MOST_SPARE);
}
