//! Rewrites the options of another program, such as vmtouch, to words of rmap.
//!
//! Which programs and options there are is in [`coming_from`](super::coming_from). What has no equivalent is answered
//! in one line, and then nothing runs: one part of what was typed could be the part that mattered.

use std::ffi::OsString;

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
    /// It selects these processes instead of the usual ones.
    Choice(&'static [&'static str]),
    /// It adds these words instead of the usual ones.
    Usually(&'static [&'static str]),
    /// It runs this subcommand instead of the usual one.
    Command(&'static str),
    /// It does nothing, for this reason.
    Nothing(&'static str),
    /// It runs nothing and says what to type instead.
    Line(&'static str),
}

/// The words for `rmap` that mean the same as `arguments` after the name of the peer, or the line that says what to
/// type.
pub(super) fn translate(peer: &Peer, arguments: &[OsString]) -> Result<Vec<OsString>, String> {
    let mut translation = Translation { peer, command: None, usual: None, choice: None, view: None, rest: Vec::new() };
    let mut words = arguments.iter().cloned();
    while let Some(word) = words.next() {
        if word == "--" {
            translation.rest.push(word);
            translation.rest.extend(words);
            break;
        }
        translation.word(word, &mut words)?;
    }
    Ok(translation.words())
}

/// The options so far.
struct Translation<'p> {
    peer: &'p Peer,
    command: Option<&'static str>,
    usual: Option<Vec<OsString>>,
    choice: Option<Vec<OsString>>,
    view: Option<Vec<OsString>>,
    /// Other options and operands, in their order.
    rest: Vec<OsString>,
}

impl Translation<'_> {
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
                (value.in_rmap)(typed).map_err(|why| format!("{peer} {name}: {why}"))?
            }
            None => Vec::new(),
        };
        match letter.answer {
            Answer::Words(words) | Answer::Operand(words) => self.rest.extend(filled(words, &values)),
            Answer::View(words) => self.view = Some(filled(words, &values)),
            Answer::Choice(words) => self.choice = Some(filled(words, &values)),
            Answer::Usually(words) => self.usual = Some(filled(words, &values)),
            Answer::Command(command) => match self.command.replace(command) {
                Some(earlier) if earlier != command => {
                    return Err(format!(
                        "{peer}'s options ask for '{earlier}' and '{command}' at once; type one of them"
                    ));
                }
                _ => {}
            },
            Answer::Nothing(_) => {}
            Answer::Line(line) => return Err(format!("{peer}'s {name}: {line}")),
        }
        Ok(())
    }

    fn words(self) -> Vec<OsString> {
        let Peer { command, usual, choice, view, .. } = *self.peer;
        // What another subcommand shows is its own.
        let view = if self.command.is_some() { &[] } else { view };
        let parts = [(self.usual, usual), (self.choice, choice), (self.view, view)];
        let parts = parts.into_iter().flat_map(|(chosen, usual)| chosen.unwrap_or_else(|| filled(usual, &[])));
        let command = OsString::from(self.command.unwrap_or(command));
        [command].into_iter().chain(parts).chain(self.rest).collect()
    }
}

/// The words with the values in them: a word that ends in `{}` once for each value.
fn filled(words: &[&str], values: &[OsString]) -> Vec<OsString> {
    let fill = |word: &&str| match word.strip_suffix("{}") {
        Some(start) => values.iter().map(|value| [start.as_ref(), value.as_os_str()].into_iter().collect()).collect(),
        None => vec![OsString::from(*word)],
    };
    words.iter().flat_map(fill).collect()
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

    /// The option with this name.
    pub(super) fn letter(&self, name: &str) -> Option<&'static Letter> {
        self.letters().find(|letter| letter.names.contains(&name))
    }

    fn unknown_line(&self, name: &str) -> String {
        let (peer, name) = (self.name(), escaped(name.as_bytes()));
        format!("{peer} {name}: unknown option; 'rmap help {peer}' lists those that rmap understands")
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
        letters: &[&[
            letter(&["-t"], false, Answer::Command("warm")),
            letter(&["-e"], false, Answer::Command("evict")),
            letter(&["-m", "--most"], true, Answer::Words(&["--max-size={}"])),
            letter(&["-v"], false, Answer::View(&["--total"])),
            letter(&["-F"], false, Answer::Usually(&[])),
            letter(&["-d"], false, Answer::Line("no")),
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
        assert_eq!(translated("-v f").as_deref(), Ok("pcstat -R --total f"));
        assert_eq!(translated("-F f").as_deref(), Ok("pcstat --summary f"));
        assert_eq!(translated("-tv f").as_deref(), Ok("warm -R --total f"));
    }

    #[test]
    fn nothing_runs_if_one_part_is_not_understood() {
        for (words, line) in [
            ("-td f", "peer's -d: no"),
            ("-tz f", "peer -z: unknown option; 'rmap help peer' lists those that rmap understands"),
            ("-te f", "peer's options ask for 'warm' and 'evict' at once; type one of them"),
            ("-t -m", "peer's -m needs a value, such as 1"),
        ] {
            assert_eq!(translated(words), Err(line.to_owned()));
        }
    }
}
