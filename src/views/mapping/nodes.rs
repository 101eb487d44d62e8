//! `numa_maps` of a process, joined with its mappings.

use crate::error::{Error, ErrorKind};
use crate::process::{Mappings, NumaMapping, NumaMaps};
use crate::units::{Absent, Figure, Reason};

/// `numa_maps` of a process, joined with its mappings.
pub(super) struct ProcessNodes {
    maps: NumaMaps,
    /// The line of each mapping.
    places: Vec<Figure<u32>>,
}

impl ProcessNodes {
    pub(super) fn new(maps: NumaMaps, mappings: &Mappings) -> ProcessNodes {
        ProcessNodes { places: maps.places(mappings), maps }
    }

    /// The line of the mapping at `place`.
    pub(super) fn line(&self, place: usize) -> Figure<NumaMapping<'_>> {
        self.maps.get((*self.places.get(place).ok_or(MISSING)?)? as usize).ok_or(MISSING)
    }
}

/// Why the figures of a process are absent if its `numa_maps` could not be read.
pub(super) fn unreadable(error: &Error) -> Absent {
    match error.kind() {
        ErrorKind::Denied => Absent::new(Reason::Denied, "this user may not read its numa_maps"),
        ErrorKind::Unsupported => Absent::new(Reason::Unsupported, "there is no numa_maps"),
        ErrorKind::Malformed => Absent::new(Reason::Unsupported, "its numa_maps is not in the kernel's format"),
        _ => Absent::new(Reason::Vanished, "its numa_maps could not be read"),
    }
}

const MISSING: Absent = Absent::new(Reason::Unsupported, "numa_maps has no line for it");
