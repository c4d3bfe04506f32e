//! One running component: a future that the foreign loop polls.

use crate::budget::Budget;
use crate::clock::{self, Deadline};
use crate::component::Runnable;
use crate::files::{self, Files, Given};
use crate::limits::{self, CellLimiter, Most};
use crate::pipe::PipeRef;
use crate::streams::{Pipes, Streams, new_table};
use crate::ticker::TickClock;
use crate::waker::CellWaker;
use crate::{EngineShared, State, WwEngine};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use tokio::runtime::Runtime;
use wasmtime::{Store, Trap, UpdateDeadline, WasmBacktrace};
use wasmtime_wasi::{I32Exit, WasiCtxBuilder};
use ww_fence::{Failure, bounded};

pub struct CellOptions {
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    pub pipe_capacity: usize,
    pub memory_bytes: usize,
    pub table_elements: usize,
    pub most: Most,
    pub resources: usize, // of WASI; a handle of each may stand on either side
    pub hostcall_bytes: usize,
    pub random_bytes: u64,
    pub instances: usize, // what the component's take, as shape::check() tells it
    pub parent: Option<Arc<Budget>>,
    pub files: Given,
}

pub enum Outcome {
    Exited(i32),
    /// Ended by a trap or an error of the host's: what it was, and where (many lines).
    Trapped {
        cause: String,
        backtrace: String,
    },
    /// Never begun: it asks for more than it may have.
    Refused {
        cause: String,
    },
}

impl CellOptions {
    /// What the cell has beside its memories and tables from its start on: its instances, and its
    /// arguments and variables, which the host keeps for it.
    fn footprint(&self) -> usize {
        let texts = self.args.iter().chain(self.env.iter().flat_map(|(name, value)| [name, value]));
        self.instances + texts.map(|text| size_of::<String>() + text.len()).sum::<usize>()
    }
}

type Run = Pin<Box<dyn Future<Output = wasmtime::Result<i32>> + Send>>;

/// What the cell and its future both see.
#[derive(Default)]
struct Progress {
    instantiated: AtomicBool,
    yielded: AtomicBool,    // this poll ended because its slice was used up
    slice_start: AtomicU64, // the tick in which this poll began
    slice_cpu: AtomicU64,   // what the thread had computed at this poll's first tick; 0: no tick
}

pub struct Cell {
    run: Option<Run>, // None once it has ended
    waker: Waker,
    cell_waker: Arc<CellWaker>,
    pipes: [PipeRef; 5], // in the order of WwPipeKind
    deadline: Deadline,
    ticks: TickClock,
    progress: Arc<Progress>,
    budget: Arc<Budget>,
    files: Option<Runtime>, // where it has files
}

impl Cell {
    pub fn new(
        engine: &WwEngine,
        runnable: &Runnable,
        mut options: CellOptions,
        waker: CellWaker,
    ) -> Result<Self, Failure> {
        let (shared, ticks) = (&engine.shared, engine.ticks.clone());
        let pipes: [PipeRef; 5] =
            std::array::from_fn(|_| PipeRef::new(options.pipe_capacity, shared.hooks));
        let deadline = Deadline::new();
        let progress = Arc::<Progress>::default();
        let budget =
            Budget::new(options.memory_bytes, options.table_elements, options.parent.clone());
        let limiter = CellLimiter::new(budget.clone(), options.most, engine.further.clone());
        let given = std::mem::take(&mut options.files);
        let runtime = (!given.is_nothing()).then(files::new_runtime).transpose()?;
        let files = runtime.as_ref().map(|_| Box::new(Files::new(given, &budget)));
        let state = new_state(&options, &pipes, deadline.clone(), limiter, files);
        let store = new_store(shared, state, &options, ticks.clone(), progress.clone());
        let run = run(store, runnable.clone(), options.footprint(), progress.clone());
        let run = Box::pin(run);
        ticks.on_cell_begun();
        let cell_waker = Arc::new(waker);
        Ok(Cell {
            run: Some(run),
            waker: Waker::from(cell_waker.clone()),
            cell_waker,
            pipes,
            deadline,
            ticks,
            progress,
            budget,
            files: runtime,
        })
    }

    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// `None`: not ended yet.
    pub fn poll(&mut self) -> Option<Outcome> {
        let run = self.run.as_mut()?;
        self.deadline.clear();
        self.progress.yielded.store(false, Relaxed);
        self.progress.slice_start.store(self.ticks.begin_poll(), Relaxed);
        self.progress.slice_cpu.store(0, Relaxed);
        let files = self.files.as_ref().map(Runtime::enter);
        let polling = self.ticks.polling(); // ends with it, also by a panic
        let polled = run.as_mut().poll(&mut Context::from_waker(&self.waker));
        drop(polling);
        drop(files);
        let outcome = match polled {
            Poll::Pending => return None,
            Poll::Ready(Ok(code)) => Outcome::Exited(code),
            Poll::Ready(Err(error)) => self.failed(error),
        };
        self.finish();
        Some(outcome)
    }

