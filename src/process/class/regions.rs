//! Regions of an address space that are recognized by their shape: adjacent mappings whose addresses, sizes and flags
//! are those that a known program chooses.
//!
//! A *stretch* is a run of adjacent private mappings without a name and file. Whoever reserves address space maps it
//! inaccessible and opens parts of it, so that a region is a stretch or a part of one. The kernel merges adjacent
//! mappings with equal flags, so that a region may begin or end within a mapping: it is then not recognized.

use std::ops::Range;

use crate::process::class::programs::Programs;
use crate::process::kind::has_file;
use crate::process::mapping::{Mapping, Mappings};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// What a mapping is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Region {
    MallocArena,
    ThreadStack,
    GoHeap,
    JavaHeap,
    JavaClassSpace,
    JavaMetaspace,
}

/// The regions of a process.
pub(super) struct Regions {
    /// That of each mapping.
    of: Vec<Option<Region>>,
}

/// A mapping of a stretch.
#[derive(Debug, Clone, Copy)]
struct Piece {
    index: usize,
    start: u64,
    end: u64,
    /// Whether it can be read or written; otherwise it is only reserved.
    is_open: bool,
    /// Whether it can be read and written.
    is_writable: bool,
    /// Whether it is a file with classes that a JVM has mapped there.
    is_archive: bool,
    /// Whether the kernel does not account for it (`nr`), if its flags are known.
    unaccounted: Option<bool>,
    /// Whether it must not get huge pages (`nh`).
    is_never_huge: bool,
}

impl Piece {
    fn size(&self) -> u64 {
        self.end - self.start
    }
}

impl Regions {
    /// Finds all regions. `has` tells whether a mapping has a flag, if its flags were read.
    pub(super) fn find(mappings: &Mappings, programs: &Programs, has: impl Fn(usize, &str) -> Option<bool>) -> Regions {
        let mut regions = Regions { of: vec![None; mappings.len()] };
        let pieces: Vec<Piece> =
            mappings.iter().enumerate().filter_map(|(index, mapping)| piece(index, &mapping, programs, &has)).collect();
        let stretches: Vec<&[Piece]> = pieces.chunk_by(|below, above| below.end == above.start).collect();
        for stretch in &stretches {
            // A JVM puts its own guard into the stack that it was given.
            regions.find_stacks(stretch, |guard, stack| stack.is_never_huge && (guard.is_never_huge || programs.jvm));
        }
        for stretch in &stretches {
            if !programs.jvm && stretch.first().is_some_and(|first| is_hint_of_go(first.start)) {
                regions.mark(stretch, Region::GoHeap);
            }
            regions.find_arenas(stretch);
        }
        if regions.of.contains(&Some(Region::MallocArena)) {
            stretches.iter().for_each(|stretch| regions.find_full_arenas(stretch));
        }
        if programs.jvm {
            regions.find_java(&stretches);
        }
        if !regions.of.contains(&Some(Region::ThreadStack)) {
            let has_size = |guard: &Piece, stack: &Piece| has_size_of_stack(guard, stack, programs);
            stretches.iter().for_each(|stretch| regions.find_stacks(stretch, has_size));
        }
        regions
    }

    /// The region of the mapping at `index`.
    pub(super) fn of(&self, index: usize) -> Option<Region> {
        self.of.get(index).copied().flatten()
    }

    fn mark(&mut self, pieces: &[Piece], region: Region) {
        for piece in pieces.iter().filter(|piece| piece.is_open || piece.is_archive) {
            if let Some(slot) = self.of.get_mut(piece.index).filter(|slot| slot.is_none()) {
                *slot = Some(region);
            }
        }
    }

    fn find_stacks(&mut self, stretch: &[Piece], is_stack: impl Fn(&Piece, &Piece) -> bool) {
        for pair in stretch.windows(2) {
            if let [guard, stack] = pair
                && !guard.is_open
                && !guard.is_archive
                && guard.size() <= LONGEST_GUARD
                && stack.is_writable
                && is_stack(guard, stack)
            {
                self.mark(std::slice::from_ref(stack), Region::ThreadStack);
            }
        }
    }

