//! The list of cached files as the text of a capture: a line of JSON about the whole list, then one for each file.

use std::io::{self, Read};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::parts::{HolderOfFile, PagesOfFile, Parts};
use super::{Account, Facts, FoundChoice, FoundFile, MachineFiles, held_files, measure_files};
use crate::error::{Error, Subject};
use crate::join::Message;
use crate::units::{Absent, Bytes, Figure};

/// Everything is read.
const FACTS: Facts = Facts { path: true, pages: true, holders: true, container: true };

/// All cached files of this machine.
pub(crate) struct SavedFiles {
    head: Map<String, Value>,
    files: Vec<FoundFile>,
}

impl SavedFiles {
    /// Reads them: from the kernel's lists, or else those that processes hold. `each` is called after each portion of
    /// work.
    ///
    /// # Errors
    /// What `each` returns, and if `/proc` cannot be read.
    pub(crate) fn read<E>(budget: Duration, mut each: impl FnMut() -> Result<(), E>) -> Result<SavedFiles, E>
    where
        E: From<Error> + Send,
    {
        let mut head = Map::new();
        let choice = FoundChoice { keeps_parts: true, ..FoundChoice::default() };
        let (files, account) = match MachineFiles::default().read_lists(&choice, FACTS, None, budget) {
            Ok(found) => {
                head.insert("incomplete".into(), found.incomplete.into());
                head.insert("unseen".into(), found.unseen.into());
                (found.files, found.account)
            }
            Err(error) => {
                head.insert("lists".into(), error_value(&error));
                let (mut files, mut failures) = (Vec::new(), Vec::new());
                let (account, unseen) = measure_files(&held_files(), &choice, FACTS, |message, _| {
                    match message {
                        Message::Item(found) => files.extend(found),
                        Message::Failure(error) => failures.push(error_value(&error)),
                        Message::Note(_) | Message::Nothing => {}
                    }
                    each()
                })?;
                head.insert("failures".into(), failures.into());
                head.insert("unseen".into(), unseen.into());
                (files, account)
            }
        };
        head.insert("account".into(), account_value(&account));
        each()?;
        Ok(SavedFiles { head, files })
    }

    /// Whether they are from the kernel's lists, which have all of them.
    pub(crate) fn are_all(&self) -> bool {
        !self.head.contains_key("lists")
    }

    /// Their text, of which one line at a time is in memory.
    pub(crate) fn text(&self) -> impl Read {
        // The address of an inode in the kernel is nobody's business: the number of the line is as good.
        let files = (1_u64..).zip(&self.files).map(|(number, file)| serde_json::to_vec(&File::new(file, number)));
        let lines = std::iter::once_with(|| serde_json::to_vec(&self.head)).chain(files);
        Text { lines, line: Vec::new(), taken: 0 }
    }
}

/// Lines of JSON, made as they are read.
struct Text<L> {
    lines: L,
    line: Vec<u8>,
    taken: usize,
}

impl<L: Iterator<Item = serde_json::Result<Vec<u8>>>> Read for Text<L> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.line.len() {
            let Some(line) = self.lines.next() else { return Ok(0) };
            (self.taken, self.line) = (0, line?);
            self.line.push(b'\n');
        }
        let count = self.line.get(self.taken..).unwrap_or_default().read(out)?;
        self.taken += count;
        Ok(count)
    }
}

fn error_value(error: &Error) -> Value {
    let (kind, subject) = match error.subject() {
        Subject::Path(path) => ("path", json!(text(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str())))),
        Subject::Pid(pid) | Subject::Process(pid, _) => ("pid", json!(pid)),
        Subject::Words(words) => ("words", json!(words)),
    };
    json!({ "about": { kind: subject }, "kind": error.kind().word(), "why": error.why() })
}

fn account_value(account: &Account) -> Value {
    let kinds = account.kinds.iter().map(|(kind, bytes)| json!([kind.map(|kind| kind.word()), bytes.0]));
    json!({
        "method": account.method.word(),
        "size": account.size.map(|size| size.0),
        "kinds": kinds.collect::<Vec<_>>(),
        "missed": account.missed,
        "moved": account.moved,
    })
}

