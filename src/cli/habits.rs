//! What people type before they have read anything: `rmap 4690`, `rmap -x 4690`, `rmap FILE`, `rmap --json ps`,
//! `rmap help pid`, the name of another program, and pcstat's options after `rmap pcstat`.
//!
//! A guess is only made between the two views, which change nothing. If both are possible, the answer is one line that
//! says what to type.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::Args;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::coming_from;
use super::config::GlobalArgs;
use super::demo::shell_word;
use super::order::{in_order, late};
use super::overview::OverviewArgs;
use super::run::{Run, Subcommand};
use crate::process::{Criteria, NamedProcess, ProcRoot, ProcessChoice};
use crate::table::escape::escaped;
use crate::table::{column_meant, did_you_mean};

/// What `rmap` alone shows.
const OVERVIEW: &str = <OverviewArgs as Run>::NAME;

/// What [`OVERVIEW`] sums up.
const SUMMED_UP: [&str; 4] = ["mem", "ps", "files", "cgroups"];

/// The parser of one subcommand without its help, which takes long to write.
pub(super) fn parser(subcommand: &Subcommand) -> clap::Command {
    GlobalArgs::augment_args((subcommand.augment)(clap::Command::new("rmap")))
}

/// Whether a subcommand has the option after its name.
fn takes(words: &[OsString], subcommands: &[Subcommand]) -> bool {
    let named = subcommands.iter().find(|subcommand| words.first().is_some_and(|word| word == subcommand.name));
    let refused = named.and_then(|subcommand| parser(subcommand).try_get_matches_from(words).err());
    refused.is_none_or(|error| error.kind() != ErrorKind::UnknownArgument)
}

/// What to type instead of an option of another program after `command`, which does not have it.
pub(super) fn instead_of(
    option: &str,
    command: &str,
    words: &[OsString],
    subcommands: &[Subcommand],
) -> Option<String> {
    coming_from::instead_of(option, command, words, &|words| takes(words, subcommands))
}

/// Which of the subcommands that the overview sums up have an option that it does not have: it consists of their first
/// rows.
fn parts_with(option: &str, subcommands: &[Subcommand]) -> Option<String> {
    let parts = SUMMED_UP.iter().filter(|part| takes(&[(**part).into(), option.into()], subcommands));
    let parts: Vec<String> = parts.map(|part| format!("`rmap {part}`")).collect();
    match &parts[..] {
        [] => None,
        [part] => Some(format!("{part} has it")),
        [parts @ .., last] => Some(format!("{} and {last} have it", parts.join(", "))),
    }
}

/// What `--top N` without files may mean to those who know hcache.
pub(super) fn largest_of_all(command: &str, words: &[OsString]) -> Option<String> {
    let typed = coming_from::typed_value("--top", words).filter(|_| command == "pcstat")?;
    let rows = shell_word(typed.as_encoded_bytes());
    Some(format!("for the whole machine, type `rmap files --top {rows}` or `rmap hcache -top {rows}`."))
}

/// The only subcommand that has this option, and what it does there; or the few that have it.
pub(super) fn only_in(option: &str, subcommands: &[Subcommand]) -> Option<String> {
    let long = option.strip_prefix("--")?;
    let having = subcommands.iter().filter_map(|subcommand| {
        let command = (subcommand.augment)(clap::Command::new("rmap"));
        let option = command.get_arguments().find(|option| option.get_long() == Some(long) && !option.is_hide_set())?;
        Some((subcommand.name, option.get_help().map(ToString::to_string).unwrap_or_default()))
    });
    match &having.collect::<Vec<_>>()[..] {
        [(name, help)] => Some(format!("only rmap {name} has it: {help}")),
        [(one, _), (other, _)] => Some(format!("only rmap {one} and rmap {other} have it")),
        _ => None,
    }
}

