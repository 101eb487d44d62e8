//! The processes that are meant, and what is said about each, for every view of processes.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::error::{Error, ErrorKind, Result, Subject};
use crate::process::account::{Account, read_public_account};
use crate::process::{ProcRoot, Process, Selection, own_pid, read_selected, read_status};
use crate::table::escape::escaped;
use crate::table::{Cell, OwnedCell, RowKind, Rows, Section, Stop};
use crate::units::{Absent, Bytes, Figure, Reason};

/// Which processes.
#[derive(Clone, Default)]
pub struct ProcessChoice {
    /// Those with these numbers, or `self`.
    pub pids: Vec<OsString>,
    /// Those that are like this.
    pub like: Selection,
}

/// One process that is meant.
pub(super) struct Asked {
    pub(super) pid: u32,
    /// It was found, not named: if it is gone by now, there is nothing to complain about.
    pub(super) found: bool,
}

impl ProcessChoice {
    /// Whether there may be several.
    pub fn may_be_several(&self) -> bool {
        self.pids.len() != 1 || !self.like.is_empty()
    }

    /// The processes that are meant, each once: first those that were named, then those that were found.
    pub(super) fn find<K: RowKind>(
        &self,
        root: &ProcRoot,
        rows: &mut dyn Rows<K>,
    ) -> std::result::Result<Vec<Asked>, Stop> {
        let mut asked: Vec<Asked> = Vec::new();
        let mut add = |pid, found| {
            if asked.iter().all(|earlier| earlier.pid != pid) {
                asked.push(Asked { pid, found });
            }
        };
        for word in &self.pids {
            match pid_of(word, root) {
                Ok(pid) => add(pid, false),
                Err(error) => rows.failure(error),
            }
        }
        if !self.like.is_empty() {
            let found = read_selected(root, &self.like)?;
            if found.is_empty() {
                let about = Subject::Words("--name, --match, --user, --cgroup".to_owned());
                rows.failure(Error::new(about, ErrorKind::NotFound, "no such process"));
            }
            found.into_iter().for_each(|pid| add(pid, true));
        }
        Ok(asked)
    }
}

/// The pid that a word stands for.
fn pid_of(word: &OsStr, root: &ProcRoot) -> Result<u32> {
    if word == "self" {
        return own_pid(root);
    }
    word.to_str().and_then(|digits| digits.parse().ok()).ok_or_else(|| {
        Error::new(Subject::Words(escaped(word.as_bytes())), ErrorKind::NotFound, "not a pid")
            .with_advice("name a process by its number, by --name, or self")
    })
}

/// What names a process above its rows.
pub(super) fn section_of(process: &Process) -> Section {
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

/// Whose a process is.
#[derive(Clone)]
pub(super) struct Owner {
    /// The name of the user that it runs as, or the number.
    pub(super) user: Figure<Vec<u8>>,
    /// Its memory control group: of version 1 if there is one, else of version 2.
    pub(super) control_group: Figure<Vec<u8>>,
}

const NO_STATUS: Absent = Absent::new(Reason::Vanished, "its status could not be read");
const NO_GROUP: Absent = Absent::new(Reason::Unsupported, "it has no control group file");

pub(super) fn owner(root: &ProcRoot, pid: u32) -> Owner {
    let user = read_status(root, pid).map(|status| user_name(root, status.user)).map_err(|_| NO_STATUS);
    let text = std::fs::read(root.pid_path(pid, "cgroup")).map_err(|_| NO_GROUP);
    Owner { user, control_group: text.and_then(|text| control_group(&text).ok_or(NO_GROUP)) }
}

/// A number in a capture is another machine's.
fn user_name(root: &ProcRoot, user: u32) -> Vec<u8> {
    let known = nix::unistd::User::from_uid(user.into()).ok().flatten().filter(|_| root.is_live());
    known.map_or_else(|| user.to_string(), |known| known.name).into_bytes()
}

fn control_group(text: &[u8]) -> Option<Vec<u8>> {
    let group = |is_meant: &dyn Fn(&[u8]) -> bool| {
        text.split(|byte| *byte == b'\n').find_map(|line| {
            let mut parts = line.splitn(3, |byte| *byte == b':');
            let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            is_meant(controllers).then(|| path.to_vec())
        })
    };
    let of_memory = |controllers: &[u8]| controllers.split(|byte| *byte == b',').any(|name| name == b"memory");
    group(&of_memory).or_else(|| group(&|controllers| controllers.is_empty()))
}

/// A process whose smaps may not be read.
pub(super) struct Denied {
    /// What any user may know.
    pub(super) account: Account,
    /// Why the rest is absent, and what would help.
    pub(super) why: Error,
}

/// What may be known of the process that this error is about; none if it was not refused, or reveals nothing at all.
pub(super) fn read_denied(root: &ProcRoot, error: &Error) -> Option<Denied> {
    let Subject::Pid(pid) = error.subject() else { return None };
    if error.kind() != ErrorKind::Denied {
        return None;
    }
    let account = read_public_account(root, *pid).ok()?;
    let why = format!("{}: its smaps may not be read, so that what only smaps reports is absent", error.why());
    let said = Error::pid(*pid, ErrorKind::Denied, why);
    let why = match error.advice() {
        Some(advice) => said.with_advice(advice.to_owned()),
        None => said,
    };
    Some(Denied { account, why })
}

impl Denied {
    /// The section of the process, which has no rows, with the figures of its status.
    pub(super) fn section(&self) -> Section {
        let mut section = section_of(&self.account.process);
        section.fields.push(("denied", OwnedCell::Text(self.why.why().as_bytes().to_vec())));
        section.objects.push(("status", figures(&self.account)));
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
