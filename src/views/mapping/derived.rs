//! Columns that are worked out from what smaps says: no figure here is the kernel's own, and each says what it is made of.

use crate::output::column::Column;
use crate::output::{Cell, Kind, Sum};
use crate::process::{Deleted, FieldId, Fields, Mapping, MappingKind, flags_in_words};
use crate::units::{Absent, Bytes, Figure, Reason};

use super::{MappingRow, MappingRows, NOT_GIVEN};

/// Where the fields that derived columns need stand in the dictionary of one run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    pub(super) rss: Option<FieldId>,
    pub(super) anonymous: Option<FieldId>,
    private_clean: Option<FieldId>,
    private_dirty: Option<FieldId>,
    shared_dirty: Option<FieldId>,
    kernel_page_size: Option<FieldId>,
    flags: Option<FieldId>,
}

impl Known {
    /// Looks them up.
    pub fn of(fields: &Fields) -> Known {
        let find = |name: &str| fields.find(name.as_bytes());
        Known {
            rss: find("Rss"),
            anonymous: find("Anonymous"),
            private_clean: find("Private_Clean"),
            private_dirty: find("Private_Dirty"),
            shared_dirty: find("Shared_Dirty"),
            kernel_page_size: find("KernelPageSize"),
            flags: find("VmFlags"),
        }
    }
}

/// A column and the fields of smaps that it is made of.
pub(super) struct Derived {
    pub(super) column: Column<MappingRows>,
    pub(super) fields: &'static [&'static str],
}

/// The derived columns.
pub(super) const COLUMNS: &[Derived] = &[
    Derived {
        column: Column::new(
            "uss",
            "Uss",
            Kind::Bytes,
            Sum::Add,
            |row, _| sum(row, row.known.private_clean, row.known.private_dirty),
            "resident and mapped here alone: Private_Clean and Private_Dirty; hugetlb pages are in Private_Hugetlb, as they are not in Rss",
        ),
        fields: &["Private_Clean", "Private_Dirty"],
    },
    Derived {
        column: Column::new(
            "dirty",
            "Dirty",
            Kind::Bytes,
            Sum::Add,
            |row, _| sum(row, row.known.shared_dirty, row.known.private_dirty),
            "resident and modified, as pmap counts it: Shared_Dirty and Private_Dirty",
        ),
        fields: &["Shared_Dirty", "Private_Dirty"],
    },
    Derived {
        column: Column::new(
            "page_size",
            "Page size",
            Kind::Bytes,
            Sum::Nothing,
            |row, _| Cell::bytes(figure(row, row.known.kernel_page_size)),
            "size of the pages that the kernel maps it in at least: KernelPageSize",
        ),
        fields: &["KernelPageSize"],
    },
    Derived {
        column: Column::new(
            "offset_end",
            "Offset end",
            Kind::Bytes,
            Sum::Nothing,
            |row, _| Cell::Offset(row.mapping.offset().saturating_add(row.mapping.size().0)),
            "where in the file it ends: the offset of the first byte behind it",
        ),
        fields: &[],
    },
    Derived {
        column: Column::new(
            "deleted",
            "Deleted",
            Kind::Flag,
            Sum::Add,
            |row, _| deleted(row),
            "whether the name of its file was removed, or never was (memfd, SysV), looked up where the text leaves it open",
        ),
        fields: &[],
    },
    Derived {
        column: Column::new(
            "kind",
            "Kind",
            Kind::Text,
            Sum::Nothing,
            |row, _| Cell::Word(MappingKind::of(&row.mapping, flags(row)).word()),
            "what it is: heap, stack, code, data, file, anonymous, memfd, ... (from its name, permissions and VmFlags)",
        ),
        fields: &["VmFlags"],
    },
    Derived {
        column: Column::new(
            "flags",
            "Flags",
            Kind::Text,
            Sum::Nothing,
            |row, _| flags(row).map_or(Cell::Absent(NOT_GIVEN), |flags| Cell::Reworded(flags, write_flags)),
            "VmFlags in words",
        ),
        fields: &["VmFlags"],
    },
    Derived {
        column: Column::new(
            "mode",
            "Mode",
            Kind::Text,
            Sum::Nothing,
            |row, _| Cell::Word(mode(row.mapping.perm())),
            "permissions as pmap writes them: r-x--, rw-s- where it is shared",
        ),
        fields: &[],
    },
    Derived {
        column: Column::new(
            "name",
            "Mapping",
            Kind::Text,
            Sum::Nothing,
            |row, _| Cell::Named(base_name(row.mapping.path()), "[anon]"),
            "the last part of the path, as pmap shows it",
        ),
        fields: &[],
    },
    Derived {
        column: Column::new(
            "dir",
            "Directory",
            Kind::Text,
            Sum::Nothing,
            |row, _| Cell::Named(directory(row.mapping.path()), "[none]"),
            "the directory of the file; [none] where there is no file",
        ),
        fields: &[],
    },
    Derived {
        column: Column::new(
            "writeable_private",
            "Writeable/private",
            Kind::Bytes,
            Sum::Add,
            |row, _| Cell::Bytes(size_if(&row.mapping, |perm| perm.contains('w') && !perm.ends_with('s'))),
            "its size where it is writable and private, as pmap -d adds it up, else 0",
        ),
        fields: &[],
    },
    Derived {
        column: Column::new(
            "shared",
            "Shared",
            Kind::Bytes,
            Sum::Add,
            |row, _| Cell::Bytes(size_if(&row.mapping, |perm| perm.ends_with('s'))),
            "its size where it is shared, as pmap -d adds it up, else 0",
        ),
        fields: &[],
    },
];