/// The line for a long option that was typed with one dash, which the parser takes for letters. With a subcommand, the
/// option may be one of another.
pub(super) fn with_one_dash(
    words: &[OsString],
    subcommand: Option<&Subcommand>,
    subcommands: &[Subcommand],
) -> Option<String> {
    let known = |subcommand: &Subcommand, name: &str| -> Option<bool> {
        let parser = parser(subcommand);
        let is_it = |arg: &&clap::Arg| arg.get_long_and_visible_aliases().is_some_and(|names| names.contains(&name));
        parser.get_arguments().find(is_it).filter(|arg| !arg.is_hide_set()).map(|arg| arg.get_action().takes_values())
    };
    let words: Vec<&OsString> = words.iter().take_while(|word| *word != "--").collect();
    for (place, word) in words.iter().enumerate() {
        let Some(option) = word.to_str().and_then(|word| word.strip_prefix('-')) else { continue };
        // `--sort -dirty` is a column, and so is `-o -dirty` a mistake of another kind.
        let is_value =
            place.checked_sub(1).and_then(|before| words.get(before)).is_some_and(|before| *before == "--sort");
        if option.len() < 2 || option.starts_with('-') || is_value {
            continue;
        }
        let (name, value) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
        let own = match subcommand {
            Some(subcommand) => known(subcommand, name),
            None => subcommands.iter().find_map(|subcommand| known(subcommand, name)),
        };
        let line = format!("unknown option '{}'", escaped(word.as_encoded_bytes()));
        if name == "version" {
            return Some(asked(line, Some("did you mean 'rmap --version'?".to_owned())));
        }
        if let Some(takes_value) = own {
            let next = words.get(place + 1).filter(|_| takes_value && value.is_none());
            let value = next.map(|next| format!(" {}", shell_word(next.as_encoded_bytes()))).unwrap_or_default();
            return Some(asked(line, Some(format!("did you mean '--{}{value}'?", escaped(option.as_bytes())))));
        }
        if subcommands.iter().any(|subcommand| known(subcommand, name).is_some()) {
            return Some(asked(line, only_in(&format!("--{name}"), subcommands).map(|line| line + ".")));
        }
    }
    None
}

/// The same line for an option whose letters the parser would accept: `-human` begins with `-h`. The words of a program
/// that is to be run are its own.
pub(super) fn with_accepted_letters(words: &[OsString], subcommands: &[Subcommand]) -> Option<String> {
    let is_such = |word: &OsString| {
        let name = word.to_str().and_then(|word| word.strip_prefix('-')).unwrap_or_default();
        name.len() > 2 && name.starts_with(|letter: char| letter.is_ascii_lowercase())
    };
    let subcommand = subcommands.iter().find(|known| words.first().is_some_and(|typed| *typed == *known.name))?;
    if subcommand.name == "trace" || !words.iter().any(is_such) {
        return None;
    }
    let line = with_one_dash(words, Some(subcommand), &[])?;
    Some(pointed(&line, &format!("rmap {}", subcommand.name)))
}

/// What was typed.
pub(super) enum Typed {
    /// Arguments for the parser, with the name of the program.
    Arguments(Vec<OsString>),
    /// A question that this text answers.
    Question(String),
}

/// What the arguments mean (the first is the name of the program), or the line that says what to type.
pub(super) fn understand(mut arguments: Vec<OsString>, subcommands: &[Subcommand]) -> Result<Typed, String> {
    let Some(first) = arguments.get(1) else {
        arguments.push(OVERVIEW.into());
        return Ok(Typed::Arguments(arguments));
    };
    let name = first.to_str().unwrap_or_default().to_owned();
    if is_subcommand(&name, subcommands) && name != "pcstat" {
        return Ok(Typed::Arguments(arguments));
    }
    let words = arguments.split_off(1);
    let rest = words.get(1..).unwrap_or_default();
    let words = match name.as_str() {
        "pcstat" => pcstat(words, subcommands)?,
        "help" => match rest.first().map(|topic| topic.to_string_lossy()) {
            Some(topic) if ["help", "-h", "--help"].contains(&topic.as_ref()) => vec!["--help".into()],
            Some(topic) => return help(&topic, arguments, subcommands),
            None => vec!["--help".into()],
        },
        _ => match coming_from::understand(&name, rest).transpose()? {
            Some(words) => match &words[..] {
                [word, topic] if word == "help" => return help(&topic.to_string_lossy(), arguments, subcommands),
                _ => words,
            },
            None => {
                let line = with_one_dash(&words, None, subcommands).map(|line| pointed(&line, "rmap"));
                guess(words, subcommands).map_err(|other| line.unwrap_or(other))?
            }
        },
    };
    arguments.extend(words);
    Ok(Typed::Arguments(arguments))
}

fn is_subcommand(name: &str, subcommands: &[Subcommand]) -> bool {
    subcommands.iter().any(|subcommand| subcommand.name == name)
}

