//! The calls of `wasi:io/streams` that move bytes, of a cell's own pipes: without what
//! wasmtime-wasi does for any stream, and what is written is copied once, from the guest's memory
//! into the pipe.

use crate::State;
use crate::streams::Source;
use wasmtime::StoreContextMut;
use wasmtime::component::{LinkerInstance, Resource, WasmList};
use wasmtime_wasi::p2::bindings::io::streams as wasi_streams;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, StreamResult};

/// By WASI.
const MAX_BLOCKING_WRITE: usize = 4096;

type Answer<T> = wasmtime::Result<(Result<T, wasi_streams::StreamError>,)>;

fn answer<T>(state: &mut State, result: StreamResult<T>) -> Answer<T> {
    Ok((match result {
        Ok(value) => Ok(value),
        Err(e) => Err(wasi_streams::Host::convert_stream_error(&mut state.table, e)?),
    },))
}

pub fn add_to(streams: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    streams.func_wrap(
        "[method]input-stream.read",
        |mut cx, (stream, size): (Resource<DynInputStream>, u64)| {
            let state = cx.data_mut();
            let result = match state.streams.ours.get(&stream.rep()) {
                Some(source) => source.read(at_most(size)),
                None => wasi_streams::HostInputStream::read(&mut state.table, stream, size),
            };
            answer(state, result)
        },
    )?;
    streams.func_wrap(
        "[method]output-stream.check-write",
        |mut cx, (stream,): (Resource<DynOutputStream>,)| {
            let state = cx.data_mut();
            let result = match state.streams.ours.get(&stream.rep()) {
                Some(source) => source.room().map(|room| room as u64),
                None => wasi_streams::HostOutputStream::check_write(&mut state.table, stream),
            };
            answer(state, result)
        },
    )?;
    streams.func_wrap(
        "[method]output-stream.write",
        |mut cx: StoreContextMut<'_, State>,
         (stream, bytes): (Resource<DynOutputStream>, WasmList<u8>)| {
            let result = match cx.data().streams.ours.get(&stream.rep()) {
                Some(source) => source.write(bytes.as_le_slice(&cx)),
                None => {
                    let bytes = bytes.as_le_slice(&cx).to_vec();
                    wasi_streams::HostOutputStream::write(&mut cx.data_mut().table, stream, bytes)
                }
            };
            answer(cx.data_mut(), result)
        },
    )?;
    add_blocking_read(streams)?;
    add_blocking_write(streams)
}

fn at_most(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// What a guest of the SDK waits in that waits for its connection and for nothing else.
fn add_blocking_read(streams: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    streams.func_wrap_async(
        "[method]input-stream.blocking-read",
        |mut cx: StoreContextMut<'_, State>, (stream, size): (Resource<DynInputStream>, u64)| {
            Box::new(async move {
                let ours = cx.data().streams.ours.get(&stream.rep()).cloned();
                let result = match ours {
                    Some(source) => source.blocking_read(at_most(size)).await,
                    None => {
                        let table = &mut cx.data_mut().table;
                        wasi_streams::HostInputStream::blocking_read(table, stream, size).await
                    }
                };
                answer(cx.data_mut(), result)
            })
        },
    )
}

/// What a C library's write() calls, 4 KiB at a time.
fn add_blocking_write(streams: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    streams.func_wrap_async(
        "[method]output-stream.blocking-write-and-flush",
        |mut cx: StoreContextMut<'_, State>,
         (stream, bytes): (Resource<DynOutputStream>, WasmList<u8>)| {
            Box::new(async move {
                let fits = |source: &&Source| {
                    bytes.len() <= MAX_BLOCKING_WRITE
                        && source.pipe.guest_room().is_some_and(|room| room >= bytes.len())
                };
                let ours = cx.data().streams.ours.get(&stream.rep()).filter(fits);
                let result = match ours {
                    Some(source) => source.write(bytes.as_le_slice(&cx)),
                    None => {
                        let bytes = bytes.as_le_slice(&cx).to_vec();
                        let table = &mut cx.data_mut().table;
                        wasi_streams::HostOutputStream::blocking_write_and_flush(
                            table, stream, bytes,
                        )
                        .await
                    }
                };
                answer(cx.data_mut(), result)
            })
        },
    )
}
