//! `rmap pcstat`: the file view.

use clap::Args;
use clap::builder::PossibleValuesParser;
use unicode_width::UnicodeWidthStr;

use super::answer::{AnswerArgs, View, refuse_if, unit_of_files, whole_number};
use super::chosen::{ChosenArgs, OPERANDS};
use super::report::Report;
use super::run::{Configured, Done, Listed, Run};
use super::screen;
use crate::join::ChosenFiles;
use crate::pagecache::Method;
use crate::query::{Default, Query};
use crate::render::Presentation;
use crate::table::{Expression, RowKind, SizeUnit, Stop};
use crate::units::Bytes;
use crate::views::directory::{self, Directories, DirectorySource};
use crate::views::file::{self, FileSource, Files};
use crate::views::stretch::{self, StretchSource, Stretches};

/// `rmap pcstat`
#[derive(Debug, Clone, Args)]
pub(crate) struct PcstatArgs {
    /// Which files.
    #[command(flatten)]
    chosen: ChosenArgs,
    /// Include only files with pages in the page cache
    #[arg(long, help_heading = "Files", hide_short_help = true)]
    only_cached: bool,
    /// Show one row with the sums over all files
    #[arg(long, help_heading = "Views")]
    summary: bool,
    /// Show one row per directory, with the sums below it
    ///
    /// Down to DEPTH levels below the given directories. The sums are those of all files in and below a directory.
    #[arg(long, value_name = "DEPTH", value_parser = whole_number, help_heading = "Views")]
    by_dir: Option<usize>,
    /// Show only the last part of each path
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    bname: bool,
    /// With --json: add the array "status", which has one entry per page: whether it is cached
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    pps: bool,
    /// Write comma-separated values, as pcstat does
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    terse: bool,
    /// Show one line of bars per file: how much of each part of it is cached
    #[arg(long, help_heading = "Views", hide_short_help = true)]
    histo: bool,
    /// Show where each file is cached, as a strip
    ///
    /// It is as wide as the terminal: how much of each part is cached, and where it is dirty or being written.
    #[arg(long, help_heading = "Views")]
    map: bool,
    /// Show one row per stretch of each file
    ///
    /// A stretch is cached, data that is not cached, or a hole.
    #[arg(long, help_heading = "Views")]
    runs: bool,
    /// With --runs: leave out stretches that are shorter than this
    #[arg(long, value_name = "SIZE", help_heading = "Views", hide_short_help = true)]
    min_run: Option<Bytes>,
    /// Use only this method, to compare one with another
    ///
    /// pages: the kernel's own list of the pages of a file, which needs root, or CAP_BPF and CAP_PERFMON.
    #[arg(long, value_name = "METHOD", value_parser = method_names(), help_heading = "Output", hide_short_help = true)]
    method: Option<String>,
    /// Draw tables without rules, even on a terminal
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    plain: bool,
    /// Draw tables with rules, even in a pipe
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    unicode: bool,
    /// How the rows are shown.
    #[command(flatten)]
    answer: AnswerArgs,
}

impl Run for PcstatArgs {
    const NAME: &'static str = "pcstat";
    const ABOUT: &'static str = "Which pages of a file are in the page cache";

    const ROWS: &'static [Listed] = &[
        Listed::of::<Files>("Columns"),
        Listed::of::<Directories>("Columns of --by-dir and --summary"),
        Listed::of::<Stretches>("Columns of --runs"),
    ];
    const NOTES: &'static str = "\
        By default sizes are human-readable on a terminal, and in bytes in a pipe. With -R, rows are in the order in \
        which directories list their files; with several threads the order is not fixed, unless --sort is given.\n\
        pcstat's options can also be written with one dash (-json). --sort takes the next word only if it is a column; \
        otherwise it sorts by cached pages.\n\n\
        The strips of --map (each cell is an equal part of the file, or of --range):\n  \
        on a terminal  · nothing cached  ░▒▓ up to a third, two thirds, less than all  █ all\n  \
        in a pipe      . nothing cached  1-9 tenths, rounded down (1: some)            # all\n  \
        a cell is yellow if it has dirty pages, cyan if it has pages under writeback, magenta if it has both;\n  \
        without colour (a pipe, NO_COLOR) a second line shows D, W or B. mincore does not report these.\n\n\
        With --by-dir and --summary, EXPR of --filter is about files: it chooses which of them are added up.";
    const OPERANDS: &'static str = OPERANDS;
    const FILTERS: &'static [(&'static str, &'static str)] =
        &[("", "size>10M && name=~libc"), ("--runs", "length>1M && state==cached")];
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("rmap pcstat big.db", "how much of the file is cached"),
        ("rmap pcstat --map big.db", "where in the file"),
        ("rmap pcstat --pid 4690 --top 10", "the files of a process with the most cached pages"),
        ("rmap pcstat -R /srv/db --by-dir 1", "like du, but for the page cache"),
        ("rmap pcstat -R /srv/db --filter 'dirty > 0'", "what has not been written to disk"),
        ("rmap pcstat -w 2 big.db", "repeat every 2 s and show what changed"),
    ];

    const NO_ROOT: &'static str =
        "it measures files, and a capture only lists those that were cached: rmap files --proc-root FILE";

    fn is_machine(&self) -> bool {
        self.terse || self.answer.is_machine()
    }

    fn run(self, configured: &Configured, report: &mut Report) -> Done {
        self.check()?;
        report.narrowed.extend(self.chosen.narrowing().into_iter().map(Into::into));
        report.paths_like_pids = self.chosen.paths_like_pids();
        report.narrowed.extend(self.only_cached.then_some("--only-cached".into()));
        if self.chosen.recursive && (self.summary || self.by_dir.is_some() || !screen::is_terminal()) {
            // If rows are printed on the terminal, they show the progress themselves.
            report.show_progress("looked at");
        }
        match () {
            () if self.summary || self.by_dir.is_some() => self.add_up(configured, report),
            () if self.runs => self.show_stretches(configured, report),
            () => self.show_files(configured, report),
        }
    }
}

