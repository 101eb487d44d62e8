//! One row per process, or part of the kernel, that holds a file (`rmap who`).
//!
//! All sizes are in bytes. The figures of memory are sums over the mappings of that file alone.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::processes::user_name;
use super::shared::NOT_UP_TO_DATE;
use crate::error::{Error, ErrorKind, Subject};
use crate::join::PageLists;
use crate::join::who::{Answer, FileInCache, Holding, How, InMemory, KernelUse, ProcessFacts, WantedFile, WhoFacts};
use crate::join::who::{MappedBy, find_holders};
use crate::process::ProcRoot;
use crate::table::escape::escaped;
use crate::table::{
    Cell, Closing, Colour, Column, ColumnKind, Cut, Object, OwnedCell, Progress, RowKind, Rows, Source, Stop, col,
};
use crate::units::{Absent, Bytes, Figure, Human, Reason};

/// A column of this view.
type C = Column<Holdings>;

/// Those who hold a file.
pub struct Holdings;

/// A holder, with the name of its user.
pub struct HoldingRow {
    holding: Holding,
    user: Figure<Vec<u8>>,
}

/// What has to be read of each process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhoNeed {
    /// Its smaps.
    Memory,
    /// Its user, command line and control group.
    Owner,
}

const MEMORY: &[WhoNeed] = &[WhoNeed::Memory];
const OWNER: &[WhoNeed] = &[WhoNeed::Owner];

impl RowKind for Holdings {
    type Row = HoldingRow;
    type Need = WhoNeed;
    const ROWS: &'static str = "holders";
    const LARGEST_BY: &'static str = "rss";
    const HAS_PROCESSES: bool = true;
    const MAY_BE_OF_ANY_GROUP: bool = true;
    const COLUMNS: &'static [C] = COLUMNS;

    fn id_of(name: &str) -> &str {
        match name {
            "file" | "filename" => "path",
            "control_group" | "group" => "cgroup",
            other => other,
        }
    }

    fn identity(row: &HoldingRow) -> Vec<u8> {
        let holding = &row.holding;
        let pid = holding.pid.unwrap_or_default().to_ne_bytes();
        let start = Holdings::start_time(row).unwrap_or_default().to_ne_bytes();
        [&holding.file.to_ne_bytes()[..], &pid, &start, &holding.name].concat()
    }

    fn start_time(row: &HoldingRow) -> Option<u64> {
        row.holding.start_time
    }

    fn process(row: &HoldingRow) -> Option<u32> {
        row.holding.pid
    }

    fn memory(row: &HoldingRow) -> Option<u64> {
        row.holding.address_space
    }

    fn part(row: &HoldingRow) -> std::ops::Range<u64> {
        let file = row.holding.file as u64;
        file..file + 1
    }
}

/// What `rmap who` shows by default.
pub const DEFAULT: &[&str] =
    &["pid", "user", "container", "how", "size", "rss", "pss", "locked", "dirty", "command", "note"];

const KERNEL: Absent = Absent::new(Reason::NotApplicable, "it is the kernel");
const NOT_READ: Absent = Absent::new(Reason::NotApplicable, "it was not read");

/// The sizes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Amount {
    Size,
    Rss,
    Pss,
    Uss,
    Anonymous,
    Locked,
    Dirty,
    Swap,
    Hugetlb,
}

impl Amount {
    const ALL: [Amount; 9] = [
        Amount::Size,
        Amount::Rss,
        Amount::Pss,
        Amount::Uss,
        Amount::Anonymous,
        Amount::Locked,
        Amount::Dirty,
        Amount::Swap,
        Amount::Hugetlb,
    ];

    /// The size of a row, by the number of the amount, which a column carries.
    fn of(row: &HoldingRow, number: u32) -> Figure<Bytes> {
        let memory: InMemory = row.holding.memory?;
        match Amount::ALL.get(number as usize).copied().unwrap_or(Amount::Size) {
            Amount::Size => Ok(memory.size),
            Amount::Rss => memory.rss,
            Amount::Pss => memory.pss,
            Amount::Uss => memory.uss,
            Amount::Anonymous => memory.anonymous,
            Amount::Locked => memory.locked,
            Amount::Dirty => memory.dirty,
            Amount::Swap => memory.swap,
            Amount::Hugetlb => memory.hugetlb,
        }
    }
}

