//! Heat strips: a line of cells, each shaded by a share and perhaps marked.
//!
//! What the share is of, and what a mark means, is the caller's: pages of a file in the page cache, pages of a mapping in
//! RAM. With colour a marked cell is drawn in its mark's colour; without it a second line holds the marks' letters, so that
//! no colour ever says what the text does not.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

/// A mark that a cell can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The letter of the line below.
    pub letter: char,
    /// The colour of the cell.
    pub colour: AnsiColor,
}

/// One cell of a strip.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeatCell {
    /// How full it is, from 0 to 1; none where that is not known.
    pub share: Option<f64>,
    /// Its mark.
    pub mark: Option<Mark>,
}

/// How a strip is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeatStyle {
    /// Whether cells are shades (`░▒▓█`), as a terminal can show them, or digits that any program can read.
    pub shades: bool,
    /// Whether marks are colours, or letters on a line below.
    pub colour: bool,
}

/// A cell whose share is not known.
const UNKNOWN: char = '?';

/// Writes a strip, and the line of its marks where they are not colours and there are any. Each line begins with `indent`
/// blanks and ends with a newline.
///
/// # Errors
/// What the writer says.
pub fn write_strip(out: &mut dyn Write, cells: &[HeatCell], style: HeatStyle, indent: usize) -> io::Result<()> {
    write!(out, "{:indent$}", "")?;
    let mut painted = None;
    for cell in cells {
        let colour = cell.mark.map(|mark| mark.colour).filter(|_| style.colour);
        change_colour(out, painted, colour)?;
        painted = colour;
        write!(out, "{}", shade(cell.share, style.shades))?;
    }
    change_colour(out, painted, None)?;
    writeln!(out)?;
    match style.colour {
        true => Ok(()),
        false => write_letters(out, cells, indent),
    }
}

/// The character for a share: nothing and everything have their own, so that a reader can trust the two ends. With shades
/// the steps between are thirds, `░▒▓`; without, `1` to `9` are tenths, cut, and `1` is anything up to two tenths.
pub fn shade(share: Option<f64>, shades: bool) -> char {
    match share {
        None => UNKNOWN,
        Some(share) if share <= 0.0 => {
            if shades {
                '·'
            } else {
                '.'
            }
        }
        Some(share) if share >= 1.0 => {
            if shades {
                '█'
            } else {
                '#'
            }
        }
        Some(share) if shades => ['░', '▒', '▓'].get((share * 3.0) as usize).copied().unwrap_or('▓'),
        Some(share) => char::from_digit(((share * 10.0) as u32).clamp(1, 9), 10).unwrap_or(UNKNOWN),
    }
}

/// The letters of the marks below their cells, without blanks at the end; nothing where there is no mark.
fn write_letters(out: &mut dyn Write, cells: &[HeatCell], indent: usize) -> io::Result<()> {
    let letters: String = cells.iter().map(|cell| cell.mark.map_or(' ', |mark| mark.letter)).collect();
    match letters.trim_end() {
        "" => Ok(()),
        letters => writeln!(out, "{:indent$}{letters}", ""),
    }
}

/// Writes the escape sequences between two cells of different colours, and none between equal ones.
fn change_colour(out: &mut dyn Write, from: Option<AnsiColor>, to: Option<AnsiColor>) -> io::Result<()> {
    let style = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
    match (from, to) {
        (from, to) if from == to => Ok(()),
        (_, Some(colour)) => write!(out, "{}", style(colour).render()),
        (Some(colour), None) => write!(out, "{}", style(colour).render_reset()),
        (None, None) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIRTY: Mark = Mark { letter: 'D', colour: AnsiColor::Yellow };

    fn strip(cells: &[(f64, Option<Mark>)], shades: bool, colour: bool) -> String {
        let cells: Vec<_> = cells.iter().map(|(share, mark)| HeatCell { share: Some(*share), mark: *mark }).collect();
        let mut out = Vec::new();
        write_strip(&mut out, &cells, HeatStyle { shades, colour }, 0).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_and_everything_are_exact() {
        for (share, shades, digits) in [
            (0.0, '·', '.'),
            (1e-12, '░', '1'),
            (0.25, '░', '2'),
            (0.5, '▒', '5'),
            (0.99, '▓', '9'),
            (1.0 - 1e-12, '▓', '9'),
            (1.0, '█', '#'),
        ] {
            assert_eq!(shade(Some(share), true), shades, "{share}");
            assert_eq!(shade(Some(share), false), digits, "{share}");
        }
        assert_eq!(shade(None, true), '?');
    }

    #[test]
    fn marks_are_letters_below_where_there_is_no_colour() {
        let cells = [(0.0, None), (1.0, Some(DIRTY)), (0.5, None)];
        assert_eq!(strip(&cells, false, false), ".#5\n D\n");
        assert_eq!(strip(&cells[2..], false, false), "5\n");
        assert_eq!(strip(&cells, true, false), "·█▒\n D\n");
    }

    #[test]
    fn marks_are_colours_that_end_with_their_cells() {
        let cells = [(0.0, None), (1.0, Some(DIRTY)), (1.0, Some(DIRTY)), (0.5, None)];
        assert_eq!(strip(&cells, true, true), "·\u{1b}[33m██\u{1b}[0m▒\n");
        assert_eq!(strip(&cells[1..2], true, true), "\u{1b}[33m█\u{1b}[0m\n");
    }
}
