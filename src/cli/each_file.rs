//! The files that are meant, one after another, open, on the thread that writes: for subcommands that do more with a file
//! than to measure it.

use std::ops::ControlFlow;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;

use super::args::SelectionArgs;
use super::measure::advised;
use super::signals::{GLANCE, Signals};
use super::{Done, Report, select};
use crate::error::Error;
use crate::pagecache::OpenFile;
use crate::pagecache::walk::{self, Named, Place, Visitor};

/// How many open files may wait: enough to keep both sides busy, few beside the descriptors that a process has.
const WAITING: usize = 16;

/// Sends what it finds to the thread that works.
struct Sender(SyncSender<Result<OpenFile, Error>>);

impl Visitor for Sender {
    fn file(&mut self, file: OpenFile, _: Place<'_>) -> ControlFlow<()> {
        match self.0.send(Ok(file)) {
            Ok(()) => ControlFlow::Continue(()),
            // Nobody takes files any more.
            Err(_) => ControlFlow::Break(()),
        }
    }

    fn failure(&mut self, error: Error) {
        let _ = self.0.send(Err(error));
    }
}

/// Calls `take` with each file that was chosen. One thread walks unless `-j` says otherwise, so that the order is that of
/// the directories. What cannot be opened is one line on standard error. Ends where one of the `signals` has come.
pub(crate) fn each_file(
    selection: &SelectionArgs,
    report: &mut Report,
    signals: Option<&Signals>,
    mut take: impl FnMut(OpenFile, &mut Report) -> Done,
) -> Done {
    let globs = select::Globs::parse(selection)?;
    let held = select::held_files(selection, report);
    let (sender, receiver) = sync_channel(WAITING);
    let failures = sender.clone();
    let fail = move |error| drop(failures.send(Err(error)));
    let named = select::names(selection, fail.clone()).map_err(super::Stop::Failed)?.map(Named::from);
    let named = named.chain(select::open_held_files(held.as_ref(), fail));
    select::with_options(selection, &globs, |options| {
        let mut options = options.clone();
        options.jobs = selection.jobs.unwrap_or(std::num::NonZeroUsize::MIN);
        thread::scope(|scope| {
            scope.spawn(move || walk::walk(named, &options, move || Sender(sender.clone())));
            // It goes at the end of this block, also where `take` has failed: that ends the walk.
            let receiver = receiver;
            loop {
                if let Some(signals) = signals {
                    signals.check()?;
                }
                match receiver.recv_timeout(GLANCE) {
                    Ok(Ok(file)) => take(file, report)?,
                    Ok(Err(error)) => report.failure(&advised(error)),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return Ok(()),
                }
            }
        })
    })?
}
