//! What a guest sees of its pipes: `wasi:io` streams and pollables, the standard streams, and the
//! `wetware:streams` connection.
//!
//! The pollables of our streams stand on their own instead of being children of their stream, so
//! that a guest may drop streams, pollables and the connection in any order.

use crate::State;
use crate::clock::Deadline;
use crate::moves;
use crate::nudge::Nudge;
use crate::pipe::{Moved, PipeRef};
use bytes::Bytes;
use std::collections::HashSet;
use std::future::poll_fn;
use std::task::Poll;
use wasmtime::component::{Linker, Resource, ResourceTable, ResourceType};
use wasmtime::{StoreContextMut, format_err};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::io::{poll as wasi_poll, streams as wasi_streams};
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::ResolveAddressStream;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, Network};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, InputStream, OutputStream, Pollable, StreamError,
    StreamResult, subscribe,
};

/// A cell's pipes, by what they are to the guest.
pub struct Pipes {
    pub connection_in: PipeRef,
    pub connection_out: PipeRef,
    pub stdin: PipeRef,
    pub stdout: PipeRef,
    pub stderr: PipeRef,
}

/// What the store keeps of the streams that it handed to its guest.
pub struct Streams {
    pub pipes: Pipes,
    pub ours: Ours,
    nudge: Nudge,
    connection_created: bool,
    input_taken: bool,
    output_taken: bool,
}

impl Streams {
    pub fn new(pipes: Pipes) -> Self {
        Streams {
            pipes,
            ours: Ours::default(),
            nudge: Nudge::default(),
            connection_created: false,
            input_taken: false,
            output_taken: false,
        }
    }
}

/// Streams of ours that a cell has, as a rule: with room for more, idle ones would take it.
const USUAL: usize = 5;

/// Streams of ours in the resource table, by number. Sorted.
#[derive(Default)]
pub struct Ours(Vec<(u32, Source)>);

impl Ours {
    fn find(&self, rep: u32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&rep, |(number, _)| *number)
    }

    pub fn get(&self, rep: &u32) -> Option<&Source> {
        Some(&self.0[self.find(*rep).ok()?].1)
    }

    fn insert(&mut self, rep: u32, source: Source) {
        match self.find(rep) {
            Ok(at) => self.0[at].1 = source,
            Err(at) => {
                if self.0.is_empty() {
                    self.0.reserve_exact(USUAL);
                }
                self.0.insert(at, (rep, source));
            }
        }
    }

    fn remove(&mut self, rep: &u32) {
        if let Ok(at) = self.find(*rep) {
            self.0.remove(at);
        }
    }
}

/// What a stream of ours reads from or writes to.
#[derive(Clone)]
pub struct Source {
    pub pipe: PipeRef,
    direction: Direction,
    nudge: Option<Nudge>, // the connection's
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    In,
    Out,
}

impl Source {
    fn is_ready(&self, cx: &std::task::Context<'_>) -> bool {
        match self.direction {
            Direction::In => self.pipe.poll_readable(cx.waker()),
            Direction::Out => self.pipe.poll_writable(cx.waker()),
        }
    }

    async fn ready(&self) {
        poll_fn(|cx| if self.is_ready(cx) { Poll::Ready(()) } else { Poll::Pending }).await
    }

    fn crossed(&self) {
        if let Some(nudge) = &self.nudge {
            nudge.crossed();
        }
    }

    pub fn read(&self, size: usize) -> StreamResult<Vec<u8>> {
        let bytes = self.pipe.guest_read(size).ok_or(StreamError::Closed)?;
        if !bytes.is_empty() {
            self.crossed();
        }
        Ok(bytes)
    }

    /// What is there once something is, at most `size`: nobody reads between the two.
    pub async fn blocking_read(&self, size: usize) -> StreamResult<Vec<u8>> {
        self.ready().await;
        self.read(size)
    }

    pub fn room(&self) -> StreamResult<usize> {
        self.pipe.guest_room().ok_or(StreamError::Closed)
    }

    pub fn write(&self, bytes: &[u8]) -> StreamResult<()> {
        if bytes.is_empty() {
            return self.room().map(|_| ());
        }
        match self.pipe.guest_write(bytes) {
            Ok(Moved::Bytes(_)) => {
                self.crossed();
                Ok(())
            }
            Ok(Moved::Closed) => Err(StreamError::Closed),
            Err(()) => Err(StreamError::trap("output-stream.write: more than check-write allowed")),
        }
    }
}

/// A subscription to one of our streams.
struct Subscription {
    source: Source,
    deadline: Deadline,
}

#[async_trait]
impl Pollable for Subscription {
    async fn ready(&mut self) {
        poll_fn(|cx| {
            if self.source.is_ready(cx) {
                return Poll::Ready(());
            }
            match &self.source.nudge {
                Some(nudge)
                    if self.source.direction == Direction::In && nudge.is_due(&self.deadline) =>
                {
                    Poll::Ready(())
                }
                _ => Poll::Pending,
            }
        })
        .await
    }
}

