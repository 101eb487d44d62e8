//! Chooses the kernel interface for the wanted counters: the cheapest one that reports the same figures.
//!
//! For 60,000 mappings `maps` takes an eighth of the time of `smaps`, and `PAGEMAP_SCAN` over the whole address space
//! as long again (kernel 6.18). This is only the choice; nothing is read here.

use crate::process::fields::{FieldUnit, Fields, Wanted};

/// The kernel interface that the figures of a process came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interface {
    /// `/proc/PID/smaps`: every counter.
    Smaps,
    /// `/proc/PID/maps`: addresses and names; `Size` follows from the addresses.
    Maps,
    /// `/proc/PID/maps`, with `Rss` and `Swap` from the page tables (the ioctl `PAGEMAP_SCAN`, Linux 6.7): the same
    /// figures as in smaps, which is read instead if that cannot be proven.
    PageTables,
    /// `/proc/PID/smaps_rollup` (Linux 4.14): the sums over all mappings, calculated by the kernel.
    Rollup,
}

/// The counters that [`Interface::Maps`] and [`Interface::PageTables`] report, in the kernel's order.
pub(super) const FROM_ADDRESSES: &[&str] = &["Size"];
pub(super) const FROM_PAGE_TABLES: &[&str] = &["Size", "Rss", "Swap"];

impl Interface {
    /// The cheapest interface for these counters on a live kernel.
    pub(super) fn for_wanted(wanted: &Wanted) -> Interface {
        let only_of = |given: &[&str]| match wanted {
            Wanted::Everything => false,
            Wanted::Only(names) => names.iter().all(|name| given.iter().any(|one| one.eq_ignore_ascii_case(name))),
        };
        match () {
            () if only_of(FROM_ADDRESSES) => Interface::Maps,
            () if only_of(FROM_PAGE_TABLES) => Interface::PageTables,
            () => Interface::Smaps,
        }
    }

    /// Whether smaps reports the same figures, and reports them even while the process changes.
    pub(super) fn is_shortcut(self) -> bool {
        matches!(self, Interface::PageTables | Interface::Rollup)
    }

    /// The file of the process that is read first.
    pub(super) fn file(self) -> &'static str {
        match self {
            Interface::Smaps => "smaps",
            Interface::Maps | Interface::PageTables => "maps",
            Interface::Rollup => "smaps_rollup",
        }
    }

    /// Its name, as the kernel calls it.
    pub fn name(self) -> &'static str {
        match self {
            Interface::Smaps => "smaps",
            Interface::Maps => "maps",
            Interface::PageTables => "pagemap_scan",
            Interface::Rollup => "smaps_rollup",
        }
    }
}

/// Enters the wanted ones of these counters in the dictionary, as the smaps parser would.
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
    fn the_wanted_counters_decide() {
        let interface =
            |names: &[&str]| Interface::for_wanted(&Wanted::Only(names.iter().map(|n| (*n).to_owned()).collect()));
        assert_eq!(interface(&[]), Interface::Maps);
        assert_eq!(interface(&["size"]), Interface::Maps);
        assert_eq!(interface(&["Size", "rss", "Swap"]), Interface::PageTables);
        assert_eq!(interface(&["Rss", "Pss"]), Interface::Smaps);
        assert_eq!(interface(&["a_future_key"]), Interface::Smaps);
        assert_eq!(Interface::for_wanted(&Wanted::Everything), Interface::Smaps);
    }

    #[test]
    fn the_counters_are_in_the_kernels_order() {
        let mut fields = Fields::new();
        enter_fields(FROM_PAGE_TABLES, &mut fields, &Wanted::Only(vec!["swap".into(), "rss".into()]));
        let names: Vec<_> = fields.in_order().map(|id| fields.name(id).to_owned()).collect();
        assert_eq!(names, ["Rss", "Swap"]);
        enter_fields(FROM_PAGE_TABLES, &mut fields, &Wanted::Everything);
        assert_eq!(fields.len(), 3);
    }
}
