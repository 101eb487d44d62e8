//! A repeated answer on a terminal: each round replaces the one before, cut to what fits.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use terminal_size::terminal_size_of;
use unicode_width::UnicodeWidthChar;

use super::screen::has_unicode;
use crate::render::{LineKind, wrapped};

/// Takes the alternate screen and hides the cursor.
pub(super) const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";
/// Gives both back.
pub(super) const LEAVE: &[u8] = b"\x1b[?25h\x1b[?1049l";

/// What is on the alternate screen, which is drawn again if the terminal gets another size.
#[derive(Default)]
pub(crate) struct Screen {
    /// The last failure or note, as one line; empty if there was none.
    pub(super) message: String,
    /// Whether the first line of a round says what it is about, and when it was read.
    pub(super) has_heading: bool,
    round: Vec<u8>,
    /// The columns and rows for which it was drawn.
    size: (usize, usize),
}

pub(super) type SharedScreen = Rc<RefCell<Screen>>;

impl Screen {
    fn draw(&mut self, size: (usize, usize)) -> io::Result<()> {
        self.size = size;
        let message = wrapped(&self.message, size.0);
        let lines = Round::new(&self.round, self.has_heading).fitted(message, size.1);
        let mut out = io::stdout().lock();
        out.write_all(&screen(lines, size.0, has_unicode()))?;
        out.flush()
    }

    /// Whether there is something on it that must not be disturbed.
    pub(super) fn is_drawn(&self) -> bool {
        !self.round.is_empty()
    }

    /// Draws the last round again if the terminal has another size now.
    pub(super) fn redraw_if_resized(&mut self) -> io::Result<()> {
        let size = terminal_size();
        if self.round.is_empty() || size == self.size { Ok(()) } else { self.draw(size) }
    }
}

fn terminal_size() -> (usize, usize) {
    terminal_size_of(io::stdout()).map_or((80, 24), |(width, height)| (width.0.into(), height.0.into()))
}

/// Draws what is written between two flushes on the whole screen. A line that is too wide loses its end, because a
/// wrapped one would push the header off.
pub(crate) struct FullScreen {
    round: Vec<u8>,
    screen: SharedScreen,
}

impl FullScreen {
    pub(crate) fn new(screen: SharedScreen) -> FullScreen {
        FullScreen { round: Vec::new(), screen }
    }
}

impl Write for FullScreen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.round.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let round = std::mem::take(&mut self.round);
        if round.is_empty() {
            return Ok(());
        }
        let mut screen = self.screen.borrow_mut();
        screen.round = round;
        // The terminal may have another size in every round.
        screen.draw(terminal_size())
    }
}

/// The lines of a round by what they are.
#[derive(Default)]
struct Round {
    heading: Vec<String>,
    /// The header, and figures above it.
    header: Vec<String>,
    rows: Vec<Row>,
    total: Vec<String>,
    below: Vec<String>,
}

#[derive(Default)]
struct Row {
    lines: Vec<String>,
    has_changed: bool,
}

/// The part of the screen that the messages, the total and what is below it may each take from the rows.
const PART: usize = 4;