struct GuestIn {
    source: Source,
    closes: bool, // dropping it closes the pipe: not for stdin, of which there may be several
}

#[async_trait]
impl Pollable for GuestIn {
    async fn ready(&mut self) {
        self.source.ready().await
    }
}

#[async_trait]
impl InputStream for GuestIn {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.source.read(size).map(Bytes::from)
    }
}

impl Drop for GuestIn {
    fn drop(&mut self) {
        if self.closes {
            self.source.pipe.close_read();
        }
    }
}

struct GuestOut {
    source: Source,
    closes: bool,
}

#[async_trait]
impl Pollable for GuestOut {
    async fn ready(&mut self) {
        self.source.ready().await
    }
}

#[async_trait]
impl OutputStream for GuestOut {
    fn check_write(&mut self) -> StreamResult<usize> {
        self.source.room()
    }

    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.source.write(&bytes)
    }

    /// Bytes in the pipe are already where they are going.
    fn flush(&mut self) -> StreamResult<()> {
        self.check_write().map(|_| ())
    }

    /// Returns once the pipe has everything; unlike the default, it does not wait for room beyond.
    async fn blocking_write_and_flush(&mut self, mut bytes: Bytes) -> StreamResult<()> {
        while !bytes.is_empty() {
            let room = self.write_ready().await?;
            let piece = bytes.split_to(bytes.len().min(room));
            self.write(piece)?;
        }
        Ok(())
    }
}

impl Drop for GuestOut {
    fn drop(&mut self) {
        if self.closes {
            self.source.pipe.close_write();
        }
    }
}

// ---- what the linker is given in place of, or beside, wasmtime-wasi's own

/// The `connection` resource has no state: one a cell.
struct Connection;

fn push_input(
    state: &mut State,
    source: Source,
    closes: bool,
) -> wasmtime::Result<(Resource<DynInputStream>,)> {
    let stream: DynInputStream = Box::new(GuestIn { source: source.clone(), closes });
    let resource = state.table.push(stream)?;
    state.streams.ours.insert(resource.rep(), source);
    Ok((resource,))
}

fn push_output(
    state: &mut State,
    source: Source,
    closes: bool,
) -> wasmtime::Result<(Resource<DynOutputStream>,)> {
    let stream: DynOutputStream = Box::new(GuestOut { source: source.clone(), closes });
    let resource = state.table.push(stream)?;
    state.streams.ours.insert(resource.rep(), source);
    Ok((resource,))
}

/// A pollable of its own for a stream of ours, the usual one for any other.
fn subscribe_to<T: Pollable>(
    state: &mut State,
    stream: Resource<T>,
) -> wasmtime::Result<(Resource<DynPollable>,)> {
    let Some(source) = state.streams.ours.get(&stream.rep()).cloned() else {
        return Ok((subscribe(&mut state.table, stream)?,));
    };
    let subscription = Subscription { source, deadline: state.deadline.clone() };
    let subscription = state.table.push(subscription)?;
    Ok((subscribe(&mut state.table, subscription)?,))
}

fn add_streams(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut streams = linker.instance("wasi:io/streams@0.2.12")?;
    moves::add_to(&mut streams)?;
    streams.func_wrap(
        "[method]input-stream.subscribe",
        |mut cx, (stream,): (Resource<DynInputStream>,)| subscribe_to(cx.data_mut(), stream),
    )?;
    streams.func_wrap(
        "[method]output-stream.subscribe",
        |mut cx, (stream,): (Resource<DynOutputStream>,)| subscribe_to(cx.data_mut(), stream),
    )?;
    streams.resource_async(
        "input-stream",
        ResourceType::host::<DynInputStream>(),
        |mut cx, rep| {
            Box::new(async move {
                let state = cx.data_mut();
                state.streams.ours.remove(&rep);
                let stream = Resource::new_own(rep);
                wasi_streams::HostInputStream::drop(&mut state.table, stream).await
            })
        },
    )?;
    streams.resource_async(
        "output-stream",
        ResourceType::host::<DynOutputStream>(),
        |mut cx, rep| {
            Box::new(async move {
                let state = cx.data_mut();
                state.streams.ours.remove(&rep);
                let stream = Resource::new_own(rep);
                wasi_streams::HostOutputStream::drop(&mut state.table, stream).await
            })
        },
    )?;
    Ok(())
}

type Pollables = Vec<Resource<DynPollable>>;

