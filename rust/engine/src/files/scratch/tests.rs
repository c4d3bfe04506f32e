use super::*;
use crate::files::tree::MAX_NODES;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;

const CREATE: OpenFlags = OpenFlags::CREATE;

fn new(memory: usize) -> (Arc<Budget>, Arc<Scratch>, Opened) {
    let budget = Budget::new(memory, 1, None);
    let scratch = Scratch::new(budget.clone());
    let root = scratch.root();
    (budget, scratch, root)
}

fn write(root: &Opened, path: &str, bytes: &[u8]) -> Result<usize> {
    root.open_at(path, CREATE, true)?.write(Some(0), bytes)
}

fn read(root: &Opened, path: &str) -> Result<Vec<u8>> {
    root.open_at(path, OpenFlags::empty(), false)?.read(0, usize::MAX)
}

fn names(folder: &Opened) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    while let Some(entry) = folder.entry_after(names.last().map(String::as_str)).unwrap() {
        names.push(entry.name);
    }
    names
}

#[test]
fn what_is_written_is_read() {
    let (_, _, root) = new(1 << 20);
    root.create_folder_at("a").unwrap();
    root.create_folder_at("a/b/").unwrap();
    assert_eq!(write(&root, "a/b/../c", b"hello"), Ok(5));
    assert_eq!(read(&root, "./a//c"), Ok(b"hello".to_vec()));
    let file = root.open_at("a/c", OpenFlags::empty(), true).unwrap();
    assert_eq!(file.write(None, b" you"), Ok(4));
    assert_eq!(file.write(Some(0), b"H"), Ok(1));
    assert_eq!(file.read(1, 6), Ok(b"ello y".to_vec()));
    assert_eq!((file.read(9, 9), file.read(1 << 50, 9)), (Ok(vec![]), Ok(vec![])));
    assert_eq!(names(&root.open_at("a", OpenFlags::DIRECTORY, false).unwrap()), ["b", "c"]);
    drop(root.open_at("a/c", OpenFlags::TRUNCATE, true).unwrap());
    assert_eq!(file.stat().map(|stat| stat.size), Ok(0));
}

#[test]
fn pages_and_holes() {
    let (budget, _, root) = new(1 << 20);
    let file = root.open_at("f", CREATE, true).unwrap();
    let pattern: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
    let mut at = 0;
    while at < pattern.len() {
        at += file.write(Some(at as u64 + 7), &pattern[at..]).unwrap();
    }
    let mut all = vec![];
    while let Ok(piece) = file.read(all.len() as u64, 30_001)
        && !piece.is_empty()
    {
        all.extend(piece);
    }
    assert!(all[..7] == [0; 7] && all[7..] == pattern);
    let before = budget.used();
    file.set_size(1 << 40).unwrap();
    assert_eq!(budget.used(), before, "a hole takes nothing");
    assert_eq!(file.read((1 << 40) - 3, 9), Ok(vec![0; 3]));
    file.set_size(20_000).unwrap();
    file.set_size(30_000).unwrap();
    assert_eq!(file.read(19_999, 2), Ok(vec![pattern[19_992], 0]), "nothing of the past is seen");
    file.set_size(0).unwrap();
    assert!(budget.used() < 1000, "{}", budget.used());
}

#[test]
fn what_is_too_much_is_refused() {
    let (budget, _, root) = new(100_000);
    let file = root.open_at("f", CREATE, true).unwrap();
    assert_eq!(file.set_size((1 << 40) + 1), Err(ErrorCode::FileTooLarge));
    assert_eq!(file.write(Some(u64::MAX), b"x"), Err(ErrorCode::FileTooLarge));
    assert_eq!(file.write(Some(1 << 40), b"x"), Err(ErrorCode::FileTooLarge));
    let mut written = 0;
    let full = loop {
        match file.write(None, &[1; 50_000]) {
            Ok(n) => written += n,
            Err(error) => break error,
        }
    };
    assert_eq!(full, ErrorCode::InsufficientSpace);
    assert!((60_000..100_000).contains(&written) && budget.used() <= 100_000, "{written}");
    assert_eq!(file.stat().map(|stat| stat.size), Ok(written as u64));
    root.remove_at("f", false).unwrap();
    assert!(budget.used() > 60_000, "it is open still");
    drop(file);
    assert_eq!(budget.used(), 0);
}

