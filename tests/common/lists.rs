//! The kernel's lists of cached files and pages, which only root can read.

use std::ffi::OsStr;
use std::process::Command;

use super::{Run, command, has, rmap, run};

/// Whether rmap can read the lists here; if not, prints which test is skipped.
pub(crate) fn can_read_lists(name: &str) -> bool {
    let run = rmap(["files", "--jsonl", "--budget=20", "-o", "cached,method", "--top=1"]);
    let can = run.lines_of_json().first().is_some_and(|row| row["method"] == "pages");
    if !can {
        eprintln!("SKIPPED: {name}: {}", run.err.lines().next().unwrap_or("there is no cached file"));
    }
    can
}

/// `rmap` as this user, but without the privilege to read the lists, not started yet. Prints SKIPPED if that is
/// impossible.
pub(crate) fn command_without_lists<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Option<Command> {
    let rmap = command(arguments);
    if !nix::unistd::geteuid().is_root() {
        return Some(rmap);
    }
    if !has("setpriv", "util-linux") {
        return None;
    }
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--bounding-set", "-sys_admin,-bpf"]).arg(rmap.get_program()).args(rmap.get_args());
    setpriv.env_remove("TMPDIR").env_remove("NO_COLOR").env("LC_ALL", "C.UTF-8");
    Some(setpriv)
}

/// Runs it.
pub(crate) fn rmap_without_lists<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Option<Run> {
    command_without_lists(arguments).map(run)
}
