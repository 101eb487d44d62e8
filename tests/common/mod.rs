//! What the tests of the command share: running `rmap` as a user would, programs in a known state, captured processes,
//! and files of which it is known which pages are cached. No test is here.

#![allow(dead_code, reason = "every test program uses another part of it")]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use memmap2::{Advice, MmapOptions, MmapRaw};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The user whom no file belongs to.
pub(crate) const NOBODY: u32 = 65534;

/// The program under test.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_rmap"))
}

/// What a run of a command came to.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: Option<i32>,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Run {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.out.clone()).unwrap_or_else(|_| panic!("not UTF-8: {}", self.out.escape_ascii()))
    }

    /// The lines on standard error, in order.
    pub(crate) fn complaints(&self) -> Vec<&str> {
        self.err.lines().collect()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The same, if all that was asked for was reported and nothing was complained about.
    #[track_caller]
    pub(crate) fn good(self) -> Run {
        assert_eq!((self.status, self.err.as_str()), (Some(0), ""), "{}", self.out.escape_ascii());
        self
    }
}

/// Runs a command to its end, which must come within half a minute.
pub(crate) fn run(command: Command) -> Run {
    let output = assert_cmd::Command::from_std(command).timeout(Duration::from_secs(30)).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    Run { status: output.status.code(), out: output.stdout, err }
}

/// `rmap` with these arguments, not run yet.
pub(crate) fn command<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).env_remove("TMPDIR").env_remove("NO_COLOR");
    command
}

/// Runs `rmap` with these arguments.
pub(crate) fn rmap<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Run {
    run(command(arguments))
}

/// Runs a shell script in which `rmap` is the program under test.
pub(crate) fn shell(script: &str, arguments: &[&OsStr]) -> Run {
    let mut shell = Command::new("/bin/bash");
    shell.arg("-c").arg(script).arg("bash").args(arguments);
    let folder = program().parent().unwrap();
    shell.env("PATH", format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default()));
    run(shell)
}

/// A copy of the program where every user may run it; the folder goes with the value.
pub(crate) struct ForEveryone {
    folder: tempfile::TempDir,
}

impl ForEveryone {
    /// Says why and gives nothing where the test may not become another user.
    pub(crate) fn copy() -> Option<ForEveryone> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: only root can become another user");
            return None;
        }
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        // By a process of its own: a program that some process has open for writing cannot be run, and a child that another
        // test forks meanwhile would have it open for a moment.
        let copied = Command::new("cp").arg(program()).arg(folder.path().join("rmap")).status().unwrap();
        assert!(copied.success());
        Some(ForEveryone { folder })
    }

    pub(crate) fn rmap<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Run {
        self.run(&self.program(), arguments)
    }

    /// Where the copy is.
    pub(crate) fn program(&self) -> PathBuf {
        self.folder.path().join("rmap")
    }

    /// Runs any program as nobody.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, program: &Path, arguments: impl IntoIterator<Item = S>) -> Run {
        let mut command = Command::new(program);
        command.args(arguments).current_dir("/").uid(NOBODY).gid(NOBODY);
        run(command)
    }
}

/// A child that is killed when the test ends.
pub(crate) struct Subject {
    child: Child,
    /// What the subject program said that it made.
    pub(crate) made: Vec<Made>,
}

/// A mapping that the subject program made: what smaps must say of it, in bytes.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) name: String,
    pub(crate) start: String,
    pub(crate) length: u64,
    pub(crate) figures: Vec<(String, u64)>,
}

impl Made {
    fn parse(line: &str) -> Made {
        let mut words = line.split(' ');
        let mut next = || words.next().unwrap().to_owned();
        let (name, start, length) = (next(), next(), next().parse().unwrap());
        let figures = words.map(|word| word.split_once('=').unwrap());
        Made {
            name,
            start,
            length,
            figures: figures.map(|(key, value)| (key.into(), value.parse().unwrap())).collect(),
        }
    }
}

impl Subject {
    /// Starts the subject program (`tests/subject/program.rs`) and waits until its memory is as the acts say.
    pub(crate) fn start<S: AsRef<OsStr>>(acts: impl IntoIterator<Item = S>) -> Subject {
        let path = program().parent().unwrap().join("examples/subject");
        assert!(path.exists(), "{} is missing: cargo build --example subject", path.display());
        let mut command = Command::new(path);
        command.args(acts);
        Subject::until_ready(command)
    }

