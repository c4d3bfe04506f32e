//! A plain program, of Rust's own library alone: reads what its image has in etc/, tries to write
//! there, and uses /tmp.

// As the runtime has it, which this has no use for.
#[cfg(own_start)]
#[path = "../../runtime/src/start.rs"]
mod start;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};

fn names(folder: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let slash = if entry.file_type()?.is_dir() { "/" } else { "" };
        names.push(format!("{}{slash}", entry.file_name().display()));
    }
    names.sort();
    Ok(names)
}

fn read_image() -> io::Result<()> {
    println!("greeting: {}", fs::read_to_string("/etc/greeting")?.trim_end());
    println!("in the image: {}", names("/")?.join(" "));
    println!("large: {} bytes", fs::read("/etc/large")?.len());
    for path in ["/etc/greeting", "/new"] {
        let refused = File::create(path).map(|_| ()).map_err(|error| error.kind());
        println!("create {path}: {refused:?}");
    }
    let gone = File::open("/etc/gone").map(|_| ()).map_err(|error| error.kind());
    println!("open /etc/gone: {gone:?}");
    Ok(())
}

fn use_tmp() -> io::Result<()> {
    fs::create_dir_all("/tmp/a/b")?;
    fs::write("/tmp/a/b/c", "one two")?;
    OpenOptions::new().append(true).open("/tmp/a/b/c")?.write_all(b" three")?;
    let mut file = OpenOptions::new().read(true).write(true).open("/tmp/a/b/c")?;
    file.seek(SeekFrom::Start(4))?;
    file.write_all(b"TWO")?;
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    println!("written: {text}");
    file.set_len(3)?;
    file.sync_all()?;
    println!("left: {} bytes", fs::metadata("/tmp/a/b/c")?.len());
    fs::rename("/tmp/a/b/c", "/tmp/moved")?;
    println!("in /tmp: {}", names("/tmp")?.join(" "));
    fs::remove_dir_all("/tmp/a")?;
    fs::copy("/etc/greeting", "/tmp/copy")?;
    fs::remove_file("/tmp/moved")?;
    println!("in /tmp: {}", names("/tmp")?.join(" "));
    Ok(())
}

fn main() -> io::Result<()> {
    read_image()?;
    use_tmp()
}
