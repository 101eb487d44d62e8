//! What was typed behind `rmap pid`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::OutputArgs;

/// `rmap pid`
#[derive(Debug, Args)]
pub struct PidArgs {
    /// Processes: pids, or self
    #[arg(value_name = "PID", required_unless_present = "by")]
    pub pids: Vec<String>,
    /// Processes by what they are.
    #[command(flatten)]
    pub selection: SelectionArgs,
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

/// Processes by what they are. Of one option any value may hold, of different options all must.
#[derive(Debug, Args)]
#[group(id = "by", multiple = true)]
pub struct SelectionArgs {
    /// Processes, or programs, of this name
    #[arg(long, value_name = "NAME")]
    pub name: Vec<OsString>,
    /// Processes with this regular expression in their command line
    #[arg(long = "match", value_name = "REGEX")]
    pub pattern: Vec<String>,
    /// Processes of this user: a name or a number
    #[arg(long, value_name = "USER")]
    pub user: Vec<String>,
    /// Processes in this control group or below: a path, or the name of a group
    #[arg(long, value_name = "GROUP")]
    pub cgroup: Vec<OsString>,
}
