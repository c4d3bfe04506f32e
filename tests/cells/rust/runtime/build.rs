//! Generates the three schemas' modules, all under one prefix. CAPNP_PREFIX is where the `capnp`
//! compiler was installed; without it the compiler on the PATH is taken, with its own includes.

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=CAPNP_PREFIX");
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../capnp");
    let mut compiler = capnpc::CompilerCommand::new();
    if let Some(prefix) = std::env::var_os("CAPNP_PREFIX").map(PathBuf::from) {
        compiler.capnp_executable(prefix.join("bin/capnp"));
        compiler.import_path(prefix.join("include"));
    }
    compiler.src_prefix(&schemas);
    for name in ["stem", "peer", "membrane", "node"] {
        let file = schemas.join(name).with_extension("capnp");
        println!("cargo::rerun-if-changed={}", file.display());
        compiler.file(file);
    }
    compiler.run().expect("the capnp compiler runs on the repository's schemas");
}
