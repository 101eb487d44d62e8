//! Rewrites the options of another program, such as vmtouch, to words of rmap.
//!
//! Which programs and options there are is in [`coming_from`](super::coming_from). What has no equivalent is answered
//! in one line, and then nothing runs: one part of what was typed could be the part that mattered.

use std::ffi::OsString;

use super::demo::shell_word;
use crate::table::escape::escaped;

/// A program that shows or changes what rmap shows or changes.
pub(super) struct Peer {
    /// The names that it is called by.
    pub(super) names: &'static [&'static str],
    /// What it works on, for examples.
    pub(super) operand: &'static str,
    /// The subcommand that does the same.
    pub(super) command: &'static str,
    /// The words that its usual behaviour needs besides, whatever is selected or shown.
    pub(super) usual: &'static [&'static str],
    /// Which processes it selects if none are named.
    pub(super) choice: &'static [&'static str],
    /// What it shows if no option says otherwise.
    pub(super) view: &'static [&'static str],
    /// Its names for columns, and rmap's. Those that are called the same are not listed.
    pub(super) columns: &'static [(&'static str, &'static str)],
    /// Its options, in lists that other programs may share.
    pub(super) letters: &'static [&'static [Letter]],
}

/// An option of a peer.
pub(super) struct Letter {
    /// How it is written: `-t`, `--total`.
    pub(super) names: &'static [&'static str],
    /// Its value, if it takes one.
    pub(super) value: Option<Value>,
    /// Its meaning there.
    pub(super) meaning: &'static str,
    /// The option, with its value, without which it has no meaning, for examples.
    pub(super) besides: &'static [&'static str],
    /// What rmap does.
    pub(super) answer: Answer,
}

/// The value of an option.
#[derive(Clone, Copy)]
pub(super) struct Value {
    /// One that is valid, for examples.
    pub(super) example: &'static str,
    /// The same value as rmap writes it; several if the peer separates them with commas.
    pub(super) in_rmap: fn(OsString) -> Result<Vec<OsString>, String>,
}

