//! `rmap lock`: holds files in the page cache until it is ended.

use std::io::Write;

use super::args::EffectArgs;
use super::each_file::each_file;
use super::effects::Rows;
use super::signals::Signals;
use super::{Done, Report, Stop};
use crate::control::{self, LockedFile, Room};
use crate::pagecache::Engine;
use crate::process::ProcRoot;
use crate::units::{Bytes, Human};
use crate::views::effect;

pub(crate) fn run(args: &EffectArgs, report: &mut Report) -> Done {
    let engine = Engine::detect();
    let mut room = Room::read(&ProcRoot::live()).map_err(Stop::Failed)?;
    let signals = Signals::watch_first()?;
    let mut rows = Rows::begin(args, effect::DEFAULT_LOCK)?;
    let mut locked: Vec<LockedFile> = Vec::new();
    let done = each_file(&args.selection, report, Some(&signals), |file, report| {
        let go_on = || signals.flow();
        match control::lock(&engine, &mut room, held(&locked), &file, args.selection.range(), go_on).transpose() {
            None => signals.check(),
            Some(Ok((pages, effect))) => {
                locked.push(pages);
                rows.add(Ok(effect), report)
            }
            Some(Err(error)) => rows.add(Err(error), report),
        }
    });
    rows.end_after(done)?;
    signals.check()?;
    if held(&locked) > Bytes(0) {
        hold(held(&locked), &signals);
    }
    Ok(())
}

fn held(locked: &[LockedFile]) -> Bytes {
    locked.iter().map(LockedFile::held).sum()
}

/// Stays until a signal comes; that is then the wished-for end.
fn hold(held: Bytes, signals: &Signals) {
    // On standard error, so that a machine format on standard output stays one document.
    let _ = writeln!(std::io::stderr(), "{} ({} bytes) locked in memory until Ctrl-C", Human(held), held.0);
    signals.wait();
}
