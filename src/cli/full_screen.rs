//! A repeated answer on a terminal: each round replaces the one before, cut to what fits.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use terminal_size::terminal_size_of;
use unicode_width::UnicodeWidthChar;

use super::screen::has_unicode;
use crate::render::wrapped;

/// The last failure, as one line; empty if there was none.
pub(super) type LastLine = Rc<RefCell<String>>;

/// Takes the alternate screen and hides the cursor.
pub(super) const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";
/// Gives both back.
pub(super) const LEAVE: &[u8] = b"\x1b[?25h\x1b[?1049l";

/// Draws what is written between two flushes on the whole screen. The first lines stay, which include the header; if
/// there are more than fit, the last line says how many. A line that is too wide loses its end, because a wrapped one
/// would push the header off. The last failure is a line below the heading.
pub(crate) struct FullScreen {
    round: Vec<u8>,
    last: LastLine,
    has_heading: bool,
}

impl FullScreen {
    pub(crate) fn new(last: LastLine, has_heading: bool) -> FullScreen {
        FullScreen { round: Vec::new(), last, has_heading }
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
        // The terminal may have another size in every round.
        let size = terminal_size_of(io::stdout());
        let (columns, rows) = size.map_or((80, 24), |(width, height)| (width.0.into(), height.0.into()));
        let last = wrapped(&self.last.borrow(), columns).join("\n");
        let mut out = io::stdout().lock();
        out.write_all(&screen(&with_line(&round, &last, self.has_heading), (columns, rows), has_unicode()))?;
        out.flush()
    }
}

/// The round with another line: below its first one, or else above all of them.
fn with_line(round: &[u8], line: &str, below_first: bool) -> Vec<u8> {
    let text = round.strip_prefix(b"\n").unwrap_or(round);
    let first = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| end + 1);
    let (above, below) = text.split_at(if below_first { first } else { 0 });
    let line = if line.is_empty() { String::new() } else { format!("{line}\n") };
    [above, line.as_bytes(), below].concat()
}

/// The bytes that draw these lines on a screen with so many columns and rows.
fn screen(round: &[u8], (columns, rows): (usize, usize), unicode: bool) -> Vec<u8> {
    let round = String::from_utf8_lossy(round.strip_suffix(b"\n").unwrap_or(round));
    let mut lines: Vec<String> = round.split('\n').map(|line| cut_to(line, columns, unicode)).collect();
    if lines.len() > rows {
        let shown = rows.saturating_sub(1);
        let more = format!("({} more lines; --top N shows fewer rows)", lines.len() - shown);
        lines.truncate(shown);
        lines.push(cut_to(&more, columns, unicode));
    }
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

    fn lines(round: &[u8], rows: usize) -> Vec<String> {
        lines_with("", true, round, rows)
    }

    fn lines_with(last: &str, below_first: bool, round: &[u8], rows: usize) -> Vec<String> {
        let text = String::from_utf8(screen(&with_line(round, last, below_first), (60, rows), true)).unwrap();
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
        assert_eq!(lines(&b"x".repeat(90), 1), ["x".repeat(59) + "…"]);
    }

    #[test]
    fn what_fits_is_shown_and_the_header_stays() {
        assert_eq!(lines(b"\nheader\none\ntwo\n", 3), ["header", "one", "two"]);
        assert_eq!(lines(b"header\none\ntwo\n", 2), ["header", "(2 more lines; --top N shows fewer rows)"]);
    }

    #[test]
    fn the_last_failure_is_below_the_heading() {
        let failure = "rmap: x: not found";
        assert_eq!(lines_with(failure, true, b"\nheading\none\n", 9), ["heading", failure, "one"]);
        assert_eq!(lines_with(failure, false, b"one\n", 9), [failure, "one"]);
        assert_eq!(lines_with(failure, true, b"heading\n", 9), ["heading", failure]);
    }
}
