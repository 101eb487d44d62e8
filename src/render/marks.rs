//! What each line of a repeated table is, for a screen that may have room for some of them only.
//!
//! Each line below the header begins with a mark. No text from outside contains one, because `escape` escapes control
//! characters.

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineKind {
    /// The first line of a row.
    Row,
    /// The first line of a row that is not as in the round before.
    ChangedRow,
    /// A further line of the same row.
    MoreOfRow,
    /// A line of the total.
    Total,
    /// What is said below the table.
    Below,
}

const KINDS: [(char, LineKind); 5] = [
    ('\x01', LineKind::Row),
    ('\x02', LineKind::ChangedRow),
    ('\x03', LineKind::MoreOfRow),
    ('\x04', LineKind::Total),
    ('\x05', LineKind::Below),
];

impl LineKind {
    /// What a line is, and its text. A line without a mark is above the rows.
    pub(crate) fn of(line: &str) -> (Option<LineKind>, &str) {
        let found = KINDS.iter().find_map(|(mark, kind)| Some((Some(*kind), line.strip_prefix(*mark)?)));
        found.unwrap_or((None, line))
    }

    fn mark(self) -> char {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or(' ', |(mark, _)| *mark)
    }

    /// These lines with their marks. Only the first line of a row begins it.
    pub(crate) fn marked(self, lines: &[u8]) -> Vec<u8> {
        let further = if matches!(self, LineKind::Row | LineKind::ChangedRow) { LineKind::MoreOfRow } else { self };
        let kinds = std::iter::once(self).chain(std::iter::repeat(further));
        let mut marked = Vec::with_capacity(lines.len() + 1);
        for (line, kind) in lines.split_inclusive(|byte| *byte == b'\n').zip(kinds) {
            marked.push(kind.mark() as u8);
            marked.extend_from_slice(line);
        }
        marked
    }
}
