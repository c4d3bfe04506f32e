//! WebAssembly components as cells that a foreign event loop (KJ's) polls.
//!
//! * All of a cell runs on its loop's own thread, but for compilation and waking, which any thread
//!   may do. Several loops may share one engine, and run the same components.
//! * A cell is one boxed future (instantiate, then `wasi:cli/run`). The loop polls it; its waker
//!   arms an event of that loop. Dropping it at any point ends the guest and frees its memory.
//! * Bytes cross through pipes: the guest's end is a `wasi:io` stream, the host's a few functions
//!   that never wait.
//! * The hooks into the loop are called without a lock held, on the guest's small stack: they may
//!   settle promises and arm events, nothing else.
//!
//! `rust/include/ww_engine.h` is the C side of this file; the two must agree.

mod budget;
mod cell;
mod clock;
mod component;
mod config;
mod digest;
mod files;
mod host_end;
mod limits;
mod moves;
mod nudge;
mod pipe;
mod pool;
mod shape;
mod streams;
mod ticker;
mod trim;
mod waker;

use budget::WwBudget;
use cell::{Cell, CellOptions, Outcome};
use clock::Deadline;
use component::Runnable;
use files::{Files, Given, Mount};
use limits::{CellLimiter, FurtherMemories, Most};
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;
use streams::Streams;
use ticker::{TickClock, Ticker};
use waker::{CellWaker, Hub};
use wasmtime::Engine;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::p2::bindings::LinkOptions;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use ww_fence::{ErrorKind, Failure, WwBytes, WwError, WwSlice, deliver, guard, unheard};

/// A cell's store.
pub(crate) struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    limiter: CellLimiter,
    streams: Streams,
    deadline: Deadline,
    files: Option<Box<Files>>,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

// ---- engine

/// Called by this side; `noexcept` on the other.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct WwHooks {
    /// The loop's thread: poll this task again.
    pub wake_local: extern "C" fn(task: *mut c_void),
    /// Any thread: have the loop behind `hub` poll the task with this number, if it still lives.
    pub wake_remote: extern "C" fn(hub: *mut c_void, id: u64),
    /// Any thread: one more, one fewer reference to the hub.
    pub hub_ref: extern "C" fn(hub: *mut c_void),
    pub hub_unref: extern "C" fn(hub: *mut c_void),
    /// The loop's thread: something changed at a pipe that `end` waited for.
    pub pipe_event: extern "C" fn(end: *mut c_void),
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WwEngineOptions {
    pub slice_us: u64,
    pub max_wasm_stack: u64,
    pub debug_info: bool, // source lines in backtraces, where a component has them
    pub max_cells: u32,   // at a time
}

/// What cells and compilations need of the engine.
pub(crate) struct EngineShared {
    engine: Engine,
    linker: Linker<State>,
    hooks: WwHooks,
    ticker: Ticker,
    further: FurtherMemories,
}

/// The engine as one loop has it: several may share one. What each cell takes a reference to is the
/// loop's own, so that loops do not count in the same places.
pub struct WwEngine {
    shared: Arc<EngineShared>,
    hub: Hub,
    ticks: TickClock,
    further: Arc<FurtherMemories>,
}

/// What cells have, for the engine alone.
#[cfg(feature = "bench")]
pub fn bench_config() -> wasmtime::Config {
    config::running(&WwEngineOptions {
        slice_us: 1000,
        max_wasm_stack: 512 << 10,
        debug_info: false,
        max_cells: 64,
    })
}