impl Round {
    fn new(text: &[u8], has_heading: bool) -> Round {
        let text = String::from_utf8_lossy(text);
        let text = text.strip_prefix('\n').unwrap_or(&text);
        let mut round = Round::default();
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            let (kind, line) = LineKind::of(line);
            if matches!(kind, Some(LineKind::Row | LineKind::ChangedRow)) {
                round.rows.push(Row { lines: Vec::new(), has_changed: kind == Some(LineKind::ChangedRow) });
            }
            let of_row = round.rows.last_mut().map(|row| &mut row.lines);
            let lines = match kind {
                None if has_heading && round.heading.is_empty() => &mut round.heading,
                None => &mut round.header,
                Some(LineKind::Total) => &mut round.total,
                Some(LineKind::Below) => &mut round.below,
                Some(_) => of_row.unwrap_or(&mut round.header),
            };
            lines.push(line.to_owned());
        }
        round
    }

    /// At most so many lines, with those of messages below the heading. The header, a row and the total come before
    /// messages and what is below the table. If something is not shown, the last line says how much.
    fn fitted(mut self, mut messages: Vec<String>, height: usize) -> Vec<String> {
        let parts = [&self.heading, &messages, &self.header, &self.total, &self.below];
        let others: usize = parts.iter().map(|lines| lines.len()).sum();
        let of_rows: usize = self.rows.iter().map(|row| row.lines.len()).sum();
        let mut last = None;
        if of_rows + others > height {
            let of_first = self.rows.first().map_or(0, |row| row.lines.len());
            let mut room = Room { left: height.saturating_sub(1), hidden: 0 };
            room.keep_first(&mut self.heading, height);
            room.keep_first(&mut self.header, height);
            room.left = room.left.saturating_sub(of_first);
            room.keep_last(&mut self.total, height / PART);
            let part = (height / PART).max(room.left.saturating_sub(of_rows - of_first));
            room.keep_first(&mut messages, part);
            room.keep_first(&mut self.below, part);
            let (rows, changed) = self.choose_rows(room.left + of_first);
            last = Some(more_line(rows, changed, room.hidden));
        }
        let rows = self.rows.into_iter().flat_map(|row| row.lines);
        let above = [self.heading, messages, self.header].into_iter().flatten();
        above.chain(rows).chain(self.total).chain(self.below).chain(last).collect()
    }

    /// Keeps the first rows that have room on so many lines. If some of the others changed, these have the lower half.
    /// Returns how many rows are left out, and how many of them changed.
    fn choose_rows(&mut self, room: usize) -> (usize, usize) {
        // Of a row that is higher than the screen, the end is cut.
        if let Some(first) = self.rows.first_mut() {
            first.lines.truncate(room);
        }
        let mut left = room;
        let mut takes = |row: &Row, least: usize| {
            let fits = row.lines.len() + least <= left;
            left -= if fits { row.lines.len() } else { 0 };
            fits
        };
        let upper = self.rows.iter().take_while(|row| takes(row, room / 2)).count();
        let mut is_shown: Vec<bool> = (0..self.rows.len()).map(|place| place < upper).collect();
        for has_changed in [true, false] {
            let rows =
                self.rows.iter().zip(&mut is_shown).filter(|(row, shown)| row.has_changed == has_changed && !**shown);
            for (row, shown) in rows {
                *shown = takes(row, 0);
                if !*shown {
                    break;
                }
            }
        }
        let hidden = || self.rows.iter().zip(&is_shown).filter(|(_, shown)| !**shown);
        let counts = (hidden().count(), hidden().filter(|(row, _)| row.has_changed).count());
        let mut shown = is_shown.into_iter();
        self.rows.retain(|_| shown.next() == Some(true));
        counts
    }
}

/// The lines of a screen that are not given away yet, and how many did not get one.
struct Room {
    left: usize,
    hidden: usize,
}

impl Room {
    /// How many of these lines are kept: at most so many, but one if there is any room.
    fn give(&mut self, lines: &[String], most: usize) -> usize {
        let given = lines.len().min(most.max(1)).min(self.left);
        self.left -= given;
        given
    }

    fn keep_first(&mut self, lines: &mut Vec<String>, most: usize) {
        let given = self.give(lines, most);
        self.hidden += lines.len() - given;
        lines.truncate(given);
    }

    /// The same from the end: the rule above a total goes before the total. It does not count as hidden.
    fn keep_last(&mut self, lines: &mut Vec<String>, most: usize) {
        let given = self.give(lines, most);
        lines.drain(..lines.len() - given);
    }
}

/// The last line if not everything is shown.
fn more_line(rows: usize, changed: usize, lines: usize) -> String {
    let changed = if changed > 0 { format!("{changed} changed") } else { "none changed".to_owned() };
    let more = |count: usize, what: &str| format!("{count} more {what}{}", if count == 1 { "" } else { "s" });
    match (rows, lines) {
        (0, _) => format!("({})", more(lines, "line")),
        (_, 0) => format!("({}, {changed}; see --filter and --sort)", more(rows, "row")),
        _ => format!("({}, {changed}; {})", more(rows, "row"), more(lines, "line")),
    }
}

/// The bytes that draw these lines on a screen with so many columns.
fn screen(lines: Vec<String>, columns: usize, unicode: bool) -> Vec<u8> {
    let mut lines: Vec<String> = lines.iter().map(|line| cut_to(line, columns, unicode)).collect();
    // What was there before is cleared before a line is written: behind one that fills its row, the cursor is still on
    // its last letter.
    let last = lines.pop().unwrap_or_default();
    let above: String = lines.iter().map(|line| format!("\x1b[K{line}\r\n")).collect();
    format!("\x1b[H{above}\x1b[J{last}").into_bytes()
}