/// A column with a size, which a total adds.
const fn amount(id: &'static str, title: &'static str, amount: Amount, help: &'static str) -> C {
    let get = |row: &'_ HoldingRow, number| -> Cell<'_> { Cell::bytes(Amount::of(row, number)) };
    let mut column = C::sum(id, title, ColumnKind::Bytes, get, help);
    column.argument = amount as u32;
    column.needing(MEMORY)
}

/// All columns, in the order in which JSON writes them.
const COLUMNS: &[C] = &[
    col!(new "path", "Path", Text, |row| Cell::Text(&row.holding.path), "the file as it was named", naming()),
    col!(new "path_bytes", "Path bytes", RawBytes, |row| Cell::RawBytes(&row.holding.path),
        "the path if it is not UTF-8"),
    col!(new "pid", "PID", Number, |row| pid(row), "the process; absent for the kernel", identifier()),
    col!(new "user", "User", Text, |row| text(&row.user), "the user that the process runs as, from /proc/PID/status",
        naming(), needing(OWNER), minor()),
    col!(new "container", "Container", Text, |row| container(row),
        "the container of the process, from the name of its control group", naming(), needing(OWNER), minor()),
    col!(new "cgroup", "Control group", Text, |row| facts(row, |facts| text(&facts.control_group)),
        "the memory control group of the process, from /proc/PID/cgroup", naming(), needing(OWNER)),
    col!(new "cgroup_bytes", "Control group bytes", RawBytes,
        |row| raw(facts(row, |facts| text(&facts.control_group))), "the same if it is not UTF-8", needing(OWNER)),
    col!(new "name", "Name", Text, |row| Cell::Text(&row.holding.name),
        "the name of the process (comm); of the kernel swap, loop0, dm-0 or mount", naming()),
    col!(new "name_bytes", "Name bytes", RawBytes, |row| Cell::RawBytes(&row.holding.name),
        "the name if it is not UTF-8"),
    col!(new "command", "Command", Text, |row| command(row),
        "the command line of the process; of the kernel, what it does with the file", naming(), needing(OWNER),
        cut(Cut::Command)),
    col!(new "command_bytes", "Command bytes", RawBytes, |row| raw(command(row)), "the same if it is not UTF-8",
        needing(OWNER)),
    col!(new "how", "How", Text, |row| Cell::Word(row.holding.how.word()), "how it holds the file",
        one_of(|| How::WORDS.to_vec())),
    amount("size", "Mapped", Amount::Size, "the length of its mappings of the file (Size), each of which counts")
        .least(),
    amount("rss", "Rss", Amount::Rss, "what these have in RAM (Rss)"),
    amount("pss", "Pss", Amount::Pss, "the same, divided among the processes that map it (Pss)"),
    amount("uss", "Uss", Amount::Uss, "what no other mapping has (Private_Clean and Private_Dirty)"),
    amount(
        "anonymous",
        "Anonymous",
        Amount::Anonymous,
        "its own copies of pages that it has written to in a private mapping (Anonymous)",
    ),
    amount("locked", "Locked", Amount::Locked, "Rss of those mappings that are locked (lo in VmFlags)")
        .coloured(Colour::Magenta)
        .minor(),
    amount("dirty", "Dirty", Amount::Dirty, "modified (Shared_Dirty and Private_Dirty)")
        .coloured(Colour::Yellow)
        .minor(),
    amount("swap", "Swap", Amount::Swap, "what these have in swap (Swap)").minor(),
    amount(
        "hugetlb",
        "Hugetlb",
        Amount::Hugetlb,
        "what these have in hugetlb pages, which no other figure includes (Shared_Hugetlb and Private_Hugetlb)",
    ),
    col!(sum "mappings", "Mappings", Number, |row| Cell::Count(row.holding.mappings),
        "how many of its mappings are of the file"),
    col!(sum "descriptors", "Descriptors", Number, |row| Cell::Count(row.holding.descriptors),
        "how many of its descriptors are open on the file"),
    col!(new "seen_as", "Seen as", Text, |row| seen_as(row),
        "the name of the file as the holder sees it, such as another hard link or a path in a container", naming()),
    col!(new "seen_as_bytes", "Seen as bytes", RawBytes, |row| Cell::RawBytes(&row.holding.seen_as),
        "the same if it is not UTF-8"),
    col!(new "note", "Note", Prose, |row| Cell::Remark(row.holding.note), "what a reader must know"),
];

