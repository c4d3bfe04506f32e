//! Makes modules of the SDK's schemas. `ww build` says in WW_SDK where the SDK is.

use std::{env, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=WW_SDK");
    let sdk = env::var_os("WW_SDK").expect("WW_SDK names the SDK: build with `ww build`");
    let sdk = PathBuf::from(sdk);
    let schemas = sdk.join("capnp");
    let mut compiler = capnpc::CompilerCommand::new();
    compiler.capnp_executable(sdk.join("bin/capnp"));
    compiler.import_path(sdk.join("include"));
    compiler.src_prefix(&schemas);
    for name in ["stem", "peer", "membrane", "node"] {
        compiler.file(schemas.join(name).with_extension("capnp"));
    }
    compiler.run().expect("the SDK's capnp compiles its schemas");
}
