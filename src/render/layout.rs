//! The columns on a line of a table and below it, and the text of its rows.

use std::borrow::Cow;
use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use crate::table::{ColumnHead, ColumnKind, Cut, StripCell};

/// The text of one row, one byte string per column. It is UTF-8, because everything else was escaped.
pub(super) type Texts = Vec<Vec<u8>>;

/// A held row: its text, and the strips below it.
pub(super) struct Held {
    pub(super) texts: Texts,
    pub(super) strips: Vec<Vec<StripCell>>,
}

/// The position of each column.
#[derive(Default, Clone)]
pub(super) struct Layout {
    /// The indexes of the columns that are on the line.
    pub(super) line: Vec<usize>,
    /// The indexes of the strips that are drawn below it.
    pub(super) below: Vec<usize>,
    /// The indexes of the texts that are written below it.
    pub(super) prose: Vec<usize>,
    /// The indexes of the changes that have no room on the line.
    pub(super) left_out: Vec<usize>,
    /// The maximum width of the texts on the line.
    pub(super) room: usize,
    /// The same for words of a list, which are cut only if nothing else makes the line fit.
    pub(super) room_for_words: usize,
    /// How many blanks separate two columns.
    pub(super) gap: usize,
    /// The width of the terminal.
    pub(super) width: usize,
}

impl Layout {
    pub(super) fn new(columns: &[ColumnHead]) -> Layout {
        let is_strip =
            |place: &usize| columns.get(*place).is_some_and(|column| matches!(column.kind, ColumnKind::Strip(_)));
        let is_shown = |place: &usize| columns.get(*place).is_some_and(|column| !column.is_hidden);
        let (below, line) = (0..columns.len()).filter(is_shown).partition(is_strip);
        let (room, room_for_words) = (usize::MAX, usize::MAX);
        Layout { line, below, prose: Vec::new(), left_out: Vec::new(), room, room_for_words, gap: 1, width: usize::MAX }
    }

    /// The maximum width of the texts of this column.
    pub(super) fn room_of(&self, column: &ColumnHead) -> usize {
        match column.cut {
            _ if !column.kind.is_left_aligned() => usize::MAX,
            // A part of a picture is another picture.
            _ if column.kind == ColumnKind::Bars => usize::MAX,
            Cut::Never => usize::MAX,
            Cut::Whole if column.kind == ColumnKind::Text => self.room_for_words,
            Cut::Whole => usize::MAX,
            _ => self.room,
        }
    }
}

/// How wide the texts on a line may be that have these widths and share this room: short ones (a method, permissions)
/// keep their width, and long ones share the rest. No limit if all of them fit.
pub(super) fn shared(mut widths: Vec<usize>, mut room: usize) -> usize {
    widths.sort_unstable();
    let mut left = widths.len();
    for width in widths {
        let share = room / left.max(1);
        if width > share {
            return share;
        }
        room -= width;
        left -= 1;
    }
    usize::MAX
}

/// The indentation of what is below a line.
pub(crate) const STRIP_INDENT: usize = 2;

impl Layout {
    /// What changed of a row if nothing on its line says so: `changed: Pss +4K, Swap +8K`; empty otherwise.
    fn changes(&self, columns: &[ColumnHead], text: impl Fn(usize) -> Vec<u8>) -> String {
        let is_change = |place: &&usize| columns.get(**place).is_some_and(|column| column.kind == ColumnKind::Change);
        if self.line.iter().filter(is_change).any(|place| !text(*place).is_empty()) {
            return String::new();
        }
        let change = |place: &usize| {
            let text = Some(text(*place)).filter(|text| !text.is_empty())?;
            // A change is behind its figure.
            let figure = columns.get(place.checked_sub(1)?)?;
            Some(format!("{} {}", figure.title, String::from_utf8_lossy(&text)))
        };
        let changes: Vec<String> = self.left_out.iter().filter_map(change).collect();
        if changes.is_empty() { String::new() } else { format!("changed: {}", changes.join(", ")) }
    }

    /// Writes the prose of a row below its line, one paragraph per column that has any.
    pub(super) fn write_prose(
        &self,
        out: &mut dyn Write,
        columns: &[ColumnHead],
        text: impl Fn(usize) -> Vec<u8>,
    ) -> io::Result<()> {
        for line in wrapped(&self.changes(columns, &text), self.width.saturating_sub(STRIP_INDENT)) {
            writeln!(out, "{:STRIP_INDENT$}{line}", "")?;
        }
        for place in &self.prose {
            let text = text(*place);
            // A sentence says what its row is; a remark needs its title.
            let title = columns.get(*place).filter(|column| column.cut != Cut::Never);
            let title = title.map_or(String::new(), |column| format!("{}: ", column.title));
            let lines =
                wrapped(&format!("{title}{}", String::from_utf8_lossy(&text)), self.width.saturating_sub(STRIP_INDENT));
            for line in lines.iter().filter(|_| !text.is_empty()) {
                writeln!(out, "{:STRIP_INDENT$}{line}", "")?;
            }
        }
        Ok(())
    }
}