/// Bytes as a string, or as hexadecimal digits if they are not UTF-8.
#[derive(Serialize)]
#[serde(untagged)]
enum Bytewise<'t> {
    Text(&'t str),
    Hex { hex: String },
}

fn text(bytes: &[u8]) -> Bytewise<'_> {
    match str::from_utf8(bytes) {
        Ok(text) => Bytewise::Text(text),
        Err(_) => Bytewise::Hex { hex: bytes.iter().map(|byte| format!("{byte:02x}")).collect() },
    }
}

/// A figure, or why it is absent.
#[derive(Serialize)]
#[serde(untagged)]
enum Known<T> {
    Figure(T),
    Absent { absent: (&'static str, &'static str) },
}

fn figure<'f, T, U>(figure: &'f Figure<T>, value: impl Fn(&'f T) -> U) -> Known<U> {
    match figure {
        Ok(figure) => Known::Figure(value(figure)),
        Err(Absent { reason, why }) => Known::Absent { absent: (reason.word(), why) },
    }
}

fn bytes(amount: &Figure<Bytes>) -> Known<u64> {
    figure(amount, |bytes| bytes.0)
}

fn texts(names: &Figure<Vec<u8>>) -> Known<Bytewise<'_>> {
    figure(names, |names| text(names))
}

/// A file as a line.
#[derive(Serialize)]
struct File<'f> {
    id: u64,
    path: Bytewise<'f>,
    deleted: bool,
    kind: Known<&'static str>,
    fs: Known<&'f str>,
    device: (u32, u32),
    inode: u64,
    links: Known<u64>,
    size: Known<u64>,
    cached: Known<u64>,
    counts: Known<&'f [u64]>,
    dirty: Known<u64>,
    writeback: Known<u64>,
    evicted: Known<u64>,
    nodes: Known<Bytewise<'f>>,
    groups: Known<Bytewise<'f>>,
    container: Known<Option<&'f str>>,
    holders: Known<Bytewise<'f>>,
    holder_count: Known<u64>,
    method: &'static str,
    note: Option<&'static str>,
    by_group: Vec<PagesOf<'f>>,
    by_node: Vec<PagesOf<'f>>,
    by_holder: Vec<HolderOf<'f>>,
}

/// A part of its pages, with what differs from the file as a whole.
#[derive(Serialize)]
struct PagesOf<'f> {
    group: Option<Bytewise<'f>>,
    nodes: Known<Bytewise<'f>>,
    groups: Known<Bytewise<'f>>,
    counts: &'f [u64],
}

#[derive(Serialize)]
struct HolderOf<'f> {
    program: Bytewise<'f>,
    processes: u64,
}

impl<'f> File<'f> {
    fn new(file: &'f FoundFile, id: u64) -> File<'f> {
        let of_pages = |part: &'f PagesOfFile| PagesOf {
            group: part.group.as_deref().map(text),
            nodes: texts(&part.nodes),
            groups: texts(&part.groups),
            counts: &part.counts.0,
        };
        let of_holder = |part: &'f HolderOfFile| HolderOf { program: text(&part.program), processes: part.processes };
        let parts = file.parts.as_deref();
        let by_pages = |list: fn(&Parts) -> &[PagesOfFile]| parts.into_iter().flat_map(list).map(of_pages).collect();
        File {
            id,
            path: text(&file.path),
            deleted: file.is_deleted,
            kind: figure(&file.kind, |kind| kind.word()),
            fs: figure(&file.file_system, |name| &**name),
            device: file.device,
            inode: file.inode,
            links: figure(&file.links, |links| *links),
            size: bytes(&file.size),
            cached: bytes(&file.cached),
            counts: figure(&file.counts, |counts| &counts.0[..]),
            dirty: bytes(&file.dirty),
            writeback: bytes(&file.writeback),
            evicted: bytes(&file.evicted),
            nodes: texts(&file.nodes),
            groups: texts(&file.groups),
            container: figure(&file.container, |name| name.as_deref()),
            holders: texts(&file.holders),
            holder_count: figure(&file.holder_count, |count| *count),
            method: file.method.word(),
            note: file.note,
            by_group: by_pages(|parts| &parts.groups),
            by_node: by_pages(|parts| &parts.nodes),
            by_holder: parts.into_iter().flat_map(|parts| &parts.holders).map(of_holder).collect(),
        }
    }
}
