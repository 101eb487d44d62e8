//! Columns that are derived from smaps. The kernel does not report these figures itself; the help of each column states
//! its sources.

use super::fields::{KERNEL_PAGE_SIZE, PRIVATE_CLEAN, PRIVATE_DIRTY, RSS, SHARED_DIRTY, SWAP, figure, flags};
use super::row::{MappingNeed, MappingRow, MappingRows, NOT_GIVEN, NOT_READ};
use crate::process::class::class_words;
use crate::process::{Deleted, Mapping, MappingKind, base_name, flags_in_words};
use crate::table::{Cell, Column, col};
use crate::units::{Absent, Bytes, Reason};

/// A column of this view.
type C = Column<MappingRows>;

/// The derived columns.
pub(super) const COLUMNS: &[Column<MappingRows>] = &[
    col!(new "kind", "Kind", Text, |row| row.cell(|mapping| Cell::Word(kind(row, &mapping).word())),
        "what it is, from its name, permissions and VmFlags",
        needing(KIND), one_of(|| MappingKind::ALL.map(MappingKind::word).to_vec())),
    col!(new "class", "Class", Text, |row| row.process.classes.as_ref().and_then(|classes|
            classes.word(row.place as usize)).map_or(Cell::Absent(NOT_READ), Cell::Word),
        "what made its memory, from its name, its place among its neighbours and VmFlags: malloc, a thread's stack, \
         the heap of a JVM (docs/classes.md has the rules); otherwise its kind",
        needing(CLASS), one_of(class_words)),
    col!(new "deleted", "Deleted", Flag, |row| row.cell(|mapping| deleted(row, &mapping)),
        "whether the name of its file was removed or never existed (memfd, SysV); checked if smaps is ambiguous",
        needing(&[MappingNeed::Deleted])),
    col!(sum "uss", "Uss", Bytes, |row| sum(row, PRIVATE_CLEAN, PRIVATE_DIRTY),
        "resident and in no other mapping, not even of this process: Private_Clean + Private_Dirty (hugetlb pages are \
         in Private_Hugetlb)",
        needing(&[MappingNeed::Field("Private_Clean"), MappingNeed::Field("Private_Dirty")]), minor()),
    col!(sum "dirty", "Dirty", Bytes, |row| sum(row, SHARED_DIRTY, PRIVATE_DIRTY),
        "resident and modified: Shared_Dirty + Private_Dirty, as in pmap",
        needing(&[MappingNeed::Field("Shared_Dirty"), MappingNeed::Field("Private_Dirty")]), minor()),
    col!(new "page_size", "Page size", Bytes, |row| Cell::bytes(figure(row, KERNEL_PAGE_SIZE)),
        "smallest page size that the kernel maps it with: KernelPageSize",
        needing(&[MappingNeed::Field("KernelPageSize")]), on_request(), identifier()),
    col!(new "offset_end", "Offset end", Bytes, |row|
        row.cell(|mapping| Cell::Offset(mapping.offset().saturating_add(mapping.size().0))),
        "where in the file it ends: the offset of the first byte after it", on_request()),
    col!(new "flags", "Flags", Text, |row|
        flags(row).map_or(Cell::Absent(NOT_GIVEN), |flags| Cell::Reworded(flags, write_flags)),
        "VmFlags, spelled out", needing(&[MappingNeed::Field("VmFlags")]), on_request()),
    col!(new "mode", "Mode", Text, |row| row.cell(|mapping| Cell::Word(mode(mapping.perm()))),
        "permissions as in pmap: r-x--, or rw-s- if shared", on_request(), one_of(|| MODES.to_vec())),
    col!(new "name", "Mapping", Text, |row| row.cell(|mapping| Cell::Named(base_name(row.name(&mapping)), "[anon]")),
        "the last part of the path, as in pmap", on_request(), naming()),
    col!(new "dir", "Directory", Text, |row| row.cell(|mapping| Cell::Named(directory(row.name(&mapping)), "[none]")),
        "the directory of the file; [none] if there is no file", on_request(), naming()),
    col!(sum "writeable_private", "Writeable/private", Bytes, |row|
        row.cell(|mapping| size_if(&mapping, |perm| perm.contains('w') && !perm.ends_with('s'))),
        "its size if it is writable and private, otherwise 0, as pmap -d adds it up", on_request()),
    col!(sum "shared", "Shared", Bytes, |row| row.cell(|mapping| size_if(&mapping, |perm| perm.ends_with('s'))),
        "its size if it is shared, otherwise 0, as pmap -d adds it up", on_request()),
];

/// Address space without access is reserved only if it has no memory, so `Rss` and `Swap` are needed.
const KIND: &[MappingNeed] =
    &[MappingNeed::Field("VmFlags"), MappingNeed::Field("Rss"), MappingNeed::Field("Swap"), MappingNeed::Device];

const CLASS: &[MappingNeed] = &[
    MappingNeed::Class,
    MappingNeed::Field("VmFlags"),
    MappingNeed::Field("Rss"),
    MappingNeed::Field("Swap"),
    MappingNeed::Device,
];

fn kind(row: &MappingRow, mapping: &Mapping<'_>) -> MappingKind {
    let is_device = row.process.devices.get(row.place as usize).copied().flatten();
    let has_memory = |_: &Mapping<'_>| [RSS, SWAP].iter().any(|field| figure(row, *field).is_ok_and(|size| size.0 > 0));
    MappingKind::with_facts(mapping, flags(row), is_device, has_memory)
}

fn sum<'r>(row: &'r MappingRow, one: u32, other: u32) -> Cell<'r> {
    Cell::bytes(Bytes::sum_of([figure(row, one), figure(row, other)]))
}

fn size_if<'r>(mapping: &Mapping<'_>, counts: impl Fn(&str) -> bool) -> Cell<'r> {
    Cell::Bytes(if counts(mapping.perm()) { mapping.size().0 } else { 0 })
}

const UNKNOWN_FILE: Absent = Absent::new(
    Reason::Denied,
    "its name ends in ' (deleted)', which may be part of the name, and its file cannot be examined or was not there",
);

fn deleted<'r>(row: &'r MappingRow, mapping: &Mapping<'_>) -> Cell<'r> {
    let found = row.process.deleted.get(row.place as usize).copied();
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

/// What `mode` returns.
const MODES: [&str; 16] = [
    "-----", "--x--", "-w---", "-wx--", "r----", "r-x--", "rw---", "rwx--", "---s-", "--xs-", "-w-s-", "-wxs-",
    "r--s-", "r-xs-", "rw-s-", "rwxs-",
];

/// `r-xp` in pmap's five letters. The fifth was for Solaris and is never used on Linux.
fn mode(perm: &str) -> &'static str {
    let bit = |letter: char, worth: usize| if perm.contains(letter) { worth } else { 0 };
    MODES.get(bit('r', 4) + bit('w', 2) + bit('x', 1) + bit('s', 8)).copied().unwrap_or_default()
}

/// The part before the last slash of a path; empty if it is not a path.
fn directory(path: &[u8]) -> &[u8] {
    match memchr::memrchr(b'/', path) {
        Some(0) => b"/",
        Some(slash) if path.starts_with(b"/") => path.get(..slash).unwrap_or_default(),
        _ => b"",
    }
}
