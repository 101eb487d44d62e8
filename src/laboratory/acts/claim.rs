//! One thing that must hold after an act, and what it means if it does not.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt;

use super::figures::{Figures, Mapped};
use super::meddling::Meddling;
use crate::units::{Absent, Bytes, Exact, ExactUnit, Figure, counted};

/// A figure that is predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    Size,
    Rss,
    Pss,
    Anonymous,
    Hugetlb,
    Cached,
    Dirty,
}

impl Named {
    fn word(self) -> &'static str {
        match self {
            Named::Size => "Size",
            Named::Rss => "Rss",
            Named::Pss => "Pss",
            Named::Anonymous => "Anonymous",
            Named::Hugetlb => "Hugetlb",
            Named::Cached => "Cached",
            Named::Dirty => "Dirty",
        }
    }

    pub(super) fn of(self, figures: &Figures) -> Figure<Bytes> {
        let mapped = |take: fn(&Mapped) -> Bytes| figures.of_mapping(take);
        match self {
            Named::Size => mapped(|mapped| mapped.size),
            Named::Rss => mapped(|mapped| mapped.rss),
            Named::Pss => mapped(|mapped| mapped.pss),
            Named::Anonymous => mapped(|mapped| mapped.anonymous),
            Named::Hugetlb => mapped(|mapped| mapped.hugetlb),
            Named::Cached => figures.cached,
            Named::Dirty => figures.dirty,
        }
    }
}

