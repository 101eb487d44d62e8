//! The experiments of `rmap demo`: `--acts`, `--kind` and what belongs to them.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use super::answer::{AnswerArgs, View, refuse_if};
use super::report::{Accompaniment, Report};
use super::run::{Configured, Done};
use super::screen;
use super::signals::Signals;
use super::terminal::Terminal;
use crate::error::{Error, Subject};
use crate::laboratory::acts::{
    Act, Experiment, FillPattern, Kind, Manner, MemoryAdvice, Request, check_that_all_fit, parse_acts,
    parse_shared_acts,
};
use crate::query::Host;
use crate::table::escape::{error_line, escaped};
use crate::table::{SizeUnit, Stop, did_you_mean};
use crate::units::Bytes;
use crate::views::act::{self, ActSource, Pause};

/// What is tried, and how.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Experiments")]
pub(super) struct ActsArgs {
    /// Carry out these acts, and measure after each
    ///
    /// LIST is all, or acts such as create,map,fill. For a file: create, map, touch, quarter, half, fill, msync,
    /// dontneed, read, second, fork, mremap, munmap, evict, unlink. For the heap: small, fill, keep, trim, free,
    /// large. After each act rmap checks what must hold, and says so if it does not; then the exit status is 1. The
    /// other options of this group imply --acts all. While an act runs, a picture shows where the pages are. If
    /// standard error is not a terminal, a line is written every second instead: . not in memory, : partly in
    /// memory, ? not known, - cached, + mapped in, # mapped in and dirty.
    #[arg(long, value_name = "LIST")]
    acts: Option<String>,
    /// The kind of memory
    #[arg(long, value_name = "KIND", value_parser = kind())]
    kind: Option<Kind>,
    /// Two kinds of memory, act by act
    #[arg(long, value_name = "KIND,KIND", value_parser = kind(), value_delimiter = ',', conflicts_with = "kind")]
    compare: Vec<Kind>,
    /// The order in which memory is filled: sequential, reverse, random or stride:N (one byte every N bytes)
    #[arg(long, value_name = "PATTERN", hide_short_help = true)]
    pattern: Option<PatternArg>,
    /// Fill by writing (the default)
    #[arg(long, conflicts_with = "read", hide_short_help = true)]
    write: bool,
    /// Only read instead of writing
    #[arg(long, hide_short_help = true)]
    read: bool,
    /// What the kernel is advised after mapping (madvise)
    #[arg(long, value_name = "ADVICE", value_parser = advice(), hide_short_help = true)]
    advice: Option<MemoryAdvice>,
    /// Fill at most so many bytes per second, to watch it
    #[arg(long, value_name = "SIZE")]
    rate: Option<Bytes>,
    /// Wait for a key before each act but the first
    #[arg(long)]
    step: bool,
}

/// The names of the kinds of memory.
fn kind() -> impl TypedValueParser<Value = Kind> {
    one_of(Kind::ALL.map(|kind| (kind, PossibleValue::new(kind.word()).help(kind.about()))))
}

/// The names of advice.
fn advice() -> impl TypedValueParser<Value = MemoryAdvice> {
    one_of(MemoryAdvice::ALL.map(|(advice, name)| (advice, PossibleValue::new(name))))
}

/// One of these values, by its name.
fn one_of<T: Copy + Send + Sync + 'static, const N: usize>(
    values: [(T, PossibleValue); N],
) -> impl TypedValueParser<Value = T> {
    let names = PossibleValuesParser::new(values.clone().map(|(_, name)| name));
    names.try_map(move |typed| {
        let value = values.iter().find(|(_, name)| name.get_name() == typed);
        value.map(|(value, _)| *value).ok_or("not one of the names")
    })
}

#[derive(Debug, Clone, Copy)]
struct PatternArg(FillPattern);

impl FromStr for PatternArg {
    type Err = String;

    fn from_str(text: &str) -> Result<PatternArg, String> {
        let pattern = match text {
            "sequential" => FillPattern::Sequential,
            "reverse" => FillPattern::Reverse,
            "random" => FillPattern::Random,
            other => match other.strip_prefix("stride:").map(str::parse::<Bytes>) {
                Some(Ok(step)) if step > Bytes(0) => FillPattern::Stride(step),
                _ => return Err("use sequential, reverse, random or stride:N, such as stride:64K".to_owned()),
            },
        };
        Ok(PatternArg(pattern))
    }
}

/// The file of the experiments.
pub(super) struct FileOfExperiment {
    /// Its size, if one was requested.
    pub(super) size: Option<Bytes>,
    pub(super) path: Option<PathBuf>,
    pub(super) force: bool,
    pub(super) keep: bool,
}

/// The size if none is requested. Most systems allow a stack of 8 MiB.
const USUAL_SIZE: Bytes = Bytes(64 << 20);
const SIZE_OF_STACK: Bytes = Bytes(4 << 20);