fn new_engine(
    options: &WwEngineOptions,
    hooks: WwHooks,
    hub: *mut c_void,
) -> wasmtime::Result<WwEngine> {
    let engine = Engine::new(&config::running(options)).or_else(|_| {
        // An address space that has no room for the pool is a slower node's, and no reason to fail.
        Engine::new(&config::compiling(options))
    })?;
    let mut linker = Linker::new(&engine);
    let mut all = LinkOptions::default();
    all.network_error_code(true);
    wasmtime_wasi::p2::add_to_linker_with_options_async(&mut linker, &all)?;
    linker.allow_shadowing(true);
    streams::add_to_linker(&mut linker)?;
    clock::add_to_linker(&mut linker)?;
    files::add_to_linker(&mut linker)?;
    linker.allow_shadowing(false);
    // A poll begins within a tick, and ends with the next.
    let tick = Duration::from_micros(options.slice_us.max(100) / 2);
    let ticker = Ticker::start(engine.weak(), tick)?;
    let further = FurtherMemories::new(pool::further_memories(options.max_cells) as usize);
    Ok(for_loop(Arc::new(EngineShared { engine, linker, hooks, ticker, further }), hub))
}

fn for_loop(shared: Arc<EngineShared>, hub: *mut c_void) -> WwEngine {
    let (hub, ticks) = (Hub::new(hub, shared.hooks), shared.ticker.clock());
    WwEngine { hub, ticks, further: Arc::new(shared.further.clone()), shared }
}

fn resources(error: impl std::fmt::Display) -> Failure {
    Failure::new(ErrorKind::Resources, error)
}

fn boxed<T>(value: T) -> *mut T {
    Box::into_raw(Box::new(value))
}

/// # Safety
/// `options` and `hooks` are valid; `hub` is what the hooks take.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_engine_new(
    options: *const WwEngineOptions,
    hooks: *const WwHooks,
    hub: *mut c_void,
    error: *mut WwError,
) -> *mut WwEngine {
    unsafe {
        deliver(error, ptr::null_mut(), || {
            new_engine(&*options, *hooks, hub).map(boxed).map_err(|e| resources(format!("{e:#}")))
        })
    }
}

/// The same engine for another loop, whose cells' wakes go to `hub`. Components are of all of them.
/// Any thread.
///
/// # Safety
/// `engine` lives; `hub` is what its hooks take.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_engine_share(
    engine: *const WwEngine,
    hub: *mut c_void,
    error: *mut WwError,
) -> *mut WwEngine {
    unsafe {
        deliver(error, ptr::null_mut(), || Ok(boxed(for_loop((*engine).shared.clone(), hub))))
    }
}

/// # Safety
/// Every cell of it is gone; and every component, unless another shares it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_engine_drop(engine: *mut WwEngine) {
    unheard(|| drop(unsafe { Box::from_raw(engine) }));
}

/// # Safety
/// `engine` lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_engine_version(engine: *const WwEngine) -> WwBytes {
    let version = guard(|| Ok(component::engine_version(unsafe { &(*engine).shared })));
    version.unwrap_or_default().into_bytes().into()
}

// ---- components

pub struct WwComponent(Runnable);

/// # Safety
/// The pointers are valid. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_component_compile(
    engine: *const WwEngine,
    bytes: WwSlice,
    error: *mut WwError,
) -> *mut WwComponent {
    unsafe {
        deliver(error, ptr::null_mut(), || {
            Runnable::compile(&(*engine).shared, bytes.bytes()).map(|r| boxed(WwComponent(r)))
        })
    }
}

/// What its instances take beside their memories and tables, for `WwCellOptions`. Any thread.
///
/// # Safety
/// The pointers are valid; `footprint` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_footprint(
    bytes: WwSlice,
    footprint: *mut u64,
    error: *mut WwError,
) -> bool {
    unsafe {
        deliver(error, false, || {
            footprint.write(shape::check(bytes.bytes())?);
            Ok(true)
        })
    }
}

/// What `ww_component_artifact` gives, under an engine with these options. Any thread.
///
/// # Safety
/// The pointers are valid; `artifact` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_compile(
    options: *const WwEngineOptions,
    bytes: WwSlice,
    artifact: *mut WwBytes,
    error: *mut WwError,
) -> bool {
    unsafe {
        deliver(error, false, || {
            let config = config::compiling(&*options);
            artifact.write(component::compile_artifact(&config, bytes.bytes())?.into());
            Ok(true)
        })
    }
}

