//! `rmap pcstat -w`: repeats the measurement and shows what changed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;
#[path = "engine/known.rs"]
#[allow(dead_code, reason = "shared with the tests of the engine")]
mod known;

use std::os::unix::fs::FileExt;

use crate::known::page_size;
use common::{Running, command, rmap, shell};
use known::{known_file, memory, runs};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Reads rows until one matches. Rounds are a few milliseconds apart, so a change may take several of them to appear.
fn row_where(running: &mut Running, wanted: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..500 {
        let row = running.row();
        if wanted(&row) {
            return row;
        }
    }
    panic!("no such row");
}

#[test]
fn changes_are_shown_and_ctrl_c_is_a_success() {
    let page = page_size().bytes();
    let known = known_file(&memory(), 10 * page, runs(&[(0, 2)]));
    let path = known.file.path().to_str().unwrap();
    let mut running = Running::start(command(["pcstat", "-w", "0.02", "--jsonl", "-o", "filename,cached", path]));
    let first = running.row();
    assert_eq!((&first["cached"], &first["cached_change"], &first["fate"]), (&2.into(), &Value::Null, &Value::Null));
    let second = running.row();
    assert_eq!((&second["cached_change"], &second["fate"]), (&0.into(), &Value::Null));
    assert!(second["time"].as_str() > first["time"].as_str());

    known.file.as_file().write_all_at(&vec![1; 3 * page as usize], 4 * page).unwrap();
    let mut changes = 0;
    while changes < 3 {
        let row = row_where(&mut running, |row| row["fate"] == "changed");
        changes += row["cached_change"].as_i64().unwrap();
    }
    assert_eq!(changes, 3);
    known.file.as_file().set_len(page).unwrap();
    let row = row_where(&mut running, |row| row["fate"] == "changed" && row["cached"] == 1);
    assert_eq!(row["cached_change"], -4);
    assert_eq!(running.end(Signal::SIGINT).0, Some(0));
}

#[test]
fn another_process_with_the_same_pid_is_another_row() {
    let script = r#"
        can() { unshare -pf --mount-proc sh -c 'echo 500 > /proc/sys/kernel/ns_last_pid' 2> /dev/null; }
        can || { echo "SKIPPED: no pid namespace can be made in which a pid can be chosen" >&2; exit; }
        exec unshare -pf --mount-proc bash -c '
            echo 500 > /proc/sys/kernel/ns_last_pid; sleep 100 > /dev/null &
            rmap "$@" -w 0.3 --jsonl & watcher=$!
            sleep 1; kill -9 501; wait 501 2> /dev/null
            echo 500 > /proc/sys/kernel/ns_last_pid; sleep 100 > /dev/null &
            sleep 1; kill "$watcher"; wait "$watcher"; kill 501' bash "$@""#;
    for arguments in [
        &["ps", "--by", "pid", "--filter", "pid==501", "-o", "rss"][..],
        &["who", "-o", "+pid", "/bin/sleep"],
        // Without a column that needs more of it.
        &["who", "-o", "pid,how,rss", "/bin/sleep"],
    ] {
        let run = shell(script, &arguments.iter().map(std::ffi::OsStr::new).collect::<Vec<_>>());
        if run.err.contains("SKIPPED") {
            return eprintln!("{}", run.err);
        }
        let rows: Vec<Value> = run.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for fate in ["new", "gone"] {
            assert!(rows.iter().any(|row| row["pid"] == 501 && row["fate"] == fate), "{fate}: {run:?}");
        }
    }
}

#[test]
fn new_and_gone_files_are_marked() {
    let folder = tempfile::tempdir_in(memory()).unwrap();
    let path = folder.path().to_str().unwrap();
    let write = |name: &str| std::fs::write(folder.path().join(name), "x").unwrap();
    write("stays");
    write("goes");
    let mut running = Running::start(command(["pcstat", "-R", "-w", "0.02", "--jsonl", "--bname", path]));
    for _ in 0..2 {
        assert_eq!(running.row()["fate"], Value::Null);
    }
    write("comes");
    assert_eq!(row_where(&mut running, |row| row["filename"] == "comes")["fate"], "new");
    std::fs::remove_file(folder.path().join("goes")).unwrap();
    let gone = row_where(&mut running, |row| row["fate"] == "gone");
    assert_eq!((&gone["filename"], &gone["cached"]), (&"goes".into(), &1.into()));
    assert_eq!(running.end(Signal::SIGTERM).0, Some(0));
}