impl ActsArgs {
    /// The options that were typed.
    pub(super) fn typed(&self) -> impl Iterator<Item = &'static str> {
        let options = [
            (self.acts.is_some(), "--acts"),
            (self.kind.is_some(), "--kind"),
            (!self.compare.is_empty(), "--compare"),
            (self.pattern.is_some(), "--pattern"),
            (self.write, "--write"),
            (self.read, "--read"),
            (self.advice.is_some(), "--advice"),
            (self.rate.is_some(), "--rate"),
            (self.step, "--step"),
        ];
        options.into_iter().filter(|(typed, _)| *typed).map(|(_, option)| option)
    }

    /// Whether any of the options was typed.
    pub(super) fn is_typed(&self) -> bool {
        self.typed().next().is_some()
    }

    fn kinds(&self) -> Result<Vec<Kind>, Stop> {
        match (self.kind, &self.compare[..]) {
            (kind, []) => Ok(vec![kind.unwrap_or(Kind::Shared)]),
            (_, [one, other]) => Ok(vec![*one, *other]),
            _ => Err(Stop::usage("--compare", "name two kinds, such as shared,private")),
        }
    }

    fn manner(&self) -> Manner {
        Manner {
            pattern: self.pattern.map(|pattern| pattern.0).unwrap_or_default(),
            reads: self.read,
            advice: self.advice,
            rate: self.rate,
        }
    }

    /// Rejects options that have no meaning together.
    fn check(&self, kinds: &[Kind], file: &FileOfExperiment) -> Done {
        let has = |wanted: fn(&Kind) -> bool| kinds.iter().any(wanted);
        let is_page_by_page = |kind: &Kind| matches!(kind, Kind::Heap);
        let (pattern, advice) = (("--pattern", self.pattern.is_some()), ("--advice", self.advice.is_some()));
        let typed = [pattern, ("--read", self.read), advice, ("--rate", self.rate.is_some())];
        refuse_all_if(has(is_page_by_page), &typed, "the heap is filled block after block")?;
        let is_stack = has(|kind| *kind == Kind::Stack);
        refuse_all_if(is_stack, &[pattern, advice], "a stack grows downwards, page after page")?;
        refuse_if(self.rate == Some(Bytes(0)), "--rate 0", "nothing would ever be filled")?;
        let named = kinds.iter().filter(|kind| kind.has_name()).count();
        refuse_if(file.path.is_some() && named == 0, "--file", "memory of this kind has no file with a name")?;
        refuse_if(
            file.path.is_some() && named > 1,
            "--file",
            "each of the two kinds needs a file of its own; leave it out",
        )?;
        let has_keys = std::io::stdin().is_terminal();
        refuse_if(self.step && !has_keys, "--step", NEEDS_KEYS)
    }

    /// Carries out the experiments and shows a row per act.
    pub(super) fn run(
        &self,
        file: &FileOfExperiment,
        answer: &AnswerArgs,
        configured: &Configured,
        report: &mut Report,
    ) -> Done {
        let kinds = self.kinds()?;
        self.check(&kinds, file)?;
        let mut query = answer.query::<act::Acts>(configured, View::Usual(act::DEFAULT))?;
        self.suit(&mut query, &kinds);
        let presentation = answer.presentation(configured, SizeUnit::Human);
        answer.check::<act::Acts>(&query)?;
        let requests: Result<Vec<Request>, Stop> = kinds.iter().map(|kind| self.request(*kind, &kinds, file)).collect();
        let requests = requests?;
        report.signals = Some(Signals::watch()?);
        report.show_progress("filling");
        check_that_all_fit(&requests)?;
        let mut output = Accompaniment::new(file.keep);
        let experiments: Result<Vec<Experiment>, _> = requests.into_iter().map(Experiment::begin).collect();
        let experiments = experiments?;
        if !answer.is_machine() && !answer.no_header && answer.columns.is_none() {
            output.go_on(introduce(&experiments, has_file(&kinds)))?;
        }
        let cells = screen::terminal_width().map_or(64, |width| usize::from(width).saturating_sub(2)).max(8);
        let names_all = answer.is_machine() || answer.columns.as_ref().is_none_or(|list| list.adds);
        let reports = !names_all || query.filter.is_some() || query.top.is_some();
        let pause = if self.step { Some(pause()?) } else { None };
        let mut source = ActSource {
            experiments,
            picture: (cells, screen::has_unicode()),
            pause,
            all_held: true,
            unknown: Vec::new(),
            reports,
            is_finished: false,
            is_wanted_alone: file.keep,
        };
        let mut told = Vec::new();
        let done = output.go_on(answer.answer(&query, &mut source, presentation, report));
        let done = done.and_then(|()| {
            told.extend(source.experiments.iter().filter_map(Experiment::file_meddling));
            if !answer.is_machine() {
                output.go_on(conclude(&source, &told))?;
            }
            for error in &told {
                if answer.is_machine() { report.failure(error) } else { report.incomplete() }
            }
            output.end()
        });
        for experiment in &source.experiments {
            report.lost_name(experiment.lost_name(), &told, &done);
        }
        done
    }

    fn request(&self, kind: Kind, kinds: &[Kind], file: &FileOfExperiment) -> Result<Request, Stop> {
        let list = self.acts.as_deref().unwrap_or("all");
        let acts = match kinds.iter().find(|other| **other != kind) {
            Some(other) => parse_shared_acts(list, kind, *other),
            None => parse_acts(list, kind),
        };
        let about = |error: Error| match kinds {
            [_] => error,
            _ => error.about(Subject::Words(format!("--acts for {}", kind.word()))),
        };
        let mut acts = acts.map_err(|error| Stop::Usage(advised(about(error), list)))?;
        if file.keep {
            let is_named = list.split(',').any(|name| name.trim() == Act::Unlink.word());
            refuse_if(is_named, "--keep", "'unlink' removes the name of the file; leave one of them out")?;
            acts.retain(|act| *act != Act::Unlink);
        }
        let usual = if kind == Kind::Stack { SIZE_OF_STACK } else { USUAL_SIZE };
        Ok(Request {
            kind,
            acts,
            size: file.size.unwrap_or(usual),
            manner: self.manner(),
            file: file.path.clone().filter(|_| kind.has_name() || self.compare.is_empty()),
            force: file.force,
            keep: file.keep,
        })
    }

    /// Suits the built-in columns to the kinds of memory.
    fn suit(&self, query: &mut crate::query::Query, kinds: &[Kind]) {
        let crate::query::Default::Columns(columns) = &mut query.default else { return };
        if *columns != act::DEFAULT {
            return;
        }
        let after =
            |columns: &[String], id: &str| columns.iter().position(|column| column == id).map_or(0, |at| at + 1);
        if kinds.contains(&Kind::Hugetlb) {
            let place = after(columns, "anonymous");
            columns.insert(place, "hugetlb".to_owned());
        }
        if kinds.len() > 1 {
            let place = after(columns, "act");
            columns.insert(place, "kind".to_owned());
        }
        columns.retain(|id| has_file(kinds) || !["cached_bytes", "dirty"].contains(&id.as_str()));
    }
}

