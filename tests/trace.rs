//! `rmap trace` as a user sees it: a program runs as it would without, and what it maps, fills and unmaps has a row
//! with the right bytes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use common::{Run, command, disk, has, page, run, subject_program, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

const MIB: u64 = 1 << 20;

/// A program that was traced, and its rows.
struct Traced {
    run: Run,
    rows: Vec<Value>,
}

/// Traces a command; its rows go to a file.
fn trace(options: &[&str], program: &[&str]) -> Traced {
    let folder = disk();
    let file = folder.path().join("rows");
    let output = ["trace", "--jsonl", "--output", file.to_str().unwrap()];
    let run = run(command([&output[..], options, &["--"], program].concat()));
    Traced { run, rows: rows_in(&file) }
}

/// The rows that a trace wrote to a file.
fn rows_in(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What scripts begin with that call the C library themselves.
const LIBC: &str = "
import ctypes, os, signal, sys, time
libc = ctypes.CDLL(None)
word, number = ctypes.c_size_t, ctypes.c_int
libc.mmap.argtypes = [word, word, number, number, number, ctypes.c_long]
libc.munmap.argtypes = [word, word]
libc.mremap.argtypes = [word, word, word, number, word]
libc.sbrk.argtypes = [ctypes.c_ssize_t]
libc.mmap.restype = libc.mremap.restype = libc.sbrk.restype = word
size, private, fixed, failed = 32 << 20, 0x22, 0x10, word(-1).value
";

/// Traces a script in Python, which must end well and say nothing.
fn python(options: &[&str], script: &str, words: &[&str]) -> Vec<Value> {
    let traced = trace(options, &[&["python3", "-c", script], words].concat());
    assert_eq!(traced.run.parts(), (0, String::new(), String::new()));
    traced.rows
}

impl Traced {
    fn of(&self, path: &Path) -> Vec<&Value> {
        of(&self.rows, path)
    }
}

fn of<'r>(rows: &'r [Value], path: &Path) -> Vec<&'r Value> {
    rows.iter().filter(|row| row["path"] == path.to_str().unwrap()).collect()
}

fn figure(row: &Value, key: &str) -> u64 {
    row[key].as_u64().unwrap_or_else(|| panic!("{key} of {row}"))
}

/// Whether system calls can be followed here; if not, prints which part of a test is skipped.
fn follows_calls(rows: &[Value]) -> bool {
    let follows = rows.iter().any(|row| row["call"].is_string());
    if !follows {
        eprintln!("SKIPPED: no system calls are seen here (seccomp user notification)");
    }
    follows
}

/// The rows of a script in Python, if system calls can be followed here.
fn calls_of_python(options: &[&str], script: &str, words: &[&str]) -> Option<Vec<Value>> {
    Some(python(options, script, words)).filter(|rows| follows_calls(rows))
}

/// Repeats a test that depends on when rmap comes to look, which it does late while other tests keep the processors
/// busy. Such tests run one after the other.
fn in_peace(test: impl Fn() + std::panic::RefUnwindSafe) {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for _ in 0..4 {
        if std::panic::catch_unwind(&test).is_ok() {
            return;
        }
        eprintln!("the machine may have been busy; again");
    }
    test();
}

/// The same for a test that runs Python, which is skipped if that is not installed.
fn in_peace_with_python(test: impl Fn() + std::panic::RefUnwindSafe) {
    if has("python3", "python3") {
        in_peace(test);
    }
}

/// Maps a file, waits, fills it, waits, and unmaps it.
const FILLING: &str = "
import mmap, os, sys, time
size = int(sys.argv[2])
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.ftruncate(file, size)
memory = mmap.mmap(file, size)
time.sleep(0.5)
memory[:] = bytes(size)
time.sleep(0.5)
memory.close()
time.sleep(0.5)
";

/// Traces a script that does so with a file of this size and waits so many seconds; returns the rows of the file.
fn filling(options: &[&str], size: u64, pause: &str) -> Vec<Value> {
    let folder = disk();
    let path = folder.path().join("mapped");
    let script = FILLING.replace("sleep(0.5)", &format!("sleep({pause})"));
    let rows = python(options, &script, &[path.to_str().unwrap(), &size.to_string()]);
    of(&rows, &path).into_iter().cloned().collect()
}

#[test]
fn a_file_is_followed_from_map_to_unmap() {
    in_peace_with_python(|| {
        let size = 16 * MIB;
        let rows = filling(&["--every", "20"], size, "0.5");
        let (first, last) = (&rows[0], &rows[rows.len() - 1]);
        assert_eq!((&first["event"], figure(first, "size"), figure(first, "rss")), (&"appeared".into(), size, 0));
        assert_eq!((figure(first, "size_before"), figure(first, "rss_before")), (0, 0));
        assert!(rows[1..rows.len() - 1].iter().all(|row| row["event"] == "grew" && row["call"].is_null()), "{rows:#?}");
        let full = &rows[rows.len() - 2];
        assert_eq!((figure(full, "size"), figure(full, "rss"), figure(full, "anonymous")), (size, size, 0));
        assert_eq!(figure(full, "cached"), size);
        assert_eq!((&last["event"], figure(last, "size"), figure(last, "rss")), (&"went".into(), 0, 0));
        assert_eq!((figure(last, "size_before"), figure(last, "rss_before")), (size, size));
        // The page cache keeps what was unmapped.
        assert_eq!(figure(last, "cached"), size);
        let times: Vec<u64> = rows.iter().map(|row| figure(row, "time_ms")).collect();
        assert!(times.is_sorted() && times[times.len() - 1] >= times[0] + 100, "{times:?}");
        if follows_calls(&rows) {
            assert_eq!((&first["call"], figure(first, "asked")), (&"mmap".into(), size));
            assert_eq!((&last["call"], figure(last, "asked")), (&"munmap".into(), size));
        }
    });
}

#[test]
fn without_system_calls_the_same_is_found_by_looking() {
    in_peace_with_python(|| {
        let size = 16 * MIB;
        // A look that takes long is followed by a long rest.
        let rows = filling(&["--every", "10", "--no-syscalls"], size, "1");
        let events: Vec<&str> = rows.iter().map(|row| row["event"].as_str().unwrap()).collect();
        assert_eq!((events[0], events[events.len() - 1]), ("appeared", "went"), "{events:?}");
        assert_eq!(figure(&rows[rows.len() - 1], "rss_before"), size);
        for row in rows {
            assert!(row["call"].is_null());
            assert_eq!(row["absent"]["call"], "not applicable: system calls are not followed");
        }
    });
}

#[test]
fn an_option_that_does_not_exist_is_not_run_as_a_program() {
    for (typed, line) in [
        ("--min-chang", "rmap: --min-chang: unknown option; did you mean '--min-change'? See `rmap trace --help`\n"),
        ("--zzz", "rmap: --zzz: unknown option; see `rmap trace --help`\n"),
    ] {
        let run = run(command(["trace", typed, "1M", "true"]));
        assert_eq!(run.parts(), (2, String::new(), line.to_owned()));
    }
}

