//! `--summary`, and what is shown of a process whose smaps may not be read.

use super::Report;
use super::collect::Collected;
use super::denied::{Denied, read_denied};
use super::list::heading;
use crate::cli::args::PidArgs;
use crate::cli::processes::Asked;
use crate::cli::{Done, Stop, screen};
use crate::error::{Error, ErrorKind};
use crate::output::choose::renderer;
use crate::output::render::render_group;
use crate::output::{Format, Layout, Renderer, SizeUnit, column};
use crate::process::{Account, Amount, ProcRoot, Process};
use crate::views::summary::{self, COLUMNS, PARTS, PartRow, Parts, share};

/// How wide a full bar is: beside it the words fit 80 columns.
const BAR: usize = 8;

pub(super) fn run(args: &PidArgs, root: &ProcRoot, asked: &[Asked], report: &mut Report) -> Done {
    let mut renderer = begin(args)?;
    for process in asked {
        match Process::open_in(root, process.pid).and_then(|process| process.read_account()) {
            Ok(account) => render(renderer.as_mut(), &account)?,
            Err(error) if process.found && error.kind() == ErrorKind::NotFound => {}
            Err(error) => instead(root, &error, renderer.as_mut(), report)?,
        }
    }
    Ok(renderer.finish()?)
}

/// Says what could not be read. Of processes that were refused a table shows what any user may know; a JSON document has it with
/// the process.
pub(super) fn render_failed(args: &PidArgs, collected: &Collected, report: &mut Report) -> Done {
    collected.failures.iter().for_each(|error| report.failure(error));
    collected.denied.iter().for_each(|denied| report.failure(&denied.why));
    render_denied(args, &collected.denied)
}

/// What any user may know of these, for people.
pub(super) fn render_denied(args: &PidArgs, denied: &[Denied]) -> Done {
    if denied.is_empty() || args.output.format() != Format::Table {
        return Ok(());
    }
    let mut renderer = begin(args)?;
    denied.iter().try_for_each(|denied| render(renderer.as_mut(), &denied.account))?;
    Ok(renderer.finish()?)
}

/// Shows what may be read of a process that could not be, and says why the rest is absent.
fn instead(root: &ProcRoot, error: &Error, renderer: &mut dyn Renderer<Parts>, report: &mut Report) -> Done {
    let Some(denied) = read_denied(root, error) else {
        report.failure(error);
        return Ok(());
    };
    report.failure(&denied.why);
    render(renderer, &denied.account)
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
    let heading = heading(&account.identity);
    let bars: Vec<String> = PARTS.iter().map(|part| bar(part.of(account))).collect();
    let rows = PARTS.iter().zip(&bars).map(|(part, bar)| {
        let (amount, whole) = part.of(account);
        PartRow { pid: account.identity.pid, part, amount, whole, bar }
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
