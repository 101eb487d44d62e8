//! Where the answer goes: standard output, and how wide it is if it is a terminal.

use std::io::{self, BufWriter, IsTerminal, Write};

/// Standard output with a buffer that makes one write of some hundred rows.
pub(crate) fn output() -> Box<dyn Write> {
    Box::new(BufWriter::with_capacity(1 << 16, io::stdout()))
}

/// The width of the terminal on standard output; none if it is a pipe or a file.
pub(crate) fn terminal_width() -> Option<u16> {
    let stdout = io::stdout();
    stdout.is_terminal().then(|| terminal_size::terminal_size_of(&stdout).map_or(80, |(width, _)| width.0.max(1)))
}

/// Whether standard output shows colours: a terminal that can, unless `NO_COLOR` or `TERM=dumb` says no.
pub(crate) fn has_colour() -> bool {
    let stdout = io::stdout();
    stdout.is_terminal() && anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never
}

/// Whether standard output is a terminal.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}