    /// glibc's heaps: it reserves 64 MiB at a multiple of that without accounting, and opens it from the start. Full
    /// heaps below it are the same mapping.
    fn find_arenas(&mut self, stretch: &[Piece]) {
        for pair in stretch.windows(2) {
            if let [first, rest] = pair
                && starts_arena(first)
                && !rest.is_open
                && !rest.is_archive
                && first.end.checked_next_multiple_of(ARENA) == Some(rest.end)
                && [first, rest].iter().all(|piece| piece.unaccounted != Some(false))
            {
                self.mark(std::slice::from_ref(first), Region::MallocArena);
            }
        }
    }

    /// Heaps of which nothing is left. Only the flag tells them from other memory of that size.
    fn find_full_arenas(&mut self, stretch: &[Piece]) {
        for full in stretch.iter().filter(|piece| starts_arena(piece) && piece.end.is_multiple_of(ARENA)) {
            if full.unaccounted == Some(true) {
                self.mark(std::slice::from_ref(full), Region::MallocArena);
            }
        }
    }

    /// The heap of a JVM is the only large region below 32 GiB, apart from the class space, which may be there too.
    fn find_java(&mut self, stretches: &[&[Piece]]) {
        let low = |stretch: &&&[Piece]| stretch.first().is_some_and(|first| first.start < HIGHEST_HEAP);
        let mut knows_classes = false;
        for stretch in stretches {
            if let Some(space) = class_space_after_archive(stretch) {
                self.mark_java(stretch, &space, Region::JavaClassSpace);
                knows_classes = true;
            }
            if !low(&stretch) {
                self.find_metaspace(stretch);
            }
        }
        let low: Vec<(&[Piece], Range<u64>)> = stretches
            .iter()
            .filter(low)
            .filter(|stretch| class_space_after_archive(stretch).is_none())
            .filter_map(|stretch| Some((*stretch, stretch.first()?.start..stretch.last()?.end)))
            .filter(|(_, range)| range.end - range.start >= LEAST_HEAP)
            .collect();
        if knows_classes {
            for (stretch, range) in &low {
                self.mark_java(stretch, range, Region::JavaHeap);
            }
            return;
        }
        // Without class data, the class space is above the heap, or in a place of its own.
        let ends_like_heap = |range: &Range<u64>| [4 * GIB, HIGHEST_HEAP].contains(&range.end);
        let is_alone = |range: &Range<u64>| range.end - range.start == CLASS_SPACE && !ends_like_heap(range);
        let has_heap = low.iter().any(|(_, range)| ends_like_heap(range));
        let is_apart = has_heap && low.iter().any(|(_, range)| is_alone(range));
        for (stretch, range) in &low {
            let split = range.end.saturating_sub(CLASS_SPACE);
            let can_split = stretch.iter().skip(1).any(|piece| piece.is_open && piece.start == split);
            if is_apart && is_alone(range) {
                self.mark_java(stretch, range, Region::JavaClassSpace);
            } else if range.end == 4 * GIB || is_apart && ends_like_heap(range) {
                self.mark_java(stretch, range, Region::JavaHeap);
            } else if can_split && [4 * GIB, HIGHEST_HEAP - CLASS_SPACE].contains(&split) {
                self.mark_java(stretch, &(range.start..split), Region::JavaHeap);
                self.mark_java(stretch, &(split..range.end), Region::JavaClassSpace);
            }
        }
    }

    /// Marks what lies in a range of addresses, except archives outside the heap.
    fn mark_java(&mut self, stretch: &[Piece], range: &Range<u64>, region: Region) {
        for piece in stretch.iter().filter(|piece| range.contains(&piece.start) && piece.end <= range.end) {
            if !piece.is_archive || region == Region::JavaHeap {
                self.mark(std::slice::from_ref(piece), region);
            }
        }
    }

