//! Makes hostile text harmless before it reaches a terminal or JSON.
//!
//! File names, command lines and names of anonymous mappings are chosen by their owners. A control character, an escape
//! sequence or a bidirectional override in one of them must not be able to move a reader's cursor, hide a row or
//! reverse a line. Tables therefore show such characters as `\n`, `\x1b` or `\u{202e}`, even in a pipe, so that one row
//! is always one line. A backslash is not escaped, as in `/proc/PID/maps`; JSON and CSV are the lossless formats.

use std::borrow::Cow;
use std::io::Write;

use crate::error::{Error, Subject};

/// Whether a character could have an effect on a terminal other than being shown.
pub fn is_harmful(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{061c}' // Arabic letter mark
            | '\u{200b}'..='\u{200f}' // zero width, left-to-right and right-to-left marks
            | '\u{2028}'..='\u{202e}' // line and paragraph separators, bidirectional embeddings and overrides
            | '\u{2060}'..='\u{206f}' // invisible operators, bidirectional isolates
            | '\u{feff}' // byte order mark
            | '\u{fff9}'..='\u{fffb}' // interlinear annotation
            | '\u{e0000}'..='\u{e007f}') // tags
}

/// Appends `text` with everything harmful written as an escape: `\n`, `\t`, `\x1b`, `\u{202e}`, and `\xff` for a byte
/// that is not UTF-8.
pub fn write_escaped(text: &[u8], out: &mut Vec<u8>) {
    // Nearly all names are printable ASCII.
    if text.iter().all(|byte| (0x20..0x7f).contains(byte)) {
        out.extend_from_slice(text);
        return;
    }
    for chunk in text.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if is_harmful(letter) { write_escape(letter, out) } else { push_char(letter, out) }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
}

fn push_char(letter: char, out: &mut Vec<u8>) {
    out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
}

fn write_escape(letter: char, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _ = match letter {
        '\n' => out.write_all(b"\\n"),
        '\t' => out.write_all(b"\\t"),
        '\r' => out.write_all(b"\\r"),
        letter if (letter as u32) < 0x80 => write!(out, "\\x{:02x}", letter as u32),
        letter => write!(out, "\\u{{{:x}}}", letter as u32),
    };
}

/// `text` with everything harmful escaped.
pub fn escaped(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    write_escaped(text, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// `text` for a JSON string: lossless if it is UTF-8, otherwise with U+FFFD for invalid bytes; the column with the raw
/// bytes keeps the original.
pub fn lossy(text: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(text)
}

/// An error as the one line that a user sees, without the name of the program.
pub fn error_line(error: &Error) -> String {
    use std::os::unix::ffi::OsStrExt;
    let subject = match error.subject() {
        Subject::Path(path) => escaped(path.as_os_str().as_bytes()),
        Subject::Pid(pid) => format!("pid {pid}"),
        Subject::Process(pid, name) => format!("pid {pid} ({})", escaped(name)),
        Subject::Words(words) => escaped(words.as_bytes()),
    };
    let why = escaped(error.why().as_bytes());
    match error.advice() {
        Some(advice) => format!("{subject}: {why}; {}", escaped(advice.as_bytes())),
        None => format!("{subject}: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_clear_the_screen() {
        assert_eq!(escaped(b"a\x1b[2Jb"), "a\\x1b[2Jb");
        assert_eq!(escaped("a\u{9b}2Jb".as_bytes()), "a\\u{9b}2Jb");
    }

    #[test]
    fn a_name_cannot_forge_a_row() {
        assert_eq!(escaped(b"x\n7f0000000000 r-xp 4"), "x\\n7f0000000000 r-xp 4");
        assert_eq!(escaped("x\u{2028}y".as_bytes()), "x\\u{2028}y");
    }

    #[test]
    fn a_name_cannot_reverse_a_line() {
        assert_eq!(escaped("gpj.\u{202e}exe".as_bytes()), "gpj.\\u{202e}exe");
        assert_eq!(escaped("a\u{2066}b".as_bytes()), "a\\u{2066}b");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_shown_in_hexadecimal() {
        assert_eq!(escaped(b"caf\xe9.db"), "caf\\xe9.db");
    }

    #[test]
    fn ordinary_names_in_any_language_are_unchanged() {
        assert_eq!(escaped("/srv/données/日本 語.db".as_bytes()), "/srv/données/日本 語.db");
    }
}
