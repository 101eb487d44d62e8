//! What a column is, whatever its rows are: its names, its type, and how tables show it.

use std::borrow::Cow;

use super::strip::{Colour, Mark};

/// The part of a column that does not depend on the kind of row.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnHead {
    /// Its name in `-o`, JSON and CSV. Never changes.
    pub id: Cow<'static, str>,
    /// Its heading in tables.
    pub title: Cow<'static, str>,
    /// One line for `--help`: its meaning, and the kernel file or call that reports it.
    pub help: Cow<'static, str>,
    /// Its type.
    pub kind: ColumnKind,
    /// When a table leaves it out.
    pub presence: Presence,
    /// The colour of its figures that are not zero, on a terminal.
    pub colour: Option<Colour>,
    /// Whether a table never shows it, because its heading does.
    pub is_hidden: bool,
    /// Whether its numbers name or describe things and are no amounts: a pid, an inode, the size of a page.
    pub is_identifier: bool,
    /// Whether its texts are names from outside, which need not be UTF-8.
    pub is_name: bool,
    /// What happens to texts that are too wide for the terminal.
    pub cut: Cut,
    /// Whether its sizes are never rounded: they are positions.
    pub is_exact: bool,
    /// Whether its cells are sums that may be known only in part ([`Cell::AtLeast`](super::Cell::AtLeast)).
    pub has_bounds: bool,
}

/// What happens to the texts of a column that are too wide for the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// They lose their middle: both ends of a path are informative.
    Middle,
    /// The same, but they keep the indentation of a tree, and minor columns are left out before they lose anything:
    /// only they tell rows apart.
    Name,
    /// They are such names or command lines. Command lines are cut as such: their beginning says most.
    NameOrCommand,
    /// They are command lines: first they lose the directories of the program, then their end.
    Command,
    /// Nothing, because they are words of a list or points in time, of which a part says nothing.
    Whole,
    /// Nothing, because they are sentences: if they do not fit, they have lines of their own.
    Never,
}

impl Cut {
    /// What happens to the texts of a column of this kind if nothing else is said.
    pub(super) const fn of(kind: ColumnKind) -> Cut {
        if matches!(kind, ColumnKind::Time | ColumnKind::Flag) { Cut::Whole } else { Cut::Middle }
    }

    /// Whether they lose nothing.
    pub fn is_whole(self) -> bool {
        matches!(self, Cut::Whole | Cut::Never)
    }
}

/// When a table leaves out a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Never: it was requested by its name.
    Named,
    /// If the table does not fit the terminal and the column is empty in every row.
    Usual,
    /// If the table does not fit the terminal.
    Minor,
    /// The same, before the minor ones.
    Least,
    /// If it is empty in every row.
    Optional,
}

impl ColumnHead {
    /// A column that the pipeline itself adds to rows of any kind.
    pub(crate) fn added(id: impl Into<Cow<'static, str>>, title: &'static str, kind: ColumnKind) -> ColumnHead {
        ColumnHead {
            id: id.into(),
            title: title.into(),
            help: "".into(),
            kind,
            presence: Presence::Optional,
            colour: None,
            is_hidden: false,
            is_identifier: false,
            is_name: false,
            cut: Cut::of(kind),
            is_exact: false,
            has_bounds: false,
        }
    }

    /// Whether it has figures whose change can be calculated.
    pub fn has_change(&self) -> bool {
        self.kind.has_figures() && !self.is_identifier
    }
}

/// The type of a column; it determines the alignment and the type in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Bytes: an integer.
    Bytes,
    /// Pages: an integer.
    Pages,
    /// Any other number: an integer.
    Number,
    /// A percentage: a number.
    Percent,
    /// A hexadecimal string.
    Address,
    /// A string.
    Text,
    /// A string of words that must not be cut: a reason, a remark.
    Prose,
    /// True or false.
    Flag,
    /// RFC 3339 in UTC: a string.
    Time,
    /// A strip of shaded cells, with the marks that they may have; a string with one character per cell in machine
    /// formats. Tables draw it below the row, or at its end if it is a [`Bars`](ColumnKind::Bars).
    Strip(&'static [Mark]),
    /// A strip of bars at the end of the row.
    Bars,
    /// An array of true and false, in JSON only.
    Flags,
    /// How much a figure changed: a signed number.
    Change,
    /// The bytes of a name that is not UTF-8, as a string of hexadecimal digits, in JSON only.
    RawBytes,
}

impl ColumnKind {
    /// The name of the type in `--help` and the documentation.
    pub fn word(self) -> &'static str {
        match self {
            ColumnKind::Bytes => "bytes",
            ColumnKind::Pages => "pages",
            ColumnKind::Number => "number",
            ColumnKind::Percent => "percent",
            ColumnKind::Address => "address",
            ColumnKind::Text | ColumnKind::Prose => "text",
            ColumnKind::Flag => "yes/no",
            ColumnKind::Time => "time",
            ColumnKind::Strip(_) | ColumnKind::Bars => "strip",
            ColumnKind::Flags => "list of true/false, JSON only",
            ColumnKind::Change => "signed number",
            ColumnKind::RawBytes => "hexadecimal, JSON only",
        }
    }

    /// Whether only JSON can write it.
    pub fn is_json_only(self) -> bool {
        matches!(self, ColumnKind::Flags | ColumnKind::RawBytes)
    }

    /// Whether it has figures.
    pub fn has_figures(self) -> bool {
        matches!(self, ColumnKind::Bytes | ColumnKind::Pages | ColumnKind::Number | ColumnKind::Percent)
    }

    /// Whether tables align it to the left.
    pub fn is_left_aligned(self) -> bool {
        !self.has_figures() && !matches!(self, ColumnKind::Address | ColumnKind::Change)
    }
}