/// A text of a column, which loses a part if it is too wide.
pub(super) fn fitted<'t>(text: &'t str, column: &ColumnHead, room: usize, unicode: bool) -> Cow<'t, str> {
    match column.cut {
        _ if room == usize::MAX => text.into(),
        Cut::Never => text.into(),
        Cut::Whole => cut(text, room, unicode).into(),
        Cut::Middle => shortened(text, room, unicode).into(),
        Cut::NameOrCommand if is_command(text) => command(text, room, unicode).into(),
        Cut::Name | Cut::NameOrCommand => name(text, room, unicode).into(),
        Cut::Command => command(text, room, unicode).into(),
    }
}

/// Whether a text is a command line and not the path of a file, which may have blanks, too.
fn is_command(text: &str) -> bool {
    text.contains(' ') && (!text.starts_with('/') || text.contains(" -") || text.contains(" /"))
}

/// The width of the text on a terminal.
pub(super) fn display_width(text: &[u8]) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    std::str::from_utf8(text).map_or(text.len(), UnicodeWidthStr::width)
}

/// Cuts a text that is too wide in its middle, because both ends of a path are the most informative.
fn shortened(text: &str, room: usize, unicode: bool) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let keep = room.saturating_sub(1);
    let head: String = take_width(text.chars(), keep / 3);
    let tail: String = take_width(text.chars().rev(), keep - keep / 3).chars().rev().collect();
    // An accent whose letter is cut off would be on the mark.
    let tail = tail.trim_start_matches(is_accent);
    format!("{head}{}{tail}", if unicode { '…' } else { '~' })
}

/// The same for a name that may be indented.
fn name(text: &str, room: usize, unicode: bool) -> String {
    let name = text.trim_start_matches(' ');
    let indent = (text.len() - name.len()).min(room.saturating_sub(SHORTEST_NAME.min(name.width())));
    format!("{:indent$}{}", "", shortened(name, room - indent, unicode))
}

/// What is left of a name at least, however deep it is indented.
const SHORTEST_NAME: usize = 8;

/// Cuts the end of a line that is too wide.
pub(super) fn cut(text: &str, room: usize, unicode: bool) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let head: String = take_width(text.chars(), room.saturating_sub(1));
    format!("{head}{}", if unicode { '…' } else { '~' })
}

/// Shortens a command line, which may be indented, to its most informative part: the program's name and what follows.
fn command(text: &str, room: usize, unicode: bool) -> String {
    let line = text.trim_start_matches(' ');
    let program = line.split(' ').next().unwrap_or_default();
    match program.rfind('/').filter(|end| text.width() > room && line.starts_with('/') && *end > 0) {
        Some(end) => {
            let (indent, name) =
                (text.get(..text.len() - line.len()).unwrap_or_default(), line.get(end..).unwrap_or_default());
            // `~/` would be the home directory.
            cut(&format!("{indent}{}{name}", if unicode { "…" } else { "..." }), room, unicode)
        }
        None => cut(text, room, unicode),
    }
}

/// Whether a character combines with the one before it. The marks of colours do not.
fn is_accent(letter: char) -> bool {
    unicode_width::UnicodeWidthChar::width(letter) == Some(0) && !('\u{2060}'..='\u{206f}').contains(&letter)
}

fn take_width(letters: impl Iterator<Item = char>, room: usize) -> String {
    let mut used = 0;
    letters
        .take_while(|letter| {
            used += unicode_width::UnicodeWidthChar::width(*letter).unwrap_or(0);
            used <= room
        })
        .collect()
}

/// Divides prose into lines of at most this width; a longer word has a line of its own.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    lines_of(text.split_whitespace(), width)
}

/// A line in as many lines of at most this width as it needs. Its blanks stay, because they may be part of a name.
pub(crate) fn wrapped_as_it_is(line: &str, width: usize) -> Vec<String> {
    lines_of(line.split(' '), width)
}

