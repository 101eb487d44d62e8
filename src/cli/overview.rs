//! `rmap` alone: the machine on one screen.
//!
//! Each part of the screen is a query of its own, as `rmap mem`, `ps`, `files` and `cgroups` would ask it. They are
//! answered at the same time, because the largest takes almost as long as all of them.

use std::io::{self, Write};
use std::time::Duration;

use clap::Args;

use super::answer::{When, seconds};
use super::report::Report;
use super::root::{RootArgs, mounted};
use super::run::{Configured, Done, Listed, Run};
use super::screen::{self, Place};
use crate::capture::Wanted;
use crate::error::{Error, ErrorKind, Subject};
use crate::join::machine_files::FoundChoice;
use crate::process::{ProcRoot, ProcessChoice, who_could};
use crate::query::{Default, Host, Query, execute};
use crate::render::{Presentation, TextSink};
use crate::table::{RowKind, SizeUnit, Source, Stop};
use crate::views::cached_file::CachedFileSource;
use crate::views::control_group::GroupSource;
use crate::views::machine::{self, MachineSource};
use crate::views::process::{ProcessSource, Processes};

/// How many rows each list has.
const ROWS: usize = 5;

/// A page table that takes longer is not waited for: such a process has its place by its Rss.
const BUDGET_OF_PROCESSES: Duration = Duration::from_millis(400);

/// The most cells that the strip has, and the blanks before it.
const CELLS: usize = 72;
const INDENT: usize = 2;

/// The last line.
const NEXT: &str = "more: rmap mem|ps|files|cgroups, rmap PID, rmap FILE, rmap who FILE, rmap --help";

/// `rmap overview`
#[derive(Debug, Clone, Args)]
pub(crate) struct OverviewArgs {
    /// Time limit for each list (default: 0.4 s for processes, otherwise 2 s); what was not read by then is absent
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    budget: Option<Duration>,
    /// When to use colour: auto (on a terminal, unless NO_COLOR is set), always or never
    #[arg(long, value_name = "WHEN")]
    color: Option<When>,
    /// Which machine is read.
    #[command(flatten)]
    root: RootArgs,
}

impl Run for OverviewArgs {
    const NAME: &'static str = "overview";
    const ABOUT: &'static str = "The machine on one screen; the same as rmap alone";

    const ROWS: &'static [Listed] = &[];
    const NOTES: &'static str = "The lists are the first rows of `rmap ps`, `rmap files` and `rmap cgroups`, which \
have all columns and options, as has `rmap mem`.";
    const OPERANDS: &'static str = "";
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("rmap", "the machine on one screen"),
        ("rmap overview --budget 10", "the same with more time, for a large machine"),
        ("rmap ps --top 20", "one of its lists, with more rows"),
    ];

    fn is_machine(&self) -> bool {
        false
    }

    fn run(self, configured: &Configured, report: &mut Report) -> Done {
        let root = mounted(self.root.root(Wanted::ALL)?)?;
        let presentation = Presentation {
            unit: configured.unit.unwrap_or(SizeUnit::Human),
            terminal_width: screen::terminal_width(),
            colour: self.color.unwrap_or_default().is_on(&Place::Output),
            unicode: screen::has_unicode(),
            page: Some(root.page_size()),
            captured: root.captured().map(|captured| captured.time),
            is_brief: true,
            is_dense: true,
            ..Presentation::default()
        };
        let mut parts = self.read(&root, &presentation);
        let next = screen::wrapped_to_terminal(NEXT);
        let captured = presentation.captured_line();
        let summed_up = if screen::terminal_height().is_some() { sum_up(&parts) } else { SummedUp::default() };
        // The last line is that of the shell.
        let others = next.lines().count() + captured.iter().count() + summed_up.lines + 1;
        let room = screen::terminal_height().map_or(usize::MAX, |height| height.saturating_sub(others));
        let gap = if fit(&mut parts, room) { "\n" } else { "" };
        let mut out = io::stdout().lock();
        for part in parts.iter().filter(|part| !part.text.is_empty()) {
            out.write_all(&part.text)?;
            out.write_all(gap.as_bytes())?;
        }
        if let Some(line) = captured {
            writeln!(out, "{line}")?;
        }
        writeln!(out, "{next}")?;
        match summed_up.note {
            Some(note) => {
                report.note(&note);
                parts.into_iter().try_for_each(|part| part.without_messages().report_to(report))
            }
            None => parts.into_iter().try_for_each(|part| part.report_to(report)),
        }
    }
}