/// Rejects those of these options that were typed.
fn refuse_all_if(is_meaningless: bool, options: &[(&str, bool)], why: &'static str) -> Done {
    let typed: Vec<&str> = options.iter().filter(|(_, is_typed)| *is_typed).map(|(name, _)| *name).collect();
    refuse_if(is_meaningless && !typed.is_empty(), &typed.join(", "), why)
}

/// Whether any of these kinds has a page cache.
fn has_file(kinds: &[Kind]) -> bool {
    kinds.iter().any(|kind| kind.is_shared() || kind.has_name())
}

fn introduce(experiments: &[Experiment], has_file: bool) -> Done {
    let pids: Vec<String> = experiments.iter().map(|experiment| format!("pid {}", experiment.pid())).collect();
    let acts = if pids.len() == 1 { "acts" } else { "act" };
    let cached = if has_file { "Cached and Dirty: the page cache of the file. " } else { "" };
    let text = format!(
        "{} {acts}. Size to Anonymous: the mapping, from smaps.\n{cached}Minor, Major: page faults of the act.\n\n",
        pids.join(" and ")
    );
    let mut out = screen::output();
    write!(out, "{}", screen::wrapped_to_terminal(&text))?;
    Ok(out.flush()?)
}

fn conclude(source: &ActSource, meddling: &[Error]) -> Done {
    let mut out = screen::output();
    match (source.all_held, source.unknown.is_empty()) {
        (true, true) => writeln!(out, "\nEverything held that had to hold.")?,
        (true, false) => writeln!(out, "\nEverything held that could be checked.")?,
        (false, _) => writeln!(out, "\nNot everything held that had to hold: see above.")?,
    }
    for error in meddling {
        writeln!(out, "But {}.", error_line(error))?;
    }
    if !source.is_finished {
        writeln!(out, "It ended before the last act.")?;
    }
    Ok(out.flush()?)
}

/// The error about a list of acts, with the act that is meant by one that does not exist.
fn advised(error: Error, list: &str) -> Error {
    let known = || Act::ALL.iter().flat_map(|(_, names)| *names).copied().chain(["all"]);
    let odd = list.split(',').map(str::trim).find(|name| known().all(|known| known != *name));
    let question = odd.and_then(|odd| did_you_mean(odd, known()));
    if let Some(question) = question { error.with_advice(question) } else { error }
}

const NEEDS_KEYS: &str = "it waits for a key, so standard input has to be a terminal";

/// Waits for a key before each act but the first.
fn pause() -> Result<Pause, Stop> {
    let mut terminal = Terminal::take_keys().ok_or_else(|| Stop::usage("--step", NEEDS_KEYS))?;
    let signals = Signals::watch()?;
    Ok(Box::new(move |next: &str| {
        let mut err = std::io::stderr();
        let _ = write!(err, "next: {} (any key; q ends)", escaped(next.as_bytes()));
        let key = loop {
            if let Err(stop) = signals.check() {
                terminal.restore();
                return Err(stop);
            }
            match terminal.key() {
                Some(key) => break key,
                None => std::thread::sleep(super::signals::GLANCE),
            }
        };
        terminal.restore();
        let _ = write!(err, "\r\x1b[K");
        if matches!(key, b'q' | b'Q') { Err(Stop::Enough) } else { Ok(()) }
    }))
}
