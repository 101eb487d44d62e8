//! Reads the cached pages of many files, with a second reader if there is enough to read for both.
//!
//! Each reader is a program of its own in the kernel, with its own memory and its own numbers for control groups. Files
//! are dealt out in pieces, large ones in several, so that both end at about the same time.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use super::file::CachedFile;
use crate::kernel::bpf::pages::{Pages as PageReader, Reader, Sample};
use crate::kernel::bpf::{Adaptation, Adapted, Unavailable};
use crate::kernel::cached::{FilePages, Groups, Stretch};

/// How many pages make a second reader worth loading: reading them takes longer than the kernel needs to check it.
const ENOUGH_FOR_TWO: u64 = 1 << 19;

/// How many pages are dealt out at once.
const PIECE: u64 = 1 << 17;

/// A large file is cut into pieces at multiples of this: no folio is larger, not even a huge page of 512 MiB.
const CUT: u64 = 1 << 14;

/// In how many pieces a file is cut at most, however many holes it has.
const MOST_PIECES: u64 = 256;

/// How many files are dealt out at once, even if they have few pages.
const MOST_FILES: usize = 4096;

/// Of how many files some folios are met again.
const FILES_OF_SAMPLE: usize = 500;

/// How many folios are kept for the comparison with `/proc/kpageflags`.
const SAMPLES: usize = 2000;

/// The programs that read pages.
#[derive(Debug)]
pub(super) struct Readers {
    first: First,
    second: Second,
    numbers: Numbers,
}

/// The reader that is always loaded.
#[derive(Debug)]
enum First {
    Loading(JoinHandle<Result<PageReader, Unavailable>>),
    Loaded(PageReader),
    Refused(Unavailable),
}

/// The reader for large amounts.
#[derive(Debug)]
enum Second {
    Adapted(Adapted),
    Loaded(PageReader),
    Missing,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Per file in their order; `None` if the time was over before its end.
    pub(super) files: Vec<Option<FilePages>>,
    /// Some of the folios that were met.
    pub(super) samples: Vec<Sample>,
}

impl Readers {
    /// How many readers can be of use here.
    pub(super) fn count() -> usize {
        std::thread::available_parallelism().map_or(1, |processors| processors.get().min(2))
    }

    /// Begins to load the first of these in a thread of its own.
    pub(super) fn start(adapted: Vec<Adaptation>) -> Readers {
        let mut adapted = adapted.into_iter();
        // Nothing was adapted only if no reader was asked for.
        let first = adapted.next().unwrap_or(Err(Unavailable::NoBtf));
        let first = First::Loading(std::thread::spawn(|| first.and_then(PageReader::load)));
        let second = adapted.next().and_then(Result::ok).map_or(Second::Missing, Second::Adapted);
        Readers { first, second, numbers: Numbers::default() }
    }

    /// The first reader, once it is loaded.
    ///
    /// # Errors
    /// It could not be loaded.
    pub(super) fn first(&mut self) -> Result<&mut PageReader, Unavailable> {
        if let First::Loading(_) = &self.first {
            let loading = std::mem::replace(&mut self.first, First::Refused(Unavailable::NoBtf));
            if let First::Loading(loading) = loading {
                // A thread that panicked could not load it either.
                self.first = match loading.join().unwrap_or(Err(Unavailable::NoBtf)) {
                    Ok(reader) => First::Loaded(reader),
                    Err(unavailable) => First::Refused(unavailable),
                };
            }
        }
        match &mut self.first {
            First::Loaded(reader) => Ok(reader),
            First::Refused(unavailable) => Err(unavailable.clone()),
            First::Loading(_) => Err(Unavailable::NoBtf),
        }
    }

    /// The control groups of what was read last.
    pub(super) fn groups(&self) -> &Groups {
        &self.numbers.groups
    }

