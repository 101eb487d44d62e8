//! The command line: the subcommands, their arguments, and the exit status.
//!
//! One short file per subcommand turns the arguments into a [`Query`](crate::query::Query) and a source. Nothing below
//! this module sees an argument.

mod acts;
mod answer;
mod capture;
mod cgroups;
#[cfg(any(test, fuzzing))]
#[path = "../../tests/checks/cli.rs"]
pub mod checks;
mod chosen;
mod coming_from;
mod config;
mod demo;
mod diff;
mod effects;
mod files;
mod found;
mod full_screen;
mod habits;
mod matches;
mod mem;
mod order;
mod overview;
mod pcstat;
mod peers;
mod pid;
mod programs;
mod progress;
mod ps;
mod report;
mod root;
mod run;
mod screen;
mod signals;
mod terminal;
mod trace;
mod who;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Args, FromArgMatches};

use crate::error::Subject;
use crate::table::Stop;
use crate::table::escape::escaped;
use config::GlobalArgs;
use habits::{Typed, asked, parser, pointed};
use report::{Report, SUCCESS, USAGE};
use run::{Done, Listed, Subcommand};

/// Every subcommand, in the order of `--help`.
const SUBCOMMANDS: &[Subcommand] = &[
    // The whole machine.
    Subcommand::of::<overview::OverviewArgs>(),
    Subcommand::of::<ps::PsArgs>(),
    Subcommand::of::<files::FilesArgs>(),
    Subcommand::of::<mem::MemArgs>(),
    Subcommand::of::<cgroups::CgroupsArgs>(),
    // One process or file.
    Subcommand::of::<pid::PidArgs>(),
    Subcommand::of::<pcstat::PcstatArgs>(),
    Subcommand::of::<who::WhoArgs>(),
    // Another time or machine.
    Subcommand::of::<capture::CaptureArgs>(),
    Subcommand::of::<diff::DiffArgs>(),
    // What changes the page cache, and experiments.
    Subcommand::of::<effects::WarmArgs>(),
    Subcommand::of::<effects::EvictArgs>(),
    Subcommand::of::<effects::LockArgs>(),
    Subcommand::of::<demo::DemoArgs>(),
    Subcommand::of::<trace::TraceArgs>(),
];

/// Runs the command with these arguments (the first is the name of the program) and returns its exit status.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments = match habits::understand(arguments.collect(), SUBCOMMANDS) {
        Ok(Typed::Arguments(arguments)) => arguments,
        Ok(Typed::Question(answer)) => {
            let answer = screen::wrapped_to_terminal(&answer);
            return finish_printing(write!(std::io::stdout(), "{answer}"));
        }
        Err(line) => return wrong_usage(&line),
    };
    if let Some(line) = habits::with_accepted_letters(arguments.get(1..).unwrap_or_default(), SUBCOMMANDS) {
        return wrong_usage(&line);
    }
    let mut report = Report::default();
    let done = parse_and_run(&arguments, &mut report);
    // A thread that nobody waits for may still have a capture open.
    crate::capture::remove_unpacked();
    match done {
        Ok(done) => ExitCode::from(report.status(done)),
        Err(error) => finish_parsing(&error, arguments.get(1..).unwrap_or_default()),
    }
}

/// Parses the arguments and runs the subcommand that they name.
///
/// In the common case only the parser of that subcommand is built, which takes half as long as building all of them
/// with their help. This saves 0.1 ms of the 1.2 ms that the whole program takes for a small file. Arguments that it
/// cannot parse are parsed again by the full command, which has the right messages.
fn parse_and_run(arguments: &[OsString], report: &mut Report) -> Result<Done, clap::Error> {
    let typed = arguments.get(1).and_then(|word| word.to_str());
    if let Some(subcommand) = SUBCOMMANDS.iter().find(|subcommand| Some(subcommand.name) == typed)
        && let Ok(matches) = parser(subcommand).try_get_matches_from(arguments.get(1..).unwrap_or_default())
    {
        return run_subcommand(subcommand, &matches, report);
    }
    let command = command();
    let asks_briefly = arguments.iter().take_while(|word| *word != "--").any(|word| word == "-h");
    let command = match asks_briefly {
        true => command.mut_subcommands(Subcommand::briefly).help_template(run::BRIEF_HELP),
        false => command,
    };
    let matches = command.try_get_matches_from(arguments)?;
    match matches.subcommand() {
        Some((name, matches)) => match SUBCOMMANDS.iter().find(|subcommand| subcommand.name == name) {
            Some(subcommand) => run_subcommand(subcommand, matches, report),
            None => Ok(Ok(())),
        },
        None => Ok(Ok(())),
    }
}