    /// A part of the metaspace: 64 MiB, opened from the start of each of its chunks of 4 MiB.
    fn find_metaspace(&mut self, stretch: &[Piece]) {
        for (place, first) in stretch.iter().enumerate() {
            if !first.is_open || !first.start.is_multiple_of(16 * MIB) {
                continue;
            }
            let end = first.start.saturating_add(METASPACE);
            let rest = stretch.get(place..).unwrap_or_default();
            let count = rest.iter().take_while(|piece| piece.end <= end).count();
            let part = rest.get(..count).unwrap_or_default();
            let is_whole = part.last().is_some_and(|last| last.end == end && !last.is_open);
            let in_granules = part.iter().all(|piece| !piece.is_archive && piece.end.is_multiple_of(64 * KIB));
            let in_chunks = part.iter().skip(1).any(|piece| piece.is_open && piece.start.is_multiple_of(4 * MIB));
            if is_whole && in_granules && in_chunks {
                self.mark(part, Region::JavaMetaspace);
            }
        }
    }
}

/// `HEAP_MAX_SIZE` of glibc's malloc on 64-bit machines.
const ARENA: u64 = 64 * MIB;

/// Thread libraries use one page to some dozens.
const LONGEST_GUARD: u64 = MIB;

/// Compressed references of a JVM reach up to here.
const HIGHEST_HEAP: u64 = 32 * GIB;

/// Less is no heap: a JVM also maps single pages at low addresses.
const LEAST_HEAP: u64 = 2 * MIB;

/// The size that a JVM reserves for the classes of compressed pointers, unless it is told otherwise.
const CLASS_SPACE: u64 = GIB;

/// The size of the parts in which a JVM reserves metaspace.
const METASPACE: u64 = 64 * MIB;

/// Nothing that `mmap` chooses an address for is this low.
fn starts_arena(piece: &Piece) -> bool {
    piece.is_writable && piece.start.is_multiple_of(ARENA) && piece.start >= HIGHEST_HEAP
}

fn piece(
    index: usize,
    mapping: &Mapping<'_>,
    programs: &Programs,
    has: impl Fn(usize, &str) -> Option<bool>,
) -> Option<Piece> {
    let is_archive = programs.jvm && mapping.path().ends_with(b".jsa");
    let is_nameless = mapping.path().is_empty() && !has_file(mapping);
    let is_private = mapping.perm().ends_with('p');
    (is_private && (is_nameless || is_archive)).then(|| Piece {
        index,
        start: mapping.start(),
        end: mapping.end(),
        is_open: mapping.perm() != "---p" && !is_archive,
        is_writable: mapping.perm().starts_with("rw") && !is_archive,
        is_archive,
        unaccounted: has(index, "nr"),
        is_never_huge: has(index, "nh") == Some(true),
    })
}

/// The addresses that Go's runtime asks for first: on amd64 and others, and on arm64.
fn is_hint_of_go(start: u64) -> bool {
    let low = start & ((1 << 40) - 1);
    (low == 0x00c0 << 32 || low == 0x0040 << 32) && start >> 40 < 0x80
}

/// Whether the sizes of a guard and of what is above it are those of a stack: glibc's default and Rust's, with the
/// guard inside or outside; a JVM's; musl's, which adds its own data of the thread.
fn has_size_of_stack(guard: &Piece, stack: &Piece, programs: &Programs) -> bool {
    let is_usual = |size: u64| [2 * MIB, 8 * MIB].contains(&size) || programs.jvm && size == MIB;
    let is_small = guard.size() <= if programs.jvm { 64 * KIB } else { 4 * KIB };
    let is_musl = programs.musl && guard.size() == 8 * KIB && (128 * KIB..=192 * KIB).contains(&stack.size());
    is_small && (is_usual(stack.size()) || is_usual(stack.size() + guard.size())) || is_musl
}

/// A JVM maps its class data, then reserves up to a multiple of 16 MiB, where the class space begins.
fn class_space_after_archive(stretch: &[Piece]) -> Option<Range<u64>> {
    let pairs = stretch.windows(2).filter_map(|pair| if let [one, other] = pair { Some((one, other)) } else { None });
    let mut starts = pairs
        .filter(|(archive, rest)| archive.is_archive && !rest.is_open && !rest.is_archive)
        .map(|(_, rest)| rest.end)
        .filter(|end| end.is_multiple_of(16 * MIB));
    let end = stretch.last()?.end;
    let start = starts.find(|start| *start < end)?;
    Some(start..start.saturating_add(CLASS_SPACE))
}