    /// Starts a program that prints a line `ready` and then waits for its standard input to end, or longer.
    pub(crate) fn until_ready(mut command: Command) -> Subject {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut subject = Subject { child, made: Vec::new() };
        for line in lines {
            match line.unwrap().as_str() {
                "ready" => return subject,
                line => subject.made.push(Made::parse(line)),
            }
        }
        panic!("it ended before it was ready");
    }

    pub(crate) fn of(child: Child) -> Subject {
        Subject { child, made: Vec::new() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn word(&self) -> String {
        self.pid().to_string()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid() as i32), signal).unwrap();
    }

    /// Stops it, all threads of it, so that its memory holds still.
    pub(crate) fn stop(&self) {
        self.signal(Signal::SIGSTOP);
        let stat = format!("/proc/{}/stat", self.pid());
        wait_until("it stopped", || fs::read_to_string(&stat).is_ok_and(|text| text.contains(") T ")));
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `done`, for at most ten seconds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(10), "not within ten seconds: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A directory that looks like `/proc`, with processes of which only smaps and the command line are there.
pub(crate) fn capture(processes: &[(u32, &[u8], &[u8])]) -> tempfile::TempDir {
    let top = tempfile::tempdir().unwrap();
    for (pid, command, smaps) in processes {
        let folder = top.path().join(pid.to_string());
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("cmdline"), command).unwrap();
        fs::write(folder.join("smaps"), smaps).unwrap();
    }
    top
}

/// The text of one mapping, as smaps has it, with a few counters.
pub(crate) fn mapping(start: u64, pages: u64, perm: &str, name: &[u8], rss_kib: u64) -> Vec<u8> {
    let head = format!("{start:08x}-{:08x} {perm} 00000000 fe:00 77 ", start + pages * 4096);
    let kib = pages * 4;
    let body = format!(
        "\nSize: {kib} kB\nRss: {rss_kib} kB\nPss: {rss_kib} kB\nAnonymous: 0 kB\nSwap: 0 kB\nVmFlags: rd mr me \n"
    );
    [head.as_bytes(), b"                     ", name, body.as_bytes()].concat()
}

/// The machine's page size in bytes.
pub(crate) fn page() -> u64 {
    rmap::kernel::page_size().bytes()
}

/// A folder on a tmpfs, where pages stay until the file goes; open to every user.
pub(crate) fn memory() -> tempfile::TempDir {
    open_to_everyone(tempfile::tempdir_in("/dev/shm").unwrap())
}

/// A folder on a disk, open to every user.
pub(crate) fn disk() -> tempfile::TempDir {
    open_to_everyone(tempfile::tempdir_in("/var/tmp").unwrap())
}

fn open_to_everyone(folder: tempfile::TempDir) -> tempfile::TempDir {
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// A sparse file of which just some pages are cached, and held there by a lock where they could be reclaimed.
pub(crate) struct KnownFile {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    pub(crate) cached: u64,
    _locked: Vec<MmapRaw>,
}

/// A new file of `size` bytes with the pages of `runs` (first, count) cached and no other.
pub(crate) fn known_file(path: &Path, size: u64, runs: &[(u64, u64)]) -> KnownFile {
    let file = File::options().read(true).write(true).create_new(true).open(path).unwrap();
    file.set_len(size).unwrap();
    let locked = runs.iter().map(|(first, count)| {
        let start = first * page();
        let length = (count * page()).min(size - start) as usize;
        file.write_all_at(&vec![7; length], start).unwrap();
        let map = MmapOptions::new().offset(start).len(length).map_raw_read_only(&file).unwrap();
        // Else a fault may read ahead, and cache pages beside these.
        map.advise(Advice::Random).unwrap();
        map.lock().unwrap_or_else(|error| panic!("cannot lock {length} bytes (ulimit -l): {error}"));
        map
    });
    let locked = locked.collect();
    KnownFile { path: path.to_owned(), size, cached: runs.iter().map(|(_, count)| count).sum(), _locked: locked }
}

/// Whether a program can be run here; says loudly which test is skipped for want of it.
pub(crate) fn has(program: &str, package: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).any(|folder| folder.join(program).is_file());
    if !found {
        eprintln!("SKIPPED: {program} is not installed (Debian package {package})");
    }
    found
}

/// Whether cachestat tells here, so that dirty and evicted pages are figures; says loudly which test is skipped if not.
pub(crate) fn has_cachestat() -> bool {
    let available = rmap::kernel::cachestat::available();
    if !available {
        eprintln!("SKIPPED: cachestat is not available here (kernel before 6.5, or seccomp)");
    }
    available
}
