//! The streams that each connection has, which end with it: yamux does not wake the streams of a
//! connection that we close.

use crate::inbox::{Event, Inbox, Kind};
use crate::stream::{Control, Raw, WwStream};
use crate::streams::Place;
use libp2p::swarm::ConnectionId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

type Streams = Vec<Weak<Control>>;

pub struct Live {
    inbox: Arc<Inbox>,
    of: Mutex<HashMap<ConnectionId, Streams>>,
}

impl Live {
    pub fn new(inbox: Arc<Inbox>) -> Arc<Self> {
        Arc::new(Live { inbox, of: Default::default() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConnectionId, Streams>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn begin(&self, connection: ConnectionId) {
        self.lock().entry(connection).or_default();
    }

    /// For the loop. None, and the stream is reset, once the connection is lost.
    pub fn wrap(
        &self,
        connection: ConnectionId,
        stream: impl Raw + 'static,
        place: Place,
    ) -> Option<Box<WwStream>> {
        let mut all = self.lock();
        let streams = all.get_mut(&connection)?;
        let stream = WwStream::new(Box::new(stream), false, &self.inbox, place);
        if streams.len() == streams.capacity() {
            streams.retain(|control| control.strong_count() > 0); // amortized
        }
        streams.push(Arc::downgrade(&stream.control));
        Some(stream)
    }

    /// Hands an opened stream to the loop, from the thread that opened it. False once its
    /// connection is lost.
    pub fn deliver(
        &self,
        op: u64,
        connection: ConnectionId,
        stream: impl Raw + 'static,
        place: Place,
    ) -> bool {
        let Some(stream) = self.wrap(connection, stream, place) else { return false };
        let mut event = Event::new(Kind::Done, op);
        event.stream = Some(stream);
        self.inbox.push(event);
        true
    }

    /// Ends the streams of a connection at once, without waiting for it to have closed. It gets no
    /// more.
    pub fn lose(&self, connection: ConnectionId) {
        let streams = self.lock().remove(&connection);
        for control in streams.unwrap_or_default() {
            if let Some(control) = control.upgrade() {
                control.lose();
            }
        }
    }

    pub fn is_idle(&self, connection: ConnectionId) -> bool {
        let all = self.lock();
        let streams = all.get(&connection).map_or(&[][..], Vec::as_slice);
        !streams.iter().any(|stream| stream.strong_count() > 0)
    }
}
