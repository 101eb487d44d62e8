//! Strips (a line of shaded cells, which may be marked) and bars.
//!
//! With colour a marked cell is drawn in the colour of its mark. Without colour a second line shows the letters of the
//! marks, so that no information depends on colour.

use std::io::{self, Write};

use super::paint::style;
use crate::table::{Colour, Mark, StripCell};
use crate::units::{Bytes, Human};

/// How strips are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StripStyle {
    /// Whether cells are shades (`░▒▓█`), for a terminal that has them, or digits, for other programs.
    pub shades: bool,
    /// Whether marks are colours, or letters on a line below.
    pub colour: bool,
    /// Whether offsets in the file are written on a line below.
    pub offsets: bool,
}

/// Writes a strip, and the line of its marks if they are not colours and there are any. Each line begins with `indent`
/// blanks and ends with a newline.
pub(super) fn write_strip(
    out: &mut dyn Write,
    cells: &[StripCell],
    style: StripStyle,
    indent: usize,
) -> io::Result<()> {
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
    if !style.colour {
        write_letters(out, cells, indent)?;
    }
    if style.offsets { write_offsets(out, cells, indent) } else { Ok(()) }
}

/// How many cells there are at least between the beginnings of two offsets.
const CELLS_AN_OFFSET: usize = 16;

/// Writes a line with the offset in the file at which every few cells begin.
fn write_offsets(out: &mut dyn Write, cells: &[StripCell], indent: usize) -> io::Result<()> {
    let count = (cells.len() / CELLS_AN_OFFSET).clamp(1, 4);
    let mut line = String::new();
    for place in (0..count).map(|index| cells.len() * index / count) {
        let Some(offset) = cells.get(place).and_then(|cell| cell.offset) else { return Ok(()) };
        line.extend(std::iter::repeat_n(' ', place.saturating_sub(line.len())));
        line.push_str(&Human(Bytes(offset)).to_string());
    }
    if line.is_empty() { Ok(()) } else { writeln!(out, "{:indent$}{line}", "") }
}

/// Appends a strip of bars: the lowest for nothing at all, a full one for everything, and six steps between; or digits,
/// if the terminal does not have them.
pub(super) fn write_bars(cells: &[StripCell], unicode: bool, out: &mut Vec<u8>) {
    const STEPS: [char; 6] = ['▂', '▃', '▄', '▅', '▆', '▇'];
    for cell in cells {
        let bar = match cell.share {
            share if !unicode => char::from(crate::table::digit(share)),
            None => '?',
            Some(share) if share <= 0.0 => '▁',
            Some(share) if share >= 1.0 => '█',
            Some(share) => STEPS.get((share * STEPS.len() as f64) as usize).copied().unwrap_or('▇'),
        };
        out.extend_from_slice(bar.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// The character for a share. Nothing and everything have characters of their own, which are exact. The steps between
/// are thirds with shades, otherwise tenths.
fn shade(share: Option<f64>, shades: bool) -> char {
    match share {
        Some(share) if shades && share <= 0.0 => '·',
        Some(share) if shades && share >= 1.0 => '█',
        Some(share) if shades => ['░', '▒', '▓'].get((share * 3.0) as usize).copied().unwrap_or('▓'),
        share => char::from(crate::table::digit(share)),
    }
}

/// What the shades and marks of a strip mean, in one line.
pub(super) fn legend(marks: &[Mark], style: StripStyle) -> String {
    let shades = match style.shades {
        true => "· none, ░▒▓ in part, █ all",
        false => ". none, 1-9 tenths, # all",
    };
    let mark = |mark: &Mark| match style.colour {
        true => format!("{}: {}", mark.colour.word(), mark.meaning),
        false => format!("{} {}", mark.letter, mark.meaning),
    };
    [shades.to_owned()].into_iter().chain(marks.iter().map(mark)).collect::<Vec<_>>().join("; ")
}

/// The letters of the marks below their cells, without trailing blanks; empty if there are no marks.
fn write_letters(out: &mut dyn Write, cells: &[StripCell], indent: usize) -> io::Result<()> {
    let letters: String = cells.iter().map(|cell| cell.mark.map_or(' ', |mark| mark.letter)).collect();
    match letters.trim_end() {
        "" => Ok(()),
        letters => writeln!(out, "{:indent$}{letters}", ""),
    }
}

/// Writes the escape sequences between two cells of different colours, and none between equal ones.
fn change_colour(out: &mut dyn Write, from: Option<Colour>, to: Option<Colour>) -> io::Result<()> {
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

    const DIRTY: Mark = Mark { letter: 'D', colour: Colour::Yellow, meaning: "dirty" };

    fn strip(cells: &[(f64, Option<Mark>)], shades: bool, colour: bool) -> String {
        let cells: Vec<_> =
            cells.iter().map(|(share, mark)| StripCell { share: Some(*share), mark: *mark, offset: None }).collect();
        let mut out = Vec::new();
        write_strip(&mut out, &cells, StripStyle { shades, colour, offsets: false }, 0).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_and_everything_are_exact() {
        for (share, shades, digits, bar) in [
            (0.0, '·', '.', '▁'),
            (1e-12, '░', '1', '▂'),
            (0.25, '░', '2', '▃'),
            (0.5, '▒', '5', '▅'),
            (0.99, '▓', '9', '▇'),
            (1.0 - 1e-12, '▓', '9', '▇'),
            (1.0, '█', '#', '█'),
        ] {
            assert_eq!(shade(Some(share), true), shades, "{share}");
            assert_eq!(shade(Some(share), false), digits, "{share}");
            let mut bars = Vec::new();
            write_bars(&[StripCell { share: Some(share), mark: None, offset: None }], true, &mut bars);
            assert_eq!(String::from_utf8(bars).unwrap(), bar.to_string(), "{share}");
        }
        assert_eq!(shade(None, true), '?');
    }

    #[test]
    fn marks_are_letters_below_if_there_is_no_colour() {
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