fn run_subcommand(subcommand: &Subcommand, matches: &ArgMatches, report: &mut Report) -> Result<Done, clap::Error> {
    let global = GlobalArgs::from_arg_matches(matches)?;
    if let Err(refused) = global.check() {
        return Ok(Err(refused));
    }
    let configure = || config::read(&global, subcommand.name, SUBCOMMANDS);
    Ok((subcommand.run)(matches, &configure, report)?.map_err(|stop| pointing(stop, subcommand)))
}

/// The same reason; one about a name that does not exist also says where the names are.
fn pointing(stop: Stop, subcommand: &Subcommand) -> Stop {
    let command = format!("rmap {}", subcommand.name);
    match stop {
        Stop::Usage(error) if error.kind() == crate::error::ErrorKind::Unknown => {
            let name = if let Subject::Words(name) = error.subject() { name.as_str() } else { "" };
            let theirs = coming_from::column(name, subcommand.name);
            let advice = theirs.or(error.advice().map(str::to_owned)).map(|advice| pointed(&advice, &command));
            Stop::Usage(error.with_advice(advice.unwrap_or_else(|| format!("see `{command} --help`"))))
        }
        Stop::Filter(error) => Stop::usage("--filter", pointed(&error.to_string(), &command)),
        other => other,
    }
}

/// The ids of the columns of all subcommands, which are the JSON keys that `docs/json.md` describes.
pub fn column_ids() -> Vec<String> {
    SUBCOMMANDS
        .iter()
        .flat_map(|subcommand| subcommand.rows)
        .flat_map(Listed::heads)
        .map(|head| head.id.into_owned())
        .collect()
}

/// The exit status, for `--help`.
const STATUS: &str = "Exit status: 0 if everything was reported, 1 if something could not be, 2 for wrong usage. If a \
signal ends rmap early, 128 plus its number: 130 after Ctrl-C, 143 after SIGTERM; with -w, and where lock or \
demo --hold wait, a signal is the regular end.";

/// The page `docs/coming-from.md`: what rmap does with the options of other programs.
pub fn coming_from_page() -> String {
    coming_from::page()
}

/// Commands that work, for the end of `rmap --help`.
const EXAMPLES: &[(&str, &str)] = &[
    ("rmap", "the machine on one screen"),
    ("rmap 4690", "what a process has mapped (rmap pid 4690)"),
    ("rmap big.db", "how much of a file is cached (rmap pcstat big.db)"),
    ("rmap pcstat --pid 4690", "how much of a process's files is cached"),
    ("rmap help pcstat", "all options and columns of a command, with examples"),
    ("rmap help vmtouch", "if you know vmtouch, pmap, fincore, smem or ps_mem"),
];

/// The whole command, with the columns of each view in its help.
pub fn command() -> clap::Command {
    let command = clap::Command::new("rmap")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .subcommands(SUBCOMMANDS.iter().map(Subcommand::command));
    let examples = run::examples(EXAMPLES);
    let command = command.after_long_help(format!("{STATUS}\n\n{examples}"));
    GlobalArgs::augment_args(command).about("Where is this memory, page by page, and who holds it?")
}

/// Prints help and version to standard output, which is a success, and wrong usage as one line to standard error.
fn finish_parsing(error: &clap::Error, words: &[OsString]) -> ExitCode {
    let typed = words.first().and_then(|word| word.to_str());
    if error.use_stderr() && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let subcommand = SUBCOMMANDS.iter().find(|subcommand| Some(subcommand.name) == typed);
        return wrong_usage(&usage_line(error, subcommand, words));
    }
    match error.print() {
        _ if error.use_stderr() => ExitCode::from(USAGE),
        printed => finish_printing(printed),
    }
}

fn finish_printing(printed: std::io::Result<()>) -> ExitCode {
    match printed {
        Err(failed) => ExitCode::from(Report::default().status(Err(Stop::Output(failed)))),
        Ok(()) => ExitCode::from(SUCCESS),
    }
}

fn wrong_usage(line: &str) -> ExitCode {
    screen::complain(&format!("rmap: {line}"));
    ExitCode::from(USAGE)
}