/// `rmap help TOPIC`: a subcommand or another program.
fn help(topic: &str, mut arguments: Vec<OsString>, subcommands: &[Subcommand]) -> Result<Typed, String> {
    if is_subcommand(topic, subcommands) {
        arguments.extend([topic.into(), "--help".into()]);
        return Ok(Typed::Arguments(arguments));
    }
    coming_from::help(topic).map(Typed::Question).ok_or_else(|| no_such(topic, "no such command", subcommands))
}

/// The line for a word that means nothing.
fn no_such(word: &str, why: &str, subcommands: &[Subcommand]) -> String {
    let known = subcommands.iter().map(|subcommand| subcommand.name).chain(coming_from::names());
    pointed(&asked(format!("{}: {why}", escaped(word.as_bytes())), did_you_mean(word, known)), "rmap")
}

/// A line that ends with where to read more.
pub(super) fn pointed(line: &str, command: &str) -> String {
    let joint = if line.ends_with(['?', '.']) { " See" } else { "; see" };
    format!("{line}{joint} `{command} --help`")
}

/// A line that ends with this question, if there is one.
pub(super) fn asked(line: String, question: Option<String>) -> String {
    question.map(|question| format!("{line}; {question}")).unwrap_or(line)
}

/// pcstat's options: `-json` becomes `--json`, and `--sort` takes the next word only if it is the name of a column
/// (`size` is a column, `./size` is a file). Otherwise files are sorted by their cached pages.
fn pcstat(words: Vec<OsString>, subcommands: &[Subcommand]) -> Result<Vec<OsString>, String> {
    let mut options_end = false;
    let mut understood: Vec<OsString> = Vec::with_capacity(words.len());
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        options_end |= word == "--";
        let text = word.to_str().filter(|text| !options_end && text.starts_with('-')).unwrap_or_default();
        if matches!(text, "--sort" | "-sort") {
            let column = match words.peek() {
                Some(next) if is_sort_column(next, subcommands)? => words.next(),
                _ => None,
            };
            let column = column.unwrap_or_else(|| "cached".into());
            understood.push([OsString::from("--sort="), column].into_iter().collect());
        } else {
            understood.push(coming_from::pcstat_option(text).map_or(word, OsString::from));
        }
    }
    Ok(understood)
}

/// Whether a word is a column of one of pcstat's tables, and not an option or a file. What is neither is a mistake.
fn is_sort_column(word: &OsStr, subcommands: &[Subcommand]) -> Result<bool, String> {
    let Some(text) = word.to_str() else { return Ok(false) };
    let rows = || subcommands.iter().filter(|subcommand| subcommand.name == "pcstat").flat_map(|found| found.rows);
    if rows().any(|rows| rows.sorts_by(text)) {
        return Ok(true);
    }
    if text.starts_with('-') || is_file(word) {
        return Ok(false);
    }
    let known: Vec<_> = rows().flat_map(|rows| rows.heads()).collect();
    let line = format!("--sort: '{}' is neither a column nor a file", escaped(text.as_bytes()));
    Err(pointed(&asked(line, column_meant(text, &known)), "rmap pcstat"))
}

/// Whether a word names a file. One with a slash is not looked up, which could block: it can only be a file, or a
/// process as a directory of `/proc`.
fn is_file(word: &OsStr) -> bool {
    let has_slash = word.as_encoded_bytes().contains(&b'/');
    if has_slash { !is_process(word) } else { Path::new(word).symlink_metadata().is_ok() }
}

/// Whether a word names a process, or several with commas between them.
fn is_process(word: &OsStr) -> bool {
    word.to_str().is_some_and(|text| text.split(',').all(|name| name.parse::<NamedProcess>().is_ok()))
}

/// Whether a process of this name runs.
fn is_name_of_process(name: &str) -> bool {
    let mut like = Criteria::new();
    like.add_name(name.as_bytes());
    // If `/proc` cannot be read, nothing is proposed.
    let found = ProcessChoice { pids: Vec::new(), like }.find(&ProcRoot::live(), &mut |_| {});
    found.is_ok_and(|found| !found.is_empty())
}

/// What the words are for one of the views.
enum Fit {
    /// It takes them, and these are the operands.
    Whole(Vec<OsString>),
    /// It takes the options, but not these operands.
    Options(Vec<OsString>),
    /// It takes the options, but an operand is missing.
    Lacking,
    /// It does not take the options, such as this one.
    None(String),
}