    /// The group that `/proc` shows to this process as `/`, from the root of all groups.
    pub(super) fn root(&self) -> Option<&[u8]> {
        match &self.first {
            First::Loaded(reader) => reader.root(),
            First::Loading(_) | First::Refused(_) => None,
        }
    }

    /// Lets the first reader read one file in order.
    ///
    /// # Errors
    /// As `bpf(2)`.
    pub(super) fn read_one<R: Reader>(&mut self, file: &CachedFile, until: Instant, reader: &mut R) -> io::Result<()> {
        let first = self.first().map_err(refused)?;
        first.forget_groups();
        first.read(std::iter::once(file.target().into()), until, reader)?;
        let groups = first.groups().clone();
        self.numbers = Numbers { groups, ..Numbers::default() };
        Ok(())
    }

    /// Reads the pages of these files. Control groups have one number each in all of them.
    ///
    /// # Errors
    /// As `bpf(2)`.
    pub(super) fn read(&mut self, files: &[&CachedFile], until: Instant) -> io::Result<Taken> {
        self.first().map_err(refused)?.forget_groups();
        if let Second::Loaded(reader) = &mut self.second {
            reader.forget_groups();
        }
        self.numbers = Numbers::default();
        self.read_on(files, until)
    }

    /// Some folios of these files as they are now: those at the start of each.
    ///
    /// # Errors
    /// As `bpf(2)`.
    pub(super) fn sample(&mut self, files: &[&CachedFile], until: Instant) -> io::Result<Vec<Sample>> {
        let First::Loaded(first) = &mut self.first else { return Err(io::ErrorKind::NotFound.into()) };
        let start = |file: &&CachedFile| Stretch { target: file.target(), pages: 0..CUT };
        let mut share = Share::default();
        first.read(files.iter().take(FILES_OF_SAMPLE).map(start), until, &mut share)?;
        Ok(share.samples)
    }

    /// The same a moment later: groups keep their numbers.
    ///
    /// # Errors
    /// As `bpf(2)`.
    pub(super) fn read_on(&mut self, files: &[&CachedFile], until: Instant) -> io::Result<Taken> {
        let work = Work::new(files);
        let is_worth_two = work.pages >= ENOUGH_FOR_TWO;
        let First::Loaded(first) = &mut self.first else { return Err(io::ErrorKind::NotFound.into()) };
        let second = &mut self.second;
        let (one, other) = std::thread::scope(|scope| {
            let other = is_worth_two.then(|| scope.spawn(|| second.loaded().map(|reader| work.share(reader, until))));
            let one = work.share(first, until);
            (one, other.and_then(|other| other.join().ok().flatten()))
        });
        let mut shares = vec![self.numbers.translate(one?, first.groups())];
        if let (Some(share), Second::Loaded(reader)) = (other, &*second) {
            shares.push(self.numbers.translate(share?, reader.groups()));
        }
        Ok(work.join(shares, files.len()))
    }
}

impl Second {
    /// The reader, if it can be loaded.
    fn loaded(&mut self) -> Option<&mut PageReader> {
        if let Second::Adapted(_) = self
            && let Second::Adapted(adapted) = std::mem::replace(self, Second::Missing)
        {
            *self = PageReader::load(adapted).map_or(Second::Missing, Second::Loaded);
        }
        match self {
            Second::Loaded(reader) => Some(reader),
            Second::Adapted(_) | Second::Missing => None,
        }
    }
}

fn refused(unavailable: Unavailable) -> io::Error {
    io::Error::other(unavailable.to_string())
}

/// What is to be read, which the readers share among them.
struct Work {
    /// The place of the file, and what of it.
    pieces: Vec<(usize, Stretch)>,
    /// Pieces that are dealt out together.
    batches: Vec<Range<usize>>,
    next: AtomicUsize,
    pages: u64,
}

/// What one reader read: the place of each file, and its pages or some of them.
#[derive(Default)]
struct Share {
    pieces: Vec<(usize, FilePages)>,
    samples: Vec<Sample>,
    /// The places of the batch that is being read.
    places: Vec<usize>,
}

