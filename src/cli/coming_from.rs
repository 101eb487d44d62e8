//! What people type who come from pmap, vmtouch, fincore, pcstat, hcache, smem, ps_mem, fuser or lsof, and what rmap
//! answers.
//!
//! The name of the program makes its options unambiguous: `rmap vmtouch -e FILE` evicts. After a subcommand of rmap, a
//! letter has rmap's meaning or none, and [`instead_of`] says what to type. `docs/coming-from.md` and
//! `rmap help PROGRAM` are written from the table in [`programs`](super::programs).

use std::ffi::OsString;
use std::fmt::Write;

use super::demo::shell_word;
use super::peers::{Answer, Letter, Peer, Value, example, translate, with_value};
use super::programs::{OTHERS, PCSTAT, PEERS, letter};

/// The words for `rmap` if `name` is another program, or the line that says what to type; `None` if it is not known.
pub(super) fn understand(name: &str, arguments: &[OsString]) -> Option<Result<Vec<OsString>, String>> {
    if let Some((_, line)) = OTHERS.iter().find(|(other, _)| *other == name) {
        return Some(Err(format!("{name}: {line}")));
    }
    find(name).map(|peer| translate(peer, arguments))
}

/// The names of the programs that rmap can stand for.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PEERS.iter().map(Peer::name)
}

fn find(name: &str) -> Option<&'static Peer> {
    PEERS.iter().find(|peer| peer.names.contains(&name))
}

/// pcstat's option as rmap writes it, if a word is one: `-json` is `--json`, and `-top=3` is `--top=3`.
pub(super) fn pcstat_option(word: &str) -> Option<String> {
    let name = word.split('=').next().unwrap_or_default();
    // -h is the same in rmap.
    PCSTAT.letter(name).filter(|_| name.len() > 2 && !word.starts_with("--")).map(|_| format!("-{word}"))
}

/// Whether a peer looks at what `command` looks at: processes, files, or who holds a file. Without a subcommand it
/// could be any.
fn is_like(peer: &Peer, command: &str) -> bool {
    fn subject(command: &str) -> &str {
        match command {
            "pid" | "ps" => "processes",
            "pcstat" | "warm" | "evict" | "lock" | "files" => "files",
            other => other,
        }
    }
    command.is_empty() || subject(peer.command) == subject(command)
}

/// What to type instead of an option that `command` (or, if it is empty, rmap) does not have, but that other programs
/// have which do the same. If there is a command to type, the other answers are left out. The value is that among the
/// typed `words`, if it is valid. `takes` says whether the words after `rmap` have only options that their subcommand
/// has.
pub(super) fn instead_of(
    option: &str,
    command: &str,
    words: &[OsString],
    takes: &dyn Fn(&[OsString]) -> bool,
) -> Option<String> {
    let mut ranked: Vec<(usize, String)> = Vec::new();
    for (peer, letter) in having(option, command) {
        let typed = letter.value.and_then(|value| value_of(option, words, value));
        let (rank, answer) = match letter.answer {
            Answer::Line(line) => (1, in_line(line, letter, typed)),
            Answer::Nothing(why) => (2, format!("leave it out: {why}")),
            Answer::AllRows(how) => (2, format!("use {how}")),
            _ => (0, format!("`{}`", instead(peer, (option, letter, typed), command, takes))),
        };
        // A remark in parentheses would be in parentheses twice.
        let meaning = letter.meaning.split(" (").next().unwrap_or_default();
        if !ranked.iter().any(|(_, earlier)| earlier.starts_with(&answer)) {
            ranked.push((rank, format!("{answer} ({}'s {option}: {meaning})", peer.name())));
        }
    }
    let best = ranked.iter().map(|(rank, _)| *rank).min()?;
    let answers: Vec<String> = ranked.into_iter().filter(|(rank, _)| *rank == best).map(|(_, answer)| answer).collect();
    // A line is long, so only the first one is given.
    if best == 0 { Some(format!("type {}", answers.join(", or "))) } else { answers.into_iter().next() }
}

