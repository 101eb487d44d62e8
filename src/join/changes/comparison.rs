//! What is compared, and who is told what was found.

use std::ops::ControlFlow;
use std::time::Duration;

use super::change::{Change, ChangedKind};
use crate::error::{Error, ErrorKind, Subject};
use crate::process::{ProcRoot, Process};
use crate::units::Bytes;

/// Two states of a machine, and what is compared.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The first.
    pub before: ProcRoot,
    /// The second.
    pub after: ProcRoot,
    /// Which kinds are compared.
    pub kinds: Vec<ChangedKind>,
    /// Only what changed by at least so much.
    pub least: Bytes,
    /// Whether the changes are added up: each control group then has only what those below it do not have.
    pub divides: bool,
    /// How long reading the memory of the processes of a running machine may take, and the lists of its cached files.
    pub budget: Duration,
}

/// Takes what is found.
pub trait Hear {
    /// Something changed.
    fn change(&mut self, change: Change);
    /// Something could not be compared.
    fn failure(&mut self, error: Error);
    /// Something that the reader must know, although the answer is complete.
    fn note(&mut self, note: Error);
    /// Whether to continue.
    fn check(&mut self) -> ControlFlow<()>;
}

/// Says how many of something are only on one side, because the other may just not know them.
pub(super) fn left_out(about: &Subject, unmatched: [u64; 2], hear: &mut dyn Hear) {
    const SIDES: [&str; 2] = ["the first", "the second"];
    for (count, [one, other]) in unmatched.into_iter().zip([SIDES, [SIDES[1], SIDES[0]]]) {
        let [are, they_are] = if count == 1 { ["is", "it is"] } else { ["are", "they are"] };
        let why = format!("{count} of them {are} only in {one}; {other} does not have all, so {they_are} left out");
        if count > 0 {
            hear.failure(Error::new(about.clone(), ErrorKind::Unsupported, why));
        }
    }
}

impl Comparison {
    /// Whether both are the same boot of the same machine. Only then can processes and inode numbers be the same.
    pub fn is_same_boot(&self) -> bool {
        self.before.boot().is_some_and(|boot| !boot.is_empty() && self.after.boot() == Some(boot))
    }

    /// Whether the pids of both are known to be of different pid namespaces (containers): within one boot, the first
    /// process of each started at another time (`/proc/1/stat`).
    pub(super) fn is_of_two_containers(&self) -> bool {
        let start = |root| Process::open_in(root, 1).ok()?.identity().ok()?.start_time;
        let starts: (Option<u64>, Option<u64>) = (start(&self.before), start(&self.after));
        self.is_same_boot() && matches!(starts, (Some(before), Some(after)) if before != after)
    }

    /// Passes on what changed enough.
    pub(super) fn tell(&self, change: Option<Change>, hear: &mut dyn Hear) {
        if let Some(change) = change.filter(|change| change.is_at_least(self.least)) {
            hear.change(change);
        }
    }
}