/// A line that is at most so wide. Its escape sequences, which are colours, have no width, and none is lost.
fn cut_to(line: &str, columns: usize, unicode: bool) -> String {
    let parts = || {
        let mut in_sequence = false;
        line.chars().map(move |letter| {
            let is_part = in_sequence || letter == '\x1b';
            in_sequence = is_part && !letter.is_ascii_alphabetic();
            (letter, if is_part { None } else { Some(letter.width().unwrap_or(0)) })
        })
    };
    if parts().filter_map(|(_, width)| width).sum::<usize>() <= columns {
        return line.to_owned();
    }
    let (mut out, mut used, mut is_cut) = (String::new(), 0, false);
    for (letter, width) in parts() {
        used += width.unwrap_or(0);
        match width {
            Some(_) if is_cut => {}
            Some(_) if used >= columns => {
                is_cut = true;
                out.push(if unicode { '…' } else { '~' });
            }
            _ => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(round: &str, rows: usize) -> Vec<String> {
        lines_with("", true, round, rows)
    }

    /// The lines on a screen with so many rows. In `round`, a row begins with `=`, one that changed with `*`, the total
    /// with `T`, and a line below it with `B`.
    fn lines_with(message: &str, has_heading: bool, round: &str, rows: usize) -> Vec<String> {
        let marked = |line: &str| {
            let kind = match line.as_bytes().first() {
                Some(b'=') => LineKind::Row,
                Some(b'*') => LineKind::ChangedRow,
                Some(b'T') => LineKind::Total,
                Some(b'B') => LineKind::Below,
                _ => return line.to_owned(),
            };
            String::from_utf8(kind.marked(line.as_bytes())).unwrap()
        };
        let round: String = round.split_inclusive('\n').map(marked).collect();
        let fitted = Round::new(round.as_bytes(), has_heading).fitted(wrapped(message, 60), rows);
        let text = String::from_utf8(screen(fitted, 60, true)).unwrap();
        let text = text.strip_prefix("\x1b[H").unwrap();
        let line =
            |line: &str| ["\x1b[K", "\x1b[J"].iter().find_map(|clear| line.strip_prefix(clear)).unwrap().to_owned();
        text.split("\r\n").map(line).collect()
    }

    #[test]
    fn a_line_that_is_too_wide_loses_its_end_and_no_colour() {
        assert_eq!(cut_to("12345", 5, true), "12345");
        assert_eq!(cut_to("123456", 5, true), "1234…");
        assert_eq!(cut_to("日本語", 5, false), "日本~");
        assert_eq!(cut_to("\x1b[31m12345\x1b[0m", 5, true), "\x1b[31m12345\x1b[0m");
        assert_eq!(cut_to("1\x1b[31m23456\x1b[0m", 3, true), "1\x1b[31m2…\x1b[0m");
        assert_eq!(lines(&"x".repeat(90), 1), ["x".repeat(59) + "…"]);
    }

    #[test]
    fn what_fits_is_shown_and_the_header_and_the_total_stay() {
        assert_eq!(lines("\nheading\nheader\n=1\n=2\n", 4), ["heading", "header", "=1", "=2"]);
        let more = |rows: usize| format!("({rows} more rows, none changed; see --filter and --sort)");
        let round = "heading\nheader\n=1\n=2\n=3\n=4\nT rule\nT total\nB legend\n";
        assert_eq!(lines(round, 7), ["heading", "header", "=1", "=2", "T total", "B legend", &more(2)]);
        assert_eq!(lines(round, 4), ["heading", "header", "=1", "(3 more rows, none changed; 1 more line)"]);
    }

    #[test]
    fn rows_that_changed_come_into_view_or_are_counted() {
        let rows: String = (0..10).map(|row| format!("{}{row}\n", if row > 6 { '*' } else { '=' })).collect();
        let shown = lines(&format!("heading\nheader\n{rows}T total\n"), 8);
        let more = "(6 more rows, 1 changed; see --filter and --sort)";
        assert_eq!(shown, ["heading", "header", "=0", "=1", "*7", "*8", "T total", more]);
        let shown = lines(&format!("heading\nheader\n{}", rows.replacen("*8", "=8", 1)), 9);
        assert_eq!(shown[2..8], ["=0", "=1", "=2", "=3", "*7", "*9"]);
        assert!(shown[8].starts_with("(4 more rows, none changed; "), "{shown:?}");
    }

    #[test]
    fn messages_are_below_the_heading_and_leave_room_for_the_table() {
        let failure = "rmap: x: not found";
        assert_eq!(lines_with(failure, true, "\nheading\n=1\n", 9), ["heading", failure, "=1"]);
        assert_eq!(lines_with(failure, false, "=1\n", 9), [failure, "=1"]);
        assert_eq!(lines_with(failure, true, "heading\n", 9), ["heading", failure]);
        let long = "word ".repeat(60);
        let shown = lines_with(&long, true, "heading\nheader\nrule\n=1\nT rule\nT total\n", 6);
        assert_eq!(shown, ["heading", "header", "rule", "=1", "T total", "(5 more lines)"]);
        let shown = lines_with(&long, true, "heading\nheader\nrule\n=1\n=2\n", 7);
        assert_eq!((shown[0].as_str(), shown[2].as_str(), shown[6].as_str()), ("heading", "header", "(4 more lines)"));
    }
}