fn method_names() -> PossibleValuesParser {
    Method::ALL.map(Method::word).into()
}

impl PcstatArgs {
    fn check(&self) -> Done {
        let (answer, summary) = (&self.answer, self.summary);
        let has_files = answer.by.is_none();
        let views = [
            (summary, "--summary"),
            (self.by_dir.is_some(), "--by-dir"),
            (self.runs, "--runs"),
            (self.map, "--map"),
            (self.histo, "--histo"),
            (self.terse, "--terse"),
        ];
        let typed: Vec<&str> = views.iter().filter(|(typed, _)| *typed).map(|(_, option)| *option).collect();
        refuse_if(typed.len() > 1, &typed.join(", "), "each of these is a view of its own; choose one of them")?;
        let rows = typed.first().copied().unwrap_or_default();
        let is_list = !(summary || self.by_dir.is_some() || self.runs || self.terse);
        refuse_if(self.min_run.is_some() && !self.runs, "--min-run", "it is about runs; use it with --runs")?;
        refuse_if(
            self.method.is_some() && (summary || self.by_dir.is_some() || self.runs),
            "--method",
            "only the list of files and their maps can choose one",
        )?;
        refuse_if(self.pps && !is_list, "--pps", "only the list of files has an array of pages")?;
        refuse_if(self.bname && (summary || self.by_dir.is_some()), "--bname", "a sum has no file name")?;
        let fixed = answer.columns.is_some() || answer.total || answer.every.is_some() || answer.has_unit();
        refuse_if(
            self.terse && (fixed || answer.format().name != "table"),
            rows,
            "pcstat's values have fixed columns and units; use --csv with other options",
        )?;
        let is_table = !(self.terse || self.histo || answer.is_machine());
        refuse_if(self.plain && self.unicode, "--plain, --unicode", "a table has rules or it has none")?;
        refuse_if((self.plain || self.unicode) && !is_table, "--plain, --unicode", "only tables have rules")?;
        refuse_if(self.pps && !has_files, "--pps", "a group of files has no pages to list")?;
        refuse_if(self.terse && !has_files, "--terse", "pcstat's values are those of files; use --csv for groups")?;
        refuse_if(self.pps && !answer.format().is_json, "--pps", "only --json and --jsonl can write its array")?;
        refuse_if(summary && answer.sort.is_some(), "--sort", "a summary is one row")?;
        refuse_if(summary && answer.top.is_some(), "--top", "a summary is one row")?;
        refuse_if(summary && answer.total, "--total", "a summary is the total")?;
        let grouped = summary || self.by_dir.is_some();
        refuse_if(grouped && answer.by.is_some(), "--by", "the rows are already sums")?;
        refuse_if(
            self.by_dir.is_some() && answer.total,
            "--total",
            "directories include the ones below them; use --summary for the total",
        )?;
        refuse_if(
            answer.by.as_deref().is_some_and(|by| ["dir", "directory", "folder"].contains(&by)),
            "--by",
            "files have no such column; `-R --by-dir DEPTH` adds them up by directory",
        )?;
        refuse_if((self.map || self.histo) && answer.by.is_some(), "--by", "strips cannot be added up in groups")
    }

    fn presentation(&self, configured: &Configured) -> Presentation {
        let mut presentation = self.answer.presentation(configured, unit_of_files());
        if self.plain {
            presentation.terminal_width = None;
        }
        presentation.unicode |= self.unicode;
        if self.unicode {
            presentation.terminal_width = presentation.terminal_width.or(Some(u16::MAX));
        }
        presentation
    }

