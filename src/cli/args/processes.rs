//! What was typed to choose processes by what they are.

use std::ffi::OsString;

use clap::Args;

/// Processes by what they are. Of one option any value may hold, of different options all must.
#[derive(Debug, Args)]
#[group(id = "found", multiple = true)]
#[command(next_help_heading = "Processes")]
pub struct ProcessArgs {
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

impl ProcessArgs {
    /// Whether processes are to be found, and not only those that were named.
    pub fn any(&self) -> bool {
        !(self.name.is_empty() && self.pattern.is_empty() && self.user.is_empty() && self.cgroup.is_empty())
    }
}
