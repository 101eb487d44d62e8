//! Reads the cached files of the machine: by the kernel's lists, or what processes hold and what a walk finds.

use std::path::PathBuf;
use std::time::Duration;

use super::{Amount, C, CachedFiles, CachedNeed};
use crate::error::{Error, ErrorKind, Subject};
use crate::join::machine_files::{
    Account, BUDGET, Captured, Facts, FoundChoice, MachineFiles, Split, held_files, measure_files, walked_files,
};
use crate::join::{ChosenFiles, Message};
use crate::machine::cached::Kind;
use crate::machine::read_groups;
use crate::process::{GroupChoice, ProcRoot, run_as_root};
use crate::table::{
    Aggregation, Cell, Closing, ColumnKind, Largest, Named, OwnedCell, Progress, RowKind, Rows, Source, Stop,
};
use crate::units::Bytes;
use crate::views::control_group::no_such_group;
use crate::views::file::advised;

/// Reads the cached files of the machine.
pub struct CachedFileSource {
    /// Which of them.
    pub choice: FoundChoice,
    /// How long reading the kernel's lists may take.
    pub budget: Duration,
    /// The directories that are walked over, instead of reading the lists.
    pub walk: Option<Vec<PathBuf>>,
    /// The machine: this one, or a capture, whose list is read.
    pub root: ProcRoot,
    first: Option<usize>,
    files: MachineFiles,
    account: Option<Account>,
}

impl CachedFileSource {
    /// All of them.
    pub fn new(choice: FoundChoice) -> CachedFileSource {
        CachedFileSource {
            choice,
            budget: BUDGET,
            walk: None,
            root: ProcRoot::live(),
            first: None,
            files: MachineFiles::default(),
            account: None,
        }
    }

    /// The kernel's lists.
    fn read_lists(&mut self, facts: Facts, rows: &mut dyn Rows<CachedFiles>) -> Result<(), ListError> {
        let found = self.files.read_lists(&self.choice, facts, self.first, self.budget).map_err(ListError::Unusable)?;
        let error = |why| Error::new(Subject::Words(LISTS.to_owned()), ErrorKind::Changed, why);
        self.look_for(&found.uncharged, found.is_whole, rows);
        found.incomplete.into_iter().for_each(|why| rows.lost(error(why)));
        // The rows say it, too; the files themselves are all there.
        found.unseen.into_iter().chain(found.nameless).for_each(|why| rows.note(error(why)));
        self.account = Some(found.account);
        rows.rows(found.files).map_err(ListError::Stop)
    }

    /// Reports named control groups that do not exist. A group that is charged for something that was read is not
    /// looked up.
    fn look_for(&self, uncharged: &[(Vec<u8>, GroupChoice)], is_whole: bool, rows: &mut dyn Rows<CachedFiles>) {
        for (name, group) in uncharged {
            match read_groups(&self.root, group, &[], &mut |_| {}) {
                Ok(groups) if !groups.is_empty() => {}
                Ok(_) if is_whole => rows.lost(no_such_group(name)),
                Ok(_) => rows.failure(no_group_now(name)),
                Err(error) => rows.lost(error),
            }
        }
    }

    /// The list of a capture.
    fn read_captured(&mut self, rows: &mut dyn Rows<CachedFiles>) -> Result<(), Stop> {
        let (found, files) = Captured::open(&self.root)?;
        let error = |kind, why| Error::new(Subject::Words(LISTS.to_owned()), kind, why);
        if let Some(lists) = found.lists {
            if let Some(option) = self.choice.needs_lists() {
                rows.lost(lists.with_advice("a capture that root takes has them"));
                return Err(Stop::Failed(only_lists(option)));
            }
            rows.lost(lists.with_advice(INSTEAD_IN_CAPTURE));
        }
        let is_whole = found.incomplete.is_empty();
        found.incomplete.into_iter().for_each(|why| rows.lost(error(ErrorKind::Changed, why)));
        found.failures.into_iter().for_each(|failure| rows.lost(failure));
        found.unseen.into_iter().for_each(|why| rows.note(error(ErrorKind::Changed, why)));
        let unsure = files.read(&self.choice, |file| rows.row(file))?;
        self.look_for(&unsure.uncharged, is_whole, rows);
        unsure.unknown.into_iter().for_each(|unknown| rows.lost(unknown));
        unsure.nameless.into_iter().for_each(|why| rows.note(error(ErrorKind::Changed, why)));
        self.account = Some(found.account);
        Ok(())
    }

    /// Files one by one.
    fn measure(&mut self, files: &ChosenFiles, facts: Facts, rows: &mut dyn Rows<CachedFiles>) -> Result<(), Stop> {
        let (account, unseen) = measure_files(files, &self.choice, facts, |message, looked_at| {
            rows.progress(Progress::Files(looked_at));
            match message {
                Message::Item(found) => rows.rows(found),
                Message::Failure(error) => {
                    rows.lost(advised(of_process(error)));
                    rows.check()
                }
                Message::Note(note) => {
                    rows.note(note);
                    Ok(())
                }
                Message::Nothing => rows.check(),
            }
        })?;
        rows.progress(Progress::Done);
        self.account = Some(account);
        if let Some(why) = unseen {
            rows.note(Error::new(Subject::Words("the processes of this machine".to_owned()), ErrorKind::Denied, why));
        }
        Ok(())
    }
}

