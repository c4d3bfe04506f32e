//! ww-componentize: the last step of a guest's build. Takes the core module that the linker made,
//! gives it the types of its WIT world, and writes a component that has been validated.
//!
//!   ww-componentize CORE.wasm --wit DIR --world NAME -o OUT.wasm
//!
//! DIR holds the world's package, its dependencies in DIR/deps. Names and other custom sections are
//! left out, unless --keep-names is given. OUT appears whole or not at all.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const USAGE: &str =
    "usage: ww-componentize CORE.wasm --wit DIR --world NAME [--keep-names] -o OUT.wasm";

#[derive(Default)]
struct Arguments {
    core: PathBuf,
    wit: PathBuf,
    world: String,
    out: PathBuf,
    keep_names: bool,
}

fn parse(mut words: impl Iterator<Item = String>) -> Option<Arguments> {
    let mut arguments = Arguments::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--wit" => arguments.wit = words.next()?.into(),
            "--world" => arguments.world = words.next()?,
            "-o" => arguments.out = words.next()?.into(),
            "--keep-names" => arguments.keep_names = true,
            flag if flag.starts_with('-') => return None,
            core => arguments.core = core.into(),
        }
    }
    let given =
        [&arguments.core, &arguments.wit, &arguments.out].iter().all(|p| !p.as_os_str().is_empty());
    (given && !arguments.world.is_empty()).then_some(arguments)
}

fn encode(arguments: &Arguments) -> Result<Vec<u8>, String> {
    let shown = arguments.core.display();
    let mut core = std::fs::read(&arguments.core).map_err(|e| format!("{shown}: {e}"))?;
    if !arguments.keep_names {
        core = without_custom_sections(&core).map_err(|e| format!("{shown}: {e}"))?;
    }
    let mut resolve = Resolve::default();
    let (package, _) = resolve
        .push_dir(&arguments.wit)
        .map_err(|e| format!("{}: {e:#}", arguments.wit.display()))?;
    let world = resolve
        .select_world(&[package], Some(&arguments.world))
        .map_err(|e| format!("{}: {e:#}", arguments.wit.display()))?;
    embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8)
        .map_err(|e| format!("{shown}: {e:#}"))?;
    ComponentEncoder::default()
        .module(&core)
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|e| format!("{shown} does not fit the world {}: {e:#}", arguments.world))
}

/// The module less what only tools read. Sections are a byte, a length in LEB128, and the content.
fn without_custom_sections(module: &[u8]) -> Result<Vec<u8>, String> {
    const HEADER: usize = 8;
    let mut out = module.get(..HEADER).ok_or("not a module")?.to_vec();
    for payload in wasmparser::Parser::new(0).parse_all(module) {
        let payload = payload.map_err(|e| e.to_string())?;
        let Some((id, range)) = payload.as_section() else {
            continue;
        };
        if id != 0 {
            out.push(id);
            push_leb128(&mut out, range.len());
            out.extend_from_slice(&module[range]);
        }
    }
    Ok(out)
}

fn push_leb128(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            return out.push(byte);
        }
        out.push(byte | 0x80);
    }
}

fn write(out: &Path, bytes: &[u8]) -> Result<(), String> {
    let part = out.with_extension("wasm.part");
    std::fs::write(&part, bytes)
        .and_then(|()| std::fs::rename(&part, out))
        .map_err(|e| format!("{}: {e}", out.display()))
}

fn main() -> ExitCode {
    let Some(arguments) = parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match encode(&arguments).and_then(|component| write(&arguments.out, &component)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ww-componentize: {error}");
            ExitCode::FAILURE
        }
    }
}
