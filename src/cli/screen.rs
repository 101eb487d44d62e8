//! Standard output, and its width and colours if it is a terminal; the other places where an answer may be written.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;

use unicode_width::UnicodeWidthStr;

use crate::render::{wrapped, wrapped_as_it_is};

/// Where an answer is written.
#[derive(Debug)]
pub(crate) enum Place {
    /// To standard output.
    Output,
    /// To standard error, because standard output belongs to another program.
    Error,
    /// To a file.
    File(File),
}

impl Place {
    /// The place, with a buffer.
    pub(crate) fn writer(self) -> Box<dyn Write> {
        match self {
            Place::Output => output(),
            Place::Error => Box::new(BufWriter::new(io::stderr())),
            Place::File(file) => Box::new(BufWriter::new(file)),
        }
    }

    /// The width of the terminal; `None` if it is a pipe or a file.
    pub(crate) fn width(&self) -> Option<u16> {
        match self {
            Place::Output => terminal_width(),
            Place::Error => width_of(&io::stderr()),
            Place::File(file) => width_of(file),
        }
    }

    /// Whether it is a terminal with colours.
    pub(crate) fn has_colour(&self) -> bool {
        match self {
            Place::Output => has_colour(),
            Place::Error => {
                io::stderr().is_terminal()
                    && !is_dumb()
                    && anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
            }
            Place::File(_) => false,
        }
    }
}

/// Standard output with a buffer that combines several hundred rows into one write.
pub(crate) fn output() -> Box<dyn Write> {
    Box::new(BufWriter::with_capacity(1 << 16, io::stdout()))
}

/// The width of the terminal on standard output; `None` if it is a pipe or a file.
pub(crate) fn terminal_width() -> Option<u16> {
    width_of(&io::stdout())
}

fn width_of(stream: &(impl IsTerminal + AsFd)) -> Option<u16> {
    stream.is_terminal().then(|| terminal_size::terminal_size_of(stream).map_or(80, |(width, _)| width.0.max(1)))
}

/// The number of its lines; `None` if it is not a terminal, or does not say.
pub(crate) fn terminal_height() -> Option<usize> {
    let stdout = io::stdout();
    let size = if stdout.is_terminal() { terminal_size::terminal_size_of(&stdout) } else { None };
    size.map(|(_, height)| height.0.into())
}

/// Writes lines to standard error, wrapped between words where they are wider than its terminal, if it is one.
pub(crate) fn complain(lines: &str) {
    let width = width_of(&io::stderr()).map(usize::from);
    let fitted = |line| width.map_or_else(|| vec![String::from(line)], |width| wrapped_as_it_is(line, width));
    let text: String = lines.split('\n').flat_map(fitted).map(|line| line + "\n").collect();
    // If standard error is closed, nobody can read them.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// How many lines of the terminal on standard error these lines take; `None` if it is not a terminal.
pub(crate) fn lines_of_complaint(lines: &str) -> Option<usize> {
    let width = width_of(&io::stderr())?.into();
    Some(lines.split('\n').map(|line| wrapped_as_it_is(line, width).len()).sum())
}

/// Text whose lines are wrapped between words where they are wider than the terminal, if there is one.
pub(crate) fn wrapped_to_terminal(text: &str) -> String {
    match terminal_width() {
        Some(width) => text.split('\n').map(|line| wrapped_line(line, width.into())).collect::<Vec<_>>().join("\n"),
        None => text.to_owned(),
    }
}

/// A line in as many lines as it needs. The further ones begin below the text of the second column, if there is one.
fn wrapped_line(line: &str, width: usize) -> String {
    if line.width() <= width {
        return line.to_owned();
    }
    let words = line.trim_start();
    let own_indent = line.len() - words.len();
    // Two blanks or more separate columns.
    let column = words.find("  ").map(|end| {
        let second = words.get(end..).unwrap_or_default().trim_start();
        words.len() - second.len()
    });
    let (first, rest) = words.split_at(column.filter(|column| own_indent + column < width / 2).unwrap_or(0));
    let indent = own_indent + first.width();
    let lines = wrapped(rest, width.saturating_sub(indent));
    let blanks = " ".repeat(indent);
    format!("{:own_indent$}{first}{}", "", lines.join(&format!("\n{blanks}")))
}

/// Whether standard output is a terminal with colours, and neither `NO_COLOR` nor `TERM=dumb` disables them.
pub(crate) fn has_colour() -> bool {
    // `choice` alone takes a dumb terminal for one with colours if the variable `CI` is set.
    has_cursor() && anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
}

/// Whether standard output is a terminal.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether the keys of the terminal on standard output can be read.
pub(crate) fn has_keys() -> bool {
    is_terminal() && io::stdin().is_terminal()
}

/// Whether the locale has characters that are not ASCII.
pub(crate) fn has_unicode() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(std::env::var_os).find(|value| !value.is_empty());
    let locale = locale.map(|value| value.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// Whether standard output is a terminal on which the cursor can be moved.
pub(crate) fn has_cursor() -> bool {
    is_terminal() && !is_dumb()
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_wrapped_below_its_second_column() {
        assert_eq!(wrapped_line("a line that fits", 16), "a line that fits");
        assert_eq!(wrapped_line("a line that is too wide", 16), "a line that is\ntoo wide");
        assert_eq!(wrapped_line("  -t    read every page of it", 20), "  -t    read every\n        page of it");
    }
}