/// The account for a JSON document.
fn account_cells(account: &Account) -> Vec<(&'static str, OwnedCell)> {
    let plain =
        |bytes: Option<Bytes>| OwnedCell::Plain(bytes.map_or(Cell::Remark(None), |Bytes(bytes)| Cell::Bytes(bytes)));
    let words = |text: &str| OwnedCell::Text(text.as_bytes().to_vec());
    let kinds = account.kinds.iter().map(|(kind, bytes)| (kind.map_or("unknown", Kind::key), plain(Some(*bytes))));
    let whole = [
        ("method", words(account.method.word())),
        ("cached_and_buffers", plain(account.size)),
        ("found", plain(Some(account.found()))),
        ("left", plain(account.left())),
    ];
    let missed = ("missed", words(&account.missed()));
    whole.into_iter().chain(kinds).chain([missed]).collect()
}

/// Why the lists could not be read.
enum ListError {
    /// They cannot be read here.
    Unusable(Error),
    /// The query has ended.
    Stop(Stop),
}

/// The error for an option whose rows only the lists know.
fn only_lists(option: &str) -> Error {
    let why = "only the kernel's lists say it, which need root, or CAP_BPF and CAP_PERFMON";
    Error::new(Subject::Words(option.to_owned()), ErrorKind::Refused, why)
}

/// The error about a control group that was named, if not all files were read.
fn no_group_now(name: &[u8]) -> Error {
    let why = "no such control group now; if it was removed, it may be charged for files that were not read";
    Error::new(Subject::Words(String::from_utf8_lossy(name).into_owned()), ErrorKind::NotFound, why)
}

const LISTS: &str = "the kernel's lists of cached files";

/// What is shown if the lists cannot be read.
const INSTEAD: &str = "otherwise only files that processes hold are seen; `rmap files --scan` walks over directories";

/// The same in a capture.
const INSTEAD_IN_CAPTURE: &str =
    "these are the files that processes held; a capture that root takes has all cached files";

impl Source for CachedFileSource {
    type Kind = CachedFiles;

    fn columns(&mut self, _: &Named) -> Vec<C> {
        let mut columns = CachedFiles::columns();
        // If a file has several rows, its length counts once; so does everything if they have the same pages.
        let is_repeated = |column: &C| match self.choice.split {
            Some(Split::Holders) => column.kind() == ColumnKind::Bytes,
            Some(Split::Groups | Split::Nodes) => column.id() == "size",
            None => false,
        };
        for column in &mut columns {
            if is_repeated(column) {
                column.aggregation = Aggregation::Union(Amount::piece);
            } else if self.choice.split.is_some() && column.kind() == ColumnKind::Percent {
                column.aggregation = Aggregation::None;
            }
        }
        columns
    }

    fn show_at_most(&mut self, largest: Option<Largest>) {
        self.first = largest.filter(|largest| largest.by == CachedFiles::LARGEST_BY).map(|largest| largest.rows);
    }

    fn closing(&self) -> Closing {
        let object = self.account.as_ref().map(|account| ("account", account_cells(account)));
        Closing { lines: self.account.as_ref().map(Account::lines).unwrap_or_default(), object, ..Closing::default() }
    }

    fn finds_many(&self) -> bool {
        true
    }

    fn read(&mut self, needs: &[CachedNeed], rows: &mut dyn Rows<CachedFiles>) -> Result<(), Stop> {
        self.account = None;
        let facts = Facts {
            path: needs.contains(&CachedNeed::Path),
            pages: needs.contains(&CachedNeed::Pages),
            holders: needs.contains(&CachedNeed::Holders),
            container: needs.contains(&CachedNeed::Container),
        };
        if !self.root.is_live() {
            return self.read_captured(rows);
        }
        if let Some(directories) = self.walk.clone() {
            return self.measure(&walked_files(directories), facts, rows);
        }
        match self.read_lists(facts, rows) {
            Ok(()) => Ok(()),
            Err(ListError::Stop(stop)) => Err(stop),
            Err(ListError::Unusable(error)) => {
                let root = if error.kind() == ErrorKind::Denied { run_as_root() } else { None };
                if let Some(option) = self.choice.needs_lists() {
                    rows.lost(root.map_or(error.clone(), |root| error.with_advice(root)));
                    return Err(Stop::Failed(only_lists(option)));
                }
                let advice = root.map_or_else(String::new, |root| format!("{root}; "));
                rows.lost(error.with_advice(advice + INSTEAD));
                self.measure(&held_files(), facts, rows)
            }
        }
    }
}

/// What is missing because a process may not be read; any other failure as it is.
fn of_process(error: Error) -> Error {
    match (error.kind(), error.subject()) {
        (ErrorKind::Denied, Subject::Pid(_) | Subject::Process(..)) => {
            let why =
                "permission denied: cannot read which files it holds, so those that nobody else holds are missing";
            let said = Error::new(error.subject().clone(), ErrorKind::Denied, why);
            match error.advice() {
                Some(advice) => said.with_advice(advice.to_owned()),
                None => said,
            }
        }
        _ => error,
    }
}
