//! Colours in the lines of a table.
//!
//! A coloured text is enclosed in two invisible characters of no width, so that widths are computed as without colour.
//! No text from outside contains them, because `escape` escapes them. They become escape sequences when the line is
//! written.

use std::io::Write;

use anstyle::{AnsiColor, Reset, Style};

use crate::table::Colour;

/// The invisible characters: one for each colour, in the order of [`ALL`], and the end.
const FIRST: u32 = 0x2061;
const END: char = '\u{2068}';

const ALL: [Colour; 6] = [Colour::Red, Colour::Green, Colour::Yellow, Colour::Blue, Colour::Magenta, Colour::Cyan];

/// Encloses what `write` appends in the marks of a colour.
pub(super) fn enclosed(colour: Colour, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let place = ALL.iter().position(|other| *other == colour).unwrap_or_default() as u32;
    push(char::from_u32(FIRST + place).unwrap_or(END), out);
    write(out);
    push(END, out);
}

/// The line with escape sequences instead of the marks.
pub(super) fn painted(line: &str) -> String {
    let mut out = Vec::with_capacity(line.len());
    for letter in line.chars() {
        let place = (letter as u32).checked_sub(FIRST).map(|place| place as usize);
        match place.and_then(|place| ALL.get(place)) {
            // Writing to a Vec cannot fail.
            Some(colour) => drop(write!(out, "{}", style(*colour).render())),
            None if letter == END => drop(write!(out, "{}", Reset.render())),
            None => push(letter, &mut out),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The style of a colour.
pub(super) fn style(colour: Colour) -> Style {
    let colour = match colour {
        Colour::Red => AnsiColor::Red,
        Colour::Green => AnsiColor::Green,
        Colour::Yellow => AnsiColor::Yellow,
        Colour::Blue => AnsiColor::Blue,
        Colour::Magenta => AnsiColor::Magenta,
        Colour::Cyan => AnsiColor::Cyan,
    };
    Style::new().fg_color(Some(colour.into()))
}

fn push(letter: char, out: &mut Vec<u8>) {
    out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
}
