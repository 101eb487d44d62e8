//! The options that select processes by their properties, which are the same in every subcommand.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::Args;

use crate::process::{Criteria, NamedProcess, ProcessChoice};
use crate::table::Stop;

/// Processes by their properties. An option matches if any of its values does; all given options must match.
#[derive(Debug, Clone, Args)]
#[group(id = "found", multiple = true)]
#[command(next_help_heading = "Processes")]
pub(crate) struct FoundArgs {
    /// Processes whose name or program has this name
    #[arg(long, value_name = "NAME")]
    name: Vec<OsString>,
    /// Processes whose command line matches REGEX
    #[arg(long = "match", value_name = "REGEX", hide_short_help = true)]
    pattern: Vec<String>,
    /// Processes of this user: a name or a number
    #[arg(long, value_name = "USER", hide_short_help = true)]
    user: Vec<String>,
    /// Processes in this control group or below: a path or name, which may contain * and ?, or the id of a container
    ///
    /// A path is as in /proc/PID/cgroup, also with its hierarchy and then only in that one (memory:/docker,
    /// 0::/docker), or as mounted, also from a working directory there (., ./docker).
    #[arg(long, value_name = "GROUP", hide_short_help = true)]
    cgroup: Vec<OsString>,
}

impl FoundArgs {
    /// Whether no such option was typed.
    pub(crate) fn is_empty(&self) -> bool {
        self.typed().next().is_none()
    }

    /// The options that were typed.
    pub(crate) fn typed(&self) -> impl Iterator<Item = &'static str> {
        let options = [
            (!self.name.is_empty(), "--name"),
            (!self.pattern.is_empty(), "--match"),
            (!self.user.is_empty(), "--user"),
            (!self.cgroup.is_empty(), "--cgroup"),
        ];
        options.into_iter().filter(|(typed, _)| *typed).map(|(_, option)| option)
    }

    /// These processes, and those that were named.
    pub(crate) fn choice(&self, pids: Vec<NamedProcess>) -> Result<ProcessChoice, Stop> {
        let mut like = Criteria::new();
        self.name.iter().for_each(|name| like.add_name(name.as_bytes()));
        self.cgroup.iter().for_each(|group| like.add_group(group.as_bytes()));
        self.pattern.iter().try_for_each(|pattern| like.add_pattern(pattern)).map_err(Stop::Usage)?;
        self.user.iter().try_for_each(|user| like.add_user(user)).map_err(Stop::Usage)?;
        Ok(ProcessChoice { pids, like })
    }
}
