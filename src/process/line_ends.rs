//! Line ends of a smaps text that passed through a mail program or another system: CR LF throughout is read as LF.
//!
//! A name may end with CR, but the kernel never ends the line of a key with it. So the first key of the text decides:
//! its line is the second one.

use memchr::{memchr_iter, memmem};

/// A text with two lines longer than this does not begin like smaps.
const LONGEST_START: usize = 1 << 20;

/// Converts a text that comes in chunks, cut anywhere.
#[derive(Debug, Default)]
pub(super) struct LineEnds {
    /// The text until two lines have come.
    start: Vec<u8>,
    /// Whether lines end with CR LF, once that is known.
    is_dos: Option<bool>,
    /// Whether the last chunk ended with a CR, which may be that of a line end.
    holds_cr: bool,
}

impl LineEnds {
    /// The next part of the converted text; it may be behind the chunks that came.
    pub(super) fn convert(&mut self, chunk: &[u8]) -> Vec<u8> {
        let Some(is_dos) = self.is_dos else { return self.begin(chunk) };
        if is_dos { self.strip(chunk) } else { chunk.to_vec() }
    }

    /// The rest of the text, after the last chunk.
    pub(super) fn finish(self) -> Vec<u8> {
        if self.holds_cr { vec![b'\r'] } else { self.start }
    }

    fn begin(&mut self, chunk: &[u8]) -> Vec<u8> {
        self.start.extend_from_slice(chunk);
        let ends: Vec<usize> = memchr_iter(b'\n', &self.start).take(2).collect();
        if ends.len() < 2 && self.start.len() < LONGEST_START {
            return Vec::new();
        }
        let has_cr = |end: &usize| self.start.get(..*end).is_some_and(|line| line.ends_with(b"\r"));
        self.is_dos = Some(ends.len() == 2 && ends.iter().all(has_cr));
        let start = std::mem::take(&mut self.start);
        self.convert(&start)
    }

    fn strip(&mut self, chunk: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(chunk.len() + 1);
        if std::mem::take(&mut self.holds_cr) {
            text.push(b'\r');
        }
        text.extend_from_slice(chunk);
        if text.last() == Some(&b'\r') {
            text.pop();
            self.holds_cr = true;
        }
        let mut plain = Vec::with_capacity(text.len());
        let mut done = 0;
        for end in memmem::find_iter(&text, b"\r\n") {
            plain.extend_from_slice(text.get(done..end).unwrap_or_default());
            done = end + 1;
        }
        plain.extend_from_slice(text.get(done..).unwrap_or_default());
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn convert(text: &[u8], length: usize) -> Vec<u8> {
        let mut ends = LineEnds::default();
        let mut plain: Vec<u8> = text.chunks(length).flat_map(|chunk| ends.convert(chunk)).collect();
        plain.extend(ends.finish());
        plain
    }

    #[test]
    fn only_a_text_whose_lines_all_end_with_cr_lf_is_converted() {
        for length in 1..12 {
            assert_eq!(convert(b"head /a\r\nSize: 4 kB\r\nend\r\n", length), b"head /a\nSize: 4 kB\nend\n");
            // The name has a CR of its own, with either line end.
            assert_eq!(convert(b"head /a\r\r\nSize: 4 kB\r\n", length), b"head /a\r\nSize: 4 kB\n");
            assert_eq!(convert(b"head /a\r\nSize: 4 kB\n", length), b"head /a\r\nSize: 4 kB\n");
            assert_eq!(convert(b"a\r\nb\r\n\rc\r", length), b"a\nb\n\rc\r");
            assert_eq!(convert(b"a\r\nb\r", length), b"a\r\nb\r");
        }
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter_and_lf_is_never_changed(
            lines in prop::collection::vec("[a\r]{0,4}", 0..9),
            length in 1usize..20,
        ) {
            let unix: String = lines.iter().map(|line| format!("{line}x\n")).collect();
            prop_assert_eq!(convert(unix.as_bytes(), length), unix.as_bytes());
            let dos = unix.replace('\n', "\r\n");
            let expected = if lines.len() < 2 { &dos } else { &unix };
            prop_assert_eq!(convert(dos.as_bytes(), length), expected.as_bytes());
        }
    }
}
