//! `rmap demo`: creates memory and shows it from both sides.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::Args;

use super::acts::{ActsArgs, FileOfExperiment};
use super::answer::{AnswerArgs, View, refuse_if};
use super::report::{Accompaniment, Report};
use super::run::{Configured, Done, Listed, Run};
use super::screen;
use super::signals::Signals;
use super::trace::{FollowArgs, trace};
use crate::error::Error;
use crate::laboratory::demo::{Demo, DemoRequest, Observation};
use crate::query::Host;
use crate::render::Presentation;
use crate::table::escape::{error_line, escaped};
use crate::table::{Cell, SizeUnit};
use crate::units::{Bytes, counted};
use crate::views::act::Acts;
use crate::views::demo_step::{self, DemoSource, DemoSteps};

/// `rmap demo`
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Size of the file (default: 256M, 64M with --acts)
    #[arg(long, value_name = "SIZE")]
    size: Option<Bytes>,
    /// Create the file here
    ///
    /// By default it is in a temporary directory on disk.
    #[arg(long, alias = "path", value_name = "PATH")]
    file: Option<PathBuf>,
    /// Replace the file of --file if it exists
    ///
    /// The old file is lost: the new one is removed at the end, except with --keep.
    #[arg(long, requires = "file", hide_short_help = true)]
    force: bool,
    /// Keep the file at the end
    ///
    /// With --acts all the act unlink is left out.
    #[arg(long, hide_short_help = true)]
    keep: bool,
    /// Keep running at the end until Ctrl-C
    ///
    /// rmap prints commands to try in another terminal.
    #[arg(long)]
    hold: bool,
    /// What is tried instead of filling a file once.
    #[command(flatten)]
    acts: ActsArgs,
    /// A program to run and to follow, as rmap trace does
    #[arg(value_name = "COMMAND", last = true)]
    command: Vec<OsString>,
    /// How the rows are shown.
    #[command(flatten)]
    answer: AnswerArgs,
}

/// The size if none is requested.
const USUAL_SIZE: Bytes = Bytes(256 << 20);

impl Run for DemoArgs {
    const NAME: &'static str = "demo";
    const ABOUT: &'static str = "Map and fill a file, and watch both views agree";

