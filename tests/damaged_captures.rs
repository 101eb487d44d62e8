//! A captured `/proc` comes from another machine, and may be damaged in any way. Whatever its files are, rmap does not
//! panic or hang, and reports what it could not read in one line each.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{mapping, rmap};
use nix::sys::stat::Mode;
use proptest::prelude::*;
use proptest::sample::Index;

/// What happens to a file of the capture.
#[derive(Debug, Clone)]
enum Damage {
    Missing,
    Empty,
    Cut(Index),
    Bytes(Vec<u8>),
    /// A number of the text is replaced by one that is too large.
    Huge(Index, &'static str),
    /// A part of the text comes again somewhere else.
    Moved(Index, Index, usize),
    Directory,
    Fifo,
    /// A link to this path.
    Link(&'static str),
    /// The file of another process.
    Other(u32),
    /// Long, and all zeros.
    Zeros,
}

const FILES: [&str; 9] = ["smaps", "smaps_rollup", "maps", "stat", "status", "cmdline", "comm", "cgroup", "mountinfo"];
const PIDS: [u32; 3] = [7, 8, 9];

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<Index>;
    prop_oneof![
        Just(Damage::Missing),
        Just(Damage::Empty),
        index().prop_map(Damage::Cut),
        prop::collection::vec(any::<u8>(), 0..400).prop_map(Damage::Bytes),
        (
            index(),
            prop::sample::select(vec!["18446744073709551615", "99999999999999999999", "-1", "ffffffffffffffff", "0"])
        )
            .prop_map(|(at, number)| Damage::Huge(at, number)),
        (index(), index(), 1usize..300).prop_map(|(from, to, length)| Damage::Moved(from, to, length)),
        Just(Damage::Directory),
        Just(Damage::Fifo),
        prop::sample::select(vec!["smaps", "/dev/zero", "/dev/tty", "/nowhere", "../8/stat", "/proc/self/mem"])
            .prop_map(Damage::Link),
        prop::sample::select(PIDS.to_vec()).prop_map(Damage::Other),
        Just(Damage::Zeros),
    ]
}

/// A capture with three processes that have every file.
fn whole() -> tempfile::TempDir {
    let top = tempfile::tempdir().unwrap();
    let own = |name: &str| fs::read(format!("/proc/self/{name}")).unwrap();
    for pid in PIDS {
        let folder = top.path().join(pid.to_string());
        fs::create_dir_all(folder.join("task").join(pid.to_string())).unwrap();
        let maps = [mapping(0x1000, 2, "rw-p", b"/a (deleted)", 8), mapping(0x9000, 1, "r-xp", b"[stack]", 4)].concat();
        let rollup = "00001000-7fff0000 ---p 00000000 00:00 0    [rollup]\nRss:  12 kB\nPss:  8 kB\nAnonymous:  4 kB\n";
        let heads: Vec<&[u8]> = maps.split_inclusive(|byte| *byte == b'\n').filter(|line| line[0] == b'0').collect();
        for (name, text) in [("smaps", maps.clone()), ("smaps_rollup", rollup.into()), ("maps", heads.concat())] {
            fs::write(folder.join(name), text).unwrap();
        }
        for name in ["stat", "status", "cmdline", "comm", "cgroup", "mountinfo"] {
            fs::write(folder.join(name), own(name)).unwrap();
        }
    }
    fs::write(top.path().join("meminfo"), fs::read("/proc/meminfo").unwrap()).unwrap();
    top
}

fn apply(top: &Path, path: &Path, damage: &Damage) {
    if !path.symlink_metadata().is_ok_and(|found| found.is_file()) {
        return;
    }
    let text = fs::read(path).unwrap();
    let write = |text: &[u8]| fs::write(path, text).unwrap();
    let replace = |make: &dyn Fn(&Path)| {
        let _ = fs::remove_file(path);
        make(path);
    };
    match damage {
        Damage::Missing => fs::remove_file(path).unwrap(),
        Damage::Empty => write(b""),
        Damage::Cut(at) => write(&text[..at.index(text.len() + 1)]),
        Damage::Bytes(bytes) => write(bytes),
        Damage::Huge(at, number) => {
            let digits: Vec<usize> = (0..text.len()).filter(|place| text[*place].is_ascii_digit()).collect();
            if let Some(place) = digits.get(at.index(digits.len().max(1))) {
                write(&[&text[..*place], number.as_bytes(), &text[place + 1..]].concat());
            }
        }
        Damage::Moved(from, to, length) => {
            let (from, to) = (from.index(text.len() + 1), to.index(text.len() + 1));
            let part = &text[from..(from + length).min(text.len())];
            write(&[&text[..to], part, &text[to..]].concat());
        }
        Damage::Directory => replace(&|path| fs::create_dir(path).unwrap()),
        Damage::Fifo => replace(&|path| nix::unistd::mkfifo(path, Mode::S_IRWXU).unwrap()),
        Damage::Link(target) => replace(&|path| std::os::unix::fs::symlink(target, path).unwrap()),
        Damage::Other(pid) => {
            let other = top.join(pid.to_string()).join(path.file_name().unwrap());
            if other.symlink_metadata().is_ok_and(|found| found.is_file()) {
                write(&fs::read(other).unwrap());
            }
        }
        Damage::Zeros => replace(&|path| fs::File::create(path).unwrap().set_len(40 << 20).unwrap()),
    }
}

/// What is asked about the capture.
const QUESTIONS: [&[&str]; 14] = [
    &["7", "8", "9", "--json"],
    &["7", "8", "9", "-X"],
    &["9", "7", "-o", "rss,swap,address"],
    &["8", "-o", "address,mapping"],
    &["7", "-o", "kind,deleted,flags,user,cgroup,command,path", "--jsonl"],
    &["7", "8", "9", "--by", "kind", "--merge", "--json"],
    &["7", "8", "9", "--by", "user"],
    &["7", "8", "9", "--summary", "--json"],
    &["7", "8", "9", "--summary", "--merge"],
    &["7", "8", "--cache", "--map", "--json"],
    &["--user", "0", "--json"],
    &["--name", "x", "--csv"],
    &["--match", ".", "--total"],
    &["--cgroup", "/", "--by", "cgroup", "--json"],
];

/// Asks, and checks the form of the answer.
fn ask(root: &Path, question: &[&str]) -> Result<(), TestCaseError> {
    let run = rmap([&["pid", "--proc-root", root.to_str().unwrap()], question].concat());
    // A panic is 101, a signal has no status; a run that hangs is ended after half a minute.
    prop_assert!(matches!(run.status, Some(0 | 1)), "{question:?}: {run:?}");
    prop_assert_eq!(run.status == Some(1), !run.err.is_empty(), "{:?}: {:?}", question, &run);
    for line in run.complaints() {
        prop_assert!(line.starts_with("rmap: ") && !line.contains(char::is_control), "{question:?}: {line:?}");
    }
    if question.contains(&"--json") {
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&run.out).is_ok(), "{question:?}: {run:?}");
    }
    Ok(())
}

