//! The columns of `--cache`: the file behind a mapping, in the page cache.

use super::fields::{ANONYMOUS, RSS, figure};
use super::row::{MappingNeed, MappingRow, MappingRows, NOT_READ};
use crate::join::{MappingCache, Way};
use crate::table::{Aggregation, Cell, Column, col};
use crate::units::{Absent, Bytes, Figure, Reason};
use crate::views::shared;

/// A column of this view.
type C = Column<MappingRows>;

const CACHE: &[MappingNeed] = &[MappingNeed::PageCache];
const BOTH: &[MappingNeed] = &[MappingNeed::PageCache, MappingNeed::Field("Rss"), MappingNeed::Field("Anonymous")];

/// The columns of the join.
pub const COLUMNS: &[Column<MappingRows>] = &[
    col!(new "cache_range", "Range", Bytes, |row| Cell::bytes(joined(row).map(|cache| cache.range)),
        "how much of the mapping lies before the end of the file, from --cache",
        aggregated(Aggregation::Union(|row, _| Ok(joined(row)?.range_piece()))), needing(CACHE), on_request(), minor()),
    col!(new "cache_cached", "Cached", Bytes, |row| Cell::bytes(joined(row).and_then(|cache| cache.cached)),
        "how much of that is in the page cache, from --cache (cachestat, mincore or the kernel's lists of pages)",
        aggregated(Aggregation::Union(|row, _| joined(row).and_then(|cache| Ok(cache.cached_piece(cache.cached?))))),
        needing(CACHE), on_request()),
    col!(new "cache_mapped", "Mapped", Bytes, |row| Cell::bytes(mapped(row)),
        "how much of that is mapped in here, up to the end of the file: Rss - Anonymous, which leaves out own copies",
        aggregated(Aggregation::Union(|row, _| Ok(joined(row)?.mapped_piece(mapped(row)?)))),
        needing(BOTH), on_request()),
    col!(new "cache_unmapped", "Rest", Bytes, |row| Cell::bytes(unmapped(row)),
        "how much is cached but not mapped in here: cache_cached - cache_mapped",
        aggregated(Aggregation::Union(|row, _| Ok(joined(row)?.unmapped_piece(unmapped(row)?)))),
        needing(BOTH), on_request(), minor()),
    col!(new "cache_method", "Method", Text, |row|
        joined(row).and_then(|cache| cache.method).map_or_else(Cell::Absent, |method| Cell::Word(method.word())),
        "what measured the page cache: cachestat, mincore or pages (the kernel's lists)", needing(CACHE), on_request(),
        least(), one_of(shared::methods)),
    col!(new "cache_file", "File opened", Text, |row|
        joined(row).map_or_else(Cell::Absent, |cache| Cell::Word(cache.way.word())),
        "how the file was found: map_files, or the path with the same device and inode", needing(CACHE), on_request(),
        one_of(|| Way::ALL.map(Way::word).to_vec())),
];

const NOT_STEADY: Absent = Absent::new(
    Reason::Changed,
    "more was mapped in than was cached a moment later: pages were added or dropped in between",
);

fn joined(row: &MappingRow) -> Figure<&MappingCache> {
    let cache = row.process.cache.as_ref().and_then(|cache| cache.get(row.place as usize));
    cache.ok_or(NOT_READ)?.as_ref().map_err(|absent| *absent)
}

fn mapped(row: &MappingRow) -> Figure<Bytes> {
    let behind = joined(row)?.behind?;
    let of_file = figure(row, RSS)?.saturating_sub(figure(row, ANONYMOUS)?);
    Ok(of_file.saturating_sub(behind))
}

fn unmapped(row: &MappingRow) -> Figure<Bytes> {
    let cached = joined(row)?.cached?;
    let mapped = mapped(row)?;
    cached.0.checked_sub(mapped.0).map(Bytes).ok_or(NOT_STEADY)
}
