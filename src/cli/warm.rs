//! `rmap warm`: reads files into the page cache.

use super::args::EffectArgs;
use super::each_file::each_file;
use super::effects::Rows;
use super::progress::Progress;
use super::signals::Signals;
use super::{Done, Report, Stop};
use crate::control::{self, Room};
use crate::pagecache::Engine;
use crate::process::ProcRoot;
use crate::views::effect;

pub(crate) fn run(args: &EffectArgs, report: &mut Report) -> Done {
    let engine = Engine::detect();
    let mut room = Room::read(&ProcRoot::live()).map_err(Stop::Failed)?;
    let mut rows = Rows::begin(args, effect::DEFAULT)?;
    let mut progress = Progress::new("warming");
    let signals = Signals::watch_first()?;
    let done = each_file(&args.selection, report, Some(&signals), |file, report| {
        let range = args.selection.range();
        let warmed = control::warm(&engine, &mut room, &file, range, |bytes, all| {
            progress.advance(bytes, all);
            signals.flow()
        });
        progress.clear();
        rows.add(warmed, report)
    });
    rows.end_after(done)
}
