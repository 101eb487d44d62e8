//! What was typed behind `rmap pid`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::OutputArgs;

/// `rmap pid`
#[derive(Debug, Args)]
pub struct PidArgs {
    /// Processes: pids, or self
    #[arg(value_name = "PID", required = true)]
    pub pids: Vec<OsString>,
    /// Every field that the kernel gives, in its order
    #[arg(short = 'X', action = ArgAction::Count)]
    pub everything: u8,
    /// Read DIR instead of /proc: a directory that looks like one
    #[arg(long, value_name = "DIR", default_value = "/proc")]
    pub proc_root: PathBuf,
    /// How the answer is written.
    #[command(flatten)]
    pub output: OutputArgs,
}
