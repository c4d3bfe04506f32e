//! Embeds the child, which is built before: RUST_CHILD_WASM is its component.

use std::{env, fs, path::Path};

fn main() {
    println!("cargo::rerun-if-env-changed=RUST_CHILD_WASM");
    let child = env::var("RUST_CHILD_WASM").expect("RUST_CHILD_WASM names the child's component");
    println!("cargo::rerun-if-changed={child}");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::copy(child, Path::new(&out).join("child.wasm")).expect("the child is copied");
}