/// # Safety
/// `artifact` is what `ww_component_artifact` gave under the same engine version, unchanged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_component_load(
    engine: *const WwEngine,
    artifact: WwSlice,
    error: *mut WwError,
) -> *mut WwComponent {
    unsafe {
        deliver(error, ptr::null_mut(), || {
            Runnable::load(&(*engine).shared, artifact.bytes()).map(|r| boxed(WwComponent(r)))
        })
    }
}

/// # Safety
/// `file` is open, and begins with an artifact as for `ww_component_load`. Nobody changes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_component_load_file(
    engine: *const WwEngine,
    file: i32,
    error: *mut WwError,
) -> *mut WwComponent {
    unsafe {
        deliver(error, ptr::null_mut(), || {
            Runnable::load_file(&(*engine).shared, file).map(|r| boxed(WwComponent(r)))
        })
    }
}

/// # Safety
/// `component` lives; `artifact` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_component_artifact(
    component: *const WwComponent,
    artifact: *mut WwBytes,
    error: *mut WwError,
) -> bool {
    unsafe {
        deliver(error, false, || {
            artifact.write((*component).0.artifact()?.into());
            Ok(true)
        })
    }
}

/// The same component, to be given back once more: for a loop that starts many of it.
///
/// # Safety
/// `component` lives. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_component_twin(component: *const WwComponent) -> *mut WwComponent {
    boxed(WwComponent(unsafe { &*component }.0.twin()))
}

/// # Safety
/// Given back once. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_component_drop(component: *mut WwComponent) {
    unheard(|| drop(unsafe { Box::from_raw(component) }));
}

// ---- cells

/// A folder that a cell has under `path`; `foreign`: what is in it is not the node's own.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct WwMount {
    pub folder: i32,
    pub path: WwSlice,
    pub writable: bool,
    pub foreign: bool,
}

/// `env` holds names and values by turns.
#[repr(C)]
pub struct WwCellOptions {
    pub args: *const WwSlice,
    pub arg_count: usize,
    pub env: *const WwSlice,
    pub env_count: usize,
    pub pipe_capacity: u64,
    pub memory_bytes: u64,
    pub table_elements: u64,
    pub memories: u64,
    pub instances: u64,
    pub resources: u64,
    pub hostcall_bytes: u64,
    pub random_bytes: u64,
    pub footprint: u64,
    pub parent: *const WwBudget, // of whoever starts it; null: nobody's
    pub mounts: *const WwMount,
    pub mount_count: usize,
    pub scratch: WwSlice, // the path of a folder in memory; empty: none
}

impl WwCellOptions {
    unsafe fn read(&self) -> Result<CellOptions, Failure> {
        let texts = |ptr: *const WwSlice, count: usize| -> Result<Vec<String>, Failure> {
            (0..count).map(|i| unsafe { *ptr.add(i) }.text()).collect()
        };
        let mut env = texts(self.env, self.env_count)?.into_iter();
        Ok(CellOptions {
            args: texts(self.args, self.arg_count)?,
            env: std::iter::from_fn(|| Some((env.next()?, env.next()?))).collect(),
            pipe_capacity: self.pipe_capacity as usize,
            memory_bytes: self.memory_bytes as usize,
            table_elements: self.table_elements as usize,
            most: Most { memories: self.memories as usize, instances: self.instances as usize },
            resources: self.resources as usize,
            hostcall_bytes: self.hostcall_bytes as usize,
            random_bytes: self.random_bytes,
            instances: self.footprint as usize,
            parent: unsafe { self.parent.as_ref() }.map(|budget| budget.0.clone()),
            files: unsafe { self.read_files() }?,
        })
    }