/// One thing that must hold after an act.
#[derive(Debug, Clone)]
pub struct Claim {
    pub(super) named: Named,
    before: Figure<Bytes>,
    after: Figure<Bytes>,
    expected: Expected,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expected {
    Within(RangeInclusive<u64>),
    /// A relation to another figure, as it is shown.
    Related(&'static str, RangeInclusive<u64>),
    NotMapped,
}

impl Claim {
    /// What is expected of a figure, and what it was before and after the act.
    pub(super) fn new(named: Named, expected: Expected, before: &Figures, after: &Figures) -> Claim {
        Claim { named, before: named.of(before), after: named.of(after), expected }
    }

    /// Whether it holds; absent if the figure is.
    ///
    /// # Errors
    /// Why the figure is absent.
    pub fn holds(&self) -> Figure<bool> {
        match &self.expected {
            Expected::NotMapped => Ok(self.after.is_err()),
            Expected::Within(range) | Expected::Related(_, range) => self.after.map(|after| range.contains(&after.0)),
        }
    }

    /// The sizes that its words name.
    pub(super) fn sizes(&self) -> Vec<Bytes> {
        match &self.expected {
            Expected::Within(range) => {
                let is_exact = range.start() == range.end();
                let ends = [*range.start(), *range.end()].into_iter().filter(|end| *end != u64::MAX).map(Bytes);
                ends.chain(self.before.ok().filter(|_| is_exact)).collect()
            }
            Expected::Related(..) | Expected::NotMapped => Vec::new(),
        }
    }

    /// The sizes that the words about what was found name.
    pub(super) fn found_sizes(&self) -> Vec<Bytes> {
        self.sizes().into_iter().chain(self.after.ok()).collect()
    }

    /// The claim as it is shown, with the figure before: `Rss 16M -> 32M`, `Cached stays 32M`.
    pub(super) fn words(&self, unit: ExactUnit) -> String {
        let name = self.named.word();
        let range = match &self.expected {
            Expected::Within(range) => range,
            Expected::Related(words, _) => return format!("{name} {words}"),
            Expected::NotMapped => return "no mapping".to_owned(),
        };
        let (low, high) = (unit.show(Bytes(*range.start())), unit.show(Bytes(*range.end())));
        let before = self.before.ok().map(|before| before.0);
        match (range.start() == range.end(), before) {
            (true, Some(before)) if before == *range.start() => format!("{name} stays {low}"),
            (true, Some(before)) => format!("{name} {} -> {low}", unit.show(Bytes(before))),
            (true, None) => format!("{name} {low}"),
            (false, _) if *range.end() == u64::MAX => format!("{name} at least {low}"),
            (false, _) if *range.start() == 0 => format!("{name} at most {high}"),
            (false, _) => format!("{name} {low} to {high}"),
        }
    }

    /// What was found instead.
    pub(super) fn found(&self, unit: ExactUnit) -> String {
        let found = self.after.map_or_else(|absent| absent.to_string(), |after| unit.show(after));
        format!("{} is {found}, and it had to be: {}", self.named.word(), self.words(unit))
    }
}

/// Why a claim may not hold, as it is shown.
pub(super) fn likely_cause(claims: &[Claim], after: &Figures, meddling: &Meddling) -> Option<String> {
    let wrong = |claim: &&Claim| claim.holds() == Ok(false);
    let mut found = claims.iter().filter(wrong).map(|claim| (claim, claim.after.unwrap_or_default().0));
    let (claim, value) = found.next()?;
    let swap = after.mapped.map_or(Bytes(0), |mapped| mapped.swap);
    let (Expected::Within(range) | Expected::Related(_, range)) = &claim.expected else {
        return Some("it is still mapped".to_owned());
    };
    let is_less = value < *range.start();
    let or_mapped = |otherwise: &str| meddling.mappers_or(otherwise);
    Some(match claim.named {
        _ if let Some(why) = &meddling.length => why.clone(),
        Named::Cached | Named::Dirty if !is_less && meddling.is_layer_unseen => {
            or_mapped("the upper layer of the overlay cannot be seen and may be in memory")
        }
        _ if is_less && swap > Bytes(0) => format!("{} were swapped out", Exact(swap)),
        Named::Cached if is_less => "the kernel has reclaimed clean pages meanwhile".to_owned(),
        Named::Rss | Named::Anonymous if is_less => "the kernel has reclaimed or swapped pages meanwhile".to_owned(),
        Named::Rss | Named::Anonymous | Named::Hugetlb => {
            "a large folio or a huge page was mapped as a whole".to_owned()
        }
        Named::Cached => or_mapped("something else reads the file, or large folios reach beyond what was dropped"),
        Named::Dirty => "the file system writes back later than it was asked to".to_owned(),
        Named::Pss => or_mapped("the kernel estimates who shares a large folio"),
        Named::Size => "the C library or the kernel has put it elsewhere".to_owned(),
    })
}

/// The variables that change how malloc of glibc works, as a cause, if any of them is set.
pub(super) fn malloc_settings(environment: impl Iterator<Item = (OsString, OsString)>) -> Option<String> {
    let is_set = |(name, value): &(OsString, OsString)| {
        let is_tuned = || value.as_bytes().windows(MALLOC_TUNABLES.len()).any(|part| part == MALLOC_TUNABLES);
        MALLOC_VARIABLES.iter().any(|known| name == known) || name == "GLIBC_TUNABLES" && is_tuned()
    };
    let mut names: Vec<String> =
        environment.filter(is_set).map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    match &names[..] {
        [] => None,
        [name] => Some(format!("{name} is set, which changes how malloc works")),
        names => Some(format!("{} are set, which change how malloc works", names.join(", "))),
    }
}

/// What the names of the tunables of malloc begin with.
const MALLOC_TUNABLES: &[u8] = b"glibc.malloc.";

/// The variables that malloc of glibc reads, from mallopt(3).
const MALLOC_VARIABLES: [&str; 8] = [
    "MALLOC_ARENA_MAX",
    "MALLOC_ARENA_TEST",
    "MALLOC_CHECK_",
    "MALLOC_MMAP_MAX_",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_PERTURB_",
    "MALLOC_TOP_PAD_",
    "MALLOC_TRIM_THRESHOLD_",
];

/// The claims whose figures are absent, so that nobody knows whether they hold, and why.
pub(super) fn unknown(claims: &[Claim]) -> Option<(String, Absent)> {
    let unknown = claims.iter().filter_map(|claim| claim.holds().err().map(|absent| (claim.named.word(), absent)));
    let unknown: Vec<(&str, Absent)> = unknown.collect();
    let absent = unknown.first()?.1;
    let names: Vec<&str> = unknown.iter().map(|(name, _)| *name).collect();
    Some((names.join(", "), absent))
}

/// Pages that were mapped and not cached: never possible if nothing changed in between.
pub(super) fn contradiction(figures: &Figures) -> Option<String> {
    let pages = figures.only_mapped.filter(|pages| *pages > 0)?;
    Some(format!("{} mapped and not in the page cache", counted(pages, "page is", "pages are")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_of_malloc_are_named_and_no_others() {
        let said = |set: &[(&str, &str)]| {
            malloc_settings(set.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
        };
        let changes = |names: &str| Some(format!("{names}, which changes how malloc works"));
        assert_eq!(said(&[("PATH", "/bin"), ("MALLOC_PERTURB_", "5")]), changes("MALLOC_PERTURB_ is set"));
        let tunables = ("GLIBC_TUNABLES", "glibc.rtld.nns=2:glibc.malloc.perturb=5");
        assert_eq!(said(&[tunables]), changes("GLIBC_TUNABLES is set"));
        assert_eq!(said(&[("GLIBC_TUNABLES", "glibc.rtld.nns=2"), ("MALLOC_CONF", "x")]), None);
        let both = said(&[tunables, ("MALLOC_CHECK_", "3")]).unwrap();
        assert_eq!(both, "GLIBC_TUNABLES, MALLOC_CHECK_ are set, which change how malloc works");
    }
}
