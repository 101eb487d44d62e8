//! Runs `rmap` until it exits, as this user or another one.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

/// The user nobody, who owns no files.
pub(crate) const NOBODY: u32 = 65534;

/// The name of the user of the test, or the number of a user without a name, as rmap shows it.
pub(crate) fn own_user() -> String {
    let user = nix::unistd::geteuid();
    nix::unistd::User::from_uid(user).unwrap().map_or_else(|| user.to_string(), |known| known.name)
}

/// The program under test.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_rmap"))
}

/// The result of a command.
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

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The rows of a successful run with `--json`.
    #[track_caller]
    pub(crate) fn rows(self) -> Vec<Value> {
        self.good().json().as_array().unwrap().clone()
    }

    /// The rows of a run with `--jsonl`.
    pub(crate) fn lines_of_json(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        self.text().lines().map(parse).collect()
    }

    /// It without the log of acts that took longer than a second, which any act may do on a busy machine.
    pub(crate) fn without_log(mut self) -> Run {
        let is_log = |line: &&str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            matches!(words[..], ["rmap:", act, _, "done" | "way", ..] if act.ends_with(':'))
        };
        self.err = self.err.split_inclusive('\n').filter(|line| !is_log(line)).collect();
        self
    }

    /// Exit status, standard output, standard error.
    pub(crate) fn parts(self) -> (i32, String, String) {
        (self.status.unwrap_or(-1), self.text(), self.err)
    }

    /// The same, if the run was good, except that an ordinary user may be told that what is cached of the files that he
    /// does not own, such as the C library, is not known.
    #[track_caller]
    pub(crate) fn good_of_own_files(self) -> Run {
        if nix::unistd::geteuid().is_root() || self.status == Some(0) {
            return self.good();
        }
        let is_denied = |line: &&str| line.contains(" denied: ") && line.contains("the cached pages of ");
        assert_eq!((self.status, self.complaints().iter().all(is_denied)), (Some(1), true), "{}", self.err);
        self
    }

    /// The same, if the exit status is 0 and there were no errors.
    #[track_caller]
    pub(crate) fn good(self) -> Run {
        assert_eq!((self.status, self.err.as_str()), (Some(0), ""), "{}", self.out.escape_ascii());
        self
    }
}

/// Runs a command, which must exit within half a minute.
pub(crate) fn run(command: Command) -> Run {
    let output = assert_cmd::Command::from_std(command).timeout(Duration::from_secs(30)).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    Run { status: output.status.code(), out: output.stdout, err }
}

/// `rmap` with these arguments, not started yet.
pub(crate) fn command<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).env_remove("TMPDIR").env_remove("NO_COLOR").env("LC_ALL", "C.UTF-8");
    command
}

/// Runs `rmap` with these arguments.
pub(crate) fn rmap<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Run {
    run(command(arguments))
}

/// Runs a shell script in which `rmap` is the program under test.
pub(crate) fn shell(script: &str, arguments: &[&OsStr]) -> Run {
    let mut shell = Command::new("/bin/bash");
    shell.arg("-c").arg(script).arg("bash").args(arguments).env("LC_ALL", "C.UTF-8");
    let folder = program().parent().unwrap();
    shell.env("PATH", format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default()));
    run(shell)
}

/// A copy of the program that every user may run; the folder is removed with this value.
pub(crate) struct ForEveryone {
    folder: tempfile::TempDir,
}

impl ForEveryone {
    /// If the test may not become another user, prints SKIPPED and returns `None`.
    pub(crate) fn copy() -> Option<ForEveryone> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: only root can become another user");
            return None;
        }
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let everyone = ForEveryone { folder };
        everyone.bring(program());
        Some(everyone)
    }

    /// A copy of another program next to it.
    pub(crate) fn bring(&self, program: &Path) -> PathBuf {
        let copy = self.folder.path().join(program.file_name().unwrap());
        copy_to_run(program, &copy);
        copy
    }

    pub(crate) fn rmap<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Run {
        self.run(&self.program(), arguments)
    }

    /// The path of the copy.
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

/// Copies a program in order to run the copy. Uses a separate process, because a program that is open for writing
/// cannot be run, and a child forked by another test could have it open for a moment.
pub(crate) fn copy_to_run(program: &Path, copy: &Path) {
    assert!(Command::new("cp").arg(program).arg(copy).status().unwrap().success());
}
