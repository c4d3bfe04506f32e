//! The bytes of a file in memory, in pages; a page that was never written is a hole.

use super::charge::Charge;
use crate::budget::Budget;
use std::collections::BTreeMap;
use std::sync::Arc;

const PAGE: usize = 16 << 10;
/// What a page takes beside its bytes.
const PAGE_BYTES: usize = 64;
/// A small file's page grows by so much.
const GRAIN: usize = 64;

pub struct Content {
    pages: BTreeMap<u64, Vec<u8>>, // by number; what one lacks at its end is zero
    len: u64,
    charge: Charge,
}

impl Content {
    pub fn new(budget: &Arc<Budget>) -> Self {
        Content { pages: BTreeMap::new(), len: 0, charge: Charge::none(budget) }
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn read(&self, offset: u64, most: usize) -> Vec<u8> {
        let left = self.len.saturating_sub(offset);
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(most);
        let mut bytes = vec![0; size];
        for (number, within, piece) in pieces(offset, size) {
            if let Some(from) = self.pages.get(&number).and_then(|page| page.get(within..)) {
                let n = from.len().min(piece.len());
                bytes[piece.start..piece.start + n].copy_from_slice(&from[..n]);
            }
        }
        bytes
    }

    /// How many bytes there was room for.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> usize {
        let mut written = 0;
        for (number, within, piece) in pieces(offset, bytes.len()) {
            let end = within + piece.len();
            if !self.make_room(number, end) {
                break;
            }
            if let Some(page) = self.pages.get_mut(&number) {
                page[within..end].copy_from_slice(&bytes[piece.clone()]);
            }
            written = piece.end;
        }
        if written > 0 {
            self.len = self.len.max(offset + written as u64);
        }
        written
    }

    fn make_room(&mut self, number: u64, end: usize) -> bool {
        let page = self.pages.get(&number);
        let (len, capacity) = page.map_or((0, 0), |page| (page.len(), page.capacity()));
        let own = if page.is_none() { PAGE_BYTES } else { 0 };
        let wanted = end.max((2 * capacity).min(PAGE)).next_multiple_of(GRAIN);
        let grown = if end > capacity { wanted - capacity } else { 0 };
        if own + grown > 0 && !self.charge.more(own + grown) {
            return false;
        }
        let page = self.pages.entry(number).or_default();
        if grown > 0 {
            page.reserve_exact(wanted - len);
        }
        if end > len {
            page.resize(end, 0);
        }
        true
    }

    pub fn set_len(&mut self, len: u64) {
        self.len = len;
        let (number, within) = (len / PAGE as u64, (len % PAGE as u64) as usize);
        let mut beyond = self.pages.split_off(&number);
        if within > 0
            && let Some(mut page) = beyond.remove(&number)
        {
            page.truncate(within);
            self.pages.insert(number, page);
        }
        for page in beyond.into_values() {
            self.charge.less(PAGE_BYTES + page.capacity());
        }
    }
}

/// Page by page: its number, where in it, and which of the bytes.
fn pieces(offset: u64, size: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == size {
            return None;
        }
        let at = offset + done as u64;
        let (number, within) = (at / PAGE as u64, (at % PAGE as u64) as usize);
        let piece = done..size.min(done + PAGE - within);
        done = piece.end;
        Some((number, within, piece))
    })
}