#[test]
fn a_pipe_gets_one_block_per_round() {
    let page = page_size().bytes();
    let known = known_file(&memory(), 10 * page, runs(&[(0, 2)]));
    let path = known.file.path().to_str().unwrap();
    let mut running = Running::start(command(["pcstat", "-w", "0.2", "-o", "pages,cached,filename", path]));
    let first: Vec<String> = (0..3).map(|_| running.line()).collect();
    assert!(first[0].starts_with("20") && first[0].ends_with("Z\n"), "{first:?}");
    assert_eq!(first[1].split_whitespace().collect::<Vec<_>>(), ["Pages", "Cached", "Name"]);
    assert_eq!(first[2].split_whitespace().collect::<Vec<_>>(), ["10", "2", path]);
    known.file.as_file().write_all_at(&[1], 9 * page).unwrap();
    assert_eq!(running.line(), "\n");
    let second: Vec<String> = (0..3).map(|_| running.line()).collect();
    assert_eq!(second[1].split_whitespace().collect::<Vec<_>>(), ["Pages", "Cached", "+/-", "Name"]);
    assert_eq!(second[2].split_whitespace().collect::<Vec<_>>(), ["changed", "10", "3", "+1", path]);
    assert!(!second.concat().contains('\x1b'));
}

#[test]
fn a_json_document_is_complete_after_ctrl_c() {
    let known = known_file(&memory(), page_size().bytes(), runs(&[(0, 1)]));
    let path = known.file.path().to_str().unwrap();
    let mut running = Running::start(command(["pcstat", "-w", "0.02", "--json", "-o", "filename,percent", path]));
    let first: String = (0..4).map(|_| running.line()).collect();
    let (status, rest) = running.end(Signal::SIGINT);
    let document: Value = serde_json::from_str(&(first + &rest)).unwrap();
    assert_eq!(status, Some(0));
    assert!(document.as_array().unwrap().len() >= 2);
    assert_eq!(document[1]["files"][0]["percent_change"], 0.0);
    assert_eq!(document[1]["time"], document[1]["files"][0]["time"]);
}

#[test]
fn an_invalid_interval_is_wrong_usage() {
    let bounds = "in digits, greater than 0 and at most 1000000000";
    for (word, why) in [
        ("0", "greater than 0"),
        ("-1", ""),
        ("x", "invalid value 'x' for '--watch <SECS>': use a number of seconds"),
        ("0.0", "greater than 0"),
        ("1e9", bounds),
        ("inf", bounds),
        // A time that no clock reaches.
        ("10000000000000000000", bounds),
    ] {
        let (status, _, err) = rmap(["pcstat", "-w", word, "/dev/null"]).parts();
        assert!(status == 2 && err.contains(why), "{word}: {err}");
    }
}

