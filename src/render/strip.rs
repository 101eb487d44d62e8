//! Strips (a line of shaded cells, which may be marked) and bars.
//!
//! With colour a marked cell is drawn in the colour of its mark. Without colour a second line shows the letters of the
//! marks, so that no information depends on colour.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use crate::table::{Colour, Mark, StripCell};

/// How strips are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StripStyle {
    /// Whether cells are shades (`░▒▓█`), for a terminal, or digits, for other programs.
    pub shades: bool,
    /// Whether marks are colours, or letters on a line below.
    pub colour: bool,
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
    match style.colour {
        true => Ok(()),
        false => write_letters(out, cells, indent),
    }
}

/// Appends a strip of bars: the lowest for nothing at all, a full one for everything, and six steps between.
pub(super) fn write_bars(cells: &[StripCell], out: &mut Vec<u8>) {
    const STEPS: [char; 6] = ['▂', '▃', '▄', '▅', '▆', '▇'];
    for cell in cells {
        let bar = match cell.share {
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
    let style = |colour: Colour| Style::new().fg_color(Some(ansi(colour).into()));
    match (from, to) {
        (from, to) if from == to => Ok(()),
        (_, Some(colour)) => write!(out, "{}", style(colour).render()),
        (Some(colour), None) => write!(out, "{}", style(colour).render_reset()),
        (None, None) => Ok(()),
    }
}

fn ansi(colour: Colour) -> AnsiColor {
    match colour {
        Colour::Red => AnsiColor::Red,
        Colour::Green => AnsiColor::Green,
        Colour::Yellow => AnsiColor::Yellow,
        Colour::Blue => AnsiColor::Blue,
        Colour::Magenta => AnsiColor::Magenta,
        Colour::Cyan => AnsiColor::Cyan,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIRTY: Mark = Mark { letter: 'D', colour: Colour::Yellow, meaning: "dirty" };

    fn strip(cells: &[(f64, Option<Mark>)], shades: bool, colour: bool) -> String {
        let cells: Vec<_> = cells.iter().map(|(share, mark)| StripCell { share: Some(*share), mark: *mark }).collect();
        let mut out = Vec::new();
        write_strip(&mut out, &cells, StripStyle { shades, colour }, 0).unwrap();
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
            write_bars(&[StripCell { share: Some(share), mark: None }], &mut bars);
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
