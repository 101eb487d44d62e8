//! `rmap files`: every cached file of the machine.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::answer::{AnswerArgs, View, unit_of_files};
use super::report::Report;
use super::run::{Configured, Done, Listed, Run};
use crate::error::{Error, Subject};
use crate::join::machine_files::{FoundChoice, Split};
use crate::process::ProcRoot;
use crate::table::{RowKind, Stop};
use crate::views::cached_file::{self, CachedFileSource, CachedFiles};

/// `rmap files`
#[derive(Debug, Clone, Args)]
pub(crate) struct FilesArgs {
    /// Show only files in and below these directories
    #[arg(value_name = "DIR")]
    below: Vec<PathBuf>,
    /// Show only pages that this control group is charged for
    ///
    /// Or a group below it. A file may be charged to several groups; then only the pages of this one count. The names
    /// are those of `rmap pid --cgroup`.
    #[arg(long, value_name = "NAME", help_heading = "Files")]
    cgroup: Vec<OsString>,
    /// Show only deleted files
    #[arg(long, help_heading = "Files")]
    deleted: bool,
    /// Show only files that no process maps
    #[arg(long, help_heading = "Files")]
    unmapped: bool,
    /// Show only files with pages that have not been written to disk
    #[arg(long, help_heading = "Files")]
    dirty: bool,
    /// Walk over DIR, or over all directories, instead of reading the kernel's lists
    ///
    /// With the files that processes map or have open. It needs no privilege, and misses block devices, file-system
    /// metadata and what is in other mount namespaces.
    #[arg(long, help_heading = "Files")]
    scan: bool,
    /// Time limit; what was not read by then is absent
    #[arg(long, value_name = "SECS", default_value = "2", value_parser = seconds, help_heading = "Files")]
    budget: Duration,
    /// How the rows are shown.
    #[command(flatten)]
    answer: AnswerArgs,
}

/// A number of seconds, more than zero.
fn seconds(text: &str) -> Result<Duration, String> {
    text.parse::<super::answer::Interval>().map(|interval| interval.0)
}

impl Run for FilesArgs {
    const NAME: &'static str = "files";
    const ABOUT: &'static str = "Every file of the machine that has cached pages, without a walk";

    const ROWS: &'static [Listed] = &[Listed::of::<CachedFiles>("Columns")];
    const NOTES: &'static str = "";
    const OPERANDS: &'static str = "";
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("rmap files --top 20", "the largest cached files"),
        ("rmap files --by cgroup", "who is charged for the page cache"),
        ("rmap files --deleted", "deleted files that still take memory"),
        ("rmap files /var/lib", "the files below a directory"),
    ];

    fn is_machine(&self) -> bool {
        self.answer.is_machine()
    }

    fn run(self, configured: &Configured, report: &mut Report) -> Done {
        let presentation = self.answer.presentation(configured, unit_of_files());
        let mut query = self.answer.query(configured, View::Usual(cached_file::DEFAULT))?;
        // Largest first, also without --top.
        if query.by.is_none() && query.order.is_none() {
            query.order = Some(CachedFiles::LARGEST_BY.to_owned());
        }
        let narrowing = [
            (self.deleted, "--deleted"),
            (self.unmapped, "--unmapped"),
            (self.dirty, "--dirty"),
            (!self.cgroup.is_empty(), "--cgroup"),
        ];
        report.narrowed.extend(narrowing.into_iter().filter(|(typed, _)| *typed).map(|(_, option)| option));
        if !self.below.is_empty() {
            report.narrowed.push("DIR");
        }
        let mut source = CachedFileSource::new(self.choice(query.by.as_deref())?);
        source.budget = self.budget;
        if self.scan {
            let all = || vec![PathBuf::from("/")];
            source.walk = Some(if self.below.is_empty() { all() } else { source.choice.below.clone() });
            report.show_progress("looked at");
        }
        self.answer.answer(&query, &mut source, presentation, report)
    }
}

impl FilesArgs {
    fn choice(&self, by: Option<&str>) -> Result<FoundChoice, Stop> {
        let real = |path: &PathBuf| {
            path.canonicalize().map_err(|error| Stop::Failed(Error::io(Subject::Path(path.clone()), &error)))
        };
        let mut choice = FoundChoice {
            below: self.below.iter().map(real).collect::<Result<_, _>>()?,
            deleted: self.deleted,
            dirty: self.dirty,
            unmapped: self.unmapped,
            ..FoundChoice::default()
        };
        self.cgroup.iter().for_each(|group| choice.groups.add(group.as_bytes()));
        choice.groups.resolve(&ProcRoot::live());
        choice.split = match by.map(CachedFiles::id_of) {
            _ if !choice.groups.is_empty() => Some(Split::Groups),
            Some("cgroup") => Some(Split::Groups),
            Some("node") => Some(Split::Nodes),
            Some("holders") => Some(Split::Holders),
            _ => None,
        };
        Ok(choice)
    }
}
