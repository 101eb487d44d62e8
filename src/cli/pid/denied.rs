//! Processes whose smaps may not be read: what any user may know of them, from their status, and why the rest is absent.

use super::list::heading;
use crate::cli::Done;
use crate::cli::args::PidArgs;
use crate::error::{Error, ErrorKind, Subject};
use crate::output::{Cell, Format, Heading, Renderer, RowKind};
use crate::process::{Account, ProcRoot, Process};

/// One such process.
pub(super) struct Denied {
    /// What may be known.
    pub(super) account: Account,
    /// Why the rest is absent, and what would help.
    pub(super) why: Error,
}

/// What may be known of the process that this error is about; none where it was not refused, or tells nothing at all.
pub(super) fn read_denied(root: &ProcRoot, error: &Error) -> Option<Denied> {
    let Subject::Pid(pid) = error.subject() else { return None };
    if error.kind() != ErrorKind::Denied {
        return None;
    }
    let account = Process::open_in(root, *pid).and_then(|process| process.read_public_account()).ok()?;
    let why = format!("{}: its smaps may not be read, so that what only smaps tells is absent", error.why());
    let said = Error::pid(*pid, ErrorKind::Denied, why);
    let why = match error.advice() {
        Some(advice) => said.with_advice(advice.to_owned()),
        None => said,
    };
    Some(Denied { account, why })
}

/// In a JSON document an object for each, without a row and without a total. The flat formats have a row for each mapping, so
/// none for these.
pub(super) fn render<K: RowKind>(args: &PidArgs, denied: &[Denied], renderer: &mut dyn Renderer<K>) -> Done {
    if args.output.format() != Format::Json {
        return Ok(());
    }
    for denied in denied {
        renderer.begin(Some(&heading_of(denied)))?;
        renderer.end(None)?;
    }
    Ok(())
}

/// The keys of the process, with those of its status.
pub(super) fn heading_of(denied: &Denied) -> Heading<'_> {
    let mut heading = heading(&denied.account.identity);
    heading.fields.push(("denied", Cell::Text(denied.why.why().as_bytes())));
    heading.objects.push(("status", figures(&denied.account)));
    heading
}

/// The figures of status under the kernel's names in lower case.
fn figures(account: &Account) -> Vec<(&'static str, Cell<'static>)> {
    let figures = [
        ("vmrss", account.resident),
        ("rssanon", account.anonymous),
        ("rssfile", account.file),
        ("rssshmem", account.shared_memory),
        ("vmswap", account.swap),
        ("hugetlbpages", account.hugetlb),
    ];
    figures.map(|(key, amount)| (key, Cell::bytes(amount.bytes))).to_vec()
}
