//! `ww-engine-bench FOLDER`: what the engine does when it is alone, under the configuration that
//! cells have. Reads lines from stdin and answers each with seconds:
//!
//!   call BYTES         a call of an export of FOLDER/bare-echo.wasm, which answers with as many
//!   instantiate NAME   an instance of FOLDER/NAME.wasm made and dropped, its state made before
//!   compile NAME       its compilation

use std::collections::HashMap;
use std::future::Future;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;
use wasmtime::component::{Component, InstancePre, Linker, ResourceTable, TypedFunc};
use wasmtime::{Engine, Result, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

const CALLS: u32 = 20_000;
const LARGE_CALLS: u32 = 2_000;
const INSTANCES: u32 = 200;

/// No tick comes in so many.
const NEVER: u64 = 1 << 40;

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// What nothing has to wait for.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

struct Bench {
    folder: PathBuf,
    engine: Engine,
    linked: HashMap<String, InstancePre<State>>, // by component
}

impl Bench {
    fn new(folder: PathBuf) -> Result<Self> {
        Ok(Bench {
            folder,
            engine: Engine::new(&ww_engine::bench_config())?,
            linked: HashMap::new(),
        })
    }

    fn answer(&mut self, line: &str) -> Result<f64> {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["call", bytes] => self.call(bytes.parse()?),
            ["instantiate", name] => self.instantiate(name),
            ["compile", name] => self.compile(name),
            _ => Err(wasmtime::Error::msg("no such question")),
        }
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        Ok(std::fs::read(self.folder.join(format!("{name}.wasm")))?)
    }

    /// What only a node has, its guests' connection, is there but for being called.
    fn linked(&mut self, name: &str) -> Result<InstancePre<State>> {
        if let Some(linked) = self.linked.get(name) {
            return Ok(linked.clone());
        }
        let component = Component::from_binary(&self.engine, &self.bytes(name)?)?;
        let mut linker = Linker::new(&self.engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        linker.define_unknown_imports_as_traps(&component)?;
        let linked = linker.instantiate_pre(&component)?;
        self.linked.insert(name.into(), linked.clone());
        Ok(linked)
    }

    fn store(&self) -> Store<State> {
        let wasi = WasiCtxBuilder::new().build();
        let mut store = Store::new(&self.engine, State { wasi, table: ResourceTable::new() });
        store.set_epoch_deadline(NEVER);
        store
    }

    fn call(&mut self, bytes: usize) -> Result<f64> {
        let linked = self.linked("bare-echo")?;
        let mut store = self.store();
        let instance = ready(linked.instantiate_async(&mut store))?;
        let echo: TypedFunc<(&str,), (String,)> = instance.get_typed_func(&mut store, "echo")?;
        let message = "x".repeat(bytes);
        let count = if bytes > 4096 { LARGE_CALLS } else { CALLS };
        let begin = Instant::now();
        for _ in 0..count {
            let (answer,) = ready(echo.call_async(&mut store, (&message,)))?;
            assert_eq!(answer.len(), bytes);
        }
        Ok(begin.elapsed().as_secs_f64() / f64::from(count))
    }

    fn instantiate(&mut self, name: &str) -> Result<f64> {
        let linked = self.linked(name)?;
        let mut seconds = 0.0;
        for _ in 0..INSTANCES {
            let mut store = self.store();
            let begin = Instant::now();
            ready(linked.instantiate_async(&mut store))?;
            drop(store);
            seconds += begin.elapsed().as_secs_f64();
        }
        Ok(seconds / f64::from(INSTANCES))
    }

    fn compile(&self, name: &str) -> Result<f64> {
        let bytes = self.bytes(name)?;
        let begin = Instant::now();
        self.engine.precompile_component(&bytes)?;
        Ok(begin.elapsed().as_secs_f64())
    }
}

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).ok_or(wasmtime::Error::msg("usage: FOLDER"))?;
    let mut bench = Bench::new(folder.into())?;
    for line in std::io::stdin().lock().lines() {
        println!("{:e}", bench.answer(&line?)?);
        std::io::stdout().flush()?;
    }
    Ok(())
}