#[test]
fn a_file_that_only_left_the_selection_is_not_marked_gone() {
    let folder = tempfile::tempdir_in(memory()).unwrap();
    let [small, large] = ["small", "large"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    std::fs::write(&small, vec![1; 10_000]).unwrap();
    std::fs::write(&large, vec![1; 30_000]).unwrap();
    let arguments = ["pcstat", "-w", "0.02", "--top", "1", "--jsonl", "-o", "filename", &small, &large];
    let mut running = Running::start(command(arguments));
    assert_eq!(running.row()["filename"], *large);
    std::fs::write(&small, vec![1; 90_000]).unwrap();
    row_where(&mut running, |row| {
        assert_ne!(row["fate"], "gone", "{row}");
        row["filename"] == *small
    });
    assert_eq!(running.end(Signal::SIGINT).0, Some(0));
}

#[test]
fn the_files_of_a_process_are_not_watched_any_longer_than_it_lives() {
    for work in [&["pcstat"][..], &["pcstat", "--runs"], &["pcstat", "--summary"], &["evict", "--dry-run"], &["warm"]] {
        let mut subject = common::Subject::start([""; 0]);
        let pid = subject.word();
        let line = [work, &["-w", "0.05", "--pid", &pid]].concat();
        // Nothing is read: it must not wait for a reader.
        let mut command = command(&line);
        let command = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut running = common::Subject::of(command.spawn().unwrap());
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(running.child().try_wait().unwrap().is_none(), "{line:?} has ended");
        subject.child().kill().unwrap();
        subject.child().wait().unwrap();
        common::wait_until(&line.join(" "), || running.child().try_wait().unwrap().is_some());
    }
}

#[test]
fn two_files_of_a_process_with_one_name_are_told_apart() {
    if !common::has("python3", "python3") {
        return;
    }
    let script = "import os, signal, sys
small, large = os.memfd_create('x'), os.memfd_create('x')
os.write(small, bytes(4096)), os.write(large, bytes(40960))
signal.signal(signal.SIGUSR1, lambda *_: os.close(small))
print('ready', flush=True)
while True: signal.pause()";
    for (view, size) in [(&["-o", "filename,size"][..], "size"), (&["--runs", "-o", "filename,length"], "length")] {
        let mut python = std::process::Command::new("python3");
        python.args(["-c", script]);
        let holder = common::Subject::until_ready(python);
        let pid = holder.word();
        let options = [&["pcstat", "-w", "0.02", "--jsonl", "--filter", "filename =~ memfd", "--pid", &pid], view];
        let mut running = Running::start(command(options.concat()));
        assert_eq!([running.row()[size].as_u64(), running.row()[size].as_u64()], [Some(4096), Some(40960)]);
        holder.signal(Signal::SIGUSR1);
        let gone = row_where(&mut running, |row| row["fate"] != Value::Null);
        assert_eq!((&gone["fate"], gone[size].as_u64()), (&"gone".into(), Some(4096)), "{gone}");
        // A file that is closed after it was listed and before it was opened is reported: the status is then 1.
        assert!(matches!(running.end(Signal::SIGINT).0, Some(0 | 1)));
    }
}

/// Runs a command on a terminal of its own, lets it print, does what is asked, and prints how it ended: whether keys
/// were passed on at once before, whether the terminal is as it was at first, and the exit status.
const TERMINAL: &str = r#"import os, pty, select, signal, sys, termios, time
told, tell = os.pipe()
start, go = os.pipe()
shell, terminal = pty.fork()
if shell == 0:
    # A job of a shell that could continue it: otherwise the kernel does not stop it.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    job = os.fork()
    if job == 0:
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.read(start, 1)
        os.execv(sys.argv[2], sys.argv[2:])
    os.setpgid(job, job)
    os.tcsetpgrp(0, job)
    os.write(tell, b'%d\n' % job)
    os.write(tell, b'%d\n' % os.waitstatus_to_exitcode(os.waitpid(job, 0)[1]))
    os._exit(0)
told = os.fdopen(told)
child = int(told.readline())
first = termios.tcgetattr(terminal)
os.write(go, b'.')
shown = b''
def settle(wanted):
    global shown
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.02)[0]:
            try: shown += os.read(terminal, 65536)
            except OSError: pass
        if wanted(): return True
    return False
keys = settle(lambda: not termios.tcgetattr(terminal)[3] & (termios.ICANON | termios.ECHO))
act = sys.argv[1]
if act == 'stop':
    os.write(terminal, b'\x1a')
    settle(lambda: open(f'/proc/{child}/stat').read().rsplit(')', 1)[1].split()[0] == 'T')
    stopped = termios.tcgetattr(terminal) == first
    os.kill(child, signal.SIGCONT)
    again = settle(lambda: termios.tcgetattr(terminal) != first)
    print('stopped', stopped, again)
    act = 'q'
os.write(terminal, act.encode()) if len(act) == 1 else os.kill(child, getattr(signal, act))
ended = []
settle(lambda: ended.append(os.waitpid(shell, os.WNOHANG)) or ended[-1][0])
taken, left = shown.count(b'\x1b[?1049h'), shown.count(b'\x1b[?1049l')
print('screen', taken, left, shown.rstrip().endswith(b'\x1b[?1049l'), end=' ')
print('keys', keys, 'restored', termios.tcgetattr(terminal) == first, 'status', int(told.readline()))
"#;