fn text(text: &Figure<Vec<u8>>) -> Cell<'_> {
    text.as_ref().map_or_else(|absent| Cell::Absent(*absent), |text| Cell::Text(text))
}

/// The bytes of a text; what is absent has none.
fn raw(cell: Cell<'_>) -> Cell<'_> {
    match cell {
        Cell::Text(text) => Cell::RawBytes(text),
        _ => Cell::RawBytes(b""),
    }
}

fn is_kernel(row: &HoldingRow) -> bool {
    row.holding.how.kernel.is_some()
}

fn pid(row: &HoldingRow) -> Cell<'_> {
    row.holding.pid.map_or(Cell::Absent(KERNEL), |pid| Cell::Count(pid.into()))
}

fn facts<'r>(row: &'r HoldingRow, get: impl FnOnce(&'r ProcessFacts) -> Cell<'r>) -> Cell<'r> {
    match &row.holding.facts {
        Some(facts) => get(facts),
        None if is_kernel(row) => Cell::Absent(KERNEL),
        None => Cell::Absent(NOT_READ),
    }
}

fn container(row: &HoldingRow) -> Cell<'_> {
    match &row.holding.facts {
        Some(facts) => {
            facts.container.as_ref().map_or_else(|absent| Cell::Absent(*absent), |name| Cell::Remark(name.as_deref()))
        }
        None => Cell::Remark(None),
    }
}

fn command(row: &HoldingRow) -> Cell<'_> {
    match &row.holding.kernel {
        Some(words) => Cell::Text(words),
        None => facts(row, |facts| text(&facts.command)),
    }
}

const NO_NAME: Absent = Absent::new(Reason::NotApplicable, "the device has no other name");

fn seen_as(row: &HoldingRow) -> Cell<'_> {
    match row.holding.how.kernel {
        Some(KernelUse::Below | KernelUse::Mount) => Cell::Absent(NO_NAME),
        _ => Cell::Text(&row.holding.seen_as),
    }
}

/// Finds who holds files.
pub struct WhoSource {
    /// The machine.
    pub root: ProcRoot,
    /// The files.
    pub wanted: Vec<WantedFile>,
    /// Whether the kernel's lists tell how much of a file is mapped.
    pub pages: bool,
    /// Those that are named by a path, if no other is asked about.
    paths: Vec<PathBuf>,
    files: Vec<FileInCache>,
    users: HashMap<u32, Vec<u8>>,
}

impl WhoSource {
    /// Of these files.
    pub fn new(root: ProcRoot, wanted: Vec<WantedFile>) -> WhoSource {
        let path = |file: &WantedFile| match file {
            WantedFile::Path(path) => Some(path.clone()),
            WantedFile::Number { .. } => None,
        };
        let paths = wanted.iter().map(path).collect::<Option<Vec<PathBuf>>>().unwrap_or_default();
        WhoSource { root, wanted, pages: false, paths, files: Vec::new(), users: HashMap::new() }
    }

    fn row(&mut self, holding: Holding) -> HoldingRow {
        let user = match &holding.facts {
            Some(facts) => {
                facts.user.map(|user| self.users.entry(user).or_insert_with(|| user_name(user, facts.is_live)).clone())
            }
            None if holding.how.kernel.is_some() => Err(KERNEL),
            None => Err(NOT_READ),
        };
        HoldingRow { holding, user }
    }
}

impl Source for WhoSource {
    type Kind = Holdings;

    fn named(&self) -> &[PathBuf] {
        &self.paths
    }

    fn closing(&self) -> Closing {
        Closing {
            lines: self.files.iter().map(in_words).collect(),
            list: Some(("files", self.files.iter().map(file_cells).collect())),
            ..Closing::default()
        }
    }