async fn poll_list(state: &mut State, mut list: Pollables) -> wasmtime::Result<(Vec<u32>,)> {
    if list.len() == 1
        && let Some(only) = list.pop()
    {
        block(state, only).await?;
        return Ok((vec![0],));
    }
    let numbers: Vec<u32> = list.iter().map(Resource::rep).collect();
    state.streams.nudge.park();
    let ready = wasi_poll::Host::poll(&mut state.table, list).await?;
    let different: HashSet<_> = ready.iter().filter_map(|i| numbers.get(*i as usize)).collect();
    state.streams.nudge.unpark(different.len());
    Ok((ready,))
}

async fn block(state: &mut State, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
    state.streams.nudge.park();
    wasi_poll::HostPollable::block(&mut state.table, pollable).await?;
    state.streams.nudge.unpark(1);
    Ok(())
}

fn add_poll(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut poll = linker.instance("wasi:io/poll@0.2.12")?;
    poll.func_wrap_async("poll", |mut cx: StoreContextMut<'_, State>, (list,): (Pollables,)| {
        Box::new(async move { poll_list(cx.data_mut(), list).await })
    })?;
    poll.func_wrap_async(
        "[method]pollable.block",
        |mut cx: StoreContextMut<'_, State>, (pollable,): (Resource<DynPollable>,)| {
            Box::new(async move { block(cx.data_mut(), pollable).await })
        },
    )?;
    Ok(())
}

fn source(pipe: &PipeRef, direction: Direction, nudge: Option<Nudge>) -> Source {
    Source { pipe: pipe.clone(), direction, nudge }
}

fn add_stdio(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.instance("wasi:cli/stdin@0.2.12")?.func_wrap("get-stdin", |mut cx, ()| {
        let state = cx.data_mut();
        let stdin = source(&state.streams.pipes.stdin, Direction::In, None);
        push_input(state, stdin, false)
    })?;
    linker.instance("wasi:cli/stdout@0.2.12")?.func_wrap("get-stdout", |mut cx, ()| {
        let state = cx.data_mut();
        let stdout = source(&state.streams.pipes.stdout, Direction::Out, None);
        push_output(state, stdout, false)
    })?;
    linker.instance("wasi:cli/stderr@0.2.12")?.func_wrap("get-stderr", |mut cx, ()| {
        let state = cx.data_mut();
        let stderr = source(&state.streams.pipes.stderr, Direction::Out, None);
        push_output(state, stderr, false)
    })?;
    Ok(())
}

fn once(taken: &mut bool, call: &str) -> wasmtime::Result<()> {
    if std::mem::replace(taken, true) {
        return Err(format_err!("wetware:streams/streams: a second {call}: a cell has one"));
    }
    Ok(())
}

fn add_connection(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut streams = linker.instance("wetware:streams/streams@0.1.0")?;
    streams.resource("connection", ResourceType::host::<Connection>(), |mut cx, rep| {
        cx.data_mut().table.delete(Resource::<Connection>::new_own(rep))?;
        Ok(())
    })?;
    streams.func_wrap("create-connection", |mut cx, ()| {
        let state = cx.data_mut();
        once(&mut state.streams.connection_created, "create-connection")?;
        Ok((state.table.push(Connection)?,))
    })?;
    streams.func_wrap(
        "[method]connection.get-input-stream",
        |mut cx, (_,): (Resource<Connection>,)| {
            let state = cx.data_mut();
            once(&mut state.streams.input_taken, "connection.get-input-stream")?;
            let nudge = Some(state.streams.nudge.clone());
            let input = source(&state.streams.pipes.connection_in, Direction::In, nudge);
            push_input(state, input, true)
        },
    )?;
    streams.func_wrap(
        "[method]connection.get-output-stream",
        |mut cx, (_,): (Resource<Connection>,)| {
            let state = cx.data_mut();
            once(&mut state.streams.output_taken, "connection.get-output-stream")?;
            let nudge = Some(state.streams.nudge.clone());
            let output = source(&state.streams.pipes.connection_out, Direction::Out, nudge);
            push_output(state, output, true)
        },
    )?;
    Ok(())
}

/// Denied here: the usual answer says that the name does not exist, from a thread of its own.
fn add_name_lookup(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    type Answer = Result<Resource<ResolveAddressStream>, ErrorCode>;
    linker.instance("wasi:sockets/ip-name-lookup@0.2.12")?.func_wrap(
        "resolve-addresses",
        |_cx, (_network, _name): (Resource<Network>, String)| -> wasmtime::Result<(Answer,)> {
            Ok((Err(ErrorCode::AccessDenied),))
        },
    )?;
    Ok(())
}

/// On top of wasmtime-wasi's own definitions, some of which these replace.
pub fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    add_streams(linker)?;
    add_poll(linker)?;
    add_stdio(linker)?;
    add_name_lookup(linker)?;
    add_connection(linker)
}

/// `most` resources (streams, pollables, timers) at a time.
pub fn new_table(most: usize) -> ResourceTable {
    let mut table = ResourceTable::new();
    table.set_max_capacity(most);
    table
}
