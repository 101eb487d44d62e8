//! The mappings of processes that have changed, added up by their names.

use std::collections::BTreeMap;

use super::change::{Change, ChangedFigure, ChangedKind};
use super::comparison::{Comparison, Hear};
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::process::{MappingKind, ProcRoot, Process};
use crate::units::{Bytes, Figure, counted};

/// A process that has changed, or is new or gone.
pub(super) struct ChangedProcess {
    pub(super) pid: u32,
    pub(super) start_time: Option<u64>,
    pub(super) of: ChangedFigure,
    /// The number of its memory.
    pub(super) memory: u64,
    /// On which sides it has memory that is counted as its own. On the other one it has no mappings.
    pub(super) exists: [bool; 2],
    /// Whether it shared memory before that is counted as that of another process.
    pub(super) shared_before: bool,
}

/// What the mappings of one process have, by their names.
type Sums = BTreeMap<Vec<u8>, Figure<Bytes>>;

pub(super) fn compare(comparison: &Comparison, changed: &[ChangedProcess], hear: &mut dyn Hear) {
    let mut denied: u64 = 0;
    for process in changed {
        if hear.check().is_break() {
            return;
        }
        let [in_before, in_after] = process.exists;
        let side = |root, exists| if exists { read(root, process) } else { Ok(Some(Sums::new())) };
        let sides = [side(&comparison.before, in_before || process.shared_before), side(&comparison.after, in_after)];
        match sides {
            [Ok(Some(before)), Ok(Some(after))] => {
                let (before, elsewhere) =
                    if process.shared_before { (Sums::new(), before) } else { (before, Sums::new()) };
                compare_sums(comparison, process, [before, after], &elsewhere, hear);
            }
            // It has exited meanwhile, or is another one.
            [Ok(_), Ok(_)] => {}
            [Err(error), _] | [_, Err(error)] if error.kind() == ErrorKind::Denied => denied += 1,
            [Err(error), _] | [_, Err(error)] if error.kind() != ErrorKind::NotFound => hear.failure(error),
            _ => {}
        }
    }
    if denied > 0 {
        let about = Subject::Words(format!("the mappings of {}", counted(denied, "process", "processes")));
        hear.failure(Error::new(about, ErrorKind::Denied, "they may not be read on one side"));
    }
}

/// The sums of a process, if it still is the same.
fn read(root: &ProcRoot, changed: &ChangedProcess) -> Result<Option<Sums>> {
    let process = Process::open_in(root, changed.pid)?;
    let figure = if changed.of == ChangedFigure::Pss { "Pss" } else { "Rss" };
    let read = process.mappings(&[figure])?;
    if read.identity.start_time != changed.start_time {
        return Ok(None);
    }
    let mut sums = Sums::new();
    for mapping in read.mappings.iter() {
        let name = match mapping.path() {
            b"" => format!("[{}]", MappingKind::of(&mapping, None).word()).into_bytes(),
            path => process.read_plain_name(mapping.start(), mapping.end(), path).unwrap_or_else(|| path.to_vec()),
        };
        let sum = sums.entry(name).or_insert(Ok(Bytes(0)));
        *sum = added(*sum, mapping.figure(figure));
    }
    Ok(Some(sums))
}

fn added(one: Figure<Bytes>, other: Figure<Bytes>) -> Figure<Bytes> {
    Bytes::sum_of([one, other])
}

/// Reports what changed between the sums of a process. What was `elsewhere` is what it had before in memory that is
/// counted as that of another process.
fn compare_sums(
    comparison: &Comparison,
    process: &ChangedProcess,
    [before, mut after]: [Sums; 2],
    elsewhere: &Sums,
    hear: &mut dyn Hear,
) {
    let mut tell = |name: Vec<u8>, before, after| {
        let identity = format!("{} {:?}", process.pid, process.start_time).into_bytes();
        let change = Change::of(ChangedKind::Mapping, process.of, before, after);
        let is_elsewhere = elsewhere.contains_key(&name);
        let change = change.map(|change| Change {
            name,
            pid: Some(process.pid),
            memory: Some(process.memory),
            identity,
            ..if is_elsewhere { change.counted_elsewhere_before() } else { change }
        });
        comparison.tell(change, hear);
    };
    for (name, figure) in before {
        let now = after.remove(&name);
        tell(name, Some(figure), now);
    }
    after.into_iter().for_each(|(name, figure)| tell(name, None, Some(figure)));
}
