//! `--summary`, and what is shown of a process whose smaps may not be read.

use super::Report;
use super::list::heading;
use crate::cli::args::PidArgs;
use crate::cli::processes::Asked;
use crate::cli::{Done, Stop, screen};
use crate::error::{Error, ErrorKind, Subject};
use crate::output::render::{render_group, renderer};
use crate::output::{Format, Layout, Renderer, SizeUnit, column};
use crate::process::ProcRoot;
use crate::process::account::{Account, Amount, read_account, read_public_account};
use crate::views::summary::{self, COLUMNS, PARTS, PartRow, Parts, share};

/// How wide a full bar is: beside it the words fit 80 columns.
const BAR: usize = 8;

pub(super) fn run(args: &PidArgs, root: &ProcRoot, asked: &[Asked], report: &mut Report) -> Done {
    let mut renderer = begin(args)?;
    for process in asked {
        match read_account(root, process.pid) {
            Ok(account) => render(renderer.as_mut(), &account)?,
            Err(error) if process.found && error.kind() == ErrorKind::NotFound => {}
            Err(error) => instead(root, process.pid, error, renderer.as_mut(), report)?,
        }
    }
    Ok(renderer.finish()?)
}

/// Says what could not be read. Of processes that were refused it shows what any user may know, to people alone: a machine
/// format has rows of one kind.
pub(super) fn render_failed(args: &PidArgs, root: &ProcRoot, failures: &[Error], report: &mut Report) -> Done {
    let mut renderer = begin(args)?;
    for error in failures {
        match error.subject() {
            Subject::Pid(pid) if args.output.format() == Format::Table => {
                instead(root, *pid, error.clone(), renderer.as_mut(), report)?;
            }
            _ => report.failure(error),
        }
    }
    if args.output.format() == Format::Table { Ok(renderer.finish()?) } else { Ok(()) }
}

/// Shows what may be read of a process that could not be, and says why the rest is absent.
fn instead(root: &ProcRoot, pid: u32, error: Error, renderer: &mut dyn Renderer<Parts>, report: &mut Report) -> Done {
    let public = match error.kind() {
        ErrorKind::Denied => read_public_account(root, pid).ok(),
        _ => None,
    };
    let Some(account) = public else {
        report.failure(&error);
        return Ok(());
    };
    let why = format!("{}: its smaps may not be read, so that what only smaps tells is absent", error.why());
    let said = Error::pid(pid, ErrorKind::Denied, why);
    report.failure(&match error.advice() {
        Some(advice) => said.with_advice(advice.to_owned()),
        None => said,
    });
    render(renderer, &account)
}

fn begin(args: &PidArgs) -> Result<Box<dyn Renderer<Parts>>, Stop> {
    let table = args.output.format() == Format::Table;
    let ids = if table { summary::DEFAULT } else { summary::MACHINE };
    let columns = column::select(COLUMNS, ids).map_err(Stop::Usage)?;
    let layout = screen::layout(&args.output, SizeUnit::Kib);
    let layout = Layout { rows_key: "parts", grouped: true, no_header: layout.no_header || args.pmap.quiet, ..layout };
    Ok(renderer::<Parts>(layout, columns, screen::output()))
}

fn render(renderer: &mut dyn Renderer<Parts>, account: &Account) -> Done {
    let heading = heading(&account.process);
    let bars: Vec<String> = PARTS.iter().map(|part| bar(part.of(account))).collect();
    let rows = PARTS.iter().zip(&bars).map(|(part, bar)| {
        let (amount, whole) = part.of(account);
        PartRow { pid: account.process.pid, part, amount, whole, bar }
    });
    Ok(render_group(renderer, Some(&heading), rows, None)?)
}

/// A bar of the share: at least one mark for anything, all of them for everything alone.
fn bar((amount, whole): (Amount, Option<Amount>)) -> String {
    let mark = if screen::terminal_width().is_some() { "█" } else { "#" };
    let marks = match share(amount, whole) {
        Ok(share) if share > 0.0 => ((share / 100.0 * BAR as f64) as usize).clamp(1, BAR),
        _ => 0,
    };
    mark.repeat(marks)
}
