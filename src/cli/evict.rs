//! `rmap evict`: drops files from the page cache.

use super::args::EffectArgs;
use super::each_file::each_file;
use super::effects::Rows;
use super::signals::Signals;
use super::{Done, Report};
use crate::control;
use crate::pagecache::Engine;
use crate::process::ProcRoot;
use crate::views::effect;

pub(crate) fn run(args: &EffectArgs, report: &mut Report) -> Done {
    let (engine, root) = (Engine::detect(), ProcRoot::live());
    let mut rows = Rows::begin(args, effect::DEFAULT)?;
    let signals = Signals::watch_first()?;
    let done = each_file(&args.selection, report, Some(&signals), |file, report| {
        rows.add(control::evict(&engine, &root, &file, args.selection.range(), || signals.flow()), report)
    });
    rows.end_after(done)
}
