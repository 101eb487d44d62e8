//! Strips: a thing in parts, one cell for each part, which is full to some degree and may have a mark.

/// A mark that a cell of a strip can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Its letter on the line below the strip, for output without colour.
    pub letter: char,
    /// Its colour.
    pub colour: Colour,
    /// What it means, for the legend.
    pub meaning: &'static str,
}

/// The colours of marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "a colour is its name")]
pub enum Colour {
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
    Cyan,
}

impl Colour {
    /// The colour's name.
    pub fn word(self) -> &'static str {
        match self {
            Colour::Red => "red",
            Colour::Green => "green",
            Colour::Yellow => "yellow",
            Colour::Blue => "blue",
            Colour::Magenta => "magenta",
            Colour::Cyan => "cyan",
        }
    }
}

/// One cell of a strip.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StripCell {
    /// How full it is, from 0 to 1; absent if that is not known.
    pub share: Option<f64>,
    /// Its mark.
    pub mark: Option<Mark>,
    /// Where the part begins in its file, in bytes; `None` if it is not part of a file.
    pub offset: Option<u64>,
}

/// The character for a share in a strip of text: `.` and `#` mean exactly nothing and everything. Between them are
/// tenths, rounded down; `1` is anything up to two tenths.
pub(crate) fn digit(share: Option<f64>) -> u8 {
    match share {
        None => b'?',
        Some(share) if share <= 0.0 => b'.',
        Some(share) if share >= 1.0 => b'#',
        Some(share) => b'0' + ((share * 10.0) as u8).clamp(1, 9),
    }
}