/// A counter in bytes of the row's mapping.
pub(super) fn figure(row: &MappingRow<'_>, field: Option<FieldId>) -> Figure<Bytes> {
    field.and_then(|field| row.mapping.bytes(field)).ok_or(NOT_GIVEN)
}

fn sum<'r>(row: &MappingRow<'r>, one: Option<FieldId>, other: Option<FieldId>) -> Cell<'r> {
    Cell::bytes(figure(row, one).and_then(|one| Ok(one + figure(row, other)?)))
}

fn size_if(mapping: &Mapping<'_>, counts: impl Fn(&str) -> bool) -> u64 {
    if counts(mapping.perm()) { mapping.size().0 } else { 0 }
}

const UNKNOWN_FILE: Absent = Absent::new(
    Reason::Denied,
    "its name ends in ' (deleted)', which may be its own, and its file may not be looked at",
);

fn deleted<'r>(row: &MappingRow<'r>) -> Cell<'r> {
    match row.deleted {
        Deleted::Yes => Cell::Flag(true),
        Deleted::No => Cell::Flag(false),
        Deleted::Unknown => Cell::Absent(UNKNOWN_FILE),
    }
}

fn flags<'r>(row: &MappingRow<'r>) -> Option<&'r [u8]> {
    row.mapping.text(row.known.flags?)
}

fn write_flags(value: &[u8], out: &mut Vec<u8>) {
    for (place, words) in flags_in_words(value).enumerate() {
        out.extend_from_slice(if place == 0 { b"" } else { b", " });
        out.extend_from_slice(words.as_bytes());
    }
}

/// `r-xp` in pmap's five letters. pmap's fifth was for Solaris, and Linux has never had anything to put there.
fn mode(perm: &str) -> &'static str {
    const MODES: [&str; 16] = [
        "-----", "--x--", "-w---", "-wx--", "r----", "r-x--", "rw---", "rwx--", "---s-", "--xs-", "-w-s-", "-wxs-",
        "r--s-", "r-xs-", "rw-s-", "rwxs-",
    ];
    let bit = |letter: char, worth: usize| if perm.contains(letter) { worth } else { 0 };
    MODES.get(bit('r', 4) + bit('w', 2) + bit('x', 1) + bit('s', 8)).copied().unwrap_or_default()
}

/// What stands behind the last slash; the whole where that is nothing.
fn base_name(path: &[u8]) -> &[u8] {
    let start = memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1);
    path.get(start..).filter(|name| !name.is_empty()).unwrap_or(path)
}

/// What stands before the last slash of a path; nothing where it is no path.
fn directory(path: &[u8]) -> &[u8] {
    match memchr::memrchr(b'/', path) {
        Some(0) => b"/",
        Some(slash) if path.starts_with(b"/") => path.get(..slash).unwrap_or_default(),
        _ => b"",
    }
}