    const ROWS: &'static [Listed] =
        &[Listed::of::<DemoSteps>("Columns"), Listed::of::<Acts>("Columns of --acts and the like")];
    const NOTES: &'static str = "\
        By default sizes are in KiB, or in bytes if the file size is not a multiple of 4 KiB. Those of experiments \
        are rounded down to one decimal, such as 64M or 1.4M; -b shows them in bytes.\n\n\
        The file is removed when the demo ends, even after kill -9: a second process waits to remove it. If both are \
        killed at once, such as when a whole container or machine stops, the file is left behind.";
    const OPERANDS: &'static str = "";
    const FILTERS: &'static [(&'static str, &'static str)] = &[("", "rss>10M")];
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("rmap demo --size 64M", "map and fill 64 MiB and show both views after each quarter"),
        ("rmap demo --size 64M --jsonl", "the same for a program"),
        ("rmap demo --acts all --size 16M", "act by act: map, fill, msync, unmap, ..., with what must hold"),
        ("rmap demo --compare shared,private --size 16M", "two kinds of memory, act by act"),
        ("rmap demo -- sort big.db", "run a program and show what it maps, as rmap trace does"),
        ("rmap demo --size 64M --hold", "keep running at the end, with commands to try in another terminal"),
    ];

    const NO_ROOT: &'static str = "it uses memory of this machine";
    const NO_WATCH: &'static str = "a demo runs once and shows each step";
    const NO_TOTAL: &'static str = "the steps of a demo do not add up";
    const NO_GROUPS: &'static str = Self::NO_TOTAL;

    fn is_machine(&self) -> bool {
        self.answer.is_machine()
    }

    fn run(self, configured: &Configured, report: &mut Report) -> Done {
        if !self.command.is_empty() {
            let own = [
                (self.size.is_some(), "--size"),
                (self.file.is_some(), "--file"),
                (self.keep, "--keep"),
                (self.hold, "--hold"),
            ];
            let own = own.into_iter().filter(|(typed, _)| *typed).map(|(_, option)| option);
            let typed: Vec<&str> = own.chain(self.acts.typed()).collect();
            let why = "it is about memory that rmap itself maps, and not for a COMMAND";
            refuse_if(!typed.is_empty(), &typed.join(", "), why)?;
            return trace(self.command, &FollowArgs::default(), &self.answer, &configured.for_other_rows(), report);
        }
        refuse_if(
            self.size == Some(Bytes(0)),
            "--size 0",
            "an empty file cannot be mapped; choose a size such as 256M",
        )?;
        refuse_if(self.answer.every.is_some(), "-w", Self::NO_WATCH)?;
        refuse_if(self.answer.by.is_some(), "--by", Self::NO_GROUPS)?;
        refuse_if(self.answer.total, "--total", Self::NO_TOTAL)?;
        if self.acts.is_typed() {
            refuse_if(self.hold, "--hold", "the process of an experiment ends with it; use --step to look at it")?;
            let (path, force, keep) = (self.file.clone(), self.force, self.keep);
            let file = FileOfExperiment { size: self.size, path, force, keep };
            return self.acts.run(&file, &self.answer, &configured.for_other_rows(), report);
        }
        let size = self.size.unwrap_or(USUAL_SIZE);
        let query = self.answer.query::<DemoSteps>(configured, View::Usual(demo_step::DEFAULT))?;
        let unit = self.answer.unit(configured, exact_unit(size));
        let presentation = Presentation { unit, ..self.answer.presentation(configured, SizeUnit::Kib) };
        self.answer.check::<DemoSteps>(&query)?;
        report.signals = Some(Signals::watch()?);
        let is_wanted_alone = self.keep || self.hold;
        let mut output = Accompaniment::new(is_wanted_alone);
        report.show_progress("filling");
        let request = DemoRequest { size, file: self.file.clone(), force: self.force, keep: self.keep };
        let demo = Demo::begin(&request)?;
        if !self.answer.is_machine() && !self.answer.no_header {
            output.go_on(introduce(&demo, size, unit))?;
        }
        // However the run ends, the demo is dropped and its file is removed.
        let mut source = DemoSource { is_wanted_alone, ..DemoSource::new(demo, size) };
        let mut told = Vec::new();
        let done = output.go_on(self.answer.answer(&query, &mut source, presentation, report));
        let done = done.and_then(|()| {
            if let Some(last) = &source.last {
                told.extend(source.demo.meddling());
                output.go_on(self.conclude(&source, last, told.first(), report))?;
            }
            output.end()?;
            match &report.signals {
                Some(signals) if self.hold => hold(&source.demo, signals),
                _ => {}
            }
            Ok(())
        });
        report.lost_name(source.demo.lost_name(), &told, &done);
        done
    }
}

/// The unit in which every figure of a demo of this size is a whole number. Figures count pages, the file's size, and
/// quarters of it.
fn exact_unit(size: Bytes) -> SizeUnit {
    if size.0.is_multiple_of(4096) { SizeUnit::Kib } else { SizeUnit::Bytes }
}

impl DemoArgs {
    /// Reports the result: whether the demo showed what it promises.
    fn conclude(&self, source: &DemoSource, last: &Observation, meddling: Option<&Error>, report: &mut Report) -> Done {
        if !self.answer.is_machine() {
            write_verdict(last, source.first_difference.as_deref(), meddling)?;
        }
        // A demo that does not show what it promises has not reported everything that was requested.
        if source.first_difference.is_some() {
            report.incomplete();
        }
        match meddling {
            Some(error) if self.keep || self.answer.is_machine() => report.failure(error),
            Some(_) => report.incomplete(),
            None => {}
        }
        Ok(())
    }
}

fn introduce(demo: &Demo, size: Bytes, unit: SizeUnit) -> Done {
    let unit = match unit {
        SizeUnit::Kib => "Sizes are in KiB (-b: in bytes).",
        SizeUnit::Bytes => "Sizes are in bytes.",
        SizeUnit::Human => "Sizes are rounded down to one decimal.",
    };
    let (size, soft) = (counted(size.0, "byte", "bytes"), soft_break());
    let text = format!(
        "pid {} maps {} ({size}), shared and writable,{soft}and fills it: byte i becomes i % 128. {unit}\n\
         Rss and Pss: the mapping, from smaps. Cached and Percent: the page cache.\n\n",
        demo.pid(),
        path_text(demo)
    );
    write_text(&text)
}

