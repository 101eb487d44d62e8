//! PostgreSQL with several backends that share their buffers: these count once in sums.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{NOBODY, disk, rmap};
use crate::number;

/// The programs of Debian's package, or others that are on PATH.
fn programs() -> Option<PathBuf> {
    let debian =
        fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let others: Vec<PathBuf> = std::env::split_paths(&paths).collect();
    let found = debian.chain(others).find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists());
    if found.is_none() {
        eprintln!("SKIPPED: PostgreSQL is not installed (Debian package postgresql)");
    }
    found
}

/// A database server that is stopped when the test ends.
struct Server {
    child: Child,
    programs: PathBuf,
    folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Option<Server> {
        let programs = programs()?;
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: only root can run PostgreSQL as another user");
            return None;
        }
        let folder = disk();
        std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        let data = folder.path().join("data");
        let made = as_nobody(&programs.join("initdb"))
            .args(["-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let child = as_nobody(&programs.join("postgres"))
            .args(["-c", "listen_addresses=", "-c", "shared_buffers=256MB", "-c", "huge_pages=off", "-c", "fsync=off"])
            .args(["-c", "autovacuum=off", "-c", "max_parallel_workers_per_gather=0", "-k"])
            .arg(folder.path())
            .arg("-D")
            .arg(&data)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Server { child, programs, folder };
        let end = Instant::now() + Duration::from_secs(30);
        while server.ask("select 1").is_none_or(|answer| answer != "1") {
            assert!(Instant::now() < end, "the server did not start");
            std::thread::sleep(Duration::from_millis(100));
        }
        Some(server)
    }

    fn psql(&self) -> Command {
        let mut psql = as_nobody(&self.programs.join("psql"));
        psql.args(["-X", "-A", "-t", "-q", "-U", "postgres", "-h"]).arg(self.folder.path());
        psql
    }

    /// The answer of a session of its own.
    fn ask(&self, query: &str) -> Option<String> {
        let answer = self.psql().args(["-c", query]).output().unwrap();
        answer.status.success().then(|| String::from_utf8(answer.stdout).unwrap().trim().to_owned())
    }

    /// A session that has read the table and stays.
    fn session(&self) -> Session {
        let mut child = self.psql().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut input, b"select sum(length(text)) from known;\n").unwrap();
        let mut line = String::new();
        let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut output, &mut line).unwrap();
        assert_eq!(line.trim(), "24000000");
        Session { child, _input: input }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its own way of stopping at once, which ends its children and removes its shared memory.
        let _ = kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGINT);
        let _ = self.child.wait();
    }
}

struct Session {
    child: Child,
    _input: ChildStdin,
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn as_nobody(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.uid(NOBODY).gid(NOBODY).current_dir("/").env("LC_ALL", "C");
    command
}

/// The mapping of the shared buffers: the largest that is shared and has a deleted file.
fn buffers(pid: u32) -> (String, u64) {
    let rows = rmap(["pid", "--jsonl", "-o", "address,size,path,perm", &pid.to_string()]).good().lines_of_json();
    let mappings = rows.iter().filter(|row| row["path"].as_str().is_some_and(|path| path.starts_with("/dev/zero")));
    let largest = mappings.max_by_key(|row| row["size"].as_u64()).unwrap_or_else(|| panic!("{rows:?}"));
    let start = u64::from_str_radix(largest["address"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    let size = number(largest, "size");
    (format!("/proc/{pid}/map_files/{start:x}-{:x}", start + size), size)
}

#[test]
fn the_shared_buffers_of_postgresql_count_once() {
    let Some(server) = Server::start() else { return };
    assert!(
        server.ask("create table known as select repeat('x', 800) as text from generate_series(1, 30000)").is_some()
    );
    let sessions = [server.session(), server.session(), server.session(), server.session()];
    let postmaster = server.child.id();
    let (area, size) = buffers(postmaster);

    let tree = rmap(["ps", "--json", "--tree", "--total", &postmaster.to_string()]).good().json();
    let processes = tree["processes"].as_array().unwrap();
    assert!(processes.len() > sessions.len(), "{tree}");
    let sum = |key: &str| -> u64 { processes.iter().map(|row| number(row, key)).sum() };
    // What the page cache holds of the area is all of it that anybody has in memory: nothing else is so large.
    let cached = rmap(["pcstat", "--json", "-o", "cached", &area]).rows();
    let cached = number(&cached[0], "cached") * crate::common::page();
    assert!(cached > 24_000_000 && cached <= size, "{cached} of {size}");
    let pss = sum("pss_shmem");
    assert!(pss.abs_diff(cached) < cached / 20, "Pss {pss} is not {cached}");
    assert!(sum("rss_shmem") > 3 * cached, "{tree}");
    assert_eq!(number(&tree["total"], "pss"), sum("pss"));
    assert!(number(&processes[0], "tree_pss").abs_diff(sum("pss")) < 1 << 20, "{tree}");

    // The same by what made the memory, and for the service as a whole.
    let pids: Vec<String> = processes.iter().map(|row| row["pid"].to_string()).collect();
    let classes =
        [&["pid", "--jsonl", "--merge", "--by", "class"][..], &pids.iter().map(String::as_str).collect::<Vec<_>>()];
    let classes = rmap(classes.concat()).good().lines_of_json();
    let of_postgres =
        classes.iter().filter(|row| row["class"].as_str().is_some_and(|class| class.starts_with("postgres")));
    let pss: u64 = of_postgres.map(|row| number(row, "pss")).sum();
    assert!(pss.abs_diff(cached) < cached / 20, "Pss {pss} is not {cached}: {classes:?}");
}
