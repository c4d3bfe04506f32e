//! Compiled components: from bytes, from this engine's own artifacts, and back.

use crate::shape::{self, COMPILE_STACK};
use crate::{EngineShared, State};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::fd::RawFd;
use std::sync::Arc;
use wasmtime::component::Component;
use wasmtime::{Config, Engine};
use wasmtime_wasi::p2::bindings::CommandPre;
use ww_fence::{ErrorKind, Failure, guard, panic_text};

/// A component, compiled and linked: shared by all cells that run it.
#[derive(Clone)]
pub struct Runnable(Arc<Parts>);

struct Parts {
    component: Component,
    pre: CommandPre<State>,
}

const MAGIC: &[u8] = b"\0asm";
const CORE_VERSION: [u8; 4] = [1, 0, 0, 0];
const COMPONENT_LAYER: [u8; 2] = [1, 0];

/// What a person would want to hear about bytes that cannot be a component.
fn check_preamble(bytes: &[u8]) -> Result<(), Failure> {
    let not = |text: &str| Err(Failure::new(ErrorKind::NotComponent, text));
    if bytes.is_empty() {
        return not("no bytes at all");
    }
    if !bytes.starts_with(MAGIC) {
        return if MAGIC.starts_with(bytes) {
            not("truncated within its first 8 bytes")
        } else {
            not("not WebAssembly (its first 4 bytes are not \\0asm)")
        };
    }
    match bytes.get(4..8) {
        None => not("truncated within its first 8 bytes"),
        Some(version) if version == CORE_VERSION => {
            not("a core WebAssembly module (`wasm-tools component new` makes a component of it)")
        }
        Some(version) if version[2..4] != COMPONENT_LAYER => {
            not("WebAssembly of an unknown version")
        }
        Some(_) => Ok(()),
    }
}

/// One line of an error and its causes.
fn line(error: &wasmtime::Error) -> String {
    let causes: Vec<String> =
        error.chain().map(|cause| cause.to_string().replace('\n', " ")).collect();
    causes.join(": ")
}

fn not_compiled(error: wasmtime::Error) -> Failure {
    // Larger at its start than any place of the pool.
    if error.chain().any(|cause| cause.to_string().contains("pooling allocator")) {
        return Failure::new(ErrorKind::NotLinkable, error.root_cause());
    }
    Failure::new(ErrorKind::NotComponent, line(&error))
}

/// On a thread of its own, for what recurses as deep as its input says.
fn with_large_stack<T: Send>(
    work: impl FnOnce() -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("ww-compile".into())
            .stack_size(COMPILE_STACK)
            .spawn_scoped(scope, || guard(work))
            .map_err(|e| Failure::new(ErrorKind::Resources, format!("no thread to compile: {e}")))?
            .join()
            .unwrap_or_else(|payload| Err(Failure::new(ErrorKind::Panic, panic_text(payload))))
    })
}

/// What [`Runnable::artifact`] gives of a component under this configuration, without an engine to
/// run it.
pub fn compile_artifact(config: &Config, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    check_preamble(bytes)?;
    shape::check(bytes)?;
    let engine = Engine::new(config)
        .map_err(|error| Failure::new(ErrorKind::Resources, format!("{error:#}")))?;
    with_large_stack(|| {
        engine
            .precompile_component(bytes)
            .map_err(|error| Failure::new(ErrorKind::NotComponent, line(&error)))
    })
}

impl Runnable {
    fn of(component: Component, pre: CommandPre<State>) -> Self {
        Runnable(Arc::new(Parts { component, pre }))
    }

    /// The same, counted apart: two processors that count in one place by turns wait for it.
    pub fn twin(&self) -> Self {
        Self::of(self.0.component.clone(), self.0.pre.clone())
    }

    pub fn pre(&self) -> &CommandPre<State> {
        &self.0.pre
    }

    pub fn compile(engine: &EngineShared, bytes: &[u8]) -> Result<Self, Failure> {
        check_preamble(bytes)?;
        shape::check(bytes)?;
        with_large_stack(|| Self::compile_checked(engine, bytes))
    }

    fn compile_checked(engine: &EngineShared, bytes: &[u8]) -> Result<Self, Failure> {
        // The bytes only: with the text format compiled out, nothing here is read as a path.
        let component = Component::from_binary(&engine.engine, bytes).map_err(not_compiled)?;
        Self::link(engine, component)
    }

    /// # Safety
    /// `artifact` is what [`Self::artifact`] gave, under the same [`engine_version`], unchanged.
    pub unsafe fn load(engine: &EngineShared, artifact: &[u8]) -> Result<Self, Failure> {
        Self::loaded(engine, unsafe { Component::deserialize(&engine.engine, artifact) })
    }

    /// Maps the file, rather than to copy it.
    ///
    /// # Safety
    /// The file begins with an artifact as for [`Self::load`], and is not changed while it is used.
    pub unsafe fn load_file(engine: &EngineShared, file: RawFd) -> Result<Self, Failure> {
        let path = format!("/proc/self/fd/{file}");
        Self::loaded(engine, unsafe { Component::deserialize_file(&engine.engine, path) })
    }

    fn loaded(engine: &EngineShared, loaded: wasmtime::Result<Component>) -> Result<Self, Failure> {
        let loaded = loaded.map_err(|error| match not_compiled(error) {
            failure if failure.kind == ErrorKind::NotLinkable => failure,
            failure => Failure::new(ErrorKind::Other, failure.text),
        })?;
        Self::link(engine, loaded)
    }

    pub fn artifact(&self) -> Result<Vec<u8>, Failure> {
        self.0.component.serialize().map_err(|error| Failure::new(ErrorKind::Other, line(&error)))
    }

    fn link(engine: &EngineShared, component: Component) -> Result<Self, Failure> {
        let pre = engine.linker.instantiate_pre(&component).map_err(|error| {
            Failure::new(
                ErrorKind::NotLinkable,
                format!("it imports what this host does not have: {}", line(&error)),
            )
        })?;
        let pre = CommandPre::new(pre).map_err(|error| {
            Failure::new(
                ErrorKind::NotLinkable,
                format!("it does not export wasi:cli/run@0.2: {}", line(&error)),
            )
        })?;
        Ok(Self::of(component, pre))
    }
}

/// Names the engine, its version and its settings: an artifact is good under an equal one only.
pub fn engine_version(engine: &EngineShared) -> String {
    let mut hasher = DefaultHasher::new();
    engine.engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("wasmtime-48.0.8-{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preamble_is_named() {
        let text = |bytes: &[u8]| {
            check_preamble(bytes).err().map(|failure| failure.text).unwrap_or_default()
        };
        assert!(text(b"").contains("no bytes"));
        assert!(text(b"\0as").contains("truncated"));
        assert!(text(b"\0asm\x0d\0").contains("truncated"));
        assert!(text(&[0; 64]).contains("not WebAssembly"));
        assert!(text(b"\0asm\x01\0\0\0").contains("core WebAssembly module"));
        assert!(text(b"\0asm\x0d\0\x02\0").contains("unknown version"));
        assert_eq!(text(b"\0asm\x0d\0\x01\0"), "");
    }
}