/// The end of a line of prose that is divided to have room on 80 columns: a terminal with fewer divides it elsewhere.
fn soft_break() -> char {
    if screen::terminal_width().is_some_and(|width| width < 80) { ' ' } else { '\n' }
}

/// Writes prose, wrapped to the terminal if there is one.
fn write_text(text: &str) -> Done {
    let mut out = screen::output();
    write!(out, "{}", screen::wrapped_to_terminal(text))?;
    Ok(out.flush()?)
}

fn path_text(demo: &Demo) -> String {
    escaped(demo.path().as_os_str().as_bytes())
}

/// Says whether both views agreed at every step, not only at the last one.
fn write_verdict(last: &Observation, different: Option<&Observation>, meddling: Option<&Error>) -> Done {
    let (mut out, soft) = (Vec::new(), soft_break());
    match different {
        None => {
            let (rss, page) = (last.views.usage.rss, last.views.file.page_size);
            let pages = counted(rss.0 / page.bytes(), "page", "pages");
            let kib = rss.kib();
            writeln!(
                out,
                "\nBoth views agree: {kib} KiB mapped (Rss) are {kib} KiB of page cache,{soft}the same {pages}."
            )?;
        }
        Some(seen) => write_difference(&mut out, seen, last)?,
    }
    // What is only no longer mapped is in the page cache all the same.
    let (rss, cached) = (last.views.usage.rss, last.views.file.cached());
    let in_memory = cached.map_or(rss, |pages| rss.max(pages.bytes(last.views.file.page_size)));
    let missing = last.size.0.saturating_sub(in_memory.0);
    if let Some(error) = meddling {
        writeln!(out, "But {}.", error_line(error))?;
    } else if missing > 0 {
        let missing = counted(missing, "of the filled bytes is", "of the filled bytes are");
        writeln!(out, "{missing} no longer in RAM:{soft}the kernel has written and reclaimed the pages.")?;
    }
    write_text(&String::from_utf8_lossy(&out))
}

/// Says how the views differ in the first step in which they do.
fn write_difference(out: &mut dyn Write, seen: &Observation, last: &Observation) -> std::io::Result<()> {
    let mut cached = Vec::new();
    let of_file = seen.views.file.cached().map(|pages| pages.bytes(seen.views.file.page_size));
    Cell::bytes(of_file).write_text(SizeUnit::Kib, &mut cached);
    let step = match seen.filled == last.filled {
        true => String::new(),
        false => format!(", with {} filled", counted(seen.filled.0, "byte", "bytes")),
    };
    writeln!(
        out,
        "\nThe views differ{step}:\nRss is {} KiB, and {} KiB of the file are cached:\n{}.",
        seen.views.usage.rss.kib(),
        String::from_utf8_lossy(&cached),
        seen.difference.as_deref().unwrap_or_default()
    )
}

/// Keeps running until a signal arrives, which is then the regular end.
fn hold(demo: &Demo, signals: &Signals) {
    // The other terminal may be in another directory.
    let path = match demo.is_at_its_path() {
        true => std::path::absolute(demo.path()).unwrap_or_else(|_| demo.path().to_owned()),
        // Its name now leads to another file, or to none.
        false => format!("/proc/{}/fd/{}", demo.pid(), demo.descriptor()).into(),
    };
    // On standard error, so that standard output stays a valid document.
    let _ = writeln!(
        std::io::stderr(),
        "\nHolding until Ctrl-C. In another terminal:\n  rmap pid {} -o +inode\n  rmap pcstat {}",
        demo.pid(),
        shell_word(path.as_os_str().as_bytes())
    );
    signals.wait();
}

/// A word quoted for the shell, using only characters that a terminal can show.
pub(super) fn shell_word(word: &[u8]) -> String {
    let shown = escaped(word);
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+,:@%=".contains(letter);
    if shown.as_bytes() != word {
        let letter = |byte: &u8| match byte {
            b'\'' | b'\\' => format!("\\{}", char::from(*byte)),
            b' '..=b'~' => char::from(*byte).to_string(),
            other => format!("\\{other:03o}"),
        };
        return format!("$'{}'", word.iter().map(letter).collect::<String>());
    }
    if shown.chars().all(plain) { shown } else { format!("'{}'", shown.replace('\'', r"'\''")) }
}
