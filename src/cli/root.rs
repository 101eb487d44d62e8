//! `--proc-root`: another machine, or a capture of one, instead of this machine.

use std::path::PathBuf;

use clap::Args;

use super::answer::{AnswerArgs, refuse_if};
use crate::capture::{self, Wanted};
use crate::error::{Error, ErrorKind, Subject};
use crate::kernel::whereabouts::await_answer;
use crate::process::{ProcRoot, not_mounted};
use crate::table::Stop;

/// Which machine is read.
#[derive(Debug, Clone, Args)]
pub(crate) struct RootArgs {
    /// Read a capture, an archive or its directory, or a directory like /proc, instead of this machine
    #[arg(long, value_name = "FILE|DIR", default_value = "/proc", help_heading = "Processes", hide_short_help = true)]
    proc_root: PathBuf,
}

impl RootArgs {
    /// The machine that is read. Of an archive what is wanted is unpacked, for as long as a copy of the root exists.
    ///
    /// # Errors
    /// It is on a file system that does not answer, or is a damaged capture.
    pub(crate) fn root(&self, wanted: Wanted) -> Result<ProcRoot, Stop> {
        open(&self.proc_root, wanted)
    }

    /// The same for an answer that can be repeated, which that of a capture cannot.
    ///
    /// # Errors
    /// As for [`RootArgs::root`].
    pub(crate) fn root_for(&self, answer: &AnswerArgs, wanted: Wanted) -> Result<ProcRoot, Stop> {
        let root = self.root(wanted)?;
        refuse_if(answer.every.is_some() && root.captured().is_some(), "-w", "a capture does not change")?;
        Ok(root)
    }
}

/// The same machine, for an answer that has nothing to report without a mounted `/proc`.
///
/// # Errors
/// It is not mounted.
pub(crate) fn mounted(root: ProcRoot) -> Result<ProcRoot, Stop> {
    not_mounted(&root).map_or(Ok(root), |error| Err(Stop::Failed(error)))
}

/// The machine at this path, with what is wanted of it.
///
/// # Errors
/// As for [`RootArgs::root`].
pub(crate) fn open(path: &std::path::Path, wanted: Wanted) -> Result<ProcRoot, Stop> {
    if ProcRoot::at(path.to_owned()) == ProcRoot::live() {
        return Ok(ProcRoot::live());
    }
    await_answer(path).map_err(|errno| Error::io(Subject::Path(path.to_owned()), &errno.into()))?;
    if !path.try_exists().unwrap_or(true) {
        let error = Error::path(path, ErrorKind::NotFound, "no such capture");
        return Err(Stop::Failed(error.with_advice("`rmap capture -o FILE` takes one")));
    }
    let root = capture::open(path, wanted)?;
    match root.captured().is_some() || is_like_proc(&root) {
        true => Ok(root),
        false => {
            let why = "neither a capture nor a directory like /proc: it has no processes and no meminfo";
            Err(Stop::Failed(Error::path(path, ErrorKind::Malformed, why)))
        }
    }
}

/// Whether the root has anything that a `/proc` has; one that cannot be listed may.
fn is_like_proc(root: &ProcRoot) -> bool {
    let has = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit()) || ["meminfo", "self"].contains(&name);
    match std::fs::read_dir(root.path()) {
        Ok(entries) => entries.flatten().any(|entry| entry.file_name().to_str().is_some_and(has)),
        Err(_) => true,
    }
}