impl OverviewArgs {
    /// Reads all parts at the same time.
    fn read(&self, root: &ProcRoot, presentation: &Presentation) -> Vec<Part> {
        let cells = presentation.terminal_width.map_or(CELLS, |width| usize::from(width).saturating_sub(INDENT));
        let cells = cells.clamp(1, CELLS);
        let mut memory = MachineSource { root: root.clone(), cells };
        let mut processes = ProcessSource::new(root, ProcessChoice::default());
        processes.request.budget = Some(self.budget.unwrap_or(BUDGET_OF_PROCESSES));
        let mut files = CachedFileSource::new(FoundChoice::default());
        files.root = root.clone();
        files.budget = self.budget.unwrap_or(files.budget);
        let mut groups = GroupSource::new(root.clone());
        groups.budget = self.budget;
        // The first lines are about the machine.
        groups.omits_root = true;
        std::thread::scope(|scope| {
            let files = scope.spawn(move || {
                let columns = ["cached", "dirty", "mapped", "holders", "path"];
                Part::answer(("files", "cached files"), &largest(&columns, "cached"), &mut files, presentation)
            });
            let groups = scope.spawn(move || {
                let columns = ["usage", "limit", "working_set", "anon", "processes", "path"];
                Part::answer(("cgroups", "control groups"), &largest(&columns, "usage"), &mut groups, presentation)
            });
            let processes = scope.spawn(move || {
                // Without a terminal nothing is cut, and a command line may have thousands of characters.
                let command = if screen::is_terminal() { "command" } else { "name" };
                let columns = ["pid", "user", "pss", "uss", "rss", "swap", command];
                Part::answer(
                    ("ps", "processes"),
                    &largest(&columns, Processes::LARGEST_BY),
                    &mut processes,
                    presentation,
                )
            });
            let memory = Part::answer(("mem", "memory"), &columns(machine::DEFAULT), &mut memory, presentation);
            let joined = [processes, files, groups].into_iter().filter_map(|part| part.join().ok());
            std::iter::once(memory).chain(joined).collect()
        })
    }
}

/// Takes rows from the lists, the longest first and of those the last, until all parts have room on so many lines.
/// Returns whether they have room with an empty line below each, too.
fn fit(parts: &mut [Part], room: usize) -> bool {
    let lines = |parts: &[Part]| parts.iter().map(Part::lines).sum::<usize>();
    let has_gaps = lines(parts) + parts.len() <= room;
    while lines(parts) > room {
        // The first part is not a list. Each list keeps its titles and a row.
        let lists = parts.iter_mut().skip(1);
        let Some(longest) = lists.filter(|part| part.lines() > 2).max_by_key(|part| part.lines()) else { break };
        let text = longest.text.strip_suffix(b"\n").unwrap_or(&longest.text);
        let end = memchr::memrchr(b'\n', text).map_or(0, |end| end + 1);
        longest.text.truncate(end);
    }
    has_gaps
}

/// The most lines of messages below the screen, which then has room for as many rows less.
const MESSAGES: usize = 3;

/// What is said below the screen about what could not be read.
#[derive(Default)]
struct SummedUp {
    /// It, instead of the messages of the parts.
    note: Option<Error>,
    /// How many lines it takes, or these.
    lines: usize,
}

/// What is said on a terminal instead of the messages of all parts, if these would push the screen off.
fn sum_up(parts: &[Part]) -> SummedUp {
    let text = |error: &Error| Report::line(error);
    let lines = |text: &str| screen::lines_of_complaint(text).unwrap_or(0);
    let count = parts.iter().flat_map(Part::messages).map(|error| lines(&text(error))).sum();
    if count <= MESSAGES {
        return SummedUp { note: None, lines: count };
    }
    let note = note_about(parts);
    SummedUp { lines: lines(&text(&note)), note: Some(note) }
}

/// One note for the messages of all parts: which commands say more.
fn note_about(parts: &[Part]) -> Error {
    let parts: Vec<&Part> = parts.iter().filter(|part| part.messages().next().is_some()).collect();
    let is_denied = |error: &Error| error.kind() == ErrorKind::Denied;
    let is_denied = parts.iter().any(|part| part.messages().any(is_denied));
    let why = who_could().filter(|_| is_denied).map_or_else(String::new, |who| format!(" ({who} may read more)"));
    let commands: Vec<String> = parts.iter().map(|part| format!("`rmap {}`", part.command)).collect();
    let (commands, say) = match &commands[..] {
        [one] => (one.clone(), "says"),
        [first @ .., last] => (format!("{} and {last}", first.join(", ")), "say"),
        [] => (String::new(), "say"),
    };
    let subject = Subject::Words("not everything could be read".to_owned());
    let kind = if is_denied { ErrorKind::Denied } else { ErrorKind::Refused };
    Error::new(subject, kind, format!("{commands} {say} what is missing{why}"))
}