#[test]
fn nodes_are_bounded_and_counted() {
    let (budget, _, root) = new(10_000);
    let made = (0..1000).take_while(|i| write(&root, &format!("{i}"), b"").is_ok()).count();
    assert_eq!(made, 10 + 28, "at 256 bytes and its name each");
    assert_eq!(root.create_folder_at("x"), Err(ErrorCode::InsufficientSpace));
    for name in names(&root) {
        root.remove_at(&name, false).unwrap();
    }
    assert_eq!(budget.used(), 0);
    let (_, _, root) = new(1 << 30);
    let made = (0..).take_while(|i| root.create_folder_at(&format!("{i}")).is_ok()).count();
    assert_eq!(made, MAX_NODES - 1);
}

#[test]
fn all_is_given_back_at_the_end() {
    let (budget, scratch, root) = new(1 << 20);
    root.create_folder_at("a").unwrap();
    write(&root, "a/b", &[1; 20_000]).unwrap();
    let open = root.open_at("a/b", OpenFlags::empty(), false).unwrap();
    assert!(budget.used() > 20_000);
    drop((root, scratch));
    drop(open);
    assert_eq!(budget.used(), 0);
}

#[test]
fn no_path_leads_out() {
    let (_, _, root) = new(1 << 20);
    root.create_folder_at("a").unwrap();
    let a = root.open_at("a", OpenFlags::DIRECTORY, false).unwrap();
    for path in ["..", "../a", "./../x", "x/../..", "/", "/a", "/tmp"] {
        let error = a.stat_at(path).err();
        assert!(matches!(error, Some(ErrorCode::NotPermitted | ErrorCode::NoEntry)), "{path}");
        assert!(a.open_at(path, CREATE, true).is_err(), "{path}");
        assert!(a.create_folder_at(path).is_err() && a.remove_at(path, true).is_err(), "{path}");
    }
    assert_eq!(a.stat_at("..").err(), Some(ErrorCode::NotPermitted));
    assert_eq!(a.stat_at("").err(), Some(ErrorCode::NoEntry));
    assert_eq!(a.stat_at("x\0").err(), Some(ErrorCode::Invalid));
    assert_eq!(a.create_folder_at(&"n".repeat(256)), Err(ErrorCode::NameTooLong));
    assert_eq!(a.stat_at(&"a/".repeat(2049)).err(), Some(ErrorCode::NameTooLong));
}

#[test]
fn what_is_of_the_other_kind_is_named_so() {
    let (_, _, root) = new(1 << 20);
    root.create_folder_at("d").unwrap();
    write(&root, "d/f", b"1").unwrap();
    let open = |path, how, writes| root.open_at(path, how, writes).err();
    let none = OpenFlags::empty();
    assert_eq!(open("d", none, true), Some(ErrorCode::IsDirectory));
    assert_eq!(open("d/f", OpenFlags::DIRECTORY, false), Some(ErrorCode::NotDirectory));
    assert_eq!(open("d/f/", none, false), Some(ErrorCode::NotDirectory));
    assert_eq!(open("d/f/x", none, false), Some(ErrorCode::NotDirectory));
    assert_eq!(open("x/", CREATE, true), Some(ErrorCode::IsDirectory));
    assert_eq!(open("x", OpenFlags::DIRECTORY | CREATE, true), Some(ErrorCode::Invalid));
    assert_eq!(open("d/f", CREATE | OpenFlags::EXCLUSIVE, true), Some(ErrorCode::Exist));
    assert_eq!(root.create_folder_at("d"), Err(ErrorCode::Exist));
    assert_eq!(root.create_folder_at("."), Err(ErrorCode::Exist));
    assert_eq!(root.remove_at("d", false), Err(ErrorCode::IsDirectory));
    assert_eq!(root.remove_at("d/f", true), Err(ErrorCode::NotDirectory));
    assert_eq!(root.remove_at("d", true), Err(ErrorCode::NotEmpty));
    assert_eq!(root.remove_at(".", true), Err(ErrorCode::Busy));
    assert_eq!(root.remove_at("x", true), Err(ErrorCode::NoEntry));
    let file = root.open_at("d/f", none, false).unwrap();
    assert_eq!(file.open_at(".", none, false).err(), Some(ErrorCode::NotDirectory));
    assert_eq!(file.stat_at(".").err(), Some(ErrorCode::NotDirectory));
    assert_eq!(file.entry_after(None).err(), Some(ErrorCode::NotDirectory));
    let folder = root.open_at("d", none, false).unwrap();
    assert_eq!(folder.read(0, 1), Err(ErrorCode::IsDirectory));
    assert_eq!(folder.set_size(1), Err(ErrorCode::IsDirectory));
}