    fn read(&mut self, needs: &[WhoNeed], rows: &mut dyn Rows<Holdings>) -> Result<(), Stop> {
        self.files.clear();
        let facts = WhoFacts {
            memory: needs.contains(&WhoNeed::Memory),
            owner: needs.contains(&WhoNeed::Owner),
            pages: self.pages,
        };
        let answer: Answer = find_holders(&self.root, &self.wanted, facts)?;
        rows.progress(Progress::Done);
        if self.pages && !PageLists::may_be_read() {
            let why = "it needs root of the machine, or CAP_BPF and CAP_PERFMON; only page tables tell what is mapped";
            rows.note(Error::new(Subject::Words("--pages".to_owned()), ErrorKind::Denied, why));
        }
        answer.failures.into_iter().for_each(|error| rows.lost(super::file::advised(error)));
        self.files = answer.files;
        let found = answer.rows.into_iter().map(|holding| self.row(holding)).collect();
        rows.rows(found)
    }
}

/// What is cached of a file, and who maps it, as a line.
fn in_words(file: &FileInCache) -> String {
    let name = |path: &Path| escaped(path.as_os_str().as_encoded_bytes());
    if let Some(first) = &file.same_as {
        return format!("{}: the same file as {}", name(&file.path), name(first));
    }
    let nobody = match (file.holders, file.is_complete) {
        (0, true) => "nobody maps it or has it open; ",
        (0, false) => "nobody that could be looked at maps it or has it open; ",
        _ => "",
    };
    let cached = match (file.cached, file.mapped, file.mapped_at_least) {
        (Err(absent), _, Ok(mapped @ Bytes(1..))) => {
            format!("what is cached of it is not known ({}), but at least {} is mapped", absent.why, Human(mapped))
        }
        (Err(absent), ..) => format!("what is cached of it is not known ({})", absent.why),
        (Ok(Bytes(0)), ..) => "0 cached".to_owned(),
        (Ok(cached), Ok(_), _) if file.holders == 0 && file.is_complete => format!("{} cached", Human(cached)),
        (Ok(cached), Ok(mapped), _) => {
            let unmapped = cached.saturating_sub(mapped);
            format!("{} cached: {} mapped, {} mapped by nobody", Human(cached), Human(mapped), Human(unmapped))
        }
        (Ok(cached), Err(absent), Ok(mapped @ Bytes(1..))) => {
            format!("{} cached: at least {} mapped ({})", Human(cached), Human(mapped), absent.why)
        }
        (Ok(cached), Err(absent), _) => {
            format!("{} cached; how much of it is mapped is not known ({})", Human(cached), absent.why)
        }
    };
    let more = match file.not_up_to_date {
        Ok(more @ Bytes(1..)) => format!("; {NOT_UP_TO_DATE} ({})", Human(more)),
        _ => file.why_fewer().map_or_else(String::new, |absent| format!("; {}", absent.why)),
    };
    format!("{}: {nobody}{cached}{more}", name(&file.path))
}

/// The same for a JSON document.
fn file_cells(file: &FileInCache) -> Object {
    let path = file.path.as_os_str().as_encoded_bytes();
    let figure =
        |figure: Figure<Bytes>| OwnedCell::Plain(figure.map_or(Cell::Remark(None), |bytes| Cell::Bytes(bytes.0)));
    let words = |words: Option<&str>| {
        words.map_or(OwnedCell::Plain(Cell::Remark(None)), |words| OwnedCell::Text(words.as_bytes().to_vec()))
    };
    let absent = [file.cached, file.mapped].into_iter().find_map(Result::err);
    let reasons: Vec<String> = absent.iter().chain(&file.why_fewer()).map(Absent::to_string).collect();
    let reason = (!reasons.is_empty()).then(|| reasons.join("; "));
    let same_as = file.same_as.as_ref().map_or(OwnedCell::Plain(Cell::Remark(None)), |first| {
        OwnedCell::Text(first.as_os_str().as_encoded_bytes().to_vec())
    });
    vec![
        ("path", OwnedCell::Text(path.to_vec())),
        ("path_bytes", OwnedCell::RawBytes(path.to_vec())),
        ("same_as", same_as),
        ("holder_count", OwnedCell::Plain(Cell::Count(file.holders))),
        ("size", figure(file.size)),
        ("cached", figure(file.cached)),
        ("not_up_to_date", figure(file.not_up_to_date)),
        ("mapped", figure(file.mapped)),
        ("mapped_at_least", figure(file.mapped_at_least)),
        ("unmapped", figure(file.unmapped)),
        ("mapped_by", words(file.method.map(MappedBy::word))),
        ("reason", words(reason.as_deref())),
    ]
}