/// A query for these columns.
fn columns(ids: &[&str]) -> Query {
    Query { default: Default::Columns(ids.iter().map(|id| (*id).to_owned()).collect()), ..Query::all() }
}

/// A query for the rows with most of `by`.
fn largest(ids: &[&str], by: &str) -> Query {
    columns(ids).sort(by).top(ROWS)
}

/// One part of the screen.
struct Part {
    /// The subcommand that has all of it.
    command: &'static str,
    text: Vec<u8>,
    errors: Vec<Error>,
    notes: Vec<Error>,
    is_incomplete: bool,
    done: Done,
}

impl Part {
    fn answer<S: Source>(
        (command, what): (&'static str, &str),
        query: &Query,
        source: &mut S,
        presentation: &Presentation,
    ) -> Part {
        let (text, errors, notes) = (Vec::new(), Vec::new(), Vec::new());
        let mut part = Part { command, text, errors, notes, is_incomplete: false, done: Ok(()) };
        let mut text = Vec::new();
        let mut sink = TextSink::new(*presentation, Box::new(&mut text));
        part.done = execute(query, source, &mut sink, &mut part);
        drop(sink);
        part.text = match (text.iter().filter(|byte| **byte == b'\n').count() > 1, part.is_complete()) {
            (true, _) => text,
            // Titles without rows do not tell nothing from nothing that can be seen.
            (false, true) => format!("{what}: none\n").into_bytes(),
            (false, false) => format!("{what}: not known\n").into_bytes(),
        };
        part
    }

    fn lines(&self) -> usize {
        memchr::memchr_iter(b'\n', &self.text).count()
    }

    /// What could not be read.
    fn messages(&self) -> impl Iterator<Item = &Error> {
        let failed = if let Err(Stop::Failed(error)) = &self.done { Some(error) } else { None };
        self.errors.iter().chain(&self.notes).chain(failed)
    }

    /// The same part if its messages are summed up elsewhere: it is still incomplete.
    fn without_messages(mut self) -> Part {
        let has_failed = !self.errors.is_empty() || matches!(self.done, Err(Stop::Failed(_)));
        self.is_incomplete |= has_failed;
        self.errors.clear();
        self.notes.clear();
        if matches!(self.done, Err(Stop::Failed(_))) {
            self.done = Ok(());
        }
        self
    }

    /// Whether everything could be read.
    fn is_complete(&self) -> bool {
        self.errors.is_empty() && self.notes.is_empty() && !self.is_incomplete && self.done.is_ok()
    }

    /// Reports what could not be read, below the screen.
    fn report_to(self, report: &mut Report) -> Done {
        self.errors.iter().for_each(|error| report.failure(error));
        self.notes.iter().for_each(|note| report.note(note));
        if self.is_incomplete {
            report.incomplete();
        }
        match self.done {
            Err(Stop::Failed(error)) => {
                report.failure(&error);
                Ok(())
            }
            done => done,
        }
    }
}

impl Host for Part {
    fn failure(&mut self, error: &Error) {
        self.errors.push(error.clone());
    }

    fn note(&mut self, note: &Error) {
        self.notes.push(note.clone());
    }

    fn incomplete(&mut self) {
        self.is_incomplete = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first part and three lists with so many lines, after they were fitted into so much room.
    fn fitted(lines: [usize; 3], room: usize) -> (Vec<usize>, bool) {
        let part = |lines: usize| Part {
            command: "ps",
            text: (0..lines).flat_map(|line| format!("{line}\n").into_bytes()).collect(),
            errors: Vec::new(),
            notes: Vec::new(),
            is_incomplete: false,
            done: Ok(()),
        };
        let mut parts: Vec<Part> = std::iter::once(6).chain(lines).map(part).collect();
        let has_gaps = fit(&mut parts, room);
        // What is kept of each is its first lines.
        for part in &parts {
            assert!(part.text.starts_with(b"0\n1\n"));
        }
        (parts.iter().skip(1).map(Part::lines).collect(), has_gaps)
    }

    #[test]
    fn rows_are_taken_from_the_longest_list() {
        assert_eq!(fitted([6, 6, 6], 40), (vec![6, 6, 6], true));
        assert_eq!(fitted([6, 6, 6], 25), (vec![6, 6, 6], false));
        assert_eq!(fitted([6, 6, 6], 21), (vec![5, 5, 5], false));
        assert_eq!(fitted([6, 6, 6], 20), (vec![5, 5, 4], false));
        // A machine may have few control groups, and an ordinary user may see few files.
        assert_eq!(fitted([6, 3, 6], 18), (vec![5, 3, 4], false));
        assert_eq!(fitted([6, 2, 2], 4), (vec![2, 2, 2], false));
    }
}
