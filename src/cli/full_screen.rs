//! A repeated answer on a terminal: each round replaces the one before, cut to what fits.

use std::io::{self, Write};

use terminal_size::terminal_size_of;

/// Takes the alternate screen and hides the cursor.
pub(super) const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";
/// Gives both back.
pub(super) const LEAVE: &[u8] = b"\x1b[?25h\x1b[?1049l";

/// Draws what is written between two flushes on the whole screen. The first lines stay, which include the header; if
/// there are more than fit, the last line says how many.
pub(crate) struct FullScreen {
    round: Vec<u8>,
}

impl FullScreen {
    pub(crate) fn new() -> FullScreen {
        FullScreen { round: Vec::new() }
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
        let rows = terminal_size_of(io::stdout()).map_or(24, |(_, height)| usize::from(height.0));
        let mut out = io::stdout().lock();
        out.write_all(&screen(&round, rows))?;
        out.flush()
    }
}

/// The bytes that draw these lines on a screen with so many rows.
fn screen(round: &[u8], rows: usize) -> Vec<u8> {
    let text = round.strip_prefix(b"\n").unwrap_or(round);
    let lines: Vec<&[u8]> = text.strip_suffix(b"\n").unwrap_or(text).split(|byte| *byte == b'\n').collect();
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
        let text = String::from_utf8(screen(round, rows)).unwrap();
        let text = text.strip_prefix("\x1b[H").unwrap().strip_suffix("\x1b[J").unwrap();
        text.split("\r\n").map(|line| line.strip_suffix("\x1b[K").unwrap().to_owned()).collect()
    }

    #[test]
    fn what_fits_is_shown_and_the_header_stays() {
        assert_eq!(lines(b"\nheader\none\ntwo\n", 3), ["header", "one", "two"]);
        assert_eq!(lines(b"header\none\ntwo\n", 2), ["header", "(2 more lines; --top N shows fewer rows)"]);
    }
}