#[test]
fn on_a_terminal_q_ends_the_watch_and_the_terminal_is_restored_however_it_ends() {
    if !common::has("python3", "python3") {
        return;
    }
    let ends_on = |term: &str, act: &str, view: &[&str]| {
        let program = common::program().to_str().unwrap();
        let run = std::process::Command::new("python3")
            .args([&["-c", TERMINAL, act, program][..], view, &["-w", "600"]].concat())
            .env("TERM", term)
            .output()
            .unwrap();
        String::from_utf8(run.stdout).unwrap() + &String::from_utf8_lossy(&run.stderr)
    };
    let ends = |act: &str, view: &[&str]| ends_on("xterm", act, view);
    let folder = tempfile::tempdir_in(memory()).unwrap();
    let path = folder.path().join("own");
    std::fs::write(&path, "own").unwrap();
    let view = &["pcstat", path.to_str().unwrap()][..];
    let well = |status| format!("screen 1 1 True keys True restored True status {status}\n");
    for view in [view, &["pid", "self"], &["pid", "self", "--summary"]] {
        assert_eq!(ends("q", view), well(0), "{view:?}");
    }
    assert_eq!(ends("\u{3}", view), well(0));
    assert_eq!(ends("SIGTERM", view), well(0));
    let of_faults = [("SIGILL", 4), ("SIGTRAP", 5), ("SIGFPE", 8), ("SIGSYS", 31)];
    let others = [("SIGQUIT", 3), ("SIGUSR1", 10), ("SIGALRM", 14), ("SIGXCPU", 24), ("SIGRTMIN", 34)];
    for (signal, number) in others.into_iter().chain(of_faults) {
        assert_eq!(ends(signal, view), well(-number), "{signal}");
    }
    let twice = well(0).replace("1 1", "2 2");
    assert_eq!(ends("stop", view), format!("stopped True True\n{twice}"));
    let dumb = "screen 0 0 False keys True restored True status 0\n";
    assert_eq!(ends_on("dumb", "q", view), dumb);
}

#[test]
fn the_total_has_the_change_of_each_sum() {
    let page = page_size().bytes();
    let known = known_file(&memory(), 10 * page, runs(&[(0, 2)]));
    let path = known.file.path().to_str().unwrap();
    let options = ["pcstat", "-w", "0.2", "--json", "--total", "-o", "filename,pages,cached,percent", path];
    let mut running = Running::start(command(options));
    let first: String = (0..3).map(|_| running.line()).collect();
    known.file.as_file().write_all_at(&[1], 9 * page).unwrap();
    // The next round may have begun before.
    let later: String = (0..6).map(|_| running.line()).collect();
    let (_, rest) = running.end(Signal::SIGINT);
    let document: Value = serde_json::from_str(&(first + &later + &rest)).unwrap();
    let totals: Vec<&Value> = document.as_array().unwrap().iter().map(|round| &round["total"]).collect();
    assert_eq!((&totals[0]["cached"], &totals[0]["cached_change"]), (&2.into(), &Value::Null), "{document}");
    let changed = totals.iter().find(|total| total["cached_change"] == 1).unwrap();
    assert_eq!((&changed["cached"], &changed["percent_change"]), (&3.into(), &10.0.into()), "{document}");
    assert_eq!((&changed["pages_change"], &changed["rows_without_figure"]), (&0.into(), &Value::Null), "{document}");
}

#[test]
fn in_a_pipe_the_total_has_its_change_although_no_row_has_one() {
    let page = page_size().bytes();
    let folder = tempfile::tempdir_in(memory()).unwrap();
    std::fs::write(folder.path().join("one"), vec![1; 2 * page as usize]).unwrap();
    let path = folder.path().to_str().unwrap();
    let mut running = Running::start(command(["pcstat", "-R", "-w", "0.2", "--total", "-o", "cached,filename", path]));
    assert!((0..4).map(|_| running.line()).any(|line| line.starts_with("total") || line.contains(" total")));
    // It has its size and its content at once.
    let other = tempfile::tempdir_in(memory()).unwrap();
    std::fs::write(other.path().join("two"), vec![1; 3 * page as usize]).unwrap();
    std::fs::rename(other.path().join("two"), folder.path().join("two")).unwrap();
    let changed = loop {
        let line = running.line();
        if line.contains("+3") {
            break line;
        }
        assert!(!line.split_whitespace().any(|word| word == "5") || line.contains("+3"), "{line}");
    };
    assert!(changed.contains("total") && changed.split_whitespace().any(|word| word == "5"), "{changed}");
}

