//! The columns of `--cache`: the file behind a mapping, in the page cache.

use crate::join::MappingCache;
use crate::output::column::Column;
use crate::output::{Cell, Kind, Sum};
use crate::units::{Absent, Bytes, Figure, Reason};

use super::derived::figure;
use super::{MappingRow, MappingRows};

/// The fields of smaps that they are made of.
pub(super) const FIELDS: &[&str] = &["Rss", "Anonymous"];

/// The columns of the join.
pub const CACHE_COLUMNS: &[Column<MappingRows>] = &[
    Column::new(
        "cache_range",
        "Range",
        Kind::Bytes,
        Sum::Add,
        |row, _| Cell::bytes(joined(row).map(|cache| cache.range)),
        "how much of the mapping has a page of the file behind it, from --cache: the part before the end of the file",
    ),
    Column::new(
        "cache_cached",
        "Cached",
        Kind::Bytes,
        Sum::Add,
        |row, _| Cell::bytes(joined(row).and_then(|cache| cache.cached)),
        "how much of that is in the page cache, from --cache (cachestat or mincore)",
    ),
    Column::new(
        "cache_mapped",
        "Mapped",
        Kind::Bytes,
        Sum::Add,
        |row, _| Cell::bytes(mapped(row)),
        "how much of the page cache this process has mapped in here: Rss without its own copies (Rss - Anonymous)",
    ),
    Column::new(
        "cache_unmapped",
        "Rest",
        Kind::Bytes,
        Sum::Add,
        |row, _| Cell::bytes(unmapped(row)),
        "how much is cached and not mapped in here: others have it, or nobody (cache_cached - cache_mapped)",
    ),
    Column::new(
        "cache_method",
        "Method",
        Kind::Text,
        Sum::Nothing,
        |row, _| {
            joined(row).and_then(|cache| cache.method).map_or_else(Cell::Absent, |method| Cell::Word(method.word()))
        },
        "what told of the page cache: cachestat or mincore",
    ),
    Column::new(
        "cache_file",
        "File opened",
        Kind::Text,
        Sum::Nothing,
        |row, _| joined(row).map_or_else(Cell::Absent, |cache| Cell::Word(cache.way.word())),
        "how the file was found: map_files, or the path with the same device and inode",
    ),
];

const NOT_ASKED: Absent = Absent::new(Reason::NotApplicable, "it was not measured: --cache does");
const NOT_STEADY: Absent =
    Absent::new(Reason::Changed, "more was mapped in than was cached a moment later: pages came or went");

fn joined<'r>(row: &MappingRow<'r>) -> Figure<&'r MappingCache> {
    match row.cache {
        None => Err(NOT_ASKED),
        Some(Ok(cache)) => Ok(cache),
        Some(Err(absent)) => Err(*absent),
    }
}

fn mapped(row: &MappingRow<'_>) -> Figure<Bytes> {
    joined(row)?;
    let rss = figure(row, row.known.rss)?;
    let anonymous = figure(row, row.known.anonymous)?;
    Ok(rss.saturating_sub(anonymous))
}

fn unmapped(row: &MappingRow<'_>) -> Figure<Bytes> {
    let cached = joined(row)?.cached?;
    let mapped = mapped(row)?;
    cached.0.checked_sub(mapped.0).map(Bytes).ok_or(NOT_STEADY)
}