    fn failed(&self, error: wasmtime::Error) -> Outcome {
        self.budget.tell(limits::hit_by(&error));
        let cause = bounded(error.root_cause());
        // A guest that has run, its start function included, has a stack to show.
        let ran = self.is_instantiated() || error.is::<Trap>() || error.is::<WasmBacktrace>();
        if ran {
            Outcome::Trapped { cause, backtrace: bounded(format_args!("{error:?}")) }
        } else {
            Outcome::Refused { cause }
        }
    }

    pub fn deadline(&self) -> u64 {
        self.deadline.get()
    }

    pub fn is_instantiated(&self) -> bool {
        self.progress.instantiated.load(Relaxed)
    }

    pub fn has_yielded(&self) -> bool {
        self.progress.yielded.load(Relaxed)
    }

    pub fn pipe(&self, which: usize) -> Option<&PipeRef> {
        self.pipes.get(which)
    }

    /// Frees the store, its memory and its stack at once, then tells the host's ends: end of file
    /// for reads, a closed pipe for writes.
    pub fn finish(&mut self) {
        self.run = None;
        if let Some(files) = self.files.take() {
            files.shutdown_background(); // a thread that waits for a disk is not waited for
        }
        self.deadline.clear();
        self.progress.yielded.store(false, Relaxed);
        let [connection_in, connection_out, stdin, stdout, stderr] = &self.pipes;
        connection_in.close_read();
        stdin.close_read();
        connection_out.close_write();
        stdout.close_write();
        stderr.close_write();
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        self.cell_waker.disarm();
        self.finish();
        self.ticks.on_cell_ended();
    }
}

/// No socket, no name lookup, and of files what it was given: the rest answers "denied".
fn new_state(
    options: &CellOptions,
    pipes: &[PipeRef; 5],
    deadline: Deadline,
    limiter: CellLimiter,
    files: Option<Box<Files>>,
) -> State {
    let mut wasi = WasiCtxBuilder::new();
    wasi.args(&options.args).envs(&options.env).max_random_size(options.random_bytes);
    wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
    let [connection_in, connection_out, stdin, stdout, stderr] = pipes.clone();
    let pipes = Pipes { connection_in, connection_out, stdin, stdout, stderr };
    State {
        wasi: wasi.build(),
        table: new_table(options.resources),
        limiter,
        streams: Streams::new(pipes),
        deadline,
        files,
    }
}

fn new_store(
    engine: &EngineShared,
    state: State,
    options: &CellOptions,
    ticks: TickClock,
    progress: Arc<Progress>,
) -> Store<State> {
    let mut store = Store::new(&engine.engine, state);
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(options.hostcall_bytes);
    store.set_max_component_handles(2 * options.resources);
    store.set_epoch_deadline(1);
    // The engine's tick is global: a guest that was parked for a tick must not yield as soon as it
    // wakes, so what counts is the tick in which this poll began. Nor must one whose thread did not
    // run meanwhile, on a machine with others to serve: it would wait behind those that compute.
    store.epoch_deadline_callback(move |_| {
        let (cpu, first) = (clock::cpu(), progress.slice_cpu.load(Relaxed));
        if first == 0 {
            progress.slice_cpu.store(cpu, Relaxed);
        }
        let computed = first > 0 && cpu - first >= ticks.half_a_tick_ns();
        if computed && ticks.now() > progress.slice_start.load(Relaxed) + 1 {
            progress.yielded.store(true, Relaxed);
            Ok(UpdateDeadline::Yield(1))
        } else {
            Ok(UpdateDeadline::Continue(1))
        }
    });
    store
}

async fn run(
    mut store: Store<State>,
    runnable: Runnable,
    footprint: usize,
    progress: Arc<Progress>,
) -> wasmtime::Result<i32> {
    let outcome = async {
        store.data_mut().limiter.take_footprint(footprint)?;
        let command = runnable.pre().instantiate_async(&mut store).await?;
        progress.instantiated.store(true, Relaxed);
        command.wasi_cli_run().call_run(&mut store).await
    };
    match outcome.await {
        Ok(Ok(())) => Ok(0),
        Ok(Err(())) => Ok(1),
        Err(error) => match error.downcast_ref::<I32Exit>() {
            Some(exit) => Ok(exit.0),
            None => Err(error),
        },
    }
}