#[test]
fn a_filter_that_no_row_matches_is_told_once() {
    let folder = tempfile::tempdir_in(memory()).unwrap();
    std::fs::write(folder.path().join("one"), "x").unwrap();
    let path = folder.path().to_str().unwrap();
    let script = "timeout --foreground -s INT 2 \"$0\" pcstat -R -w 0.2 --filter 'size>1G' \"$1\"";
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", script]).arg(common::program()).arg(path);
    let run = common::run(shell);
    assert_eq!(run.err, "rmap: --filter: no row matches so far\n");
}

#[test]
fn if_none_of_the_named_files_exists_the_watch_ends() {
    for view in [&["--total"][..], &["--runs"], &["--summary"], &["--json"]] {
        let (status, _, err) = rmap([&["pcstat", "-w", "600", "/no/such/a", "/no/such/b"], view].concat()).parts();
        assert_eq!(status, 1, "{view:?}: {err}");
        assert!(err.contains("/no/such/a: no such file") && err.contains("/no/such/b: no such file"), "{err}");
    }
    let known = known_file(&memory(), page_size().bytes(), runs(&[(0, 1)]));
    let path = known.file.path().to_str().unwrap();
    let mut running = Running::start(command(["pcstat", "-w", "0.02", "--jsonl", "/no/such/a", path]));
    assert_eq!([running.row()["cached"].as_u64(), running.row()["cached"].as_u64()], [Some(1); 2]);
    assert_eq!(running.end(Signal::SIGINT).0, Some(1));
}

#[test]
fn a_broken_link_below_a_named_directory_does_not_end_the_watch() {
    let folder = tempfile::tempdir_in(memory()).unwrap();
    std::os::unix::fs::symlink("/no/such/file", folder.path().join("broken")).unwrap();
    let path = folder.path().to_str().unwrap();
    let mut running = Running::start(command(["pcstat", "-R", "--follow", "-w", "0.02", "--jsonl", path]));
    std::thread::sleep(std::time::Duration::from_millis(300));
    std::fs::write(folder.path().join("later"), "x").unwrap();
    assert_eq!(running.row()["cached"], 1);
    assert_eq!(running.end(Signal::SIGINT).0, Some(1));
}

/// Runs a command on a terminal with so many columns and rows, renames one path to another after two rounds, and prints
/// the rounds that it showed, divided by form feeds.
const ROUNDS: &str = r#"import fcntl, os, pty, re, select, struct, sys, termios, time
columns, rows = (int(count) for count in sys.argv[1].split('x'))
staged, target = sys.argv[2], sys.argv[3]
child, terminal = pty.fork()
if child == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
    os.execv(sys.argv[4], sys.argv[4:])
shown = b''
def settle(wanted):
    global shown
    end = time.monotonic() + 20
    while time.monotonic() < end and not wanted():
        if select.select([terminal], [], [], 0.02)[0]:
            try: shown += os.read(terminal, 65536)
            except OSError: return
rounds = lambda count: lambda: shown.count(b'\x1b[J') >= count
settle(lambda: b'\x1b[?1049h' in shown)
os.write(terminal, b'~')
settle(rounds(2))
if staged: os.rename(staged, target)
settle(rounds(5))
os.write(terminal, b'q')
settle(lambda: b'\x1b[?1049l' in shown)
assert b'~' not in shown, 'a key is shown: %r' % shown
text = shown.decode().split('\x1b[?1049l')[0].replace('\r', '')
plain = [re.sub(r'\x1b\[[0-9;?]*[a-zA-Z]', '', part) for part in text.split('\x1b[H')[1:]]
print('\f'.join(plain[:5]))
"#;