impl Work {
    fn new(files: &[&CachedFile]) -> Work {
        let page = crate::kernel::page_size().bytes();
        let (mut pieces, mut batches) = (Vec::with_capacity(files.len()), Vec::new());
        let (mut start, mut pages, mut all) = (0, 0u64, 0u64);
        for (place, file) in files.iter().enumerate() {
            all = all.saturating_add(file.pages.0);
            let cuts = cuts(file.pages.0, file.size.0.div_ceil(page));
            let share = file.pages.0 / cuts.clone().count().max(1) as u64;
            for pages_of_file in cuts {
                if pages.saturating_add(share) > PIECE && pieces.len() > start || pieces.len() - start >= MOST_FILES {
                    batches.push(start..pieces.len());
                    (start, pages) = (pieces.len(), 0);
                }
                pieces.push((place, Stretch { target: file.target(), pages: pages_of_file }));
                pages = pages.saturating_add(share);
            }
        }
        batches.push(start..pieces.len());
        Work { pieces, batches, next: AtomicUsize::new(0), pages: all }
    }

    /// Reads whatever the other reader has not taken yet.
    fn share(&self, reader: &mut PageReader, until: Instant) -> io::Result<Share> {
        let mut share = Share::default();
        while let Some(batch) = self.batches.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let pieces = self.pieces.get(batch.clone()).unwrap_or_default();
            share.places.clear();
            share.places.extend(pieces.iter().map(|(place, _)| *place));
            reader.read(pieces.iter().map(|(_, stretch)| stretch.clone()), until, &mut share)?;
        }
        Ok(share)
    }

    /// Puts the pieces of each file together.
    fn join(&self, shares: Vec<Share>, files: usize) -> Taken {
        let mut missing = vec![0usize; files];
        for (place, _) in &self.pieces {
            missing.get_mut(*place).into_iter().for_each(|count| *count += 1);
        }
        let mut taken = Taken { files: vec![None; files], samples: Vec::new() };
        for share in shares {
            for (place, pages) in share.pieces {
                let (Some(file), Some(missing)) = (taken.files.get_mut(place), missing.get_mut(place)) else {
                    continue;
                };
                *missing = missing.saturating_sub(1);
                match file {
                    Some(file) => file.add(pages),
                    None => *file = Some(pages),
                }
            }
            taken.samples.extend(share.samples);
        }
        taken.samples.truncate(SAMPLES);
        for (file, missing) in taken.files.iter_mut().zip(missing) {
            file.take_if(|_| missing > 0);
        }
        taken
    }
}

impl Reader for Share {
    fn file(&mut self, number: usize, pages: FilePages) {
        if let Some(place) = self.places.get(number) {
            self.pieces.push((*place, pages));
        }
    }

    fn sample(&mut self, sample: Sample) {
        if self.samples.len() < SAMPLES {
            self.samples.push(sample);
        }
    }
}

/// Into which parts a file is cut that has so many cached pages, and is so many pages long. The last one has no end,
/// because the file may grow.
fn cuts(cached: u64, length: u64) -> impl Iterator<Item = Range<u64>> + Clone {
    let count = (cached / PIECE).clamp(1, MOST_PIECES);
    let step = length.div_ceil(count).next_multiple_of(CUT).max(CUT);
    let count = count.min(length.div_ceil(step)).max(1);
    let end = move |number| if number == count { u64::MAX } else { number * step };
    (0..count).map(move |number| number * step..end(number + 1))
}

/// One number for each control group, whoever met it.
#[derive(Debug, Default)]
struct Numbers {
    by_key: HashMap<u64, u32>,
    groups: Groups,
}

