//! The parser of `/proc/PID/maps`: only the head lines of smaps. Bytes in, [`Mappings`] out, no I/O.

use crate::process::head::parse_head;
use crate::process::mapping::Mappings;
use crate::process::smaps::ParseError;

/// Parses a whole maps text.
///
/// # Errors
/// A line that is not a mapping, or one that does not end after the mapping above it; a text that ends within a line.
pub fn parse_maps(text: &[u8]) -> Result<Mappings, ParseError> {
    let mut mappings = Mappings::new();
    add_lines(&mut mappings, 0, text)?;
    Ok(mappings)
}

/// Adds the mappings of the lines after line number `line`; returns the number of the last one.
pub(super) fn add_lines(mappings: &mut Mappings, mut line: u64, text: &[u8]) -> Result<u64, ParseError> {
    let mut rest = text;
    while !rest.is_empty() {
        line += 1;
        let error = |why: &'static str| ParseError { line, why: why.into() };
        let end = memchr::memchr(b'\n', rest).ok_or_else(|| error("the text is truncated: it ends within a line"))?;
        let head = parse_head(rest.get(..end).unwrap_or_default()).map_err(error)?;
        mappings.admit(&head).map_err(error)?;
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_mapping() {
        let text = b"08048000-08049000 r-xp 00000000 fe:00 7                          /bin/a b\n\
                     bf000000-bf021000 rw-p 00000000 00:00 0                          [stack]\n";
        let mappings = parse_maps(text).unwrap();
        let rows: Vec<_> = mappings.iter().map(|row| (row.size().0, row.path().to_vec())).collect();
        assert_eq!(rows, [(4096, b"/bin/a b".to_vec()), (0x21000, b"[stack]".to_vec())]);
        assert!(parse_maps(b"").unwrap().is_empty());
    }

    #[test]
    fn other_text_is_rejected() {
        for (text, why) in [
            (&b"1000-2000 r-xp 00000000 00:00 0"[..], "line 1: the text is truncated: it ends within a line"),
            (
                b"1000-2000 r-xp 00000000 00:00 0 \nSize: 4 kB\n",
                "line 2: the start address is not a hexadecimal number",
            ),
            (
                b"2000-3000 r-xp 00000000 00:00 0 \n1000-2000 r-xp 00000000 00:00 0 \n",
                "line 2: the mapping ends before the one above it: they are out of order",
            ),
        ] {
            assert_eq!(parse_maps(text).unwrap_err().to_string(), why);
        }
    }

    #[test]
    fn a_mapping_that_overlaps_the_one_above_replaces_it() {
        let text = b"1000-4000 r-xp 00000000 00:00 0 \n3000-6000 r-xp 00000000 00:00 0 \n";
        let mappings = parse_maps(text).unwrap();
        assert_eq!((mappings.len(), mappings.changed()), (1, 1));
    }
}
