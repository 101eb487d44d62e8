//! Columns that are worked out from what smaps says: none of these figures is the kernel's own, and each says what it is made
//! of.

use super::fields::{figure, flags};
use super::{MappingNeed, MappingRow, MappingRows, NOT_GIVEN};
use crate::process::{Deleted, Mapping, MappingKind, flags_in_words};
use crate::table::{Cell, Column, col};
use crate::units::{Absent, Reason};

/// A column of this view.
type C = Column<MappingRows>;

/// The derived columns.
pub(super) const COLUMNS: &[Column<MappingRows>] = &[
    col!(new "kind", "Kind", Text, |row| row.cell(|mapping| Cell::Word(kind(row, &mapping).word())),
        "what it is: heap, stack, code, data, file, anonymous, memfd, ... (from its name, permissions and VmFlags)",
        needing(KIND)),
    col!(sum "deleted", "Deleted", Flag, |row| row.cell(|mapping| deleted(row, &mapping)),
        "whether the name of its file was removed, or never existed (memfd, SysV), looked up if the text leaves it open",
        needing(&[MappingNeed::Deleted])),
    col!(sum "uss", "Uss", Bytes, |row| sum(row, "Private_Clean", "Private_Dirty"),
        "resident, and no other mapping has it (one of the same process counts too): Private_Clean and Private_Dirty; \
         hugetlb pages are in Private_Hugetlb, as they are not in Rss",
        needing(&[MappingNeed::Field("Private_Clean"), MappingNeed::Field("Private_Dirty")])),
    col!(sum "dirty", "Dirty", Bytes, |row| sum(row, "Shared_Dirty", "Private_Dirty"),
        "resident and modified, as pmap counts it: Shared_Dirty and Private_Dirty",
        needing(&[MappingNeed::Field("Shared_Dirty"), MappingNeed::Field("Private_Dirty")])),
    col!(new "page_size", "Page size", Bytes, |row| Cell::bytes(figure(row, "KernelPageSize")),
        "size of the pages that the kernel maps it in at least: KernelPageSize",
        needing(&[MappingNeed::Field("KernelPageSize")]), on_request()),
    col!(new "offset_end", "Offset end", Bytes, |row|
        row.cell(|mapping| Cell::Offset(mapping.offset().saturating_add(mapping.size().0))),
        "where in the file it ends: the offset of the first byte behind it", on_request()),
    col!(new "flags", "Flags", Text, |row|
        flags(row).map_or(Cell::Absent(NOT_GIVEN), |flags| Cell::Reworded(flags, write_flags)),
        "VmFlags in words", needing(&[MappingNeed::Field("VmFlags")]), on_request()),
    col!(new "mode", "Mode", Text, |row| row.cell(|mapping| Cell::Word(mode(mapping.perm()))),
        "permissions as pmap writes them: r-x--, rw-s- if it is shared", on_request()),
    col!(new "name", "Mapping", Text, |row| row.cell(|mapping| Cell::Named(base_name(mapping.path()), "[anon]")),
        "the last part of the path, as pmap shows it", on_request()),
    col!(new "dir", "Directory", Text, |row| row.cell(|mapping| Cell::Named(directory(mapping.path()), "[none]")),
        "the directory of the file; [none] if there is no file", on_request()),
    col!(sum "writeable_private", "Writeable/private", Bytes, |row|
        row.cell(|mapping| size_if(&mapping, |perm| perm.contains('w') && !perm.ends_with('s'))),
        "its size if it is writable and private, as pmap -d adds it up, else 0", on_request()),
    col!(sum "shared", "Shared", Bytes, |row| row.cell(|mapping| size_if(&mapping, |perm| perm.ends_with('s'))),
        "its size if it is shared, as pmap -d adds it up, else 0", on_request()),
];

/// Address space without access is reserved only if it has no memory.
const KIND: &[MappingNeed] =
    &[MappingNeed::Field("VmFlags"), MappingNeed::Field("Rss"), MappingNeed::Field("Swap"), MappingNeed::Device];

fn kind(row: &MappingRow, mapping: &Mapping<'_>) -> MappingKind {
    MappingKind::with_device(mapping, flags(row), row.process.devices.get(&mapping.start()).copied())
}

fn sum<'r>(row: &'r MappingRow, one: &str, other: &str) -> Cell<'r> {
    Cell::bytes(figure(row, one).and_then(|one| Ok(one + figure(row, other)?)))
}

fn size_if<'r>(mapping: &Mapping<'_>, counts: impl Fn(&str) -> bool) -> Cell<'r> {
    Cell::Bytes(if counts(mapping.perm()) { mapping.size().0 } else { 0 })
}

const UNKNOWN_FILE: Absent = Absent::new(
    Reason::Denied,
    "its name ends in ' (deleted)', which may be its own, and its file cannot be examined or was there by another name",
);

fn deleted<'r>(row: &'r MappingRow, mapping: &Mapping<'_>) -> Cell<'r> {
    let found = row.process.deleted.get(&mapping.start()).copied();
    match found.unwrap_or_else(|| Deleted::by_name(mapping)) {
        Deleted::Yes => Cell::Flag(true),
        Deleted::No => Cell::Flag(false),
        Deleted::Unknown => Cell::Absent(UNKNOWN_FILE),
    }
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

/// What follows the last slash; the whole if that is nothing.
fn base_name(path: &[u8]) -> &[u8] {
    let start = memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1);
    path.get(start..).filter(|name| !name.is_empty()).unwrap_or(path)
}

/// What precedes the last slash of a path; nothing if it is not a path.
fn directory(path: &[u8]) -> &[u8] {
    match memchr::memrchr(b'/', path) {
        Some(0) => b"/",
        Some(slash) if path.starts_with(b"/") => path.get(..slash).unwrap_or_default(),
        _ => b"",
    }
}
