//! Files without a name in memory, of which it is not known whether they are below the chosen directories.

use super::FoundChoice;
use crate::units::{Bytes, Figure, Human, counted};

/// So many of these files.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Nameless {
    count: u64,
    /// What is known to be cached of them.
    cached: Bytes,
    /// Of how many of them it is known.
    known: u64,
}

impl Nameless {
    /// One file, of which this is cached.
    pub(super) fn of(cached: Figure<Bytes>) -> Nameless {
        Nameless { count: 1, cached: cached.unwrap_or_default(), known: u64::from(cached.is_ok()) }
    }

    /// These and the others.
    pub(super) fn with(self, other: Nameless) -> Nameless {
        Nameless {
            count: self.count.saturating_add(other.count),
            cached: self.cached + other.cached,
            known: self.known.saturating_add(other.known),
        }
    }

    /// A line about them, if there are any.
    pub(super) fn may_be_below(self, choice: &FoundChoice) -> Option<String> {
        let directories = if choice.below.len() == 1 { "directory" } else { "directories" };
        let cached = match self.known {
            0 => String::new(),
            known if known == self.count => format!(" ({})", Human(self.cached)),
            _ => format!(" (at least {})", Human(self.cached)),
        };
        let files = counted(self.count, "file", "files");
        (self.count > 0)
            .then(|| format!("{files}{cached} without a name in memory may be below the given {directories}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Absent, Reason};

    #[test]
    fn what_is_not_known_to_be_cached_is_not_nothing() {
        const UNKNOWN: Figure<Bytes> = Err(Absent::new(Reason::Unsupported, "not read"));
        let line = |files: &[Figure<Bytes>]| {
            let sum = files.iter().fold(Nameless::default(), |sum, cached| sum.with(Nameless::of(*cached)));
            sum.may_be_below(&FoundChoice { below: vec!["/a".into()], ..FoundChoice::default() })
        };
        let end = "without a name in memory may be below the given directory";
        assert_eq!(line(&[]), None);
        assert_eq!(line(&[UNKNOWN]), Some(format!("1 file {end}")));
        assert_eq!(line(&[Ok(Bytes(4096)), Ok(Bytes(4096))]), Some(format!("2 files (8K) {end}")));
        assert_eq!(line(&[Ok(Bytes(4096)), UNKNOWN]), Some(format!("2 files (at least 4K) {end}")));
    }
}