#[test]
fn renames() {
    let (budget, _, root) = new(1 << 20);
    for folder in ["a", "a/b", "c", "empty"] {
        root.create_folder_at(folder).unwrap();
    }
    for file in ["f", "g", "a/b/h"] {
        write(&root, file, file.as_bytes()).unwrap();
    }
    let rename = |from, to| root.rename_at(from, &root, to);
    assert_eq!(rename("f", "g"), Ok(()));
    assert_eq!((read(&root, "g"), read(&root, "f")), (Ok(b"f".to_vec()), Err(ErrorCode::NoEntry)));
    assert_eq!(rename("g", "g"), Ok(()));
    assert_eq!(rename("a", "a/b/x"), Err(ErrorCode::Invalid));
    assert_eq!(rename("a", "a"), Ok(()));
    assert_eq!(rename("a", "g"), Err(ErrorCode::NotDirectory));
    assert_eq!(rename("g", "a"), Err(ErrorCode::IsDirectory));
    assert_eq!(rename("c", "a"), Err(ErrorCode::NotEmpty));
    assert_eq!(rename("g", "x/"), Err(ErrorCode::NotDirectory));
    assert_eq!(rename("x", "y"), Err(ErrorCode::NoEntry));
    assert_eq!(rename(".", "y"), Err(ErrorCode::Busy));
    assert_eq!(rename("a/b", "empty"), Ok(()));
    assert_eq!(read(&root, "empty/h"), Ok(b"a/b/h".to_vec()));
    // It knows its new place: neither its old one nor it itself is above it.
    assert_eq!(rename("a", "empty/a"), Ok(()));
    assert_eq!(rename("empty", "empty/a/e"), Err(ErrorCode::Invalid));
    let before = budget.used();
    for _ in 0..100 {
        assert_eq!((rename("g", "k"), rename("k", "g")), (Ok(()), Ok(())));
    }
    assert_eq!(budget.used(), before);
}

#[test]
fn what_is_removed_lives_on_for_who_has_it() {
    let (_, _, root) = new(1 << 20);
    root.create_folder_at("d").unwrap();
    let folder = root.open_at("d", OpenFlags::empty(), false).unwrap();
    write(&root, "d/f", b"here").unwrap();
    let file = root.open_at("d/f", OpenFlags::empty(), false).unwrap();
    root.remove_at("d/f", false).unwrap();
    root.remove_at("d", true).unwrap();
    assert_eq!(file.read(0, 9), Ok(b"here".to_vec()));
    assert_eq!(folder.create_folder_at("x"), Err(ErrorCode::NoEntry));
    assert_eq!(folder.open_at("x", CREATE, true).err(), Some(ErrorCode::NoEntry));
    write(&root, "g", b"").unwrap();
    assert_eq!(root.rename_at("g", &folder, "g"), Err(ErrorCode::NoEntry));
    assert!(folder.stat().is_ok() && names(&folder).is_empty());
}

#[test]
fn each_is_itself() {
    let (_, _, root) = new(1 << 20);
    write(&root, "a", b"").unwrap();
    write(&root, "b", b"").unwrap();
    let open = |path| root.open_at(path, OpenFlags::empty(), false).unwrap();
    assert!(open("a").is_same(&open("./a")) && !open("a").is_same(&open("b")));
    let hash = |path| root.hash_at(path).map(|hash| (hash.lower, hash.upper)).unwrap();
    assert!(hash("a") == hash("./a") && hash("a") != hash("b") && hash(".") != hash("a"));
}

#[test]
fn times() {
    let (_, _, root) = new(1 << 20);
    write(&root, "a", b"").unwrap();
    let at = |seconds| NewTimestamp::Timestamp(Datetime { seconds, nanoseconds: 5 });
    root.set_times_at("a", at(7), NewTimestamp::NoChange).unwrap();
    let times = root.stat_at("a").map(|stat| stat.times).unwrap();
    assert_eq!(times.accessed, SystemTime::UNIX_EPOCH + Duration::new(7, 5));
    assert!(times.modified > times.accessed && times.changed > times.accessed);
    assert_eq!(root.set_times_at("a", at(u64::MAX), at(0)), Err(ErrorCode::Overflow));
}