/// The peers that have this option, and what it is there: those whose options `command` takes (pmap's in the process
/// view) or else all that look at the same.
fn having(option: &str, command: &str) -> Vec<(&'static Peer, &'static Letter)> {
    let like = PEERS.iter().filter(|peer| is_like(peer, command));
    let mut found: Vec<_> = like.filter_map(|peer| Some((peer, peer.letter(option)?))).collect();
    if found.iter().any(|(peer, _)| peer.command == command) {
        found.retain(|(peer, _)| peer.command == command);
    }
    found
}

/// The value that was typed with an option, if it is a valid one. It is a number only if that of the example is one:
/// a pid may be the next operand. A range may begin with its dash.
fn value_of(option: &str, words: &[OsString], value: Value) -> Option<OsString> {
    let is_number = value.example.starts_with(|letter: char| letter.is_ascii_digit());
    let typed = typed_value(option, words)?;
    let digits = typed.as_encoded_bytes();
    let digits = digits.strip_prefix(b"-").filter(|_| value.example.contains('-')).unwrap_or(digits);
    let fits =
        if is_number { digits.first().is_some_and(u8::is_ascii_digit) } else { !digits.iter().all(u8::is_ascii_digit) };
    if !fits {
        return None;
    }
    (value.in_rmap)(typed.clone()).is_ok().then_some(typed)
}

/// What was typed as the value of an option: `-m 1M`, `-m1M`, `--most=1M`.
pub(super) fn typed_value(option: &str, words: &[OsString]) -> Option<OsString> {
    let letter = option.strip_prefix('-').filter(|letter| letter.chars().count() == 1);
    let mut words = words.iter().take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        let text = word.to_str().unwrap_or_default();
        let attached = match (text.strip_prefix(option), letter) {
            (Some(""), _) => return words.next().cloned(),
            (Some(rest), _) if rest.starts_with('=') => rest.get(1..),
            // One of Go's flags is not several letters.
            (_, Some(_)) if PEERS.iter().any(|peer| peer.letter(text).is_some() || peer.has_letters(text)) => None,
            (_, Some(letter)) if text.starts_with('-') && !text.starts_with("--") => {
                text.split_once(letter).map(|(_, value)| value)
            }
            _ => None,
        };
        match attached {
            Some("") => return words.next().cloned(),
            Some(value) => return Some(value.into()),
            None => {}
        }
    }
    None
}

/// A line about an option, with the value that was typed.
fn in_line(line: &str, letter: &Letter, typed: Option<OsString>) -> String {
    let example = letter.value.map_or("", |value| value.example);
    with_value(line, example, typed.as_slice())
}

/// The command that does what an option of a peer does: `command` itself, if that takes it.
fn instead(
    peer: &Peer,
    (option, letter, typed): (&str, &Letter, Option<OsString>),
    command: &str,
    takes: &dyn Fn(&[OsString]) -> bool,
) -> String {
    let selects_itself = matches!(letter.answer, Answer::Words(_)) && peer.operand.is_empty();
    let peer = if selects_itself {
        // This view is what the user asked for. Only the process view needs processes.
        let operand = if command == "pid" { "PID" } else { "" };
        Peer { operand, choice: &[], view: &[], ..*peer }
    } else if peer.choice.is_empty() {
        Peer { usual: &[], view: &[], ..*peer }
    } else {
        // The processes are still to be selected.
        Peer { usual: &[], ..*peer }
    };
    let arguments = arguments_with(&peer, option, letter, typed);
    // A view belongs to the peer's subcommand.
    let own = Some(command).filter(|command| !command.is_empty() && !matches!(letter.answer, Answer::View(_)));
    let commands = own.into_iter().chain([peer.command]);
    let mut found = commands.filter_map(|command| example(&peer, &arguments, command).ok());
    found.find(|found| takes(&found.words)).map(|found| found.command()).unwrap_or_default()
}

