//! What people type who come from pmap, vmtouch, fincore, pcstat, hcache, smem or ps_mem, and what rmap answers.
//!
//! The name of the program makes its options unambiguous: `rmap vmtouch -e FILE` evicts. After a subcommand of rmap, a
//! letter has rmap's meaning or none, and [`instead_of`] says what to type. `docs/coming-from.md` and
//! `rmap help PROGRAM` are written from the table in [`programs`](super::programs).

use std::ffi::OsString;
use std::fmt::Write;

use super::demo::shell_word;
use super::peers::{Answer, Letter, Peer, translate};
use super::programs::{OTHERS, PCSTAT, PEERS, letter};

/// Whether `rmap PEER ARGUMENTS` asks what rmap knows about the peer.
pub(super) fn asks_for_help(name: &str, arguments: &[OsString]) -> bool {
    // vmtouch's -h has a meaning of its own.
    let asks = |peer: &Peer, word: &OsString| word == "--help" || (word == "-h" && peer.letter("-h").is_none());
    find(name).is_some_and(|peer| arguments.iter().take_while(|word| *word != "--").any(|word| asks(peer, word)))
}

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
    PCSTAT.letter(name).map(|_| format!("-{word}"))
}

/// What to type instead of an option that `command` (or, if it is empty, rmap) does not have, but that other programs
/// have which do the same.
pub(super) fn instead_of(option: &str, command: &str) -> Option<String> {
    let does_the_same = |peer: &&Peer| command.is_empty() || (peer.command == "pid") == (command == "pid");
    let lines = PEERS.iter().filter(does_the_same).filter_map(|peer| {
        let letter = peer.letter(option)?;
        let start = format!("{}'s {option} ({})", peer.name(), letter.meaning);
        Some(match letter.answer {
            Answer::Line(line) => format!("for {start}: {line}"),
            Answer::Nothing(why) => format!("{start} is not needed: {why}"),
            // The file view is what the user asked for; the processes are still to be selected.
            _ => {
                let view = if peer.choice.is_empty() { &[] } else { peer.view };
                format!("for {start}, type '{}'", typed(&Peer { usual: &[], view, ..*peer }, option, letter))
            }
        })
    });
    let lines: Vec<String> = lines.collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}

/// The words of rmap for a peer with this option.
fn typed(peer: &Peer, option: &str, letter: &Letter) -> String {
    let words = translate(peer, &example(peer, option, letter)).unwrap_or_default();
    let words = words.iter().map(|word| shell_word(word.as_encoded_bytes())).collect::<Vec<_>>();
    format!("rmap {}", words.join(" "))
}

/// Arguments of a peer with this option.
fn example(peer: &Peer, option: &str, letter: &Letter) -> Vec<OsString> {
    let besides = letter.besides.iter().copied();
    let option = [option].into_iter().chain(letter.value.map(|value| value.example)).filter(|word| !word.is_empty());
    let selects = |letter: &Letter| matches!(letter.answer, Answer::Choice(_) | Answer::Operand(_));
    let has_operand = selects(letter) || letter.besides.iter().filter_map(|word| peer.letter(word)).any(selects);
    let operand = Some(peer.operand).filter(|operand| !operand.is_empty() && !has_operand);
    besides.chain(option).chain(operand).map(OsString::from).collect()
}

/// One row of the page: how an option is written there, its meaning, and what it is in rmap.
fn row(peer: &Peer, letter: &Letter) -> [String; 3] {
    let option = letter.names.first().copied().unwrap_or_default();
    let value = letter.value.map(|value| format!(" {}", shell_word(value.example.as_bytes()))).unwrap_or_default();
    let in_rmap = match letter.answer {
        Answer::Line(line) => line.to_owned(),
        Answer::Nothing(why) => format!("not needed: {why}"),
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
        "# Coming from pmap, vmtouch, fincore, pcstat, hcache, smem or ps_mem\n\n\
         `rmap` understands these programs by name: `rmap vmtouch -t FILE` does what `vmtouch -t FILE` does.\n\
         The output is rmap's. What has no equivalent is answered in one line, and nothing runs (status 2).\n\n\
         After a subcommand of rmap, a letter has rmap's meaning. `rmap help vmtouch` prints one of these tables.\n\n\
         `src/cli/programs.rs` has the table from which this page is written:\n\n    \
         cargo run --example coming_from > docs/coming-from.md\n",
    );
    for peer in PEERS {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "\n## Coming from {0}\n\n| {0} | meaning | rmap |\n|---|---|---|", peer.name());
        for cells in rows(peer) {
            let [option, meaning, in_rmap] = cells.map(|cell| cell.replace('|', "\\|"));
            let _ = writeln!(page, "| `{option}` | {meaning} | {} |", code(&in_rmap));
        }
    }
    page
}

/// Commands as Markdown writes them: the whole text, or what is in quotes.
fn code(text: &str) -> String {
    if text.starts_with("rmap ") {
        return format!("`{text}`");
    }
    let mut parts = text.split("'rmap ");
    let start = parts.next().unwrap_or_default().to_owned();
    start + &parts.map(|part| format!("`rmap {}", part.replacen('\'', "`", 1))).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every option that issue reports name, per program.
    const NAMED: &[(&str, &str)] = &[
        ("vmtouch", "-t -e -l -v -d -P -p -m -i -I -b -f -F -h -L -w -0 -q"),
        ("fincore", "-J -r -C --output-all -o -b -n -c -R"),
        ("pcstat", "-json -pps -terse -nohdr -bname -histo -plain -unicode -pid -sort -top"),
        ("hcache", "-json -pps -terse -nohdr -bname -histo -plain -unicode -pid -top"),
        ("pmap", "-x -X -XX -d -q -p -A -c -C -n -N -r"),
        ("smem", "-u -m -t -k -P -U -w -M -s -r -H -c"),
        ("ps_mem", "-p -S -d -s -t -w"),
    ];

    #[test]
    fn every_option_is_translated_to_arguments_that_parse_or_answered() {
        for (peer, options) in NAMED {
            let peer = find(peer).unwrap();
            let mut known: Vec<&str> = peer.letters().map(|letter| letter.names[0]).collect();
            for option in options.split(' ') {
                let letter = peer.letter(option).unwrap_or_else(|| panic!("{} {option}", peer.name()));
                known.retain(|name| *name != option);
                let words = example(peer, option, letter).into_iter();
                let words = words.map(|word| if word == "PID" { "4690".into() } else { word });
                match translate(peer, &words.collect::<Vec<_>>()) {
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