#[test]
fn a_whole_capture_is_answered() {
    let top = whole();
    for question in QUESTIONS {
        ask(top.path(), question).unwrap();
    }
    let rss = rmap(["pid", "7", "-o", "rss", "-n", "--total", "--proc-root", top.path().to_str().unwrap()]).good();
    assert_eq!(rss.text().split_whitespace().collect::<Vec<_>>(), ["8", "4", "12"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_capture_is_no_panic_and_no_hang(
        damages in prop::collection::vec((prop::sample::select(PIDS.to_vec()), any::<Index>(), damage()), 1..7),
        questions in prop::sample::subsequence(QUESTIONS.to_vec(), 5),
    ) {
        let top = whole();
        for (pid, file, damage) in &damages {
            let file: PathBuf = top.path().join(pid.to_string()).join(FILES[file.index(FILES.len())]);
            apply(top.path(), &file, damage);
        }
        for question in questions {
            ask(top.path(), question)?;
        }
    }
}

/// Each file, as everything that it can be but a file.
#[test]
fn what_is_no_file_is_never_opened() {
    let odd = [Damage::Directory, Damage::Fifo, Damage::Link("/dev/zero"), Damage::Link("smaps"), Damage::Missing];
    for name in FILES {
        for damage in &odd {
            let top = whole();
            apply(top.path(), &top.path().join("7").join(name), damage);
            for question in [QUESTIONS[0], QUESTIONS[4], QUESTIONS[7], QUESTIONS[13]] {
                ask(top.path(), question).unwrap_or_else(|error| panic!("{name} as {damage:?}: {error}"));
            }
        }
    }
}

/// The memory of the machine, read by the library from a capture.
#[test]
fn a_fifo_is_not_the_memory_of_the_machine() {
    let top = whole();
    let read = |top: &Path| rmap::machine::read_available_memory(&rmap::process::ProcRoot::at(top.to_owned()));
    assert!(read(top.path()).is_ok());
    for damage in [Damage::Fifo, Damage::Directory, Damage::Link("/dev/zero")] {
        let top = whole();
        apply(top.path(), &top.path().join("meminfo"), &damage);
        let why = read(top.path()).unwrap_err().to_string();
        assert!(why.contains("meminfo"), "{why}");
    }
}
