//! What is reported about each selected process, for every view of processes.

use crate::error::{Error, ErrorKind};
use crate::process::account::Account;
use crate::process::{Asked, Identity, ProcRoot, Process, ProcessChoice};
use crate::table::{Cell, OwnedCell, RowKind, Rows, Section, Stop};
use crate::units::{Absent, Bytes, Figure, Reason};

/// The selected processes; what is wrong with the selection is reported.
pub(super) fn find_selected<K: RowKind>(
    choice: &ProcessChoice,
    root: &ProcRoot,
    rows: &mut dyn Rows<K>,
) -> Result<Vec<Asked>, Stop> {
    Ok(choice.find(root, &mut |error| rows.failure(error))?)
}

impl Asked {
    /// Opens it. If that fails, reports why and returns `None`.
    pub(super) fn open<K: RowKind>(&self, root: &ProcRoot, rows: &mut dyn Rows<K>) -> Option<Process> {
        Process::open_in(root, self.pid).map_err(|error| self.report(error, rows)).ok()
    }

    /// Reports why it cannot be read. If permission to read its smaps was denied, returns what any user may know.
    pub(super) fn report_unread<K: RowKind>(
        &self,
        process: &Process,
        error: Error,
        rows: &mut dyn Rows<K>,
    ) -> Option<Denied> {
        match read_denied(process, &error) {
            Some(denied) => {
                rows.lost(denied.why.clone());
                Some(denied)
            }
            None => {
                self.report(error, rows);
                None
            }
        }
    }

    fn report<K: RowKind>(&self, error: Error, rows: &mut dyn Rows<K>) {
        if self.is_missed(&error) {
            rows.lost(error);
        }
    }
}

/// The heading of a process above its rows.
pub(super) fn section_of(process: &Identity) -> Section {
    Section {
        line: [format!("{}:   ", process.pid).as_bytes(), &process.command].concat(),
        fields: vec![
            ("pid", OwnedCell::Plain(Cell::Count(process.pid.into()))),
            ("command", OwnedCell::Text(process.command.clone())),
            ("command_bytes", OwnedCell::RawBytes(process.command.clone())),
        ],
        ..Section::default()
    }
}

/// Whose a process is, and what it runs.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Owner {
    /// Its command line.
    pub(super) command: Figure<Vec<u8>>,
    /// The name of the user that it runs as, or the number.
    pub(super) user: Figure<Vec<u8>>,
    /// Its memory control group: version 1 if there is one, otherwise version 2.
    pub(super) control_group: Figure<Vec<u8>>,
}

const NO_STATUS: Absent = Absent::new(Reason::Vanished, "its status could not be read");
const NO_COMMAND: Absent = Absent::new(Reason::Vanished, "its command line could not be read");
const NO_GROUP: Absent = Absent::new(Reason::Unsupported, "it has no control group file");

impl Owner {
    pub(super) fn read(process: &Process) -> Owner {
        let command = process.identity().map(|identity| identity.command).map_err(|_| NO_COMMAND);
        let status = process.read_status().map_err(|_| NO_STATUS);
        Owner {
            command,
            user: status.map(|status| user_name(status.user, process.is_live())),
            control_group: process.read_cgroup().map_err(|_| NO_GROUP),
        }
    }
}

/// The name of a user, or the number for a capture, which is from another machine.
pub(crate) fn user_name(user: u32, is_live: bool) -> Vec<u8> {
    let known = || nix::unistd::User::from_uid(user.into()).ok().flatten();
    let known = if is_live { known() } else { None };
    known.map_or_else(|| user.to_string(), |known| known.name).into_bytes()
}

/// A process whose smaps may not be read.
pub(super) struct Denied {
    /// What any user may know.
    pub(super) account: Account,
    /// Why the rest is absent, and what to do about it.
    pub(super) why: Error,
}

/// What any user may know about a process that could not be read; `None` if the reason is another one, or nothing is
/// known.
fn read_denied(process: &Process, error: &Error) -> Option<Denied> {
    if error.kind() != ErrorKind::Denied {
        return None;
    }
    let account = process.read_public_account().ok()?;
    let why = format!("{}: cannot read smaps, so figures that only smaps reports are absent", error.why());
    let said = Error::pid(process.pid(), ErrorKind::Denied, why);
    let why = match error.advice() {
        Some(advice) => said.with_advice(advice.to_owned()),
        None => said,
    };
    Some(Denied { account, why })
}

impl Denied {
    /// The section of the process, which has no rows, with the figures of its status.
    pub(super) fn section(&self) -> Section {
        let mut section = section_of(&self.account.identity);
        section.objects.push(("status", figures(&self.account)));
        section.denied = Some(OwnedCell::Text(self.why.why().as_bytes().to_vec()));
        section.is_closed = true;
        section
    }
}

/// The figures of status under the kernel's names in lower case.
fn figures(account: &Account) -> Vec<(&'static str, OwnedCell)> {
    let figure = |bytes: Figure<Bytes>| OwnedCell::Plain(Cell::bytes(bytes));
    [
        ("vmrss", account.resident),
        ("rssanon", account.anonymous),
        ("rssfile", account.file),
        ("rssshmem", account.shared_memory),
        ("vmswap", account.swap),
        ("hugetlbpages", account.hugetlb),
    ]
    .map(|(key, amount)| (key, figure(amount.bytes)))
    .to_vec()
}