/// What a repeated answer shows on a terminal in its first five rounds; after two of them, a path is replaced.
fn rounds(columns: usize, replaced: [&str; 2], arguments: &[&str]) -> Vec<String> {
    rounds_on((columns, 60), replaced, arguments)
}

/// The same on a terminal with so many columns and rows.
fn rounds_on((columns, rows): (usize, usize), replaced: [&str; 2], arguments: &[&str]) -> Vec<String> {
    let program = common::program().to_str().unwrap();
    let size = format!("{columns}x{rows}");
    let run = std::process::Command::new("python3")
        .args(["-c", ROUNDS, &size, replaced[0], replaced[1], program])
        .args(arguments)
        .args(["-w", "0.1", "--color", "never"])
        .env("TERM", "xterm")
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap();
    let text = String::from_utf8(run.stdout).unwrap() + &String::from_utf8_lossy(&run.stderr);
    let rounds: Vec<String> = text.trim_end_matches('\n').split('\u{c}').map(str::to_owned).collect();
    assert_eq!(rounds.len(), 5, "{arguments:?}: {text}");
    rounds
}

/// A captured process whose memory is about to shrink, and the paths of its smaps before and after.
fn shrinking() -> (tempfile::TempDir, [String; 2]) {
    let maps = |kib: u64| {
        let one = common::mapping(0x1000_0000, 2000, "rw-p", b"/usr/lib/a-library-with-a-long-name.so.6", kib);
        let text = [one, common::mapping(0x2000_0000, 10, "r--p", b"", 36)].concat();
        String::from_utf8(text).unwrap().replace("Anonymous: 0 kB", "Anonymous: 12 kB").into_bytes()
    };
    let machine = common::capture(&[(7, b"x\0", &maps(4321))]);
    let staged = machine.path().join("staged");
    std::fs::write(&staged, maps(1234)).unwrap();
    let paths = [staged, machine.path().join("7/smaps")].map(|path| path.to_str().unwrap().to_owned());
    (machine, paths)
}

#[test]
fn the_columns_of_a_repeated_table_stay_where_they_are() {
    if !common::has("python3", "python3") {
        return;
    }
    for (view, title) in
        [(&[][..], "Address"), (&["--by", "perm"], "Perm"), (&["--by", "file"], "Mapping"), (&["--summary"], "KiB")]
    {
        for columns in [60, 80, 120] {
            let (machine, paths) = shrinking();
            let root = machine.path().to_str().unwrap();
            let arguments = [&["pid", "--proc-root", root, "7"], view].concat();
            let rounds = rounds(columns, [&paths[0], &paths[1]], &arguments);
            let header =
                |round: &String| round.lines().find(|line| line.contains(title)).unwrap_or_default().to_owned();
            let headers: Vec<String> = rounds.iter().map(header).collect();
            assert!(headers[0].contains("+/-"), "{columns} columns, {view:?}: {}", rounds[0]);
            assert!(headers.iter().all(|header| *header == headers[0]), "{columns} columns, {view:?}: {rounds:#?}");
            let widths = rounds.iter().flat_map(|round| round.lines()).map(|line| line.chars().count());
            assert!(widths.max() <= Some(columns), "{columns} columns, {view:?}: {rounds:#?}");
            assert!(rounds[0].contains("q to stop"), "{}", rounds[0]);
            assert!(rounds[2..].iter().any(|round| round.contains(" -3087")), "{rounds:#?}");
        }
    }
}

#[test]
fn changes_of_shares_have_one_decimal_and_the_total_changes_like_its_rows() {
    if !common::has("python3", "python3") {
        return;
    }
    let (machine, paths) = shrinking();
    let root = machine.path().to_str().unwrap();
    let rounds = rounds(120, [&paths[0], &paths[1]], &["pid", "--proc-root", root, "7"]);
    let total = |round: &String| round.lines().find(|line| line.contains("total KiB")).unwrap_or_default().to_owned();
    let is_change = |total: String| total.split_whitespace().collect::<Vec<_>>().join(" ").contains(" 1270 -3087 ");
    assert!(rounds.iter().map(total).any(is_change), "{rounds:#?}");

    let (machine, paths) = shrinking();
    let root = machine.path().to_str().unwrap();
    let options = ["pid", "--proc-root", root, "7", "--summary", "--filter", "part == anonymous"];
    let rounds = self::rounds(120, [&paths[0], &paths[1]], &options);
    let words: Vec<&str> = rounds.iter().flat_map(|round| round.split_whitespace()).collect();
    assert!(words.contains(&"+1.3"), "{rounds:#?}");
}