fn lines_of<'t>(words: impl Iterator<Item = &'t str>, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if display_width(line.as_bytes()) + 1 + display_width(word.as_bytes()) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Parts in lines of at most this width, between which a part is never divided. Each begins with its gap.
pub(super) fn parts_fitted(parts: Vec<String>, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if display_width(line.as_bytes()) + display_width(part.as_bytes()) <= width => {
                line.push_str(&part);
            }
            _ => lines.push(part),
        }
    }
    lines
}

/// The text with words that are wider than a line, which can only be paths, without their middle.
pub(super) fn paths_fitted(text: &str, width: usize, unicode: bool) -> String {
    text.split(' ').map(|word| shortened(word, width, unicode)).collect::<Vec<_>>().join(" ")
}

/// An item of a list (`- 4K PATH`) in lines of at most this width: its long words lose their middle, and what still
/// does not fit is indented.
pub(super) fn item(text: &str, width: usize, unicode: bool) -> Vec<String> {
    let words: Vec<&str> = text.split(' ').collect();
    let blanks = words.len().saturating_sub(1);
    let room = shared(words.iter().map(|word| word.width()).collect(), width.saturating_sub(blanks));
    let words: Vec<String> = words.iter().map(|word| shortened(word, room.max(SHORTEST_NAME), unicode)).collect();
    // Several blanks between two words may be part of a name.
    let lines_in = |width| lines_of(words.iter().map(String::as_str), width);
    let mut lines = lines_in(width);
    if lines.len() > 1 {
        lines = lines_in(width.saturating_sub(STRIP_INDENT));
        lines.iter_mut().skip(1).for_each(|line| line.insert_str(0, "  "));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_divided_between_words() {
        assert_eq!(wrapped("3 pages are mapped by pid 12", 12), ["3 pages are", "mapped by", "pid 12"]);
        assert_eq!(wrapped("a/very/long/name b", 6), ["a/very/long/name", "b"]);
        assert!(wrapped("", 6).is_empty());
    }

    #[test]
    fn an_item_of_a_list_stays_on_its_line_and_its_paths_lose_their_middle() {
        assert_eq!(item("- 3M /srv/a/long/name.db (deleted): /one", 34, true), ["- 3M /srv…/name.db (deleted): /one"]);
        assert_eq!(item("- 3M /srv/name.db: /one", 40, true), ["- 3M /srv/name.db: /one"]);
        assert_eq!(item("- 3M /srv/a  b   c.db: /one", 40, true), ["- 3M /srv/a  b   c.db: /one"]);
        assert_eq!(item("- 3M a name of many words", 16, false), ["- 3M a name of", "  many words"]);
    }

    #[test]
    fn the_middle_of_a_name_is_cut() {
        assert_eq!(shortened("/usr/lib/libc.so.6", 10, true), "/us…c.so.6");
        assert_eq!(shortened("/usr/lib/libc.so.6", 10, false), "/us~c.so.6");
        assert_eq!(shortened("short", 10, true), "short");
        // The accent of a letter that is cut off goes with it.
        assert_eq!(shortened("abcdefe\u{301}ghi", 5, true), "a…ghi");
        assert_eq!(shortened("abcdefe\u{301}ghi", 6, true), "a…e\u{301}ghi");
    }

    #[test]
    fn a_name_in_a_tree_stays_where_it_is_and_keeps_both_ends() {
        assert_eq!(name("    kubepods-pod1.slice", 16, true), "    kub…d1.slice");
        assert_eq!(name("    kubepods-pod1.slice", 9, true), " ku…slice");
        assert_eq!(name("  a.slice", 9, true), "  a.slice");
        assert_eq!(name("          a.slice", 9, true), "  a.slice");
    }

    #[test]
    fn a_command_line_loses_its_directories_and_its_end_and_a_sentence_nothing() {
        let text = |cut| {
            let column = ColumnHead { cut, ..ColumnHead::added("command", "Command", ColumnKind::Text) };
            fitted("/usr/bin/java -jar x", &column, 10, true).into_owned()
        };
        assert_eq!([Cut::Middle, Cut::Command].map(text), ["/us…-jar x", "…/java -j…"]);
        assert_eq!(text(Cut::NameOrCommand), "…/java -j…");
        assert_eq!(command("/bin/sh -c x", 12, true), "/bin/sh -c x");
        assert_eq!(command("  /usr/bin/java -jar x", 16, false), "  .../java -jar~");
        assert_eq!(command("/java -jar x/y/z", 8, true), "/java -…");
        assert_eq!(command("java -jar /x/y/z", 8, true), "java -j…");
        assert_eq!(text(Cut::Never), "/usr/bin/java -jar x");
    }
}