/// The words after the view that they are for: the process view if all operands are processes, the file view if all are
/// files.
fn guess(words: Vec<OsString>, subcommands: &[Subcommand]) -> Result<Vec<OsString>, String> {
    let place = first_own_word(&words);
    let typed = words.get(place).cloned().unwrap_or_default();
    let name = typed.to_string_lossy();
    let has_root = words.iter().take(place).any(|word| word.as_encoded_bytes().starts_with(b"--proc-root"));
    if has_root && is_subcommand(&name, subcommands) {
        let mut moved = words;
        moved.get_mut(..=place).into_iter().for_each(|words| words.rotate_right(1));
        return if name == "pcstat" { pcstat(moved, subcommands) } else { Ok(moved) };
    }
    if is_subcommand(&name, subcommands) || ["-h", "--help", "-V", "--version"].contains(&name.as_ref()) {
        return Ok(words);
    }
    let of = |view: &str| -> Vec<OsString> { std::iter::once(view.into()).chain(words.iter().cloned()).collect() };
    let overview = subcommands.iter().find(|subcommand| subcommand.name == OVERVIEW).map(parser);
    let overview = overview.map(|parser| parser.try_get_matches_from(of(OVERVIEW)));
    let Some(Err(overview)) = overview else { return Ok(of(OVERVIEW)) };
    // The option is right, and its value is not.
    if matches!(overview.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
        return Ok(of(OVERVIEW));
    }
    let (processes, files) = (of("pid"), pcstat(of("pcstat"), subcommands));
    let fit = |words: &[OsString], is_operand: fn(&OsStr) -> bool| {
        let subcommand =
            subcommands.iter().find(|subcommand| words.first().is_some_and(|word| word == subcommand.name));
        subcommand.map_or(Fit::None(String::new()), |found| fit(parser(found), words, is_operand))
    };
    let process_fit = fit(&processes, is_process);
    let is_command = |word: &OsString| word.to_str().is_some_and(|word| is_subcommand(word, subcommands));
    let takes = |words: &[&OsString]| {
        let named = subcommands.iter().find(|subcommand| words.first().is_some_and(|word| *word == subcommand.name));
        named.is_some_and(|subcommand| parser(subcommand).try_get_matches_from(words).is_ok())
    };
    let files = match files {
        Err(line) if !matches!(process_fit, Fit::Whole(_)) => match &process_fit {
            Fit::Options(operands) if operands.iter().any(is_command) => Vec::new(),
            _ => return Err(line),
        },
        files => files.unwrap_or_default(),
    };
    match (process_fit, fit(&files, is_file)) {
        // Processes by their properties, and no file.
        (Fit::Whole(operands), _) if operands.is_empty() => Ok(processes),
        (Fit::Whole(_), Fit::Whole(operands)) => {
            let word = escaped(operands.first().map(|word| word.as_encoded_bytes()).unwrap_or_default());
            Err(format!("{word}: both a pid and a file; type `rmap pid {word}` or `rmap pcstat {word}`"))
        }
        (Fit::Whole(_), _) => Ok(processes),
        (_, Fit::Whole(_)) => Ok(files),
        (Fit::Lacking, Fit::Lacking) => Err(without_operand(&overview, subcommands)),
        // The parser says what is missing.
        (Fit::Lacking, _) => Ok(processes),
        (_, Fit::Lacking) => Ok(files),
        (Fit::Options(operands), _) | (_, Fit::Options(operands)) if operands.iter().any(is_command) => {
            let command = operands.into_iter().find(is_command).unwrap_or_default();
            Err(late(&command.to_string_lossy(), &words, &takes))
        }
        (Fit::Options(operands), Fit::None(option)) => {
            // vmtouch and fincore share letters with pmap.
            if let Some(instead) = instead_of(&option, "pcstat", &words, subcommands) {
                return Err(format!("{}: not a process; for files, {instead}", shown(&operands)));
            }
            Err(misfit(&operands, "not a process, but the options are those of `rmap pid`", subcommands))
        }
        (Fit::None(_), Fit::Options(operands)) => {
            Err(misfit(&operands, "not a file, but the options are those of `rmap pcstat`", subcommands))
        }
        (Fit::Options(operands), Fit::Options(_)) => Err(misfit(
            &operands,
            "processes and files; use `rmap pid` for the one, `rmap pcstat` for the other",
            subcommands,
        )),
        // The parser says which option is wrong.
        (Fit::None(_), Fit::None(_)) if has_operand(&words, is_file) => Ok(files),
        (Fit::None(_), Fit::None(_)) if has_operand(&words, is_process) => Ok(processes),
        (Fit::None(_), Fit::None(_)) if name.starts_with('-') => {
            let mut commands = words.iter().filter(|word| is_command(word)).filter_map(|word| word.to_str());
            let typed = commands.find_map(|command| in_order(command, &words, &takes));
            typed.map_or(Ok(words), Err)
        }
        (Fit::None(_), Fit::None(_)) => Err(nothing_like(&name, subcommands)),
    }
}