#[test]
fn the_last_failure_is_on_the_screen() {
    if !common::has("python3", "python3") {
        return;
    }
    let folder = tempfile::tempdir_in(memory()).unwrap();
    let path = folder.path().join("own");
    std::fs::write(&path, "own").unwrap();
    let rounds = rounds(60, ["", ""], &["pcstat", "/no/such/file", path.to_str().unwrap()]);
    for round in &rounds {
        assert_eq!(round.lines().nth(1), Some("rmap: /no/such/file: no such file"), "{round}");
        assert!(round.contains("/own "), "{round}");
    }
}

#[test]
fn messages_leave_room_for_the_header_and_a_row() {
    if !common::has("python3", "python3") {
        return;
    }
    let folder = tempfile::tempdir_in(memory()).unwrap();
    let path = folder.path().join("own");
    std::fs::write(&path, "own").unwrap();
    let missing = format!("/no/such/{}", "word ".repeat(60));
    let rounds = rounds_on((60, 6), ["", ""], &["pcstat", &missing, path.to_str().unwrap()]);
    for round in &rounds {
        let lines: Vec<&str> = round.lines().collect();
        assert!(lines.len() <= 6 && lines.iter().any(|line| line.contains("Name")), "{round}");
        assert!(lines.iter().any(|line| line.contains("/own ")), "{round}");
        assert!(lines.last().unwrap().contains(" more lines)"), "{round}");
    }
}

#[test]
fn a_change_below_the_screen_comes_into_view_and_the_total_stays() {
    if !common::has("python3", "python3") {
        return;
    }
    let maps = |kib: u64| {
        let one = |place: u64| common::mapping(0x1000_0000 * place, 2000, "rw-p", b"", 1000);
        let small = common::mapping(0x9_0000_0000, 500, "rw-p", b"/small", kib);
        (1..=40).map(one).chain([small]).collect::<Vec<_>>().concat()
    };
    let machine = common::capture(&[(7, b"x\0", &maps(400))]);
    let (staged, smaps) = (machine.path().join("staged"), machine.path().join("7/smaps"));
    std::fs::write(&staged, maps(404)).unwrap();
    let replaced = [staged.to_str().unwrap(), smaps.to_str().unwrap()];
    let root = machine.path().to_str().unwrap();
    let rounds = rounds_on((80, 24), replaced, &["pid", "--proc-root", root, "7"]);
    let last = |round: &str| round.lines().last().unwrap().to_owned();
    assert!(rounds.iter().all(|round| round.lines().count() == 24 && round.contains("total KiB")), "{rounds:#?}");
    assert!(!rounds[0].contains("/small") && last(&rounds[0]).contains(" more rows, none changed;"), "{}", rounds[0]);
    let changed = rounds.iter().find(|round| round.contains("changed ")).unwrap_or_else(|| panic!("{rounds:#?}"));
    let row = changed.lines().find(|line| line.starts_with("changed ")).unwrap();
    assert!(row.contains("/small") && row.contains(" +4"), "{changed}");
    // The rows above it stay where they are.
    let first = |round: &str| round.lines().skip(1).take(9).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(first(changed), first(&rounds[0]));
}

/// Starts a command on a terminal of 80x24, makes that 60x8 after the first picture, and prints both pictures.
const RESIZED: &str = r#"import fcntl, os, pty, select, struct, sys, termios, time
child, terminal = pty.fork()
if child == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))
    os.execv(sys.argv[1], sys.argv[1:])
shown = b''
def settle(count):
    global shown
    end = time.monotonic() + 20
    while time.monotonic() < end and shown.count(b'\x1b[J') < count:
        if select.select([terminal], [], [], 0.02)[0]: shown += os.read(terminal, 65536)
settle(1)
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', 8, 60, 0, 0))
settle(2)
time.sleep(0.2)
while select.select([terminal], [], [], 0)[0]: shown += os.read(terminal, 65536)
os.write(terminal, b'q')
print('\f'.join(part.replace('\r', '') for part in shown.decode().split('\x1b[H')[1:]))
"#;

