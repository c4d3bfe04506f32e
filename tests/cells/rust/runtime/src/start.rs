//! The entry point, for toolchains whose start file leaves the constructors to the linker (Debian's
//! wasi-libc). There the linker wraps every export in a run of all constructors, `cabi_realloc`
//! too, and the first list that the host returns traps. Calling them by name turns that off.

unsafe extern "C" {
    fn __wasm_call_ctors();
    fn __main_void() -> i32;
}

/// Called once, by the host, before anything else in this module.
#[unsafe(no_mangle)]
extern "C" fn _start() {
    // Safe: both are the linker's and std's own, take nothing, and run here for the first time.
    let code = unsafe {
        __wasm_call_ctors();
        __main_void()
    };
    if code != 0 {
        std::process::exit(code);
    }
}
