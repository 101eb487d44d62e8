//! Runs `rmap pcstat`, and makes trees in memory, where pages stay cached.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// What came out of a run.
pub(crate) struct Answer {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }

    /// The rows of a run with `--json`, which must have gone well.
    pub(crate) fn rows(&self) -> Vec<Value> {
        assert_eq!((self.status, self.stderr.as_str()), (0, ""), "{}", self.stdout);
        self.json().as_array().unwrap().clone()
    }

    /// The last parts of the names of the rows, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let last = |row: &Value| row["filename"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let mut names: Vec<String> = self.rows().iter().map(last).collect();
        names.sort();
        names
    }
}

pub(crate) fn finish(command: &mut Command) -> Answer {
    let output = command.stdin(Stdio::null()).output().unwrap();
    Answer {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// `rmap pcstat --json OPTIONS PLACE`; options are words with blanks between them.
pub(crate) fn pcstat(options: &str, place: impl AsRef<OsStr>) -> Answer {
    finish(command(options).arg(place))
}

pub(crate) fn command(options: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rmap"));
    command.args(["pcstat", "--json"]).args(options.split_whitespace());
    command
}

/// The same as nobody; nothing, said loudly, where that cannot be.
pub(crate) fn pcstat_as_nobody(options: &str, place: impl AsRef<OsStr>) -> Option<Answer> {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("SKIPPED: only root can run rmap as another user");
        return None;
    }
    let mut command = command(options);
    command.arg(place).uid(65534).gid(65534);
    if let Err(error) = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status() {
        eprintln!("SKIPPED: nobody cannot run the program where it is: {error}");
        return None;
    }
    Some(finish(command.stdout(Stdio::piped()).stderr(Stdio::piped())))
}

pub(crate) fn folder() -> TempDir {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    // Others may come in, as they may in most places.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    folder
}

/// A file of `size` bytes, all cached, with the directories above it.
pub(crate) fn file(folder: &Path, name: impl AsRef<Path>, size: usize) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, vec![7; size]).unwrap();
}

/// A tree of 60 files in 12 directories, some empty, some sparse.
pub(crate) fn tree() -> TempDir {
    let folder = folder();
    for number in 0..60 {
        let name = format!("d{}/e{}/file-{number}", number % 3, number % 4);
        file(folder.path(), &name, number * 1000);
        if number % 7 == 0 {
            std::fs::File::options().write(true).open(folder.path().join(name)).unwrap().set_len(1 << 20).unwrap();
        }
    }
    folder
}

/// The sum of a figure over rows.
pub(crate) fn sum(rows: &[Value], key: &str) -> u64 {
    rows.iter().map(|row| row[key].as_u64().unwrap()).sum()
}
