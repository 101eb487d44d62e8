//! Who maps one open file: the same proof as that of its holders, for those that need the mappings themselves.

use std::time::{Duration, Instant};

use super::search::{is_blind, is_denied};
use super::target::{Target, needles};
use super::verdict::Verdict;
use crate::error::Result;
use crate::machine::Places;
use crate::pagecache::OpenFile;
use crate::process::{FileMapping, ProcRoot, Process, UseBuffers, read_pids_of_holders};
use crate::units::Reason;

/// The mappings of a file in one process.
#[derive(Debug, Default)]
pub struct Mappings {
    /// Those that are proven to be of the file.
    pub proven: Vec<FileMapping>,
    /// Those that may be of it, or of another layer of an overlay.
    pub unproven: Vec<FileMapping>,
}

/// What the search could not see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unseen {
    /// How many processes did not show what they map to this user.
    pub processes: u64,
    /// Whether `/proc` does not show all processes of the machine.
    pub is_blind: bool,
}

/// Searches for those who map one file after the other.
#[derive(Debug)]
pub struct MapperSearch<'r> {
    root: &'r ProcRoot,
    /// What is mounted, and when that was read.
    places: Option<(Places, Instant)>,
}

/// For how long what is mounted is not read again. It takes as long as the search for a file.
const FRESH: Duration = Duration::from_secs(1);

impl<'r> MapperSearch<'r> {
    /// A search among the processes of `root`.
    pub fn new(root: &'r ProcRoot) -> MapperSearch<'r> {
        MapperSearch { root, places: None }
    }

    /// Where the processes are.
    pub fn root(&self) -> &'r ProcRoot {
        self.root
    }

    /// Calls `each` with every process that maps the file, or may map it, in the order of their pids.
    ///
    /// # Errors
    /// `/proc` cannot be read, or the file cannot be examined.
    pub fn each(&mut self, file: &OpenFile, each: &mut dyn FnMut(&Process, &Mappings) -> Result<()>) -> Result<Unseen> {
        let known = self.places.take().filter(|(_, read)| read.elapsed() < FRESH);
        let (places, _) = match known {
            Some(known) => self.places.insert(known),
            None => self.places.insert((Places::read(self.root)?, Instant::now())),
        };
        find(self.root, places, file, each)
    }
}

fn find(
    root: &ProcRoot,
    places: &Places,
    file: &OpenFile,
    each: &mut dyn FnMut(&Process, &Mappings) -> Result<()>,
) -> Result<Unseen> {
    let mut pids = read_pids_of_holders(root)?;
    pids.sort_unstable();
    let target = Target::of_open(file, places)?;
    let needles = needles(std::slice::from_ref(&target));
    let mut buffers = UseBuffers::default();
    let mut unseen = Unseen { processes: 0, is_blind: is_blind(root) };
    for pid in pids {
        let process = match Process::open_in(root, pid) {
            Ok(process) => process,
            Err(error) => {
                unseen.processes += u64::from(is_denied(&error, None));
                continue;
            }
        };
        let (mut found, mut is_unseen) = (Mappings::default(), false);
        let searched = process.search_maps(&needles, &mut buffers, &mut |mapping| match target
            .is_mapped(&process, &mapping, places)
        {
            Verdict::Yes(None) => found.proven.push(mapping),
            Verdict::Unproven(why) if why.reason == Reason::Denied => is_unseen = true,
            Verdict::Yes(Some(_)) | Verdict::Unproven(_) => found.unproven.push(mapping),
            Verdict::No => {}
        });
        let is_any = !found.proven.is_empty() || !found.unproven.is_empty();
        let searched = searched.and_then(|_| if is_any { each(&process, &found) } else { Ok(()) });
        is_unseen |= searched.is_err_and(|error| is_denied(&error, Some(&process)));
        unseen.processes += u64::from(is_unseen);
    }
    Ok(unseen)
}
