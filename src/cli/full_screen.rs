//! A repeated answer on a terminal: each round replaces the one before, cut to what fits.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use terminal_size::terminal_size_of;

use crate::render::wrapped;

/// The last failure, as one line; empty if there was none.
pub(super) type LastLine = Rc<RefCell<String>>;

/// Takes the alternate screen and hides the cursor.
pub(super) const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";
/// Gives both back.
pub(super) const LEAVE: &[u8] = b"\x1b[?25h\x1b[?1049l";

/// Draws what is written between two flushes on the whole screen. The first lines stay, which include the header; if
/// there are more than fit, the last line says how many. The last failure is a line below the heading.
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
        out.write_all(&screen(&with_line(&round, &last, self.has_heading), rows))?;
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

/// The bytes that draw these lines on a screen with so many rows.
fn screen(round: &[u8], rows: usize) -> Vec<u8> {
    let lines: Vec<&[u8]> = round.strip_suffix(b"\n").unwrap_or(round).split(|byte| *byte == b'\n').collect();
    let shown = if lines.len() <= rows { lines.len() } else { rows.saturating_sub(1) };
    let mut out = b"\x1b[H".to_vec();
    for (place, line) in lines.iter().take(shown).enumerate() {
        if place > 0 {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(line);
        // Clears the rest of what was there before.
        out.extend_from_slice(b"\x1b[K");
    }
    if shown < lines.len() {
        let more = format!("\r\n({} more lines; --top N shows fewer rows)\x1b[K", lines.len() - shown);
        out.extend_from_slice(more.as_bytes());
    }
    out.extend_from_slice(b"\x1b[J");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(round: &[u8], rows: usize) -> Vec<String> {
        lines_with("", true, round, rows)
    }

    fn lines_with(last: &str, below_first: bool, round: &[u8], rows: usize) -> Vec<String> {
        let text = String::from_utf8(screen(&with_line(round, last, below_first), rows)).unwrap();
        let text = text.strip_prefix("\x1b[H").unwrap().strip_suffix("\x1b[J").unwrap();
        text.split("\r\n").map(|line| line.strip_suffix("\x1b[K").unwrap().to_owned()).collect()
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
