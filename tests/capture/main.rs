//! `rmap capture` and `--proc-root`: what is in a capture, what is left out, and that it gives the same answers
//! everywhere.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;

mod answers;
mod contents;
mod hostile;
mod output;
mod shared;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::{Run, command};

/// A capture in a directory of its own.
pub(crate) struct Taken {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) file: PathBuf,
}

/// `rmap capture -o FILE ARGS...`, which must write the file. What this machine hides even from root is no failure.
#[track_caller]
pub(crate) fn take<S: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = S>) -> Taken {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    let mut all: Vec<std::ffi::OsString> = vec!["capture".into(), "-o".into(), file.clone().into()];
    all.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
    let run = wait(command(all));
    // That a busy machine took long is no failure either.
    let is_failure = |line: &&str| !line.starts_with("rmap: the capture: its processes were read up to ");
    let failures: Vec<&str> = run.complaints().into_iter().filter(is_failure).collect();
    let is_known = |line: &&str| line.starts_with("rmap: the capture: the memory of ");
    assert!(failures.iter().all(is_known), "{run:?}");
    assert_eq!(run.status, Some(i32::from(!failures.is_empty())), "{run:?}");
    assert!(file.is_file(), "{run:?}");
    Taken { folder, file }
}

impl Taken {
    /// Unpacks it with tar, as a user would.
    pub(crate) fn unpacked(&self) -> PathBuf {
        self.unpacked_in("unpacked")
    }

    /// The same, in a directory of this name.
    pub(crate) fn unpacked_in(&self, name: &str) -> PathBuf {
        let directory = self.folder.path().join(name);
        fs::create_dir_all(&directory).unwrap();
        let done = Command::new("tar").arg("-C").arg(&directory).arg("-xf").arg(&self.file).status().unwrap();
        assert!(done.success());
        directory
    }

    /// `rmap ARGS... --proc-root FILE`.
    pub(crate) fn rmap(&self, arguments: &[&str]) -> Run {
        read(&self.file, arguments)
    }

    pub(crate) fn open_to_everyone(&self) {
        fs::set_permissions(self.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&self.file, fs::Permissions::from_mode(0o644)).unwrap();
    }
}

/// `rmap ARGS... --proc-root ROOT`.
pub(crate) fn read(root: &Path, arguments: &[&str]) -> Run {
    let all = arguments.iter().map(OsStr::new).chain([OsStr::new("--proc-root"), root.as_os_str()]);
    wait(command(all))
}

/// Runs a command, which a busy machine may take long for.
pub(crate) fn wait(command: Command) -> Run {
    let output = assert_cmd::Command::from_std(command).timeout(Duration::from_secs(120)).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    Run { status: output.status.code(), out: output.stdout, err }
}