/// The words of rmap for a peer with this option.
fn typed(peer: &Peer, option: &str, letter: &Letter) -> String {
    let translated = example(peer, &arguments_with(peer, option, letter, None), peer.command);
    translated.map(|translated| translated.command()).unwrap_or_default()
}

/// Arguments of a peer with this option, and with this value or that of an example.
fn arguments_with(peer: &Peer, option: &str, letter: &Letter, value: Option<OsString>) -> Vec<OsString> {
    let besides = letter.besides.iter().map(OsString::from);
    let value = value.or(letter.value.map(|value| value.example.into()));
    let option = Some(option).filter(|option| !option.is_empty()).map(OsString::from).into_iter().chain(value);
    let selects = |letter: &Letter| matches!(letter.answer, Answer::Choice(_) | Answer::Operand(_));
    let has_operand = selects(letter) || letter.besides.iter().filter_map(|word| peer.letter(word)).any(selects);
    let operand = Some(peer.operand).filter(|operand| !operand.is_empty() && !has_operand);
    besides.chain(option).chain(operand.map(OsString::from)).collect()
}

/// What rmap calls a column that `command` does not have, but that other programs have which do the same.
pub(super) fn column(name: &str, command: &str) -> Option<String> {
    PEERS.iter().filter(|peer| is_like(peer, command)).find_map(|peer| {
        let (theirs, ours) = peer.columns.iter().find(|(theirs, _)| *theirs == name)?;
        let Peer { operand, .. } = *peer;
        let takes_all =
            peer.letter("-o").map(|_| format!("; `rmap {} -o LIST {operand}` takes its names", peer.name()));
        Some(format!("{}'s {theirs} is '{ours}' in rmap{}", peer.name(), takes_all.unwrap_or_default()))
    })
}

/// One row of the page: how an option is written there, its meaning, and what it is in rmap.
fn row(peer: &Peer, letter: &Letter) -> [String; 3] {
    let option = letter.names.first().copied().unwrap_or_default();
    let value = letter.value.map(|value| format!(" {}", shell_word(value.example.as_bytes()))).unwrap_or_default();
    let in_rmap = match letter.answer {
        Answer::Line(line) => line.to_owned(),
        Answer::Nothing(why) => format!("not needed: {why}"),
        Answer::AllRows(how) => (*how).to_owned(),
        _ => typed(peer, option, letter),
    };
    [format!("{}{value}", letter.names.join(", ")), letter.meaning.to_owned(), in_rmap]
}

const WITHOUT_OPTIONS: Letter = letter(&[], "", Answer::Words(&[]));

fn usually(peer: &Peer) -> String {
    format!("{} {}", peer.name(), peer.operand).trim_end().to_owned()
}

/// The peer without options, then each of its options.
fn rows(peer: &Peer) -> impl Iterator<Item = [String; 3]> {
    let usual = [usually(peer), "without options".to_owned(), typed(peer, "", &WITHOUT_OPTIONS)];
    std::iter::once(usual).chain(peer.letters().map(|letter| row(peer, letter)))
}

/// What `rmap help PEER` prints.
pub(super) fn help(name: &str) -> Option<String> {
    let line = |[option, meaning, in_rmap]: [String; 3]| format!("{option}: {meaning}\n    {in_rmap}\n");
    find(name).map(|peer| rows(peer).map(line).collect())
}

