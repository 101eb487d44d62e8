//! The page tables behind the mappings of a process, as strips.

use crate::process::{TablePart, TableParts};
use crate::table::{Colour, Mark, StripCell};
use crate::units::{Bytes, Figure, percent};

pub(super) const SWAPPED: Mark = Mark { letter: 'S', colour: Colour::Red, meaning: "in swap" };
pub(super) const MARKED: Mark = Mark { letter: 'M', colour: Colour::Yellow, meaning: "marked, no page" };
pub(super) const GUARD: Mark = Mark { letter: 'G', colour: Colour::Cyan, meaning: "guard page" };
pub(super) const HUGE: Mark = Mark { letter: 'H', colour: Colour::Magenta, meaning: "huge" };
pub(super) const ZERO: Mark = Mark { letter: 'Z', colour: Colour::Blue, meaning: "zero page" };
pub(super) const FILE: Mark = Mark { letter: 'F', colour: Colour::Green, meaning: "of a file or shared" };

/// The page tables behind the mappings of a process.
pub(super) struct ProcessPages {
    pub(super) mappings: Vec<MappingPages>,
    /// Whether the kernel reports zero pages and huge pages.
    pub(super) knows_kinds: bool,
    /// Whether it reports guard pages.
    pub(super) knows_guards: bool,
}

/// The page tables behind one mapping.
pub(super) struct MappingPages {
    pub(super) strip: Vec<StripCell>,
    pub(super) sum: TablePart,
    pub(super) swapped: Figure<Bytes>,
}

impl ProcessPages {
    pub(super) fn new(parts: TableParts) -> ProcessPages {
        let mappings = parts.mappings.iter().zip(parts.swapped).map(|(parts, swapped)| {
            let mut sum = TablePart::default();
            parts.iter().for_each(|part| sum.add(part));
            let strip = parts
                .iter()
                .map(|part| StripCell { share: present_share(part), mark: mark(part), offset: None })
                .collect();
            MappingPages { strip, sum, swapped }
        });
        let (knows_kinds, knows_guards) = (parts.knows_kinds, parts.knows_guards);
        ProcessPages { mappings: mappings.collect(), knows_kinds, knows_guards }
    }
}

/// The share of a part that is present, from 0 to 1.
fn present_share(part: &TablePart) -> Option<f64> {
    percent(part.present.0, part.size.0).map(|share| share / 100.0)
}

/// The most important mark of a part; plain anonymous pages have none.
fn mark(part: &TablePart) -> Option<Mark> {
    let marks = [
        (part.swapped, SWAPPED),
        (part.marked, MARKED),
        (part.guard, GUARD),
        (part.zero, ZERO),
        (part.huge, HUGE),
        (part.file, FILE),
    ];
    marks.into_iter().find(|(amount, _)| amount.0 > 0).map(|(_, mark)| mark)
}