    unsafe fn read_files(&self) -> Result<Given, Failure> {
        let mount = |i| unsafe {
            let WwMount { folder, path, writable, foreign } = *self.mounts.add(i);
            Mount::new(folder, path.text()?, writable, foreign)
        };
        let scratch = self.scratch.text()?;
        Ok(Given {
            mounts: (0..self.mount_count).map(mount).collect::<Result<_, _>>()?,
            scratch: (!scratch.is_empty()).then_some(scratch),
        })
    }
}

pub struct WwCell(Cell);

/// # Safety
/// The pointers are valid, and folders are open; `task` lives until `ww_cell_drop`. The loop's
/// thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_cell_new(
    engine: *const WwEngine,
    component: *const WwComponent,
    options: *const WwCellOptions,
    task: *mut c_void,
    id: u64,
    error: *mut WwError,
) -> *mut WwCell {
    unsafe {
        deliver(error, ptr::null_mut(), || {
            let engine = &*engine;
            let waker = CellWaker::new(task, id, engine.hub.clone());
            let options = (*options).read()?;
            let cell = Cell::new(engine, &(*component).0, options, waker)?;
            Ok(boxed(WwCell(cell)))
        })
    }
}

/// Of this thread, in nanoseconds.
#[unsafe(no_mangle)]
pub extern "C" fn ww_clock_cpu() -> u64 {
    clock::cpu()
}

pub const POLL_PENDING: u32 = 0;
pub const POLL_EXITED: u32 = 1;
pub const POLL_TRAPPED: u32 = 2;
pub const POLL_REFUSED: u32 = 3;

#[repr(C)]
pub struct WwPoll {
    pub state: u32,
    pub exit_code: i32,     // where exited
    pub instantiated: bool, // `run` was entered, now or earlier
    pub yielded: bool,      // where pending: its slice was used up, it waits for nothing
    pub hits: u32,          // limits that were hit: budget.rs
    pub deadline: u64,      // where pending: poll again at this time at the latest, by ww_clock_now
    pub cause: WwBytes,     // where trapped or refused, else empty; owned by the caller
    pub backtrace: WwBytes, // where trapped, likewise
}

/// Polls the cell once. A panic within counts as a trap.
///
/// # Safety
/// `cell` lives, `poll` is writable, and no poll of any cell is under way on this thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_cell_poll(cell: *mut WwCell, poll: *mut WwPoll) {
    let cell = unsafe { &mut (*cell).0 };
    let outcome = guard(|| Ok(cell.poll())).unwrap_or_else(|failure| {
        unheard(|| cell.finish());
        Some(Outcome::Trapped {
            cause: format!("host error: {}", failure.text),
            backtrace: String::new(),
        })
    });
    let mut result = WwPoll {
        state: POLL_PENDING,
        exit_code: 0,
        instantiated: cell.is_instantiated(),
        yielded: cell.has_yielded(),
        hits: cell.budget().take_hits(),
        deadline: cell.deadline(),
        cause: Vec::new().into(),
        backtrace: Vec::new().into(),
    };
    match outcome {
        None => {}
        Some(Outcome::Exited(code)) => {
            result.state = POLL_EXITED;
            result.exit_code = code;
        }
        Some(Outcome::Trapped { cause, backtrace }) => {
            result.state = POLL_TRAPPED;
            result.cause = cause.into_bytes().into();
            result.backtrace = backtrace.into_bytes().into();
        }
        Some(Outcome::Refused { cause }) => {
            result.state = POLL_REFUSED;
            result.cause = cause.into_bytes().into();
        }
    }
    unsafe { poll.write(result) };
}

/// Ends the guest, wherever it is, and frees it. Its pipes' host ends see the end.
///
/// # Safety
/// Given back once, not from within its poll.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_cell_drop(cell: *mut WwCell) {
    unheard(|| drop(unsafe { Box::from_raw(cell) }));
}

/// Nanoseconds, the guests' monotonic clock.
#[unsafe(no_mangle)]
pub extern "C" fn ww_clock_now() -> u64 {
    clock::now()
}