#[test]
fn what_is_cached_of_a_mapping_with_a_hole_is_that_of_its_parts() {
    in_peace_with_python(|| {
        let folder = disk();
        let path = folder.path().join("mapped");
        let script: &str = &[
            LIBC,
            "file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.ftruncate(file, size)
place = libc.mmap(0, size, 3, 1, file, 0)
ctypes.memset(place, 1, size)
libc.mlock(word(place), word(size))
time.sleep(0.2)
libc.munmap(place + size // 4, size // 4)
time.sleep(0.2)
",
        ]
        .concat();
        let rows = python(&["--every", "20"], script, &[path.to_str().unwrap()]);
        let rows = of(&rows, &path);
        let shrank = rows.iter().find(|row| row["event"] == "shrank").unwrap();
        let left = 24 * MIB;
        assert_eq!((figure(shrank, "size"), figure(shrank, "rss")), (left, left), "{shrank}");
        assert_eq!(figure(shrank, "cached"), left, "{shrank}");
    });
}

#[test]
fn a_mapping_in_small_pieces_goes_as_one() {
    in_peace_with_python(|| {
        let script: &str = &[
            LIBC,
            "place = libc.mmap(0, size, 3, private, -1, 0)
time.sleep(0.1)
for piece in range(place, place + size, 1 << 20):
    if libc.mprotect(word(piece), word(512 << 10), 1):
        sys.exit(1)
time.sleep(0.1)
libc.munmap(place, size)
time.sleep(0.1)
",
        ]
        .concat();
        let rows = python(&["--every", "10", "--min-change", "1M"], script, &[]);
        let of_size = |row: &&Value| row["size"] == 32 * MIB || row["size_before"] == 32 * MIB;
        let events: Vec<&str> = rows.iter().filter(of_size).map(|row| row["event"].as_str().unwrap()).collect();
        assert_eq!(events, ["appeared", "went"], "{rows:#?}");
    });
}

#[test]
fn the_heap_grows_and_shrinks_with_brk() {
    // It may grow before it has been seen.
    for first in ["time.sleep(0.2)", ""] {
        in_peace_with_python(|| heap_grows_and_shrinks(first));
    }
}

fn heap_grows_and_shrinks(first: &str) {
    let then = "
old = libc.sbrk(8 << 20)
time.sleep(0.05)
ctypes.memset(old, 1, 8 << 20)
time.sleep(0.1)
libc.sbrk(-(8 << 20))
time.sleep(0.05)
";
    let rows = python(&["--every", "10"], &[LIBC, first, then].concat(), &[]);
    let heap: Vec<&Value> = rows.iter().filter(|row| row["kind"] == "heap").collect();
    let is_longer = |row: &&&Value| figure(row, "size") >= figure(row, "size_before") + 8 * MIB;
    let grew = heap.iter().find(is_longer).unwrap_or_else(|| panic!("{rows:#?}"));
    let is_new = first.is_empty() && grew["event"] == "appeared";
    assert!(grew["event"] == "grew" || is_new && figure(grew, "size_before") == 0, "{grew}");
    let shrank = heap.iter().find(|row| row["event"] == "shrank").unwrap();
    assert_eq!(figure(shrank, "size_before") - figure(shrank, "size"), 8 * MIB);
    assert!(figure(shrank, "rss_before") >= 8 * MIB && shrank["cached"].is_null(), "{shrank}");
    if follows_calls(&rows) {
        assert_eq!((&grew["call"], &shrank["call"]), (&"brk".into(), &"brk".into()));
    }
}

/// How each mapping of a command went: the call and the row.
fn gone(options: &[&str], program: &[&str]) -> Vec<(String, Value)> {
    let traced = trace(options, program);
    assert_eq!(traced.run.status, Some(0), "{:?}", traced.run);
    if !follows_calls(&traced.rows) {
        return Vec::new();
    }
    let rows = traced.rows.into_iter().filter(|row| row["event"] == "went");
    rows.map(|row| (row["call"].as_str().unwrap_or_default().to_owned(), row)).collect()
}

#[test]
fn how_many_calls_a_signal_interrupted_is_told() {
    if !has("python3", "python3") {
        return;
    }
    // A signal every 200 microseconds, whose handler restarts nothing.
    let script: &str = &[
        LIBC,
        "signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
interrupted = 0
for turn in range(2000):
    place = libc.mmap(0, 8 << 20, 3, 0x22, -1, 0)
    interrupted += place == failed
    while place != failed and libc.munmap(place, 8 << 20):
        interrupted += 1
signal.setitimer(signal.ITIMER_REAL, 0)
print(interrupted)
",
    ]
    .concat();
    for options in [&[][..], &["--no-syscalls"]] {
        let words = [&["trace", "--output", "/dev/null"], options, &["python3", "-c", script]].concat();
        let run = run(command(words));
        let interrupted: u64 = run.text().trim().parse().unwrap();
        let lines: Vec<&str> = run.err.lines().filter(|line| line.contains("interrupted by a signal")).collect();
        // Of the threads that were killed it cannot be known.
        let most = lines.first().map_or(0, |line| {
            let count = line.strip_prefix("rmap: trace: up to ").and_then(|rest| rest.split(' ').next());
            count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{line}"))
        });
        assert!(most >= interrupted && lines.len() <= 1, "{interrupted}: {run:?}");
        assert!(lines.is_empty() || most > 0, "{run:?}");
        if !options.is_empty() {
            assert_eq!((interrupted, most), (0, 0), "{run:?}");
        }
        for line in lines {
            let (calls, them) = if most == 1 { ("call was", "it") } else { ("calls were", "them") };
            let rest = format!(
                "{most} system {calls} interrupted by a signal before rmap had received {them}, and may have failed \
                 with EINTR; --no-syscalls helps"
            );
            assert_eq!(line, format!("rmap: trace: up to {rest}"));
        }
    }
}

#[test]
fn where_no_thread_can_receive_calls_the_error_says_so() {
    let run = run({
        let mut command = command(["trace", "true"]);
        // More than there are addresses.
        command.env("RUST_MIN_STACK", (1_u64 << 60).to_string());
        command
    });
    if run.err.contains("rmap: system calls: unsupported: ") {
        return eprintln!("SKIPPED: no system calls are seen here (seccomp user notification)");
    }
    assert_eq!((run.status, run.complaints().len()), (Some(126), 1), "{run:?}");
    assert!(run.err.starts_with("rmap: system calls: ") && run.err.contains("; --no-syscalls needs no "), "{run:?}");
}

#[test]
fn where_no_descriptor_is_left_for_calls_the_error_says_so_and_the_program_is_not_run() {
    let folder = disk();
    let made = folder.path().join("made");
    let words = [made.as_os_str()];
    let mut seen = Vec::new();
    for most in 4..12 {
        let run = common::shell(&format!("ulimit -n {most}; exec rmap trace touch \"$1\""), &words);
        let ran = made.exists();
        let _ = std::fs::remove_file(&made);
        assert!(!run.err.contains("unsupported: this kernel"), "{most}: {run:?}");
        let is_before_it_runs = run.err.contains("; --no-syscalls needs nothing to receive them");
        assert!(!is_before_it_runs || !ran && run.status == Some(126), "{most}: {run:?}");
        seen.push(run.err);
    }
    if !seen.iter().any(|err| err.starts_with("rmap: system calls: too many open files in this process; --no-sys")) {
        assert!(!follows_calls(&trace(&[], &["true"]).rows), "{seen:?}");
    }
}

#[test]
fn a_script_without_its_interpreter_is_not_a_missing_program() {
    let folder = disk();
    let script = folder.path().join("without-interpreter");
    std::fs::write(&script, "#!/no/such/interpreter -x\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let search = format!("{}:/usr/bin:/bin", folder.path().display());
    for name in [script.to_str().unwrap(), "without-interpreter"] {
        let mut command = command(["trace", name]);
        command.env("PATH", &search);
        let run = run(command);
        let line = format!("rmap: {name}: its interpreter /no/such/interpreter is missing\n");
        assert_eq!((run.status, run.err), (Some(126), line));
    }
}

#[test]
fn what_is_left_at_the_end_went_with_exit_group() {
    in_peace(|| {
        let awk = ["awk", "BEGIN { for (i = 0; i < 200000; i++) a[i] = i }"];
        for (call, row) in gone(&[], &awk).iter().filter(|(_, row)| row["kind"] == "heap") {
            assert_eq!(call, "exit_group", "{row}");
        }
        // The dynamic linker protects what it has relocated, which removes nothing.
        for (call, row) in gone(&["--min-change", "1K"], &["true"]) {
            assert!(["munmap", "exit_group"].contains(&call.as_str()), "{row}");
        }
    });
}

#[test]
fn memory_that_the_kernel_joins_with_its_neighbour_has_its_call() {
    in_peace_with_python(|| {
        // Lengths that are no multiple of a huge page, so that one lies directly below the other.
        let script = "
import mmap, time
page, parts = mmap.PAGESIZE, []
for turn in range(2):
    for size in (3 << 19, (50 << 20) + page):
        parts.append(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    time.sleep(0.3)
";
        let Some(rows) = calls_of_python(&["--min-change", "40M"], script, &[]) else { return };
        let is_longer = |row: &&Value| figure(row, "size") > figure(row, "size_before");
        assert!(rows.iter().all(|row| row["event"] != "unseen"), "{rows:#?}");
        let longer: Vec<&Value> = rows.iter().filter(is_longer).collect();
        assert_eq!(longer.len(), 2, "{rows:#?}");
        for row in longer {
            assert_eq!((&row["call"], figure(row, "asked")), (&"mmap".into(), 50 * MIB + page()), "{row}");
            assert!(figure(row, "size") - figure(row, "size_before") > 50 * MIB + page(), "{row}");
        }
    });
}

#[test]
fn what_the_program_drops_after_munmap_was_cached_before() {
    in_peace_with_python(|| {
        let folder = disk();
        let path = folder.path().join("mapped");
        let drop = "\nos.fsync(file)\nmemory.flush()\nmemory.close()\n\
                    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)\n";
        let script = FILLING.replace("\nmemory.close()\n", drop);
        let Some(rows) =
            calls_of_python(&["--every", "20"], &script, &[path.to_str().unwrap(), &(16 * MIB).to_string()])
        else {
            return;
        };
        let rows = of(&rows, &path);
        let last = rows[rows.len() - 1];
        assert_eq!((&last["event"], figure(last, "rss_before")), (&"went".into(), 16 * MIB), "{last}");
        assert_eq!(figure(last, "cached"), 16 * MIB, "{last}");
    });
}

#[test]
fn a_program_that_may_not_be_inspected_is_denied() {
    let Some(everyone) = common::ForEveryone::copy() else { return };
    let folder = disk();
    std::os::unix::fs::chown(folder.path(), Some(common::NOBODY), None).unwrap();
    let (secret, rows) = (folder.path().join("secret"), folder.path().join("rows"));
    std::fs::copy(subject_program(), &secret).unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o111)).unwrap();
    let words = ["trace", "--jsonl", "--output", rows.to_str().unwrap(), secret.to_str().unwrap(), "anonymous:4096:1"];
    let run = everyone.rmap(words);
    // The user who started it owns it already.
    let why = "permission denied; the file of the program may not be read, or it has made itself not dumpable, or runs \
               as another user; run as root\n";
    assert!(run.err.contains(why), "{run:?}");
    let rows = rows_in(&rows);
    if !follows_calls(&rows) {
        return;
    }
    let unseen: Vec<&Value> = rows.iter().filter(|row| row["event"] == "unseen").collect();
    assert!(!unseen.is_empty(), "{rows:?}");
    for row in unseen {
        for key in ["address", "path", "size", "rss_before", "cached"] {
            let why = row["absent"][key].as_str().unwrap();
            assert_eq!(why, "denied: the mappings of this program may not be read", "{key} of {row}");
        }
    }
}

#[test]
fn how_many_mappings_are_left_out_is_a_lower_bound() {
    let run = run(command(["trace", "true"]));
    assert!(run.err.contains("rmap: trace: at least ") && run.err.contains(" left out (--min-change)"), "{run:?}");
}

#[test]
fn the_rows_are_in_the_order_of_their_times() {
    in_peace_with_python(|| {
        let script = "
import mmap, time
try:
    mmap.mmap(-1, 1 << 50)
except OSError:
    pass
memory = mmap.mmap(-1, 16 << 20)
time.sleep(0.04)
memory[:] = bytes(16 << 20)
time.sleep(0.3)
";
        let rows = python(&["--every", "10"], script, &[]);
        if follows_calls(&rows) {
            let failed = rows.iter().find(|row| row["asked"] == 1u64 << 50).unwrap();
            assert_eq!((&failed["event"], &failed["call"]), (&"unseen".into(), &"mmap".into()));
            assert!(failed["amount"].is_null(), "it leads no ranking: {failed}");
        }
        let times: Vec<u64> = rows.iter().map(|row| figure(row, "time_ms")).collect();
        assert!(times.is_sorted(), "{rows:#?}");
    });
}

#[test]
fn memory_at_the_same_address_is_a_new_mapping() {
    in_peace_with_python(|| {
        let script = "
import mmap
for turn in range(3):
    memory = mmap.mmap(-1, 32 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for page in range(0, 32 << 20, mmap.PAGESIZE):
        memory[page] = 1
    memory.close()
";
        let Some(rows) = calls_of_python(&["--min-change", "16M"], script, &[]) else { return };
        let maps = |event: &str, call: &str| {
            let is_it = |row: &&Value| row["event"] == event && row["call"] == call && figure(row, "asked") == 32 * MIB;
            rows.iter().filter(is_it).count()
        };
        // On a busy machine looking may take too long to see every mapping, and to hold every call.
        let (appeared, went) = (maps("appeared", "mmap"), maps("went", "munmap"));
        assert!((1..=3).contains(&appeared) && (1..=3).contains(&went), "{rows:#?}");
        let last = |row: &&Value| row["event"] == "went" && row["call"] == "munmap";
        assert!(rows.iter().filter(last).any(|row| figure(row, "rss_before") == 32 * MIB), "{rows:#?}");
        assert!(rows.iter().filter(last).all(|row| figure(row, "before_ms") <= figure(row, "time_ms")), "{rows:#?}");
    });
}

/// The rows with an event, and a figure of each in MiB.
fn each(rows: &[Value], event: &str, key: &str) -> Vec<u64> {
    rows.iter().filter(|row| row["event"] == event).map(|row| figure(row, key) / MIB).collect()
}

#[test]
fn every_munmap_has_a_row_though_the_next_mapping_takes_its_place() {
    if page() != 4096 {
        return eprintln!("SKIPPED: huge pages are too large here for the figures to tell the mappings apart");
    }
    in_peace_with_python(|| {
        let script = "
import mmap
for turn in range(1, 5):
    memory = mmap.mmap(-1, 16 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for page in range(0, turn << 22, mmap.PAGESIZE):
        memory[page] = 1
    memory.close()
";
        let Some(rows) = calls_of_python(&[], script, &[]) else { return };
        let rows: Vec<Value> = rows.into_iter().filter(|row| row["asked"] == 16 * MIB).collect();
        let gone = each(&rows, "went", "rss_before");
        // A huge page may be filled where its first page is.
        let is_it = gone.iter().zip([4, 8, 12, 16]).all(|(seen, filled)| (filled..filled + 2).contains(seen));
        assert!(gone.len() == 4 && is_it, "{rows:#?}");
        assert!(rows.iter().all(|row| row["event"] != "unseen"), "{rows:#?}");
        for row in rows.iter().filter(|row| row["event"] == "went") {
            assert!(figure(row, "before_ms") <= figure(row, "time_ms") && row["call"] == "munmap", "{row}");
        }
    });
}

#[test]
fn what_was_replaced_is_not_seen_later_than_it_was_there() {
    in_peace_with_python(|| {
        // Memory, filled, and then replaced by other memory at the same address that is not used.
        let script: &str = &[
            LIBC,
            "for turn in range(3):
    place = libc.mmap(0, size, 3, private, -1, 0)
    ctypes.memset(place, 1, size)
    time.sleep(0.1)
    assert libc.mmap(place, size, 3, private | fixed, -1, 0) == place
    libc.munmap(place, size)
",
        ]
        .concat();
        let Some(rows) = calls_of_python(&[], script, &[]) else { return };
        let rows: Vec<Value> = rows.into_iter().filter(|row| row["asked"] == 32 * MIB).collect();
        let gone: Vec<&Value> = rows.iter().filter(|row| row["event"] == "went").collect();
        assert!(gone.iter().any(|row| row["call"] == "mmap") && gone.iter().any(|row| row["call"] == "munmap"));
        for row in gone {
            assert!(figure(row, "before_ms") <= figure(row, "time_ms"), "{row}");
            let rss = if row["call"] == "mmap" { 32 * MIB } else { 0 };
            assert_eq!(figure(row, "rss_before"), rss, "{rows:#?}");
        }
    });
}

#[test]
fn what_was_replaced_is_gone_though_a_part_of_the_new_has_access_again() {
    in_peace_with_python(|| {
        let script: &str = &[
            LIBC,
            "place = libc.mmap(0, size, 3, private, -1, 0)
ctypes.memset(place, 1, size)
time.sleep(0.3)
assert libc.mmap(place, size, 0, private | fixed, -1, 0) == place
assert libc.mprotect(word(place + (8 << 20)), word(1 << 20), 3) == 0
time.sleep(0.3)
",
        ]
        .concat();
        let Some(rows) = calls_of_python(&["--min-change", "4M"], script, &[]) else { return };
        let is_less = |row: &&Value| row["size_before"] == 32 * MIB && row["event"] != "grew";
        let gone: Vec<&Value> = rows.iter().filter(is_less).collect();
        assert_eq!(gone.len(), 1, "{rows:#?}");
        assert_eq!(
            (&gone[0]["event"], &gone[0]["call"], figure(gone[0], "asked")),
            (&"went".into(), &"mmap".into(), 32 * MIB)
        );
        assert_eq!(figure(gone[0], "rss_before"), 32 * MIB, "{}", gone[0]);
    });
}

/// Event and call, and Size and Rss in MiB, if they are known.
type Told = (String, String, Option<u64>, Option<u64>);

/// What is told of a script that maps and fills 32 MiB at `place` and then does this.
fn done_to_full_memory(script: &str) -> Option<Vec<Told>> {
    let begin = "
libc.madvise.argtypes = [word, word, number]
place = libc.mmap(0, size, 3, private, -1, 0)
ctypes.memset(place, 1, size)
time.sleep(0.4)
";
    let rows = calls_of_python(&[], &format!("{LIBC}{begin}{script}\ntime.sleep(0.4)"), &[])?;
    let mib = |row: &Value, key: &str| row[key].as_u64().map(|bytes| bytes / MIB);
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let row = |row: &Value| (text(row, "event"), text(row, "call"), mib(row, "size"), mib(row, "rss"));
    // Until then it was filled.
    let is_full = |row: &Value| row["rss"] == 32 * MIB;
    let first = rows.iter().position(is_full).unwrap_or_else(|| panic!("{rows:#?}"));
    let large = rows[first + 1..].iter().filter(|row| row["call"] != "exit_group" && figure_of_any(row) >= 8 * MIB);
    Some(large.map(row).collect())
}

/// The largest size that a row names.
fn figure_of_any(row: &Value) -> u64 {
    ["size", "size_before", "asked"].iter().filter_map(|key| row[key].as_u64()).max().unwrap_or_default()
}

#[test]
fn two_calls_in_direct_succession_have_a_row_each() {
    in_peace_with_python(|| {
        let row = |event: &str, call: &str, size, rss| (event.to_owned(), call.to_owned(), Some(size), Some(rss));
        let of = |script: &str| done_to_full_memory(script);
        let moved = "place = libc.mremap(place, size, 48 << 20, 1, 0); libc.madvise(place, 16 << 20, 4)";
        let Some(rows) = of(moved) else { return };
        // What is seen of madvise may be seen in two steps.
        assert_eq!(
            (rows.first(), rows.last()),
            (Some(&row("grew", "mremap", 48, 32)), Some(&row("shrank", "madvise", 48, 16)))
        );
        assert!(rows[1..].iter().all(|row| row.1 == "madvise"), "{rows:?}");
        let joined = "libc.madvise(place, 8 << 20, 4); libc.mmap(0, size, 3, private, -1, 0)";
        let rows = of(joined).unwrap();
        assert!(rows.contains(&row("shrank", "madvise", 32, 24)) && rows.last().unwrap().1 == "mmap", "{rows:?}");
        // Whether it is seen or not, it is told.
        let again = of("libc.madvise(place, 16 << 20, 4); ctypes.memset(place, 1, 16 << 20)").unwrap();
        assert!(again.iter().any(|row| row.1 == "madvise"), "{again:?}");
        let kept = of("libc.mremap(place, size, size, 5, 0)").unwrap();
        assert!(kept.contains(&row("shrank", "mremap", 32, 0)), "{kept:?}");
        assert!(kept.contains(&row("appeared", "mremap", 32, 32)), "{kept:?}");
    });
}

#[test]
fn a_call_that_failed_has_changed_nothing() {
    in_peace_with_python(|| {
        // Memory, filled; then a mapping in its place of a file that may not be written to, and a move onto itself.
        let script: &str = &[
            LIBC,
            "file = os.open(sys.argv[1], os.O_RDONLY)
place = libc.mmap(0, size, 3, private, -1, 0)
ctypes.memset(place, 1, size)
time.sleep(0.3)
assert libc.mmap(place, size, 3, 0x11, file, 0) == failed
time.sleep(0.3)
assert libc.mremap(place, size, size // 2, 3, place) == failed
time.sleep(0.3)
",
        ]
        .concat();
        let folder = disk();
        let path = folder.path().join("only-read");
        std::fs::write(&path, [0; 4096]).unwrap();
        let Some(rows) = calls_of_python(&["--min-change", "8M"], script, &[path.to_str().unwrap()]) else { return };
        let of = |event: &str| -> Vec<&Value> {
            rows.iter().filter(|row| row["event"] == event && row["asked"] == 32 * MIB).collect()
        };
        assert_eq!((of("appeared").len(), of("went").len()), (1, 0), "{rows:#?}");
        assert!(rows.iter().all(|row| row["call"] != "mremap"), "{rows:#?}");
    });
}

#[test]
fn a_mapping_in_the_place_of_another_that_fails_has_no_row() {
    in_peace(|| {
        let folder = disk();
        let source = "
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#define MIB (1 << 20)
#define FAILS(address, length, flags, fd) \\
    if (mmap(address, length, PROT_READ, flags | MAP_FIXED, fd, 0) != MAP_FAILED) return 1; usleep(300000);
int main(void) {
    char *place = mmap(0, 16 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    usleep(300000);
    FAILS(place, 8 * MIB, MAP_PRIVATE, -1)
    FAILS(place, 7 * MIB, MAP_PRIVATE, 99)
    FAILS(place + 3 * MIB, 5 * MIB, MAP_ANONYMOUS, -1)
    FAILS(place + 1, 5 * MIB, MAP_PRIVATE | MAP_ANONYMOUS, -1)
    struct rlimit most = {400 * MIB, 400 * MIB};
    setrlimit(RLIMIT_AS, &most);
    FAILS(place, 600 * MIB, MAP_PRIVATE | MAP_ANONYMOUS, -1)
    return 0;
}
";
        let Some(program) = compiled(folder.path(), source) else { return };
        let traced = trace(&[], &[&program]);
        assert_eq!(traced.run.status, Some(0));
        if !follows_calls(&traced.rows) {
            return;
        }
        let rows: Vec<(&Value, &Value)> = traced.rows.iter().map(|row| (&row["event"], &row["call"])).collect();
        let expected = [("appeared", "mmap"), ("went", "exit_group")].map(|(event, call)| (event.into(), call.into()));
        assert_eq!(rows, expected.each_ref().map(|(event, call)| (event, call)), "{:#?}", traced.rows);
    });
}

#[test]
fn what_is_replaced_and_filled_by_one_call_goes_once() {
    in_peace_with_python(|| {
        let script: &str = &[
            LIBC,
            "populate = 0x8000
place = libc.mmap(0, size, 3, private, -1, 0)
time.sleep(0.3)
assert libc.mmap(place, size, 3, private | fixed | populate, -1, 0) == place
time.sleep(0.5)
",
        ]
        .concat();
        let Some(rows) = calls_of_python(&["--min-change", "16M", "--every", "50"], script, &[]) else { return };
        let calls = |event: &str| -> Vec<&Value> {
            rows.iter().filter(|row| row["event"] == event).map(|row| &row["call"]).collect()
        };
        assert_eq!(calls("appeared"), ["mmap", "mmap"], "{rows:#?}");
        assert_eq!(calls("went"), ["mmap", "exit_group"], "{rows:#?}");
    });
}

#[test]
fn a_file_that_is_renamed_or_removed_stays_measured() {
    in_peace_with_python(|| {
        for act in ["os.unlink(sys.argv[1])", "os.rename(sys.argv[1], sys.argv[1] + '-'); open(sys.argv[1], 'w')"] {
            let folder = disk();
            let path = folder.path().join("mapped");
            let script = FILLING.replace("memory.close()", &format!("{act}\ntime.sleep(0.3)\nmemory.close()"));
            let size = 8 * MIB;
            let rows = python(&["--every", "20"], &script, &[path.to_str().unwrap(), &size.to_string()]);
            let name = path.to_str().unwrap();
            let is_it =
                |row: &&Value| row["event"] == "went" && row["path"].as_str().is_some_and(|path| path.contains(name));
            let gone: Vec<&Value> = rows.iter().filter(is_it).collect();
            assert_eq!(gone.len(), 1, "{rows:#?}");
            assert_eq!((figure(gone[0], "rss_before"), figure(gone[0], "cached")), (size, size), "{act}: {}", gone[0]);
        }
    });
}

#[test]
fn a_heap_is_seen_just_before_it_shrinks() {
    in_peace_with_python(|| {
        let script: &str = &[
            LIBC,
            "for turn in range(3):
    old = libc.sbrk(16 << 20)
    ctypes.memset(old, 1, 16 << 20)
    libc.sbrk(-(16 << 20))
",
        ]
        .concat();
        let Some(rows) = calls_of_python(&[], script, &[]) else { return };
        let heap: Vec<&Value> = rows.iter().filter(|row| row["kind"] == "heap" && row["call"] == "brk").collect();
        let shrank: Vec<&&Value> = heap.iter().filter(|row| row["event"] == "shrank").collect();
        assert_eq!(shrank.len(), 3, "{rows:#?}");
        for row in shrank {
            assert!(figure(row, "rss_before") >= 16 * MIB, "{row}");
            assert_eq!(figure(row, "size_before") - figure(row, "size"), 16 * MIB, "{row}");
        }
    });
}

#[test]
fn without_a_change_there_is_no_row() {
    let rows = trace(&["--min-change", "0"], &["true"]).rows;
    let same = |row: &&Value| row["size_before"] == row["size"] && row["rss_before"] == row["rss"];
    let events = ["grew", "shrank"];
    let rows = rows.iter().filter(|row| events.contains(&row["event"].as_str().unwrap_or_default()));
    assert_eq!(rows.filter(same).collect::<Vec<_>>(), Vec::<&Value>::new());
}

#[test]
fn the_rows_fit_the_terminal_that_they_go_to() {
    if !has("script", "bsdutils") || !has("python3", "python3") {
        return;
    }
    let folder = disk();
    std::fs::write(folder.path().join("fill.py"), FILLING).unwrap();
    for columns in [60, 80, 120] {
        let rmap = common::program().display().to_string();
        let line = format!("stty cols {columns} rows 30; exec {rmap} trace python3 fill.py mapped 16777216");
        let mut script = Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).current_dir(folder.path()).env("SHELL", "/bin/sh");
        script.env("TERM", "xterm").env("NO_COLOR", "1").env("LC_ALL", "C.UTF-8");
        let text = run(script).text();
        let rows: Vec<&str> = text.lines().filter(|line| !line.starts_with("rmap: ")).collect();
        assert!(rows.len() > 2 && rows.iter().all(|row| row.chars().count() <= columns), "{columns}: {text}");
    }
}

#[test]
fn another_program_at_the_same_addresses_is_another_program() {
    in_peace(|| {
        if !has("setarch", "util-linux") {
            return;
        }
        if !Command::new("setarch").args(["-R", "true"]).status().unwrap().success() {
            return eprintln!("SKIPPED: the addresses of programs cannot be the same here (setarch -R)");
        }
        for options in [&[][..], &["--no-syscalls"]] {
            let folder = disk();
            let rows = folder.path().join("rows");
            let mut command = Command::new("setarch");
            command.arg("-R").arg(common::program()).args(["trace", "--jsonl", "--min-change", "64K", "--every", "10"]);
            command.args(options).arg("--output").arg(&rows);
            let run = run({
                command.args(["sh", "-c", "sleep 0.2; exec sh -c 'sleep 0.2; true'"]);
                command
            });
            assert_eq!(run.parts(), (0, String::new(), String::new()));
            let rows = rows_in(&rows);
            let stacks = |event: &str| -> Vec<&Value> {
                let is_it = |row: &&Value| row["event"] == event && row["path"] == "[stack]";
                rows.iter().filter(is_it).map(|row| &row["call"]).collect()
            };
            let (appeared, went) = (stacks("appeared"), stacks("went"));
            assert_eq!((appeared.len(), went.len()), (2, 2), "{options:?}: {rows:#?}");
            if options.is_empty() && follows_calls(&rows) {
                assert_eq!(
                    (&appeared[..], &went[..]),
                    (&[&"execve".into(); 2][..], &[&"execve".into(), &"exit_group".into()][..])
                );
            }
        }
    });
}

#[test]
fn the_calls_of_a_new_program_are_not_those_of_the_old_one() {
    in_peace(|| {
        let traced = trace(&["--min-change", "64K"], &["sh", "-c", "sleep 0.1; exec sleep 0.1"]);
        if !follows_calls(&traced.rows) {
            return;
        }
        let of = |event: &str, name: &str| -> Vec<Value> {
            let is_it = |row: &&Value| row["event"] == event && row["path"] == name;
            traced.rows.iter().filter(is_it).map(|row| row["call"].clone()).collect()
        };
        assert_eq!(of("appeared", "[stack]"), ["execve", "execve"]);
        assert_eq!(of("went", "[stack]"), ["execve", "exit_group"]);
        let library = |row: &&Value| row["path"].as_str().is_some_and(|path| path.contains("libc.so"));
        for row in traced.rows.iter().filter(library).filter(|row| row["event"] == "appeared") {
            assert!(row["call"].is_null() || row["call"] == "mmap", "the dynamic linker maps it: {row}");
        }
    });
}

/// Compiles a program in C; `None`, with a line that says so, where there is no compiler.
fn compiled(folder: &Path, source: &str) -> Option<String> {
    if !has("gcc", "gcc") {
        return None;
    }
    let (text, program) = (folder.join("program.c"), folder.join("program"));
    std::fs::write(&text, source).unwrap();
    assert!(Command::new("gcc").arg("-o").args([&program, &text]).arg("-pthread").status().unwrap().success());
    Some(program.to_str().unwrap().to_owned())
}

#[test]
fn the_zeroed_data_of_a_program_appears_with_execve() {
    in_peace(|| {
        let folder = disk();
        let source = "static char large[64 << 20]; int main(void) { return large[5 << 20]; }\n";
        let Some(program) = compiled(folder.path(), source) else { return };
        let rows = trace(&["--min-change", "32M"], &[&program]).rows;
        if !follows_calls(&rows) {
            return;
        }
        let [appeared, went] = &rows[..] else { panic!("{rows:#?}") };
        assert_eq!((&appeared["event"], &appeared["call"]), (&"appeared".into(), &"execve".into()), "{rows:#?}");
        assert_eq!((&went["event"], &went["call"]), (&"went".into(), &"exit_group".into()), "{rows:#?}");
    });
}

#[test]
fn the_exit_status_is_that_of_the_program() {
    for options in [&[][..], &["--no-syscalls"]] {
        assert_eq!(trace(options, &["sh", "-c", "exit 7"]).run.parts(), (7, String::new(), String::new()));
        assert_eq!(trace(options, &["true"]).run.status, Some(0));
        assert_eq!(trace(options, &["sh", "-c", "kill -TERM $$"]).run.status, Some(128 + 15));
        assert_eq!(trace(options, &["sh", "-c", "kill -KILL $$"]).run.status, Some(128 + 9));
        let missing = trace(options, &["no-such-program"]).run;
        assert_eq!(missing.parts(), (127, String::new(), "rmap: no-such-program: no such file\n".to_owned()));
        let denied = trace(options, &["/etc/passwd"]).run;
        assert_eq!(denied.parts(), (126, String::new(), "rmap: /etc/passwd: permission denied\n".to_owned()));
    }
}

#[test]
fn the_program_has_standard_input_and_output_for_itself() {
    let script = "printf 'one\\0two'; cat; echo three >&2";
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(format!("echo input | '{}' trace --min-change 1G sh -c \"$1\"", common::program().display()));
    shell.arg("bash").arg(script);
    let run = run(shell);
    assert_eq!(run.out, b"one\0twoinput\n");
    assert!(run.err.contains("three\n") && run.err.contains("Time ms"), "{}", run.err);
    // Options of the program are its own.
    let run = common::rmap(["trace", "--min-change", "1G", "sh", "-c", "echo $0 $1", "--json", "-h"]);
    assert_eq!((run.status, run.text()), (Some(0), "--json -h\n".to_owned()));
}

#[test]
fn what_the_program_starts_runs_on_after_it() {
    let folder = disk();
    let file = folder.path().join("late");
    let script = format!(
        "(sleep 0.3; python3 -c 'import mmap; mmap.mmap(-1, 32 << 20)' && echo done > {}) > /dev/null 2>&1 &",
        file.display()
    );
    if !has("python3", "python3") {
        return;
    }
    assert_eq!(trace(&[], &["sh", "-c", &script]).run.status, Some(0));
    assert!(!file.exists(), "the trace ends with the program");
    wait_until("the child has mapped its memory", || file.exists());
}

/// A trace that runs on, and the pid of its program.
fn started(options: &[&str]) -> (common::Subject, Pid) {
    let mut command = command([&["trace", "--output", "/dev/null"], options, &["sleep", "1000"]].concat());
    let child = command.stdout(Stdio::null()).spawn().unwrap();
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let program = || {
        let text = std::fs::read_to_string(&children).unwrap_or_default();
        let pids = text.split_whitespace().map(|pid| pid.parse::<i32>().unwrap());
        pids.into_iter()
            .find(|pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n"))
    };
    wait_until("the program runs", || program().is_some());
    (common::Subject::of(child), Pid::from_raw(program().unwrap()))
}

#[test]
fn signals_are_passed_on_and_nothing_stays_behind() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let (mut traced, program) = started(&[]);
        traced.signal(signal);
        let status = traced.child().wait().unwrap();
        assert_eq!(status.code(), Some(128 + signal as i32));
        assert!(kill(program, None).is_err());
    }
    for options in [&[][..], &["--no-syscalls"]] {
        let (mut traced, program) = started(options);
        traced.signal(Signal::SIGKILL);
        traced.child().wait().unwrap();
        wait_until("the program is killed with rmap", || is_gone(program.as_raw().unsigned_abs()));
    }
}

/// Asks not to be killed with its parent, or becomes another user, which has the same effect; then maps memory again
/// and again.
const ALOOF: &str = "
import mmap, os, sys
if sys.argv[1] == 'user':
    os.setgid(65534)
    os.setuid(65534)
else:
    import ctypes
    ctypes.CDLL(None).prctl(1, 0)
open(sys.argv[2], 'w').write(str(os.getpid()))
while True:
    mmap.mmap(-1, 8 << 20).close()
";

#[test]
fn a_program_that_changed_its_user_is_killed_with_rmap_and_no_helper_stays() {
    let is_root = nix::unistd::geteuid().is_root();
    let ways = [("user", &[][..]), ("user", &["--no-syscalls"]), ("asked", &[]), ("asked", &["--no-syscalls"])];
    if !has("python3", "python3") {
        return;
    }
    for (way, options) in ways.into_iter().filter(|(way, _)| is_root || *way != "user") {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let (pid_file, rows) = (folder.path().join("pid"), folder.path().join("rows"));
        let mut words = vec!["trace", "--output", rows.to_str().unwrap()];
        words.extend(options);
        let program = command([&words[..], &["python3", "-c", ALOOF, way, pid_file.to_str().unwrap()]].concat());
        let mut traced = common::Subject::of({ program }.stdout(Stdio::null()).spawn().unwrap());
        let pid = || std::fs::read_to_string(&pid_file).ok()?.parse::<u32>().ok();
        wait_until("the program maps memory", || pid().is_some());
        // It is most probably in a call that is held.
        std::thread::sleep(std::time::Duration::from_millis(200));
        traced.signal(Signal::SIGKILL);
        traced.child().wait().unwrap();
        let program = pid().unwrap();
        wait_until("the program is killed", || is_gone(program));
        // A helper has the words of rmap.
        let is_of_test = |pid: u32| {
            let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            words.split(|byte| *byte == 0).any(|word| word == rows.as_os_str().as_encoded_bytes())
        };
        let pids =
            || std::fs::read_dir("/proc").unwrap().filter_map(|found| found.ok()?.file_name().to_str()?.parse().ok());
        wait_until("no helper stays", || !pids().any(is_of_test));
    }
}

/// Whether a process has ended, though it may not have been waited for.
fn is_gone(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn in_a_pid_namespace_below_the_outer_proc_the_program_is_found() {
    let probe = Command::new("unshare").args(["--pid", "--fork", "true"]).output();
    if !probe.is_ok_and(|probe| probe.status.success()) || !has("python3", "python3") {
        eprintln!("SKIPPED: no pid namespace can be made");
        return;
    }
    let folder = disk();
    let (path, rows) = (folder.path().join("mapped"), folder.path().join("rows"));
    let inside = |words: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork"]).arg(common::program()).args(words);
        run(command)
    };
    let output = ["trace", "--jsonl", "--output", rows.to_str().unwrap(), "python3", "-c", FILLING];
    let traced = inside(&[&output[..], &[path.to_str().unwrap(), "16777216"]].concat());
    assert_eq!(traced.parts(), (0, String::new(), String::new()));
    let rows = rows_in(&rows);
    let rows = of(&rows, &path);
    let last = rows[rows.len() - 1];
    assert_eq!((&last["event"], figure(last, "rss_before")), (&"went".into(), 16 * MIB));
    if follows_calls(&rows_in(&folder.path().join("rows"))) {
        assert_eq!(last["call"], "munmap", "its calls are its own: {last}");
    }
    let acts = inside(&["demo", "--kind", "anon", "--size", "2M", "--acts", "map,fill", "--jsonl"]);
    assert_eq!((acts.status, acts.err.as_str()), (Some(0), ""), "{acts:?}");
}

#[test]
fn where_proc_does_not_show_the_program_it_is_not_run() {
    let inner = "mount -t proc proc \"$1\" && touch \"$1.ready\" && sleep 1000";
    let script = format!(
        "unshare --pid --fork sh -c '{inner}' sh \"$1\" & while ! [ -e \"$1.ready\" ]; do sleep 0.1; done; \
         mount --bind \"$1\" /proc; shift; \"$@\""
    );
    let probe = Command::new("unshare").args(["--mount", "--pid", "--fork", "true"]).output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        eprintln!("SKIPPED: no namespaces can be made");
        return;
    }
    let folder = disk();
    let (proc, made) = (folder.path().join("proc"), folder.path().join("made"));
    std::fs::create_dir(&proc).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", &script, "sh"]).arg(&proc);
    command.arg(common::program()).args(["trace", "touch"]).arg(&made);
    let run = run(command);
    assert_eq!((run.status, run.complaints().len()), (Some(126), 1), "{run:?}");
    assert!(run.err.starts_with("rmap: /proc: it belongs to another pid namespace"), "{}", run.err);
    assert!(!made.exists());
}

/// Address space of which a part gets access, is filled, loses its access and gets it again, as in a garbage collector.
const RESERVED: &str = "
libc.mprotect.argtypes = [word, word, number]
address = libc.mmap(0, 1 << 30, 0, private | 0x4000, -1, 0)
libc.mprotect(address, 16 << 20, 3)
ctypes.memset(address, 1, 16 << 20)
for access in (0, 3):
    time.sleep(0.4)
    assert libc.mprotect(address, 16 << 20, access) == 0
time.sleep(0.4)
";

#[test]
fn memory_that_the_kernel_joins_with_address_space_without_access_has_its_call() {
    in_peace_with_python(|| {
        let Some(rows) = calls_of_python(&["--every", "20"], &[LIBC, RESERVED].concat(), &[]) else { return };
        let has_call = |row: &&Value| row["call"] == "mprotect";
        let sizes = |row: &Value| (figure(row, "size_before") / MIB, figure(row, "size") / MIB);
        let told: Vec<_> =
            rows.iter().filter(has_call).map(|row| (row["event"].as_str().unwrap(), sizes(row))).collect();
        assert_eq!(told, [("appeared", (0, 16)), ("grew", (16, 1024)), ("shrank", (1024, 16))], "{rows:#?}");
        let of_call = rows.iter().filter(has_call);
        assert!(of_call.skip(1).all(|row| figure(row, "rss") == 16 * MIB && figure(row, "asked") == 16 * MIB));
    });
}

/// Maps huge pages, fills them and unmaps them: as private memory, as shared memory, and as a file in memory.
const HUGE: &str = "
def filled(flags, file):
    address = libc.mmap(0, 16 << 20, 3, flags, file, 0)
    assert address != failed
    time.sleep(0.3)
    ctypes.memset(address, 1, 8 << 20)
    time.sleep(0.3)
    assert libc.munmap(address, 16 << 20) == 0
    time.sleep(0.2)
hugetlb = 0x40000
filled(0x22 | hugetlb, -1)
filled(0x21 | hugetlb, -1)
file = libc.memfd_create(b'huge', 4)
os.ftruncate(file, 16 << 20)
filled(0x1, file)
";

#[test]
fn huge_pages_have_their_call_and_rows_when_they_are_filled() {
    let reserved = "/proc/sys/vm/nr_hugepages";
    let before = std::fs::read_to_string(reserved).unwrap_or_default();
    if before.trim() != "0" || std::fs::write(reserved, "20").is_err() {
        return eprintln!("SKIPPED: no huge pages can be reserved here");
    }
    let is_reserved = std::fs::read_to_string(reserved).unwrap().trim() == "20";
    let is_of_2m = std::fs::read_to_string("/proc/meminfo").unwrap().contains("Hugepagesize:       2048 kB");
    let can = is_reserved && is_of_2m && has("python3", "python3");
    let script = [LIBC, HUGE].concat();
    let rows = can.then(|| trace(&["--every", "20"], &["python3", "-c", &script]));
    let shown = can.then(|| run(command(["trace", "--output", "/dev/stdout", "true"])));
    let typed = format!("stty cols 60 rows 24; exec '{}' trace true", common::program().display());
    let narrow = can.then(|| common::shell("script -qec \"$1\" /dev/null", &[std::ffi::OsStr::new(&typed)]));
    std::fs::write(reserved, "0").unwrap();
    let (Some(traced), Some(shown), Some(narrow)) = (rows, shown, narrow) else {
        return eprintln!("SKIPPED: no huge pages of 2 MiB can be reserved here");
    };
    assert_eq!(traced.run.parts(), (0, String::new(), String::new()));
    assert!(shown.text().contains("Hugetlb"), "{}", shown.text());
    let text = narrow.text();
    assert!(text.contains("Rss was") && text.lines().all(|line| line.trim_end().chars().count() <= 60), "{text}");
    let is_huge = |row: &&Value| row["path"].as_str().is_some_and(|path| path.contains("huge"));
    let rows: Vec<&Value> = traced.rows.iter().filter(is_huge).collect();
    let told = |row: &&Value| {
        let key = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        (key("event"), key("call"), figure(row, "hugetlb_before") / MIB, figure(row, "hugetlb") / MIB)
    };
    let told: Vec<_> = rows.iter().map(told).collect();
    let follows = follows_calls(&traced.rows);
    let row = |event: &str, call: &str, before, after| {
        (event.to_owned(), if follows { call.to_owned() } else { String::new() }, before, after)
    };
    let one = [row("appeared", "mmap", 0, 0), row("grew", "", 0, 8), row("went", "munmap", 8, 0)];
    assert_eq!(told, [one.clone(), one.clone(), one].concat(), "{rows:#?}");
    assert!(!traced.rows.iter().any(|row| row["event"] == "unseen"), "{:#?}", traced.rows);
    assert!(rows.iter().all(|row| figure(row, "rss") == 0));
}

#[test]
fn the_program_decides_what_a_signal_does() {
    for signal in ["INT", "QUIT", "TERM", "HUP", "USR1", "USR2", "ALRM", "WINCH", "CONT"] {
        let script = "trap 'exit 5' \"$0\"; kill -s \"$0\" $PPID; for turn in $(seq 200); do sleep 0.05; done";
        let run = trace(&[], &["sh", "-c", script, signal]).run;
        assert_eq!(run.parts(), (5, String::new(), String::new()), "{signal}");
    }
    // Without a handler they end it, and then rmap.
    for signal in ["USR1", "USR2", "ALRM"] {
        let run = trace(&[], &["sh", "-c", "kill -s \"$0\" $PPID; sleep 10", signal]).run;
        assert_eq!(run.status, Some(128 + signal_number(signal)));
    }
}

#[test]
fn a_signal_that_was_ignored_at_the_start_reaches_a_handler() {
    if !has("python3", "python3") {
        return;
    }
    // A shell starts what runs in the background with these two ignored, and a handler of a shell cannot change that.
    let handler = "
import os, signal, sys, time
number = int(sys.argv[1])
print(signal.getsignal(number) == signal.SIG_IGN, flush=True)
signal.signal(number, lambda *_: os._exit(5))
os.kill(os.getppid(), number)
time.sleep(10)
";
    for signal in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP] {
        let line = format!("trap '' {}; exec \"$@\"", signal as i32);
        let mut shell = Command::new("sh");
        shell.args(["-c", &line, "sh"]).arg(common::program()).args([
            "trace",
            "--output",
            "/dev/null",
            "python3",
            "-c",
        ]);
        shell.args([handler, &(signal as i32).to_string()]);
        let run = run(shell);
        assert_eq!((run.status, run.text()), (Some(5), "True\n".to_owned()), "{signal}: {run:?}");
    }
}

fn signal_number(name: &str) -> i32 {
    format!("SIG{name}").parse::<Signal>().unwrap() as i32
}

#[test]
fn where_system_calls_cannot_be_followed_a_line_says_so() {
    if !has("python3", "python3") {
        return;
    }
    let folder = disk();
    let (path, rows) = (folder.path().join("mapped"), folder.path().join("rows"));
    let script = FILLING.replace("sleep(0.5)", "sleep(1)");
    let words = ["--output", rows.to_str().unwrap(), "python3", "-c", &script, path.to_str().unwrap(), "16777216"];
    // A process can have only one listener.
    let program = common::program().to_str().unwrap();
    let run = trace(&[], &[&[program, "trace", "--jsonl", "--every", "10"], &words[..]].concat()).run;
    let line = "rmap: system calls: unsupported: ";
    assert_eq!((run.status, run.complaints().len()), (Some(0), 1), "{run:?}");
    assert!(run.err.starts_with(line), "{}", run.err);
    let rows = rows_in(&rows);
    let rows = of(&rows, &path);
    assert_eq!(figure(rows[rows.len() - 1], "rss_before"), 16 * MIB);
    assert!(rows[0]["absent"]["call"].as_str().unwrap().starts_with("unsupported: "));
}

#[test]
fn another_user_can_trace_too() {
    let Some(everyone) = common::ForEveryone::copy() else { return };
    if !has("python3", "python3") {
        return;
    }
    let folder = disk();
    std::os::unix::fs::chown(folder.path(), Some(common::NOBODY), None).unwrap();
    let (path, rows) = (folder.path().join("mapped"), folder.path().join("rows"));
    let words = ["trace", "--jsonl", "--output", rows.to_str().unwrap(), "python3", "-c", FILLING];
    let run = everyone.rmap([&words[..], &[path.to_str().unwrap(), "16777216"]].concat());
    assert_eq!(run.parts(), (0, String::new(), String::new()));
    let rows = rows_in(&rows);
    let rows = of(&rows, &path);
    let last = rows[rows.len() - 1];
    assert_eq!(
        (&last["event"], figure(last, "rss_before"), figure(last, "cached")),
        (&"went".into(), 16 * MIB, 16 * MIB)
    );
}

#[test]
fn another_program_in_the_same_process_is_followed() {
    if !has("python3", "python3") {
        return;
    }
    let folder = disk();
    let path = folder.path().join("mapped");
    let size = 8 * MIB;
    let traced = trace(
        &[],
        &["sh", "-c", "exec python3 -c \"$1\" \"$2\" \"$3\"", "sh", FILLING, path.to_str().unwrap(), &size.to_string()],
    );
    assert_eq!(traced.run.status, Some(0));
    let rows = traced.of(&path);
    assert_eq!((&rows[0]["event"], &rows[rows.len() - 1]["event"]), (&"appeared".into(), &"went".into()));
    assert_eq!(figure(rows[rows.len() - 1], "rss_before"), size);
}

#[test]
fn the_subject_program_has_the_figures_that_it_reports() {
    let folder = disk();
    let path = folder.path().join("shared");
    let pages = 8 * MIB / page();
    let act = format!("shared:{}:{pages}:{}", path.display(), pages / 2);
    let mut command = command(["trace", "--jsonl", "--every", "10", "--output"]);
    command.arg(folder.path().join("rows")).arg(subject_program()).arg(&act).stdin(Stdio::piped());
    command.stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    let rows = rows_in(&folder.path().join("rows"));
    let rows = of(&rows, &path);
    let last = rows[rows.len() - 1];
    assert_eq!((&last["event"], figure(last, "size_before")), (&"went".into(), 8 * MIB));
    assert_eq!((figure(last, "rss_before"), figure(last, "cached")), (4 * MIB, 8 * MIB));
}

#[test]
fn the_output_options_apply() {
    if !has("python3", "python3") {
        return;
    }
    let folder = disk();
    let path = folder.path().join("mapped");
    let words = ["python3", "-c", FILLING, path.to_str().unwrap(), "16777216"];
    let text = |options: &[&str]| {
        let run = run(command([&["trace", "-n"], options, &words].concat()));
        assert_eq!((run.status, run.out.len()), (Some(0), 0), "{run:?}");
        run.err
    };
    let filter = format!("path == '{}'", path.display());
    let events = text(&["--filter", &filter, "--filter", "event != grew", "-o", "event,size_before,size", "-b"]);
    let events: Vec<Vec<&str>> = events.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(events, [["appeared", "0", "16777216"], ["went", "16777216", "0"]]);
    let groups = text(&["--filter", &filter, "--by", "event", "-o", "changes,event", "--filter", "event == went"]);
    assert_eq!(groups.split_whitespace().collect::<Vec<_>>(), ["1", "went"]);
    let top = text(&["--top", "1", "--filter", &filter, "-o", "amount", "-b"]);
    assert_eq!(top.trim(), "16777216");
    let csv = text(&["--csv", "--filter", &filter, "--filter", "event == went", "-o", "event,rss_before"]);
    assert_eq!(csv, "went,16777216\r\n");
    for options in [&["-w", "1"][..], &["--total"], &["-o", "nope"], &["--every", "0"], &["--filter", "event == x"]] {
        let run = common::rmap([&["trace"], options, &["touch", path.to_str().unwrap()]].concat());
        assert_eq!((run.status, run.out.len(), run.complaints().len()), (Some(2), 0, 1), "{options:?}: {run:?}");
    }
    let unnamed = common::rmap(["trace", "--", ""]);
    assert_eq!(unnamed.parts(), (2, String::new(), "rmap: COMMAND: its name is empty\n".to_owned()));
    let unwritable = common::rmap(["trace", "--output", "/no/such/folder/rows", "true"]);
    assert_eq!(unwritable.parts(), (1, String::new(), "rmap: /no/such/folder/rows: no such file\n".to_owned()));
}

#[test]
fn the_program_runs_on_when_the_rows_cannot_be_written() {
    for options in [&[][..], &["--csv"], &["--json"], &["--jsonl"], &["--csv", "--by", "event"], &["--csv", "--top=3"]]
    {
        let words = ["--min-change", "4K", "--output", "/dev/full", "sh", "-c", "sleep 0.2; echo ran; exit 3"];
        let full = common::rmap([&["trace"], options, &words].concat());
        assert_eq!((full.status, full.text().as_str()), (Some(3), "ran\n"), "{options:?}: {full:?}");
        assert!(full.err.starts_with("rmap: /dev/full: ") && full.complaints().len() == 1, "{options:?}: {}", full.err);
    }
}

#[test]
fn a_file_keeps_its_rows_until_the_program_runs() {
    let folder = disk();
    let file = folder.path().join("rows");
    std::fs::write(&file, "rows of an earlier trace\n").unwrap();
    let traced = |words: &[&str]| {
        let output = ["trace", "--min-change", "1G", "--jsonl", "--output", file.to_str().unwrap()];
        let mut traced = command([&output, words].concat());
        // Every user can look for a program there.
        traced.env("PATH", "/usr/bin:/bin");
        (run(traced).status, std::fs::read_to_string(&file).unwrap())
    };
    for (words, status) in [
        (&["-o", "nope", "true"][..], 2),
        (&["--filter", "event == x", "true"], 2),
        (&["-w", "1", "true"], 2),
        (&["no-such-program"], 127),
        (&["/etc/passwd"], 126),
    ] {
        assert_eq!(traced(words), (Some(status), "rows of an earlier trace\n".to_owned()), "{words:?}");
    }
    assert_eq!(traced(&["true"]), (Some(0), String::new()));
}

#[test]
fn a_java_program_is_followed_from_map_to_unmap() {
    in_peace(|| {
        if !has("java", "openjdk-17-jdk-headless") {
            return;
        }
        let folder = disk();
        let path = folder.path().join("mapped");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/Mapped.java");
        let size = 64 * MIB;
        let traced = trace(&[], &["java", source, "64M", path.to_str().unwrap()]);
        let out = format!("mapped {}: {size} bytes\nfilled\nunmapped\n", path.display());
        assert_eq!((traced.run.status, traced.run.text(), traced.run.err.as_str()), (Some(0), out, ""));
        let rows = traced.of(&path);
        let (first, last) = (rows[0], rows[rows.len() - 1]);
        assert_eq!((&first["event"], figure(first, "size")), (&"appeared".into(), size), "{rows:#?}");
        // On a busy machine much may be filled before it is first looked at.
        assert!(figure(first, "rss") <= size);
        assert!(rows[1..rows.len() - 1].iter().all(|row| row["event"] == "grew"), "{rows:#?}");
        assert_eq!((&last["event"], figure(last, "size"), figure(last, "rss")), (&"went".into(), 0, 0));
        assert_eq!((figure(last, "rss_before"), figure(last, "cached")), (size, size));
        if follows_calls(&traced.rows) {
            assert_eq!((&first["call"], &last["call"]), (&"mmap".into(), &"munmap".into()));
        }
    });
}