#[test]
fn another_size_of_the_terminal_is_obeyed_at_once() {
    if !common::has("python3", "python3") {
        return;
    }
    let folder = tempfile::tempdir_in(memory()).unwrap();
    let paths: Vec<_> = (0..30).map(|place| folder.path().join(format!("file-{place}"))).collect();
    paths.iter().for_each(|path| std::fs::write(path, "x").unwrap());
    let run = std::process::Command::new("python3")
        .args(["-c", RESIZED, common::program().to_str().unwrap(), "pcstat", "-w", "600", "--color", "never"])
        .args(&paths)
        .envs([("TERM", "xterm"), ("LC_ALL", "C.UTF-8")])
        .output()
        .unwrap();
    let text = String::from_utf8(run.stdout).unwrap() + &String::from_utf8_lossy(&run.stderr);
    let heights: Vec<usize> = text.trim_end().split('\u{c}').map(|picture| picture.lines().count()).collect();
    assert_eq!(heights, [24, 8], "{text}");
}

#[test]
fn a_histogram_is_whole_beside_the_changes_of_its_row() {
    if !common::has("python3", "python3") {
        return;
    }
    let known = known_file(&memory(), 40 * page_size().bytes(), runs(&[(0, 40)]));
    let path = known.file.path().to_str().unwrap();
    for columns in [60, 80, 120] {
        let rounds = rounds(columns, ["", ""], &["pcstat", "--histo", path, "/proc/self/exe"]);
        let rows = rounds.iter().flat_map(|round| round.lines()).filter(|line| line.contains('█'));
        let bars = |row: &str| row.split_whitespace().find(|word| word.contains('█')).unwrap().to_owned();
        for row in rows {
            assert!(row.chars().count() <= columns && !bars(row).contains('…'), "{columns}: {row}");
            assert!(bars(row).chars().count() >= 10, "{columns}: {row}");
        }
    }
}

#[test]
fn rows_that_are_wider_than_the_terminal_are_cut_so_that_the_header_stays() {
    if !common::has("python3", "python3") {
        return;
    }
    // Each column was named, so none is left out.
    let columns =
        "+rss,pss,shared_clean,shared_dirty,private_clean,private_dirty,referenced,anonymous,swap,locked,path";
    for view in [&["-X"][..], &["-o", columns]] {
        let (machine, paths) = shrinking();
        let root = machine.path().to_str().unwrap();
        let rounds = rounds(60, [&paths[0], &paths[1]], &[&["pid", "--proc-root", root, "7"], view].concat());
        for round in &rounds {
            assert!(round.lines().all(|line| line.chars().count() <= 60), "{view:?}: {round}");
            assert!(round.contains('…') && round.lines().any(|line| line.contains("Address")), "{view:?}: {round}");
        }
    }
}

#[test]
fn a_row_that_changed_in_a_column_without_room_says_what_changed() {
    if !common::has("python3", "python3") {
        return;
    }
    let maps = |swap: u64| {
        let one = common::mapping(0x1000_0000, 2000, "rw-p", b"/usr/lib/a-library-with-a-long-name.so.6", 4321);
        String::from_utf8(one).unwrap().replace("Swap: 0 kB", &format!("Swap: {swap} kB"))
    };
    let machine = common::capture(&[(7, b"x\0", maps(40).as_bytes())]);
    let staged = machine.path().join("staged");
    std::fs::write(&staged, maps(440)).unwrap();
    let paths = [staged, machine.path().join("7/smaps")].map(|path| path.to_str().unwrap().to_owned());
    let root = machine.path().to_str().unwrap();
    let rounds = rounds(60, [&paths[0], &paths[1]], &["pid", "--proc-root", root, "7"]);
    let changed = rounds.iter().find(|round| round.contains("  changed: ")).unwrap_or_else(|| panic!("{rounds:#?}"));
    assert!(changed.contains("\n  changed: Swap +400\n"), "{changed}");
    assert!(!changed.lines().any(|line| line.contains("Address") && line.contains("Swap")), "{changed}");
}
