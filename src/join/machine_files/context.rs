//! What stands around the files: the mounts that lead to them, and the processes that hold them.

use std::sync::Arc;
use std::time::Instant;

use super::described::{SHOWN, joined, through};
use super::{Facts, FoundFile};
use crate::error::Result;
use crate::join::{Holder, Holders};
use crate::kernel::cached::Name;
use crate::machine::Places;
use crate::machine::cached::CachedFile;
use crate::process::ProcRoot;
use crate::units::{Absent, Figure, Reason};

const UNSEEN: Absent = Absent::new(Reason::Denied, "a process that does not show what it maps may hold it");
const OTHER_NAMES: &str = "this name was removed, but the file has others";
const HIDDEN: &str = "another mount hides this path";

/// The mounts and the holders of all files.
pub(super) struct Context {
    places: Places,
    holders: Option<Holders>,
}

/// Who holds a file, by program: its name, and how many of its processes do.
pub(super) struct HeldBy {
    /// The name of the program, or of the part of the kernel.
    pub(super) command: Arc<[u8]>,
    /// Its processes.
    pids: Vec<Option<u32>>,
}

impl Context {
    /// Reads it, as far as it is needed.
    pub(super) fn read(facts: Facts, until: Instant) -> Result<Option<Context>> {
        if !facts.path && !facts.holders {
            return Ok(None);
        }
        let root = ProcRoot::live();
        let places = Places::read(&root)?;
        let holders = if facts.holders { Some(Holders::read_until(&root, &places, Some(until))?) } else { None };
        Ok(Some(Context { places, holders }))
    }

    /// How many processes did not show their mounts or what they hold, or were not asked in time.
    pub(super) fn unseen(&self) -> u64 {
        let unseen = |holders: &Holders| holders.denied().saturating_add(holders.late());
        self.holders.as_ref().map_or(0, unseen).max(self.places.denied())
    }

    /// Gives a file with this name its path, and the container that it belongs to.
    pub(super) fn place(&self, file: &mut FoundFile, name: &Name) {
        if !name.is_rooted {
            file.container = Ok(None);
            return;
        }
        let Some(place) = self.places.find(file.device, &name.path) else {
            file.container = Ok(None);
            return;
        };
        file.path = place.pid.map_or(place.path.clone(), |pid| through(pid, &place.path));
        file.container = Ok(place.container);
        if place.is_hidden {
            file.note = file.note.or(Some(HIDDEN));
        } else if name.is_deleted && !file.is_deleted {
            file.note = file.note.or(Some(OTHER_NAMES));
        }
    }

    /// The programs that hold a file, those with most processes first; absent if some that hold it may not be seen.
    pub(super) fn held_by(&self, file: &CachedFile, name: Option<&Name>) -> Figure<Vec<HeldBy>> {
        let holders = self.holders.as_ref().ok_or(super::NOT_READ)?;
        let path = name.map_or(&[][..], |name| &name.path);
        let found = holders.of(&self.places, file.file_system.device, file.number, path);
        if found.is_empty() && (holders.denied() > 0 || holders.late() > 0 || holders.is_blind()) {
            return Err(UNSEEN);
        }
        Ok(by_program(&found))
    }
}

fn by_program(holders: &[Holder]) -> Vec<HeldBy> {
    let mut programs: Vec<HeldBy> = Vec::new();
    for holder in holders {
        match programs.iter_mut().find(|program| program.command == holder.command) {
            Some(program) => program.pids.push(holder.pid),
            None => programs.push(HeldBy { command: holder.command.clone(), pids: vec![holder.pid] }),
        }
    }
    programs.sort_by_key(|program| std::cmp::Reverse(program.pids.len()));
    programs
}

impl HeldBy {
    /// How many processes.
    pub(super) fn processes(&self) -> u64 {
        self.pids.iter().flatten().count() as u64
    }

    /// `java 4690`, `postgres (12)`, `loop0`.
    fn words(&self) -> Vec<u8> {
        match self.pids[..] {
            [Some(pid)] => [&self.command[..], format!(" {pid}").as_bytes()].concat(),
            [None] => self.command.to_vec(),
            _ => [&self.command[..], format!(" ({})", self.pids.len()).as_bytes()].concat(),
        }
    }
}

/// Programs as a list; empty if nobody holds it.
pub(super) fn words(programs: &[HeldBy]) -> Vec<u8> {
    let names: Vec<Vec<u8>> = programs.iter().take(SHOWN).map(HeldBy::words).collect();
    joined(&names, programs.len())
}