    fn show_files(self, configured: &Configured, report: &mut Report) -> Done {
        let (width, longest) = (screen::terminal_width().map_or(80, usize::from), self.longest_name());
        let mut presentation = self.presentation(configured);
        let mut answer = self.answer.clone();
        let (view, cells) = match () {
            () if self.terse => {
                answer = answer.in_format("csv");
                presentation.line_feeds = true;
                (View::Fixed(&[]), 0)
            }
            () if self.histo => {
                presentation.no_header |= !answer.is_machine();
                // The other columns: the pages, and what a repeated table adds, the fate of a row and a change.
                let others = if answer.every.is_some() { 28 } else { 11 };
                (View::Fixed(file::HISTOGRAM), width.saturating_sub(longest.min(width / 2) + others).max(10))
            }
            () if self.map => {
                (View::Fixed(file::DEFAULT_MAP), if screen::is_terminal() { width.saturating_sub(2) } else { width })
            }
            () => (View::Usual(file::DEFAULT), width),
        };
        let mut query = answer.query::<Files>(configured, view)?;
        if answer.is_full_screen() {
            // If not everything fits the screen, the largest files are seen.
            query.sort_as_usual();
        }
        self.suit(&mut query, &presentation);
        for (typed, strip) in [(self.map, "page_map"), (self.histo && answer.is_machine(), "histogram")] {
            if typed && !query.names(strip) {
                query.joined.push(vec![strip.to_owned()]);
            }
        }
        if !self.pps && !query.names("status") {
            // Without --pps the column is null and nothing is measured for it.
            query.unread = &["status"];
        }
        let mut source = FileSource {
            base_name: self.bname,
            only_cached: self.only_cached,
            cells: cells.max(1),
            terse: self.terse,
            method: Method::ALL.into_iter().find(|method| self.method.as_deref() == Some(method.word())),
            chosen: self.chosen.chosen()?,
        };
        answer.answer(&query, &mut source, presentation, report)?;
        note_range(&source.chosen, report);
        Ok(())
    }

    /// Suits the built-in columns to the request: how a process holds each file, and on a terminal a bar instead of the
    /// number of pages, which follows from the size.
    fn suit(&self, query: &mut Query, presentation: &Presentation) {
        let Default::Columns(columns) = &mut query.default else { return };
        let is_list = *columns == file::DEFAULT;
        if is_list && self.chosen.has_processes() {
            columns.insert(1, "held".to_owned());
        }
        let is_for_people = presentation.unit == SizeUnit::Human && presentation.terminal_width.is_some();
        if is_for_people && *columns == stretch::DEFAULT {
            columns.retain(|id| id != "pages");
        }
        if is_for_people && (is_list || *columns == directory::DEFAULT) {
            columns.retain(|id| id != "pages");
            let place = columns.iter().position(|id| id == "percent").map_or(columns.len(), |place| place + 1);
            columns.insert(place, "bar".to_owned());
        }
    }

    /// The width of the longest name, or a guess if the names are not known yet.
    fn longest_name(&self) -> usize {
        let name = |path: &std::path::PathBuf| {
            let shown = if self.bname { path.file_name().map(std::path::Path::new) } else { None };
            shown.unwrap_or(path).display().to_string().width()
        };
        let are_known = !self.chosen.recursive && self.chosen.files_from.is_none() && !self.chosen.has_processes();
        if are_known { self.chosen.paths.iter().map(name).max().unwrap_or(0) } else { 30 }
    }

    fn show_stretches(self, configured: &Configured, report: &mut Report) -> Done {
        let presentation = self.presentation(configured);
        let mut query = self.answer.query::<Stretches>(configured, View::Fixed(stretch::DEFAULT))?;
        self.suit(&mut query, &presentation);
        report.narrowed.extend(self.min_run.map(|_| "--min-run".into()));
        let (base_name, only_cached, answer) = (self.bname, self.only_cached, self.answer);
        let shortest = self.min_run.unwrap_or_default();
        let mut source = StretchSource { chosen: self.chosen.chosen()?, base_name, only_cached, shortest };
        answer.answer(&query, &mut source, presentation, report)?;
        note_range(&source.chosen, report);
        Ok(())
    }

    fn add_up(self, configured: &Configured, report: &mut Report) -> Done {
        let presentation = self.presentation(configured);
        let mut query =
            Query { filter: None, ..self.answer.query::<Directories>(configured, View::Fixed(directory::DEFAULT))? };
        self.suit(&mut query, &presentation);
        // The filter selects the files that are added up.
        let over = |filter: Expression| filter.over(&Files::columns());
        let filter = self.answer.filter::<Files>()?.map(over).transpose().map_err(Stop::Filter)?;
        let (deepest, only_cached, answer) = (self.by_dir, self.only_cached, self.answer);
        report.narrowed.extend(filter.is_some().then_some("--filter".into()));
        let chosen = self.chosen.chosen()?;
        let mut source = DirectorySource { chosen, deepest, only_cached, filter, is_empty: false };
        answer.answer(&query, &mut source, presentation, report)?;
        if source.is_empty {
            report.say_that_nothing_matches("file");
        }
        note_range(&source.chosen, report);
        Ok(())
    }
}

/// Says that no file has any of the bytes of `--range`: the rows would only show that nothing of them is cached.
fn note_range(chosen: &ChosenFiles, report: &Report) {
    if chosen.reach.is_beyond_all() {
        report.remark("--range", format!("no file reaches byte {}", chosen.range.offset));
    }
}