/// `docs/coming-from.md`.
pub(super) fn page() -> String {
    let mut page = String::from(
        "# Coming from pmap, vmtouch, fincore, pcstat, hcache, smem, ps_mem, fuser or lsof\n\n\
         `rmap` understands these programs by name: `rmap vmtouch -t FILE` does what `vmtouch -t FILE` does.\n\
         The output is rmap's. What has no equivalent is answered in one line, and nothing runs (status 2).\n\n\
         After a subcommand of rmap, a letter has rmap's meaning: `rmap pcstat -b LIST` measures the file LIST,\n\
         in bytes, and `rmap vmtouch -b LIST` the files that it names.\n\
         `rmap help vmtouch` prints one of these tables.\n",
    );
    for peer in PEERS {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "\n## Coming from {0}\n\n| {0} | meaning | rmap |\n|---|---|---|", peer.name());
        for cells in rows(peer) {
            let [option, meaning, in_rmap] = cells.map(|cell| cell.replace('|', "\\|"));
            let _ = writeln!(page, "| `{option}` | {meaning} | {} |", code(&in_rmap));
        }
    }
    page.push_str(FOR_DEVELOPERS);
    page
}

/// The end of the page.
const FOR_DEVELOPERS: &str = "\n## How this page is made\n\n\
    `src/cli/programs.rs` has the table from which it is written:\n\n    \
    cargo run --example coming_from > docs/coming-from.md\n";

/// Commands as Markdown writes them.
fn code(text: &str) -> String {
    if text.starts_with("rmap ") { format!("`{text}`") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every option of each program.
    const NAMED: &[(&str, &str)] = &[
        ("vmtouch", "-t -e -l -v -d -P -p -m -i -I -b -f -F -h -L -w -0 -q"),
        ("fincore", "-J -r -C --output-all -o -b -n -c -R -h -V"),
        ("pcstat", "-json -pps -terse -nohdr -bname -histo -plain -unicode -pid -sort -top -help"),
        ("hcache", "-json -pps -terse -nohdr -bname -histo -plain -unicode -pid -top -help"),
        ("pmap", "-x -X -XX -d -q -p -A -c -C -n -N -r -h -V"),
        ("smem", "-u -m -t -k -P -U -w -M -s -r -H -c -p -n -a --pie --bar -S -R -K -h"),
        ("ps_mem", "-p -S -d -s -t -w -u -h --version"),
        ("fuser", "-v -u -a -s -k -SIGNAL -i -w -l -m -c -M -I -n -4 -6 -h -V"),
        ("lsof", "-t -u -c -a -p -i -n -P -w -h"),
    ];

    #[test]
    fn every_option_is_translated_to_arguments_that_parse_or_answered() {
        for (peer, options) in NAMED {
            let peer = find(peer).unwrap();
            let mut known: Vec<&str> = peer.letters().map(|letter| letter.names[0]).collect();
            for option in options.split(' ') {
                let letter = peer.letter(option).unwrap_or_else(|| panic!("{} {option}", peer.name()));
                known.retain(|name| *name != option);
                let words = arguments_with(peer, option, letter, None).into_iter();
                let words = words.map(|word| if word == "PID" { "4690".into() } else { word });
                match translate(peer, &words.collect::<Vec<_>>()) {
                    Ok(words) if words == ["help", peer.name()] || words == ["--version"] => {}
                    Ok(words) => {
                        let words = [OsString::from("rmap")].into_iter().chain(words);
                        let parsed = crate::cli::command().try_get_matches_from(words.clone());
                        assert!(parsed.is_ok(), "{} {option}: {:?}", peer.name(), parsed.err());
                    }
                    Err(line) => assert!(line.contains("rmap") && !line.contains('\n'), "{line}"),
                }
            }
            assert_eq!(known, Vec::<&str>::new(), "{}: not in the list of this test", peer.name());
        }
    }

    #[test]
    fn only_the_explicit_options_of_vmtouch_change_the_machine() {
        for peer in PEERS {
            for letter in peer.letters() {
                let changes = matches!(letter.answer, Answer::Command(_));
                let is_explicit = peer.name() == "vmtouch" && ["-t", "-e", "-l", "-L"].contains(&letter.names[0]);
                assert_eq!(changes, is_explicit, "{} {:?}", peer.name(), letter.names);
            }
        }
    }
}