/// The two views, which take what they are about.
const VIEWS: &str = "`rmap pid PID` and `rmap pcstat PATH`";

/// The line for an option that the overview does not have, but what it sums up, if that is what `command` is.
pub(super) fn not_for_overview(option: &str, command: &str, subcommands: &[Subcommand]) -> Option<String> {
    let parts = parts_with(option, subcommands).filter(|_| command == OVERVIEW)?;
    Some(pointed(
        &format!("{option}: not for the overview, which shows several lists once; {parts}, as have {VIEWS}"),
        "rmap",
    ))
}

/// The line for options of both views, but not of the overview, without anything to look at.
fn without_operand(overview: &clap::Error, subcommands: &[Subcommand]) -> String {
    let option = match overview.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(option)) => option.as_str(),
        _ => "",
    };
    match not_for_overview(option, OVERVIEW, subcommands) {
        Some(line) => line,
        None => pointed(&format!("name a process or a file: {}", VIEWS.replace(" and ", " or ")), "rmap"),
    }
}

/// Whether one of the words that are not options is an operand of this kind.
fn has_operand(words: &[OsString], is_operand: fn(&OsStr) -> bool) -> bool {
    words.iter().any(|word| !word.as_encoded_bytes().starts_with(b"-") && is_operand(word))
}

/// The line for a word that is neither a subcommand nor a process or file.
fn nothing_like(word: &str, subcommands: &[Subcommand]) -> String {
    let why = "no such command, process or file";
    match is_name_of_process(word) {
        true => {
            let (shown, typed) = (escaped(word.as_bytes()), shell_word(word.as_bytes()));
            format!("{shown}: {why}; processes of this name run: type `rmap pid --name {typed}`")
        }
        false => no_such(word, why, subcommands),
    }
}

/// The place of the first word that is not an option of every subcommand.
fn first_own_word(words: &[OsString]) -> usize {
    let mut place = 0;
    while let Some(word) = words.get(place) {
        place += match word.to_str() {
            Some("--no-config") => 1,
            Some("--config" | "--proc-root") => 2,
            Some(text) if text.starts_with("--config=") || text.starts_with("--proc-root=") => 1,
            _ => break,
        };
    }
    place
}

fn fit(parser: clap::Command, words: &[OsString], is_operand: fn(&OsStr) -> bool) -> Fit {
    let Some(operand) = parser.get_positionals().next().map(|operand| operand.get_id().clone()) else {
        return Fit::None(String::new());
    };
    // Any word is taken, so that it can be named.
    let parser = parser.mut_arg(operand.as_str(), |operand| operand.value_parser(clap::value_parser!(OsString)));
    match parser.try_get_matches_from(words) {
        Ok(matches) => {
            let operands = matches.get_raw(operand.as_str()).into_iter().flatten();
            let operands: Vec<OsString> = operands.map(OsStr::to_owned).collect();
            if operands.iter().all(|word| is_operand(word)) { Fit::Whole(operands) } else { Fit::Options(operands) }
        }
        Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => Fit::Lacking,
        Err(error) => match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(option)) => Fit::None(option.clone()),
            _ => Fit::None(String::new()),
        },
    }
}

/// The line for operands that do not fit, for this reason, unless one of them is nothing at all.
fn misfit(operands: &[OsString], why: &str, subcommands: &[Subcommand]) -> String {
    match operands.iter().find(|word| !is_process(word) && !is_file(word)) {
        Some(neither) => nothing_like(&neither.to_string_lossy(), subcommands),
        None => format!("{}: {why}", shown(operands)),
    }
}

