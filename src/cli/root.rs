//! `--proc-root`: another machine's `/proc` instead of the one of this machine.

use std::path::PathBuf;

use clap::Args;

use crate::error::{Error, Subject};
use crate::kernel::whereabouts::await_answer;
use crate::process::ProcRoot;
use crate::table::Stop;

/// Which machine is read.
#[derive(Debug, Clone, Args)]
pub(crate) struct RootArgs {
    /// Read DIR, a directory with the same structure, instead of /proc
    #[arg(long, value_name = "DIR", default_value = "/proc", help_heading = "Processes", hide_short_help = true)]
    proc_root: PathBuf,
}

impl RootArgs {
    /// The machine that is read.
    ///
    /// # Errors
    /// The directory is on a file system that does not answer.
    pub(crate) fn root(&self) -> Result<ProcRoot, Stop> {
        let path = &self.proc_root;
        let root = ProcRoot::at(path.clone());
        if root != ProcRoot::live() {
            await_answer(path).map_err(|errno| Error::io(Subject::Path(path.clone()), &errno.into()))?;
        }
        Ok(root)
    }
}
