//! What is cached of files of a captured machine, from its list of cached files.

use std::collections::HashSet;

use super::captured::{ListedSpots, Namespaces};
use super::figures::FileInCache;
use super::search::Search;
use super::target::{Kind, Target};
use crate::error::{Error, ErrorKind};
use crate::join::machine_files::{Captured, FoundChoice, FoundFile};
use crate::machine::Places;
use crate::process::{Needles, ProcRoot, Process, UseBuffers, read_pids};
use crate::units::{Absent, Figure, Reason};

const NO_LIST: Absent = Absent::new(Reason::Unsupported, "the capture does not have the list of cached files");
const DAMAGED: Absent = Absent::new(Reason::Unsupported, "the list of cached files in the capture is damaged");
const UNREAD: Absent = Absent::new(Reason::Unsupported, "the list of cached files in the capture could not be read");
const SEVERAL: Absent =
    Absent::new(Reason::NotApplicable, "several cached files of the capture have this name or number");
const UNLISTED: Absent = Absent::new(Reason::Unsupported, "it is not among the cached files of the capture");
const UNLISTED_NAME: Absent = Absent::new(
    Reason::Unsupported,
    "no cached file of the capture has this name, and a capture does not tell where symbolic links lead, or which \
     names are hard links",
);
const OF_LAYER: Absent =
    Absent::new(Reason::NotApplicable, "it is on an overlay, and its pages are those of a file of a layer");
/// The figures of files in a capture, from its list of cached files.
pub(super) struct CapturedFiles {
    files: Figure<Vec<Vec<FoundFile>>>,
    /// Why the list cannot be used; `None` also if there is none.
    pub(super) failure: Option<Error>,
}

impl CapturedFiles {
    /// Reads what is listed of these files.
    pub(super) fn read(root: &ProcRoot, targets: &mut [Target], places: &Places) -> CapturedFiles {
        learn_from_processes(root, targets, places);
        let mut found: Vec<Vec<FoundFile>> = targets.iter().map(|_| Vec::new()).collect();
        let sought: Vec<Sought<'_>> = targets.iter().map(|target| Sought::of(target, places)).collect();
        let mut namespaces = Namespaces::new(root);
        let read = Captured::open(root).and_then(|(_, files)| {
            files.read(&FoundChoice::default(), |file| {
                for (sought, found) in sought.iter().zip(&mut found) {
                    if sought.is(&file, &mut namespaces, places) {
                        found.push(file.clone());
                    }
                }
                Ok::<(), Error>(())
            })
        });
        if let Err(error) = read {
            let (why, failure) = match error.kind() {
                ErrorKind::NotFound => (NO_LIST, None),
                ErrorKind::Malformed => (DAMAGED, Some(error)),
                _ => (UNREAD, Some(error)),
            };
            return CapturedFiles { files: Err(why), failure };
        }
        for (target, found) in targets.iter_mut().zip(&mut found) {
            // A typed name means the file that has it now.
            if found.iter().any(|file| !file.is_deleted) && matches!(target.kind, Kind::Name(_)) {
                found.retain(|file| !file.is_deleted);
            }
            if let (Kind::Name(name), [file]) = (&mut target.kind, &found[..]) {
                name.learn(file.device, file.inode, places);
            }
        }
        CapturedFiles { files: Ok(found), failure: None }
    }

    /// What is listed of a file, if that is one file.
    pub(super) fn file(&self, number: usize) -> Option<&FoundFile> {
        match self.files.as_ref().ok()?.get(number)?.as_slice() {
            [file] => Some(file),
            _ => None,
        }
    }

    /// What is listed of a file, for which the search found `holders`.
    pub(super) fn measure(
        &self,
        target: &Target,
        search: &Search,
        number: usize,
        holders: usize,
        places: &Places,
    ) -> FileInCache {
        let is_on_overlay = match &target.kind {
            Kind::Name(name) => name.is_on(|device| places.is_overlay(device)),
            Kind::File(_) | Kind::Number { .. } => false,
        };
        let is_name = matches!(target.kind, Kind::Name(_));
        let found = self.files.as_ref().map(|files| files.get(number).map_or(&[][..], Vec::as_slice));
        let file = match found {
            Ok([file]) => FileInCache::of_listed(file, false),
            Ok([]) if is_on_overlay => FileInCache::unknown(OF_LAYER),
            Ok([]) if is_name && holders == 0 => FileInCache::unknown(UNLISTED_NAME),
            Ok([]) => FileInCache::unknown(UNLISTED),
            Ok(_) => FileInCache::unknown(SEVERAL),
            Err(absent) => FileInCache::unknown(*absent),
        };
        // A name that nothing in the capture has may be that of a link.
        let is_known = !is_name || holders > 0 || found.is_ok_and(|found| !found.is_empty());
        let is_complete = is_known && search.is_complete(number);
        FileInCache { path: target.label.clone(), holders: holders as u64, is_complete, ..file }
    }
}

/// Gives the files that were named the inode numbers with which processes map them under these names. If they were
/// replaced while the capture was taken, there are several, and none is taken.
fn learn_from_processes(root: &ProcRoot, targets: &mut [Target], places: &Places) {
    if !targets.iter().any(|target| matches!(&target.kind, Kind::Name(name) if name.may_learn())) {
        return;
    }
    let mut found: Vec<HashSet<((u32, u32), u64)>> = targets.iter().map(|_| HashSet::new()).collect();
    let mut buffers = UseBuffers::default();
    for pid in read_pids(root).unwrap_or_default() {
        let Ok(process) = Process::open_in(root, pid) else { continue };
        let read = process.search_maps(&Needles::any(), &mut buffers, &mut |mapping| {
            for (target, found) in targets.iter().zip(&mut found) {
                if let Kind::Name(name) = &target.kind
                    && name.is_mapped_by_name(&process, &mapping, places)
                {
                    found.insert((mapping.device.numbers(), mapping.inode));
                }
            }
        });
        // What cannot be read is said after the search.
        drop(read);
    }
    for (target, found) in targets.iter_mut().zip(found) {
        if let Kind::Name(name) = &mut target.kind
            && let [(device, inode)] = found.into_iter().collect::<Vec<_>>()[..]
        {
            name.learn(device, inode, places);
        }
    }
}

/// What the list is searched for.
struct Sought<'t> {
    target: &'t Target,
    spots: Option<ListedSpots>,
}

impl Sought<'_> {
    fn of<'t>(target: &'t Target, places: &Places) -> Sought<'t> {
        let spots = match &target.kind {
            Kind::Name(name) => Some(name.listed_spots(places)),
            Kind::Number { .. } | Kind::File(_) => None,
        };
        Sought { target, spots }
    }

    /// Whether a listed file is the one that is asked about.
    fn is(&self, file: &FoundFile, namespaces: &mut Namespaces<'_>, places: &Places) -> bool {
        match (&self.target.kind, &self.spots) {
            (Kind::Name(name), Some(spots)) => name.is_listed(&self.target.label, spots, file, namespaces, places),
            (Kind::Number { device, inode }, _) => (file.device, file.inode) == (*device, *inode),
            _ => false,
        }
    }
}
