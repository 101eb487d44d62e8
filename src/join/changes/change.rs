//! Something that changed, and by how much.

use crate::units::{Absent, Bytes, Figure, Reason};

/// The kinds of what may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangedKind {
    /// A process.
    Process,
    /// The mappings of a process that have the same name.
    Mapping,
    /// A cached file.
    File,
    /// A control group.
    Cgroup,
}

impl ChangedKind {
    /// All of them.
    pub const ALL: [ChangedKind; 4] =
        [ChangedKind::Process, ChangedKind::Mapping, ChangedKind::File, ChangedKind::Cgroup];

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            ChangedKind::Process => "process",
            ChangedKind::Mapping => "mapping",
            ChangedKind::File => "file",
            ChangedKind::Cgroup => "cgroup",
        }
    }
}

/// The figure that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangedFigure {
    /// Proportional set size.
    Pss,
    /// Resident set size.
    Rss,
    /// What the page cache holds.
    Cached,
    /// What a control group is charged for.
    Usage,
}

impl ChangedFigure {
    /// All of them.
    pub const ALL: [ChangedFigure; 4] =
        [ChangedFigure::Pss, ChangedFigure::Rss, ChangedFigure::Cached, ChangedFigure::Usage];

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            ChangedFigure::Pss => "pss",
            ChangedFigure::Rss => "rss",
            ChangedFigure::Cached => "cached",
            ChangedFigure::Usage => "usage",
        }
    }
}

/// What happened to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangedStatus {
    /// It is larger.
    Grew,
    /// It is smaller.
    Shrank,
    /// It did not exist before.
    New,
    /// It does not exist any more.
    Gone,
    /// One side has no figure.
    Unknown,
}

impl ChangedStatus {
    /// All of them.
    pub const ALL: [ChangedStatus; 5] =
        [ChangedStatus::Grew, ChangedStatus::Shrank, ChangedStatus::New, ChangedStatus::Gone, ChangedStatus::Unknown];

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            ChangedStatus::Grew => "grew",
            ChangedStatus::Shrank => "shrank",
            ChangedStatus::New => "new",
            ChangedStatus::Gone => "gone",
            ChangedStatus::Unknown => "unknown",
        }
    }
}

/// Something that changed.
#[derive(Debug, Clone)]
pub struct Change {
    /// What it is.
    pub kind: ChangedKind,
    /// Its command line, name or path, of any bytes.
    pub name: Vec<u8>,
    /// The process that it is or belongs to.
    pub pid: Option<u32>,
    /// The number of the memory that it is about, if processes may share that on both sides.
    pub memory: Option<u64>,
    /// What tells it from others with the same name.
    pub identity: Vec<u8>,
    /// The figure that is compared.
    pub of: ChangedFigure,
    /// The figure on the first side; absent if it did not exist there, or was counted as that of another process.
    pub before: Figure<Bytes>,
    /// The figure on the second side; absent if it does not exist there.
    pub after: Figure<Bytes>,
    /// What happened to it.
    pub status: ChangedStatus,
    /// What else a reader must know about it.
    pub note: Option<&'static str>,
}

/// Why a process has no figure on one side. It does not apply, so that sums are complete.
pub(super) const SHARED: Absent = Absent::new(
    Reason::NotApplicable,
    "it shares its memory with another process (vfork, CLONE_VM) and is counted there",
);
const SHARED_BEFORE: &str = "before, it shared its memory with another process and was counted there";

/// Why a side has no figure for what does not exist there.
const NOT_BEFORE: Absent = Absent::new(Reason::NotApplicable, "it did not exist before");
const NOT_AFTER: Absent = Absent::new(Reason::NotApplicable, "it does not exist any more");
const NOT_KNOWN: Absent = Absent::new(Reason::Unsupported, "one side has no figure for it");

impl Change {
    /// Something with these figures; `None` as a side means that it does not exist there. Nothing if nothing changed,
    /// or nothing is known.
    pub(super) fn of(
        kind: ChangedKind,
        of: ChangedFigure,
        before: Option<Figure<Bytes>>,
        after: Option<Figure<Bytes>>,
    ) -> Option<Change> {
        let status = match (before, after) {
            (None, None) | (Some(Err(_)), Some(Err(_))) => return None,
            (None, Some(_)) => ChangedStatus::New,
            (Some(_), None) => ChangedStatus::Gone,
            (Some(Ok(before)), Some(Ok(after))) if before == after => return None,
            (Some(Ok(before)), Some(Ok(after))) if before < after => ChangedStatus::Grew,
            (Some(Ok(_)), Some(Ok(_))) => ChangedStatus::Shrank,
            (Some(_), Some(_)) => ChangedStatus::Unknown,
        };
        let (before, after) = (before.unwrap_or(Err(NOT_BEFORE)), after.unwrap_or(Err(NOT_AFTER)));
        let (name, identity) = (Vec::new(), Vec::new());
        Some(Change { kind, name, pid: None, memory: None, identity, of, before, after, status, note: None })
    }

    /// The same for what existed before, but as memory that is counted as that of another process.
    pub(super) fn counted_elsewhere_before(self) -> Change {
        Change { before: Err(SHARED), status: ChangedStatus::Grew, note: Some(SHARED_BEFORE), ..self }
    }

    /// By how much it changed, with its sign: all of it, if it is new or gone, or was counted elsewhere before.
    ///
    /// # Errors
    /// One side has no figure.
    pub fn amount(&self) -> Figure<i64> {
        let (before, after) = match self.status {
            ChangedStatus::New => (Bytes(0), self.after?),
            ChangedStatus::Gone => (self.before?, Bytes(0)),
            ChangedStatus::Unknown => return Err(self.before.err().or(self.after.err()).unwrap_or(NOT_KNOWN)),
            ChangedStatus::Grew if self.before == Err(SHARED) => (Bytes(0), self.after?),
            ChangedStatus::Grew | ChangedStatus::Shrank => (self.before?, self.after?),
        };
        let by = i128::from(after.0) - i128::from(before.0);
        Ok(i64::try_from(by).unwrap_or(if by < 0 { i64::MIN } else { i64::MAX }))
    }

    /// Whether it changed by at least so much. What is not known may have.
    pub(super) fn is_at_least(&self, least: Bytes) -> bool {
        self.amount().map_or(true, |by| by != 0 && by.unsigned_abs() >= least.0)
    }
}
