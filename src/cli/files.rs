//! `rmap files`: every cached file of the machine.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::answer::{AnswerArgs, View, refuse_if, seconds, unit_of_files};
use super::report::Report;
use super::root::{RootArgs, mounted};
use super::run::{Configured, Done, Listed, Run};
use crate::capture::Wanted;
use crate::join::machine_files::{FoundChoice, Split};
use crate::process::ProcRoot;
use crate::query::{Host as _, Query};
use crate::table::RowKind;
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
    /// Show only files with pages not yet written to disk
    #[arg(long, help_heading = "Files")]
    dirty: bool,
    /// Walk over directories instead of reading the kernel's lists
    ///
    /// Walks below DIR. Without DIR it walks everything and adds the files that processes map or have open. It needs no
    /// privilege, and misses block devices, file-system metadata and what is in other mount namespaces; below DIR also
    /// deleted files.
    #[arg(long, help_heading = "Files")]
    scan: bool,
    /// Time limit (default: 2 s); what is not read is absent
    ///
    /// It limits how long the kernel's lists and the processes that hold files are read. Without these lists, files are
    /// measured one by one, which has no limit.
    #[arg(long, value_name = "SECS", value_parser = seconds, help_heading = "Files")]
    budget: Option<Duration>,
    /// Which machine is read.
    #[command(flatten)]
    root: RootArgs,
    /// How the rows are shown.
    #[command(flatten)]
    answer: AnswerArgs,
}

impl Run for FilesArgs {
    const NAME: &'static str = "files";
    const ABOUT: &'static str = "Every file of the machine that has cached pages, without a walk";

    const ROWS: &'static [Listed] = &[Listed::of::<CachedFiles>("Columns")];
    const NOTES: &'static str = "";
    const OPERANDS: &'static str = "";
    const FILTERS: &'static [(&'static str, &'static str)] = &[("", "size>10M && name=~libc")];
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
        for (typed, option) in [(!self.cgroup.is_empty(), "--cgroup"), (self.unmapped, "--unmapped")] {
            refuse_if(self.scan && typed, option, "only the kernel's lists say it; leave out --scan")?;
        }
        refuse_if(self.scan && self.budget.is_some(), "--budget", "it limits the kernel's lists, and not --scan")?;
        // Which control groups are meant is found by the mounts, and what is below a directory too.
        let wanted = Wanted { processes: !self.cgroup.is_empty() || !self.below.is_empty(), files: true };
        let root = mounted(self.root.root_for(&self.answer, wanted)?)?;
        if !root.is_live() {
            refuse_if(self.scan, "--scan", "a capture has no directories; it has the list of cached files")?;
            refuse_if(self.budget.is_some(), "--budget", "the list of a capture is already there")?;
            for path in &self.below {
                refuse_if(path.is_relative(), &path.to_string_lossy(), "name a directory of a capture from / on")?;
            }
        }
        let presentation = self.answer.presentation_of(&root, configured, unit_of_files());
        let mut query = self.answer.query::<CachedFiles>(configured, View::Usual(cached_file::DEFAULT))?;
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
        report.narrowed.extend(narrowing.into_iter().filter(|(typed, _)| *typed).map(|(_, option)| option.into()));
        report.narrowed.extend(self.below.iter().map(|path| path.to_string_lossy().into_owned().into()));
        let choice = self.choice(&root, &query, report);
        if choice.below.is_empty() && !self.below.is_empty() {
            return Ok(());
        }
        let mut source = CachedFileSource::new(choice);
        source.root = root;
        source.budget = self.budget.unwrap_or(source.budget);
        if self.scan {
            let all = || vec![PathBuf::from("/")];
            let walked = if self.below.is_empty() { all() } else { source.choice.below.clone() };
            let why = "a walk below a directory misses deleted files; leave out --scan, or the directory";
            refuse_if(self.deleted && walked != all(), "--deleted", why)?;
            source.walk = Some(walked);
            report.show_progress("looked at");
        }
        self.answer.answer(&query, &mut source, presentation, report)
    }
}

impl FilesArgs {
    /// Which files are chosen. Directories that cannot be found are reported.
    fn choice(&self, root: &ProcRoot, query: &Query, report: &mut Report) -> FoundChoice {
        let mut choice =
            FoundChoice { deleted: self.deleted, dirty: self.dirty, unmapped: self.unmapped, ..FoundChoice::default() };
        for path in &self.below {
            match root.is_live() {
                true => choice.add_below(path).unwrap_or_else(|error| report.failure(&error)),
                // The links of the captured machine are not those of this one. `//` and `/.` mean `/` everywhere.
                false => choice.below.push(path.components().collect()),
            }
        }
        self.cgroup.iter().for_each(|group| choice.groups.add(group.as_bytes()));
        choice.groups.resolve(root);
        // A filter for a group or a node means its pages, not the files that have some of them.
        let filtered = query.filter.iter().flat_map(|filter| filter.names());
        let names: Vec<String> = query.by.iter().cloned().chain(filtered).collect();
        let is_about = |id| names.iter().any(|name| CachedFiles::id_of(name) == id);
        choice.split = match () {
            () if !choice.groups.is_empty() || is_about("cgroup") => Some(Split::Groups),
            () if is_about("node") => Some(Split::Nodes),
            () if query.by.as_deref().map(CachedFiles::id_of) == Some("holders") => Some(Split::Holders),
            () => None,
        };
        choice
    }
}