/// What is wrong, in one line.
fn usage_line(error: &clap::Error, subcommand: Option<&Subcommand>, words: &[OsString]) -> String {
    let command = subcommand.map_or("rmap".to_owned(), |subcommand| format!("rmap {}", subcommand.name));
    if let Some(line) = habits::with_one_dash(words, subcommand, SUBCOMMANDS) {
        return pointed(&line, &command);
    }
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    };
    let typed = || context(ContextKind::InvalidArg).unwrap_or_default();
    let meant = |kind| context(kind).map(|name| format!("did you mean '{name}'?"));
    // An option that this command has only in order to refuse it is not suggested.
    let is_refused = |name: &str| {
        let hidden = subcommand.map(Subcommand::command);
        let name = name.trim_start_matches('-').to_owned();
        hidden.is_some_and(|it| it.get_arguments().any(|arg| arg.is_hide_set() && arg.get_long() == Some(&name)))
    };
    let suggested = || {
        let is_meant = context(ContextKind::SuggestedArg).is_some_and(|name| !is_refused(&name));
        is_meant.then(|| meant(ContextKind::SuggestedArg)).flatten()
    };
    let line = match (error.kind(), subcommand) {
        (ErrorKind::UnknownArgument, Some(subcommand))
            if typed() == "--proc-root" && !subcommand.no_root.is_empty() =>
        {
            return format!("--proc-root: {}", subcommand.no_root);
        }
        (ErrorKind::UnknownArgument, _) => {
            let kind = if typed().starts_with('-') { "unknown option" } else { "unexpected argument" };
            let line = format!("{kind} '{}'", escaped(typed().as_bytes()));
            let name = subcommand.map_or("", |subcommand| subcommand.name);
            if let Some(line) = habits::not_for_overview(&typed(), name, SUBCOMMANDS) {
                return line;
            }
            let instead = habits::instead_of(&typed(), name, words, SUBCOMMANDS);
            let elsewhere = || habits::only_in(&typed(), SUBCOMMANDS);
            asked(line, instead.or_else(elsewhere).map(|line| line + ".").or_else(suggested))
        }
        (ErrorKind::InvalidValue, _) if context(ContextKind::SuggestedValue).is_some() => {
            let value = context(ContextKind::InvalidValue).unwrap_or_default();
            let line = format!("invalid value '{}' for '{}'", escaped(value.as_bytes()), typed());
            asked(line, meant(ContextKind::SuggestedValue))
        }
        (ErrorKind::MissingRequiredArgument, Some(subcommand)) if typed().starts_with('<') => {
            asked(format!("missing {}", subcommand.operands), habits::largest_of_all(subcommand.name, words))
        }
        _ => one_line(&error.render().to_string()),
    };
    pointed(&line, &command)
}

/// What clap says in several paragraphs, without the usage and the tips.
fn one_line(text: &str) -> String {
    let said = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let said = said.filter(|line| !line.is_empty() && !line.starts_with("For more information"));
    let said: Vec<&str> = said.filter(|line| !line.starts_with("tip:")).collect();
    said.join(" ").trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_arguments_are_consistent() {
        super::command().debug_assert();
    }

    #[test]
    fn wrong_usage_is_one_line() {
        let line = |words: &[&str]| {
            let error = super::command().try_get_matches_from(words).unwrap_err();
            let subcommand = super::SUBCOMMANDS.iter().find(|subcommand| words.get(1) == Some(&subcommand.name));
            super::usage_line(&error, subcommand, &[])
        };
        assert_eq!(
            line(&["rmap", "pid", "1", "--json", "--csv"]),
            "the argument '--json' cannot be used with '--csv'; see `rmap pid --help`"
        );
        assert_eq!(
            line(&["rmap", "pid"]),
            "missing PID, --name, --match, --user, --cgroup or --smaps; see `rmap pid --help`"
        );
        assert_eq!(
            line(&["rmap", "pcstat", "x", "--format", "y"]),
            "invalid value 'y' for '--format <FORMAT>' [possible values: table, json, jsonl, csv]; see `rmap pcstat \
             --help`"
        );
        assert_eq!(
            line(&["rmap", "pid", "1", "--format", "tabel"]),
            "invalid value 'tabel' for '--format <FORMAT>'; did you mean 'table'? See `rmap pid --help`"
        );
        assert_eq!(
            line(&["rmap", "pid", "1", "--jso"]),
            "unknown option '--jso'; did you mean '--json'? See `rmap pid --help`"
        );
    }
}