impl Numbers {
    /// Replaces the numbers of one reader by those for all.
    fn translate(&mut self, mut share: Share, met: &Groups) -> Share {
        let mut ours = HashMap::with_capacity(met.len());
        for (theirs, group) in met {
            let next = u32::try_from(self.by_key.len()).unwrap_or(u32::MAX);
            let number = *self.by_key.entry(group.key).or_insert(next);
            self.groups.entry(number).or_insert_with(|| group.clone());
            ours.insert(*theirs, number);
        }
        let parts = share.pieces.iter_mut().flat_map(|(_, pages)| &mut pages.parts);
        parts.for_each(|part| part.group = part.group.and_then(|number| ours.get(&number).copied()));
        share
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::cached::{Counts, Group, Part};

    #[test]
    fn a_large_file_is_cut_into_pieces_without_gaps() {
        for (cached, length) in [(0, 0), (1, 1), (PIECE, PIECE), (4 * PIECE, 4 * PIECE + 5), (9 * PIECE, 1 << 40)] {
            let cuts: Vec<Range<u64>> = cuts(cached, length).collect();
            assert_eq!(cuts[0].start, 0);
            assert_eq!(cuts[cuts.len() - 1].end, u64::MAX);
            assert!(cuts.windows(2).all(|pair| pair[0].end == pair[1].start && pair[0].end % CUT == 0), "{cuts:?}");
            assert!(cuts.len() as u64 <= (cached / PIECE).max(1), "{cuts:?}");
        }
        assert_eq!(cuts(4 * PIECE, 4 * PIECE).count(), 4);
        // More pages than fit the length, which changed meanwhile.
        assert_eq!(cuts(4 * PIECE, 10).count(), 1);
    }

    #[test]
    fn one_group_has_one_number_whoever_met_it() {
        let group = |key, name: &[u8]| Group { key, id: key, path: Some(name.to_vec()), is_removed: false };
        let share = |group| {
            let parts = vec![Part { group: Some(group), node: 0, counts: Counts::default() }];
            Share { pieces: vec![(0, FilePages { is_read: true, parts, ..FilePages::default() })], ..Share::default() }
        };
        let mut numbers = Numbers::default();
        let one = numbers.translate(share(7), &Groups::from([(7, group(101, b"/a")), (8, group(103, b"/b"))]));
        let other = numbers.translate(share(9), &Groups::from([(9, group(101, b"/a"))]));
        assert_eq!(one.pieces[0].1.parts[0].group, other.pieces[0].1.parts[0].group);
        assert_eq!(numbers.groups.len(), 2);
        let number = one.pieces[0].1.parts[0].group.unwrap();
        assert_eq!(numbers.groups[&number].path.as_deref(), Some(&b"/a"[..]));
    }

    #[test]
    fn a_file_of_which_a_piece_is_missing_is_not_known() {
        let target = crate::kernel::cached::Target { address: 1, super_block: 2, number: 3, generation: 4 };
        let stretch = |pages| (0, Stretch { target, pages });
        let pieces = vec![stretch(0..CUT), stretch(CUT..u64::MAX)];
        let work = Work { pieces, batches: Vec::new(), next: AtomicUsize::new(0), pages: 0 };
        let read = |before, after| (0, FilePages { before, after, is_read: true, ..FilePages::default() });
        // It shrank while each of them was read.
        let shrank = work.join(vec![Share { pieces: vec![read(10, 9), read(9, 8)], ..Share::default() }], 1);
        let shrank = shrank.files[0].clone().unwrap();
        assert_eq!((shrank.before, shrank.after, shrank.has_changed()), (8, 10, true));
        let share = |pieces| Share { pieces, ..Share::default() };
        assert_eq!(work.join(vec![share(vec![read(5, 5)])], 1).files, [None]);
        let whole = work.join(vec![share(vec![read(5, 6)]), share(vec![read(4, 5)])], 1);
        let whole = whole.files[0].clone().unwrap();
        assert_eq!((whole.before, whole.after, whole.is_read), (4, 6, true));
    }
}