fn shown(operands: &[OsString]) -> String {
    operands.iter().map(|word| escaped(word.as_encoded_bytes())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::SUBCOMMANDS;

    fn understood(words: &[&str]) -> Result<Vec<String>, String> {
        let words = std::iter::once("rmap").chain(words.iter().copied()).map(OsString::from).collect();
        match understand(words, SUBCOMMANDS)? {
            Typed::Arguments(words) => Ok(words.into_iter().skip(1).map(|word| word.into_string().unwrap()).collect()),
            Typed::Question(text) => Ok(vec![text]),
        }
    }

    /// Words in one text, because none of them has a blank.
    fn words(typed: &str) -> String {
        let found = understood(&typed.split(' ').collect::<Vec<_>>());
        found.map_or_else(|line| format!("line: {line}"), |words| words.join(" "))
    }

    #[test]
    fn pcstat_options_can_be_written_with_one_dash() {
        assert_eq!(words("pcstat -json -pps x"), "pcstat --json --pps x");
        assert_eq!(words("pcstat -top 3 -pid=1 x"), "pcstat --top 3 --pid=1 x");
        assert_eq!(words("pcstat -- -json"), "pcstat -- -json");
        assert_eq!(words("pid -json"), "pid -json");
    }

    #[test]
    fn sort_takes_a_column_but_not_a_file() {
        assert_eq!(words("pcstat --sort size x"), "pcstat --sort=size x");
        assert_eq!(words("pcstat --sort Cached x"), "pcstat --sort=Cached x");
        assert_eq!(words("pcstat --sort -Recently x"), "pcstat --sort=-Recently x");
        assert_eq!(words("pcstat --sort files x"), "pcstat --sort=files x");
        assert_eq!(words("pcstat --sort state x"), "pcstat --sort=state x");
        assert_eq!(words("pcstat --sort Cargo.toml"), "pcstat --sort=cached Cargo.toml");
        assert_eq!(words("pcstat --sort ./size"), "pcstat --sort=cached ./size");
        assert_eq!(words("pcstat x --sort --json"), "pcstat x --sort=cached --json");
    }

    #[test]
    fn a_process_or_a_file_needs_no_subcommand() {
        assert_eq!(words("4690 4691"), "pid 4690 4691");
        assert_eq!(words("-x 4690"), "pid -x 4690");
        assert_eq!(words("--json self"), "pid --json self");
        assert_eq!(words("--no-config 4690"), "pid --no-config 4690");
        assert_eq!(words("--name postgres"), "pid --name postgres");
        assert_eq!(words("Cargo.toml -sort"), "pcstat Cargo.toml --sort=cached");
        assert_eq!(words("-R --by-dir 1 ./no/such"), "pcstat -R --by-dir 1 ./no/such");
        assert_eq!(words("--pid 4690"), "pcstat --pid 4690");
        assert_eq!(words("4690,4691 self"), "pid 4690,4691 self");
        assert_eq!(words("/proc/4690 /proc/self/"), "pid /proc/4690 /proc/self/");
        assert_eq!(words("/proc/4690/maps"), "pcstat /proc/4690/maps");
        // The parser of that view says what is wrong.
        assert_eq!(words("-e Cargo.toml"), "pcstat -e Cargo.toml");
        assert_eq!(words("4690 --frob"), "pid 4690 --frob");
    }

    #[test]
    fn what_is_no_process_and_no_file_is_a_mistake() {
        let line = |typed: &str| words(typed).strip_prefix("line: ").unwrap_or_else(|| panic!("{typed}")).to_owned();
        assert_eq!(line("frob"), "frob: no such command, process or file; see `rmap --help`");
        let near = "pcsat: no such command, process or file; did you mean 'pcstat'? See `rmap --help`";
        assert_eq!(line("pcsat -R /x"), near);
        assert_eq!(line("help pcsat"), near.replace("command, process or file", "command"));
        assert_eq!(line("-x Cargo.toml"), "Cargo.toml: not a process, but the options are those of `rmap pid`");
        assert_eq!(line("-R 4690"), "4690: not a file, but the options are those of `rmap pcstat`");
        let letter =
            "4k-64k Cargo.toml: not a process; for files, type `rmap pcstat --range=4096,61440 FILE` (vmtouch's ";
        assert!(line("-p 4k-64k Cargo.toml").starts_with(letter));
        assert!(line("4690 Cargo.toml").starts_with("4690 Cargo.toml: processes and files; use `rmap pid`"));
        let sort = "--sort: 'nte' is neither a column nor a file; did you mean 'note'? See `rmap pcstat --help`";
        assert_eq!((line("pcstat --sort nte f"), line("--sort nte f")), (sort.to_owned(), sort.to_owned()));
    }

    #[test]
    fn a_command_comes_before_its_options() {
        let first = "a command comes before its options";
        for (typed, command, instead) in [
            ("--json pcstat ./f", "pcstat", "pcstat --json ./f"),
            ("--top 3 ps", "ps", "ps --top 3"),
            ("-w 1 ps", "ps", "ps -w 1"),
            ("--no-config --top 3 ps", "ps", "ps --no-config --top 3"),
            ("--sort pid ps", "ps", "ps --sort pid"),
            ("--slab mem", "mem", "mem --slab"),
        ] {
            assert_eq!(words(typed), format!("line: {command}: {first}; type `rmap {instead}`"), "{typed}");
        }
        assert_eq!(words("-x 1 evict"), format!("line: evict: {first}; see `rmap evict --help`"));
        // It is a name here, and there a mistyped option.
        assert_eq!((words("--name ps"), words("--slbb mem")), ("pid --name ps".to_owned(), "--slbb mem".to_owned()));
        assert_eq!(words("--no-config pid self"), "--no-config pid self");
        // Options of every subcommand may come before it.
        assert_eq!(words("--proc-root /proc ps"), "ps --proc-root /proc");
        assert_eq!(words("--proc-root ./f ps --tree"), "ps --proc-root ./f --tree");
        assert_eq!(words("--no-config --proc-root=./f mem --slab"), "mem --no-config --proc-root=./f --slab");
        assert_eq!(words("--proc-root ./file"), "overview --proc-root ./file");
    }

    #[test]
    fn long_options_have_two_dashes() {
        let line = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            let subcommand = SUBCOMMANDS.iter().find(|subcommand| words[0] == subcommand.name);
            with_one_dash(&words, subcommand, SUBCOMMANDS)
        };
        let meant = |typed: &str, meant: &str| Some(format!("unknown option '{typed}'; did you mean '{meant}'?"));
        assert_eq!(line(&["files", "-top", "3"]), meant("-top", "--top 3"));
        assert_eq!(line(&["pid", "-top=3", "1"]), meant("-top=3", "--top=3"));
        assert_eq!(line(&["ps", "-json"]), meant("-json", "--json"));
        assert_eq!(line(&["ps", "-by", "user"]), meant("-by", "--by user"));
        assert_eq!(line(&["ps", "-version"]), meant("-version", "rmap --version"));
        assert_eq!(line(&["-sort", "a b"]), meant("-sort", "--sort 'a b'"));
        let other = line(&["mem", "-tree"]).unwrap();
        assert!(other.starts_with("unknown option '-tree'; only rmap ps has it: "), "{other}");
        for words in [&["pid", "-Xq"][..], &["ps", "--", "-top"], &["files", "--sort", "-dirty"], &["pid", "-t", "-e"]]
        {
            assert_eq!(line(words), None, "{words:?}");
        }
    }

    #[test]
    fn the_overview_has_few_options() {
        let have = "`rmap mem`, `rmap ps`, `rmap files` and `rmap cgroups` have it, as have `rmap pid PID` and `rmap \
                    pcstat PATH`";
        let why = "not for the overview, which shows several lists once";
        assert_eq!(words("-w 1"), format!("line: -w: {why}; {have}; see `rmap --help`"));
        assert_eq!(words("--top 3"), format!("line: --top: {why}; {have}; see `rmap --help`"));
    }

    #[test]
    fn help_is_a_word_too() {
        assert_eq!((words("help"), words("help pid")), ("--help".to_owned(), "pid --help".to_owned()));
        for typed in ["help vmtouch", "vmtouch --help", "pmap -h", "pmap -xh 1", "fincore f --help", "hcache -help"] {
            assert!(words(typed).contains("without options"), "{typed}: {}", words(typed));
        }
        assert!(words("vmtouch -h f").starts_with("line: vmtouch's -h: "));
        assert!(words("touch f").starts_with("line: touch: "));
    }

    #[test]
    fn no_guess_changes_the_machine() {
        for typed in ["-t Cargo.toml", "-e Cargo.toml", "-l Cargo.toml"] {
            assert_eq!(words(typed), format!("pcstat {typed}"));
            assert!(crate::cli::command().try_get_matches_from(["rmap", "pcstat", &typed[..2], "f"]).is_err());
        }
    }
}
