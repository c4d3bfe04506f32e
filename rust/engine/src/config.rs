//! How the engine is set up: what code is compiled for, and what instances are made of.

use crate::{WwEngineOptions, pool};
use std::num::NonZeroUsize;
use wasmtime::{Config, OptLevel, WasmBacktraceDetails};

/// What the host's own calls need on a guest's stack, beside the guest's frames.
const HOST_STACK: usize = 256 << 10;

/// With debug information, whose reader recurses as deep as a component nests it.
const HOST_STACK_DEBUGGING: usize = 64 << 20;
const MAX_BACKTRACE_FRAMES: usize = 32;

/// Of what only compiles.
pub fn compiling(options: &WwEngineOptions) -> Config {
    let mut config = Config::new();
    config.cranelift_opt_level(OptLevel::Speed);
    config.epoch_interruption(true);
    config.wasm_exceptions(true); // C++ guests throw
    config.native_unwind_info(false); // backtraces and exceptions have tables of their own
    config.max_wasm_stack(options.max_wasm_stack as usize);
    let host_stack = if options.debug_info { HOST_STACK_DEBUGGING } else { HOST_STACK };
    config.async_stack_size(options.max_wasm_stack as usize + host_stack);
    // Said here, so that the environment does not decide.
    config.wasm_backtrace_details(if options.debug_info {
        WasmBacktraceDetails::Enable
    } else {
        WasmBacktraceDetails::Disable
    });
    config.wasm_backtrace_max_frames(NonZeroUsize::new(MAX_BACKTRACE_FRAMES));
    config
}

/// Of what runs, too.
pub fn running(options: &WwEngineOptions) -> Config {
    let mut config = compiling(options);
    config.allocation_strategy(pool::strategy(options.max_cells));
    config
}