/// What rmap does with an option of a peer. A word that ends in `{}` gets the value.
pub(super) enum Answer {
    /// It adds these words.
    Words(&'static [&'static str]),
    /// It adds these words, which name what to look at.
    Operand(&'static [&'static str]),
    /// It shows this instead of the usual view.
    View(&'static [&'static str]),
    /// It shows each file instead of the usual view: so, or in this way if another subcommand than the usual one runs.
    Each(&'static [&'static str], &'static [&'static str]),
    /// It shows only the rows that match one of these comparisons, or one of those of another such option, and none of
    /// those with `!`.
    Rows,
    /// It does nothing but show only the rows that match one of the comparisons of each such option, for this reason.
    AllRows(&'static str),
    /// It selects these processes instead of the usual ones.
    Choice(&'static [&'static str]),
    /// It adds these words instead of the usual ones.
    Usually(&'static [&'static str]),
    /// It runs this subcommand instead of the usual one.
    Command(&'static str),
    /// It runs nothing: the shell does this, with these words after the command that the other options ask for, or
    /// after this one.
    Shell(&'static str, &'static [&'static str]),
    /// It prints what rmap does with the options of the peer.
    Help,
    /// It prints the version of rmap.
    Version,
    /// It does nothing, for this reason.
    Nothing(&'static str),
    /// It runs nothing and says what to type instead.
    Line(&'static str),
}

/// The options of a peer in the words of rmap.
pub(super) struct Translated {
    /// The words after `rmap`.
    pub(super) words: Vec<OsString>,
    /// What the shell has to do with the command, if anything.
    shell: Vec<OsString>,
}

impl Translated {
    /// The command as a person types it.
    pub(super) fn command(&self) -> String {
        let words = self.words.iter().map(|word| shell_word(word.as_encoded_bytes()));
        let shell = self.shell.iter().map(|words| escaped(words.as_encoded_bytes()));
        format!("rmap {}", words.chain(shell).collect::<Vec<_>>().join(" "))
    }
}

/// The words for `rmap` that mean the same as `arguments` after the name of the peer, or the line that says what to
/// type.
pub(super) fn translate(peer: &Peer, arguments: &[OsString]) -> Result<Vec<OsString>, String> {
    let mut translation = Translation::new(peer);
    translation.arguments(arguments)?;
    let shells = translation.shells.join(", ");
    let translated = translation.translated(peer.command);
    match shells.as_str() {
        "" => Ok(translated.words),
        options => Err(format!("{}'s {options}: the shell does that; type `{}`", peer.name(), translated.command())),
    }
}

/// The same for an example, which runs `command` if no option asks for another one.
pub(super) fn example(peer: &Peer, arguments: &[OsString], command: &str) -> Result<Translated, String> {
    let mut translation = Translation::new(peer);
    translation.arguments(arguments)?;
    Ok(translation.translated(command))
}

/// The options so far.
struct Translation<'p> {
    peer: &'p Peer,
    command: Option<&'static str>,
    usual: Option<Vec<OsString>>,
    choice: Option<Vec<OsString>>,
    view: Option<Vec<OsString>>,
    /// The view if another subcommand than the usual one runs.
    other_view: Option<Vec<OsString>>,
    /// All words, whatever else was typed.
    only: Option<Vec<OsString>>,
    /// The comparisons of each option that selects rows.
    rows: Vec<(&'static [&'static str], Vec<OsString>)>,
    /// Whether a row must match all of them.
    all_rows: bool,
    /// The options that the shell has to carry out, and its words.
    shells: Vec<String>,
    shell: Vec<OsString>,
    /// The subcommand that these options need.
    shell_command: Option<&'static str>,
    /// Other options and operands, in their order.
    rest: Vec<OsString>,
}

impl<'p> Translation<'p> {
    fn new(peer: &'p Peer) -> Translation<'p> {
        Translation {
            peer,
            command: None,
            usual: None,
            choice: None,
            view: None,
            other_view: None,
            only: None,
            rows: Vec::new(),
            all_rows: false,
            shells: Vec::new(),
            shell: Vec::new(),
            shell_command: None,
            rest: Vec::new(),
        }
    }

    fn arguments(&mut self, arguments: &[OsString]) -> Result<(), String> {
        let mut words = arguments.iter().cloned();
        while let Some(word) = words.next() {
            if word == "--" {
                self.rest.push(word);
                self.rest.extend(words);
                break;
            }
            self.word(word, &mut words)?;
        }
        Ok(())
    }

    /// Takes one word, and the value that follows it.
    fn word(&mut self, word: OsString, following: &mut impl Iterator<Item = OsString>) -> Result<(), String> {
        let Some(text) = word.to_str().filter(|text| text.len() > 1 && text.starts_with('-')) else {
            self.rest.push(word);
            return Ok(());
        };
        let (name, attached) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        if let Some(letter) = self.peer.letter(name) {
            return self.letter(letter, name, attached, following);
        }
        if text == "--help" {
            self.only = Some(self.peer.help());
            return Ok(());
        }
        if text.starts_with("--") {
            // An option of rmap.
            self.rest.push(word);
            return Ok(());
        }
        for (place, letter) in text.char_indices().skip(1) {
            let name = format!("-{letter}");
            let found = self.peer.letter(&name).ok_or_else(|| self.peer.unknown_line(&name))?;
            let value = text.get(place + letter.len_utf8()..).filter(|value| !value.is_empty());
            self.letter(found, &name, value.filter(|_| found.value.is_some()), following)?;
            if found.value.is_some() {
                break;
            }
        }
        Ok(())
    }

    fn letter(
        &mut self,
        letter: &Letter,
        name: &str,
        attached: Option<&str>,
        following: &mut impl Iterator<Item = OsString>,
    ) -> Result<(), String> {
        let peer = self.peer.name();
        let values = match letter.value {
            Some(value) => {
                let typed = attached.map(OsString::from).or_else(|| following.next());
                let typed = typed.ok_or_else(|| format!("{peer}'s {name} needs a value, such as {}", value.example))?;
                (value.in_rmap)(typed).map_err(|why| format!("{peer} {name}: {why}; see `rmap help {peer}`"))?
            }
            None if attached.is_some() => {
                return Err(format!("{peer}'s {name} takes no value; see `rmap help {peer}`"));
            }
            None => Vec::new(),
        };
        let example = letter.value.map_or("", |value| value.example);
        match letter.answer {
            Answer::Words(words) | Answer::Operand(words) => self.rest.extend(filled(words, &values)),
            Answer::View(words) => self.view = Some(filled(words, &values)),
            Answer::Each(words, others) => {
                (self.view, self.other_view) = (Some(filled(words, &values)), Some(filled(others, &values)));
            }
            Answer::Rows => match self.rows.iter_mut().find(|(names, _)| *names == letter.names) {
                Some((_, compared)) => compared.extend(values),
                None => self.rows.push((letter.names, values)),
            },
            Answer::Choice(words) => self.choice = Some(filled(words, &values)),
            Answer::Usually(words) => self.usual = Some(filled(words, &values)),
            Answer::Command(command) => self.run(command)?,
            Answer::Shell(command, words) => {
                self.shells.push(name.to_owned());
                self.shell.extend(filled(words, &values));
                self.shell_command = self.shell_command.or(Some(command).filter(|command| !command.is_empty()));
            }
            Answer::Help => self.only = Some(self.peer.help()),
            Answer::Version => self.only = Some(vec!["--version".into()]),
            Answer::AllRows(_) => self.all_rows = true,
            Answer::Nothing(_) => {}
            Answer::Line(line) => return Err(format!("{peer}'s {name}: {}", with_value(line, example, &values))),
        }
        Ok(())
    }

    fn run(&mut self, command: &'static str) -> Result<(), String> {
        match self.command.replace(command) {
            Some(earlier) if earlier != command => Err(format!(
                "{}'s options ask for `rmap {earlier}` and `rmap {command}` at once; type one of them",
                self.peer.name()
            )),
            _ => Ok(()),
        }
    }

    /// The words that mean the same; they run `command` if no option asks for another one.
    fn translated(mut self, command: &str) -> Translated {
        let peer = self.peer;
        let command = self.command.or(self.shell_command).unwrap_or(command);
        let view = match command == peer.command {
            true => self.view.unwrap_or_else(|| filled(peer.view, &[])),
            // What another subcommand shows without options is its own.
            false => self.other_view.or(self.view).unwrap_or_default(),
        };
        let usual = self.usual.unwrap_or_else(|| filled(peer.usual, &[]));
        let choice = self.choice.unwrap_or_else(|| filled(peer.choice, &[]));
        let rows = self.rows.iter().map(|(_, compared)| compared.clone());
        let rows: Vec<Vec<OsString>> =
            if self.all_rows { rows.collect() } else { vec![rows.flatten().collect::<Vec<_>>()] };
        let mut rest: Vec<OsString> = rows.iter().filter(|rows| !rows.is_empty()).map(|rows| filter(rows)).collect();
        rest.extend(self.rest);
        // What was typed replaces what is usual.
        let parts = [usual, choice, view].concat().into_iter().filter(|word| !has_option(&rest, word));
        let words = std::iter::once(command.into()).chain(parts).chain(rest.iter().cloned());
        // The output is redirected first; what follows in the background comes last.
        self.shell.sort_by_key(|words| SHELL_ORDER.iter().position(|sign| words.as_encoded_bytes().starts_with(sign)));
        self.shell.dedup();
        match self.only {
            Some(words) => Translated { words, shell: Vec::new() },
            None => Translated { words: words.collect(), shell: self.shell },
        }
    }
}

/// The filter that these comparisons are: one of them, and none of those that begin with `!`.
fn filter(compared: &[OsString]) -> OsString {
    let text = compared.iter().filter_map(|compared| compared.to_str());
    let (not, any): (Vec<&str>, Vec<&str>) = text.partition(|compared| compared.starts_with('!'));
    let any = any.join(" || ");
    // One comparison may be several: a user has a number and a name.
    let any = if any.contains(" || ") && !not.is_empty() { format!("({any})") } else { any };
    let all: Vec<String> =
        std::iter::once(any).filter(|any| !any.is_empty()).chain(not.iter().map(|not| (*not).to_owned())).collect();
    format!("--filter={}", all.join(" && ")).into()
}

/// What the words of the shell begin with, in the order in which they follow a command.
const SHELL_ORDER: [&[u8]; 3] = [b">", b"&", b"echo"];

/// Whether the same option is among these words, with whatever value.
fn has_option(words: &[OsString], option: &OsString) -> bool {
    let name = |word: &OsString| word.as_encoded_bytes().split(|byte| *byte == b'=').next().map(<[u8]>::to_vec);
    words.iter().take_while(|word| *word != "--").any(|word| name(word) == name(option))
}

/// A line with the typed value instead of the example, if that needs no quotes.
pub(super) fn with_value(line: &str, example: &str, values: &[OsString]) -> String {
    let typed = values.first().and_then(|value| value.to_str()).filter(|typed| !typed.is_empty());
    let plain = typed.filter(|typed| !example.is_empty() && shell_word(typed.as_bytes()) == *typed);
    plain.map_or_else(|| line.to_owned(), |typed| line.replace(example, typed))
}

/// The words with the values in them: a word that ends in `{}` once for each value.
fn filled(words: &[&str], values: &[OsString]) -> Vec<OsString> {
    let fill = |word: &&str| match word.strip_suffix("{}") {
        Some(start) => values.iter().map(|value| [start.as_ref(), value.as_os_str()].into_iter().collect()).collect(),
        None => vec![OsString::from(*word)],
    };
    words.iter().flat_map(fill).collect()
}

/// An option that stands for every signal: `-9`, `-KILL`, `-SIGKILL`.
pub(super) const SIGNAL: &str = "-SIGNAL";

/// Whether an option can only be a signal: the number or the name of one. A single letter is another option.
fn is_signal(option: &str) -> bool {
    let name = option.strip_prefix('-').unwrap_or_default();
    let is_number = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    let is_letter = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"+-".contains(&byte);
    is_number
        || name.len() > 1 && name.starts_with(|first: char| first.is_ascii_uppercase()) && name.bytes().all(is_letter)
}

impl Peer {
    /// Its usual name.
    pub(super) fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }

    /// Its options.
    pub(super) fn letters(&self) -> impl Iterator<Item = &'static Letter> {
        self.letters.iter().copied().flatten()
    }

    /// The option with this name. A long name with one dash is one of Go's flags, which can have two.
    pub(super) fn letter(&self, name: &str) -> Option<&'static Letter> {
        let with_one_dash = name.strip_prefix('-').filter(|name| name.starts_with('-') && name.len() > 2);
        let is_it = |known: &&str| *known == name || Some(*known) == with_one_dash;
        let named = self.letters().find(|letter| letter.names.iter().any(is_it));
        named.or_else(|| self.letters().find(|letter| letter.names.contains(&SIGNAL) && is_signal(name)))
    }

    /// Whether a word can be several of its letters, none of which takes a value.
    pub(super) fn has_letters(&self, word: &str) -> bool {
        let letters = word.strip_prefix('-').filter(|letters| letters.chars().count() > 1).unwrap_or_default();
        let has = |letter: char| self.letter(&format!("-{letter}")).is_some_and(|found| found.value.is_none());
        // A digit would be a signal of fuser.
        !letters.is_empty() && letters.chars().all(|letter| letter.is_ascii_alphabetic() && has(letter))
    }

    /// The words that print its options.
    fn help(&self) -> Vec<OsString> {
        vec!["help".into(), self.name().into()]
    }

    fn unknown_line(&self, name: &str) -> String {
        let (peer, name) = (self.name(), escaped(name.as_bytes()));
        format!("{peer} {name}: unknown option; `rmap help {peer}` lists those that rmap understands")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: Peer = Peer {
        names: &["peer"],
        operand: "FILE",
        command: "pcstat",
        usual: &["-R"],
        choice: &[],
        view: &["--summary"],
        columns: &[],
        letters: &[&[
            letter(&["-t"], false, Answer::Command("warm")),
            letter(&["-e"], false, Answer::Command("evict")),
            letter(&["-m", "--most"], true, Answer::Words(&["--max-size={}"])),
            letter(&["-v"], false, Answer::Each(&["--map"], &["--total"])),
            letter(&["-f"], false, Answer::Words(&["-R", "--follow"])),
            letter(&["-top"], true, Answer::Words(&["--top={}"])),
            letter(&["-q"], false, Answer::Shell("", &["> /dev/null"])),
            letter(&["-b"], false, Answer::Shell("lock", &["&"])),
            letter(&["-P"], true, Answer::Shell("lock", &["&", "echo $! > {}"])),
            letter(&["-F"], false, Answer::Usually(&[])),
            letter(&["-d"], false, Answer::Line("no")),
            letter(&["-n"], true, Answer::Line("type `rmap pid 1`")),
        ]],
    };

    const fn letter(names: &'static [&'static str], has_value: bool, answer: Answer) -> Letter {
        const AS_IT_IS: Value = Value { example: "1", in_rmap: |value| Ok(vec![value]) };
        Letter { names, value: if has_value { Some(AS_IT_IS) } else { None }, meaning: "", besides: &[], answer }
    }

    fn translated(words: &str) -> Result<String, String> {
        let words: Vec<OsString> = words.split_whitespace().map(OsString::from).collect();
        translate(&PEER, &words).map(|words| words.join(" ".as_ref()).into_string().unwrap())
    }

    #[test]
    fn letters_are_parsed_as_getopt_does() {
        for words in ["-tm 4k f", "-tm4k f", "-t -m 4k f", "-t --most=4k f", "-t --most 4k f", "-m4k -t f"] {
            assert_eq!(translated(words).as_deref(), Ok("warm -R --max-size=4k f"), "{words}");
        }
        assert_eq!(translated("-t -- -m").as_deref(), Ok("warm -R -- -m"));
        assert_eq!(translated("f - --json").as_deref(), Ok("pcstat -R --summary f - --json"));
    }

    #[test]
    fn an_option_replaces_what_is_usual() {
        assert_eq!(translated("-v f").as_deref(), Ok("pcstat -R --map f"));
        assert_eq!(translated("-F f").as_deref(), Ok("pcstat --summary f"));
        assert_eq!(translated("-tv f").as_deref(), Ok("warm -R --total f"));
        assert_eq!(translated("-f f").as_deref(), Ok("pcstat --summary -R --follow f"));
    }

    #[test]
    fn the_flags_of_go_have_one_dash_or_two() {
        for words in ["-top 3 f", "--top 3 f", "-top=3 f", "--top=3 f"] {
            assert_eq!(translated(words).as_deref(), Ok("pcstat -R --summary --top=3 f"), "{words}");
        }
    }

    #[test]
    fn the_shell_does_what_rmap_does_not() {
        for (words, options, command) in [
            ("-q f", "-q", "rmap pcstat -R --summary f > /dev/null"),
            ("-eq f", "-q", "rmap evict -R f > /dev/null"),
            ("-b f", "-b", "rmap lock -R f &"),
            ("-tb f", "-b", "rmap warm -R f &"),
            ("-bqP pid f", "-b, -q, -P", "rmap lock -R f > /dev/null & echo $! > pid"),
        ] {
            let line = format!("peer's {options}: the shell does that; type `{command}`");
            assert_eq!(translated(words), Err(line));
        }
    }

    #[test]
    fn what_is_left_out_is_left_out_of_all_that_is_selected() {
        let of = |compared: &[&str]| filter(&compared.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(of(&["a || b", "!(c)"]), "--filter=(a || b) && !(c)");
        assert_eq!(of(&["a", "!(c)", "b"]), "--filter=(a || b) && !(c)");
        assert_eq!((of(&["a", "!(c)"]), of(&["a", "b"])), ("--filter=a && !(c)".into(), "--filter=a || b".into()));
    }

    #[test]
    fn nothing_runs_if_one_part_is_not_understood() {
        for (words, line) in [
            ("-td f", "peer's -d: no"),
            ("-n 4690 f", "peer's -n: type `rmap pid 4690`"),
            ("-n ^4690 f", "peer's -n: type `rmap pid 1`"),
            ("-tz f", "peer -z: unknown option; `rmap help peer` lists those that rmap understands"),
            ("-te f", "peer's options ask for `rmap warm` and `rmap evict` at once; type one of them"),
            ("-t -m", "peer's -m needs a value, such as 1"),
            ("-t --follow=1 -v=1", "peer's -v takes no value; see `rmap help peer`"),
        ] {
            assert_eq!(translated(words), Err(line.to_owned()));
        }
    }
}
