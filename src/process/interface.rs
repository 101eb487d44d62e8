//! Which kernel interface is read for the counters that are wanted: the cheapest that gives just these figures.
//!
//! On 60,000 mappings `maps` takes an eighth of the time of `smaps`, and `PAGEMAP_SCAN` over the whole address space as
//! much again (kernel 6.18). A choice of what to read; nothing is read here.

use crate::process::fields::{FieldUnit, Fields, Wanted};

/// Where the figures of a process came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// `/proc/PID/smaps`: every counter.
    Smaps,
    /// `/proc/PID/maps`: addresses and names; `Size` follows from the addresses.
    Maps,
    /// `/proc/PID/maps`, with `Rss` and `Swap` from the page tables (the ioctl `PAGEMAP_SCAN`, Linux 6.7): the same
    /// figures as smaps gives, which is read instead where that cannot be proven.
    PageTables,
    /// `/proc/PID/smaps_rollup` (Linux 4.14): the sums over all mappings, made by the kernel.
    Rollup,
}

/// The counters that [`Source::Maps`] and [`Source::PageTables`] give, in the kernel's order.
pub(super) const FROM_ADDRESSES: &[&str] = &["Size"];
pub(super) const FROM_PAGE_TABLES: &[&str] = &["Size", "Rss", "Swap"];

impl Source {
    /// The cheapest source for these counters on a live kernel.
    pub fn for_wanted(wanted: &Wanted) -> Source {
        let only_of = |given: &[&str]| match wanted {
            Wanted::Everything => false,
            Wanted::Only(names) => names.iter().all(|name| given.iter().any(|one| one.eq_ignore_ascii_case(name))),
        };
        match () {
            () if only_of(FROM_ADDRESSES) => Source::Maps,
            () if only_of(FROM_PAGE_TABLES) => Source::PageTables,
            () => Source::Smaps,
        }
    }

    /// Whether smaps gives the same figures, and gives them of a process that does not stand still too.
    pub(super) fn is_shortcut(self) -> bool {
        matches!(self, Source::PageTables | Source::Rollup)
    }

    /// The file of the process that is read first.
    pub(super) fn file(self) -> &'static str {
        match self {
            Source::Smaps => "smaps",
            Source::Maps | Source::PageTables => "maps",
            Source::Rollup => "smaps_rollup",
        }
    }

    /// The name of the interface, as the kernel calls it.
    pub fn name(self) -> &'static str {
        match self {
            Source::Smaps => "smaps",
            Source::Maps => "maps",
            Source::PageTables => "pagemap_scan",
            Source::Rollup => "smaps_rollup",
        }
    }
}

/// Enters the counters that are given and wanted in the dictionary, as smaps would.
pub(super) fn enter_fields(names: &[&str], fields: &mut Fields, wanted: &Wanted) {
    let mut previous = None;
    for name in names.iter().filter(|name| wanted.keeps(name)) {
        let known = fields.find_exact(name.as_bytes());
        previous = known.or_else(|| fields.enter(name, FieldUnit::Bytes, previous)).or(previous);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_that_are_wanted_decide() {
        let source =
            |names: &[&str]| Source::for_wanted(&Wanted::Only(names.iter().map(|n| (*n).to_owned()).collect()));
        assert_eq!(source(&[]), Source::Maps);
        assert_eq!(source(&["size"]), Source::Maps);
        assert_eq!(source(&["Size", "rss", "Swap"]), Source::PageTables);
        assert_eq!(source(&["Rss", "Pss"]), Source::Smaps);
        assert_eq!(source(&["a_future_key"]), Source::Smaps);
        assert_eq!(Source::for_wanted(&Wanted::Everything), Source::Smaps);
    }

    #[test]
    fn the_counters_stand_in_the_kernels_order() {
        let mut fields = Fields::new();
        enter_fields(FROM_PAGE_TABLES, &mut fields, &Wanted::Only(vec!["swap".into(), "rss".into()]));
        let names: Vec<_> = fields.in_order().map(|id| fields.name(id).to_owned()).collect();
        assert_eq!(names, ["Rss", "Swap"]);
        enter_fields(FROM_PAGE_TABLES, &mut fields, &Wanted::Everything);
        assert_eq!(fields.len(), 3);
    }
}
