//! The list of cached files as the text of a capture: a line of JSON about the whole list, then one for each file.

use std::io::{self, Read};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::parts::{HolderOfFile, PagesOfFile, Parts};
use super::{Account, Facts, FoundChoice, FoundFile, MachineFiles, held_files, measure_files};
use crate::error::{Error, Subject};
use crate::join::Message;
use crate::machine::cached::Counts;
use crate::units::{Absent, Bytes, Figure};

/// Everything is read.
const FACTS: Facts = Facts { path: true, pages: true, holders: true };

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

    /// Their text, of which one line at a time is in memory.
    pub(crate) fn text(&self) -> impl Read {
        // The address of an inode in the kernel is nobody's business: the number of the line is as good.
        let files = (1_u64..).zip(&self.files).map(|(number, file)| file_value(file, number));
        Text { lines: std::iter::once(Value::Object(self.head.clone())).chain(files), line: Vec::new(), taken: 0 }
    }
}

/// Lines of JSON, made as they are read.
struct Text<L> {
    lines: L,
    line: Vec<u8>,
    taken: usize,
}

impl<L: Iterator<Item = Value>> Read for Text<L> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.line.len() {
            let Some(value) = self.lines.next() else { return Ok(0) };
            (self.taken, self.line) = (0, serde_json::to_vec(&value)?);
            self.line.push(b'\n');
        }
        let count = self.line.get(self.taken..).unwrap_or_default().read(out)?;
        self.taken += count;
        Ok(count)
    }
}

fn error_value(error: &Error) -> Value {
    let (kind, subject) = match error.subject() {
        Subject::Path(path) => ("path", text(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()))),
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
    })
}

/// Bytes as a string, or as hexadecimal digits if they are not UTF-8.
fn text(bytes: &[u8]) -> Value {
    match str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "hex": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() }),
    }
}

fn absent_value(absent: &Absent) -> Value {
    json!({ "absent": [absent.reason.word(), absent.why] })
}

fn figure<T>(figure: &Figure<T>, value: impl Fn(&T) -> Value) -> Value {
    figure.as_ref().map_or_else(absent_value, value)
}

fn bytes(amount: &Figure<Bytes>) -> Value {
    figure(amount, |bytes| json!(bytes.0))
}

fn counts(counts: &Figure<Counts>) -> Value {
    figure(counts, |counts| json!(counts.0))
}

fn file_value(file: &FoundFile, id: u64) -> Value {
    let word = |text: &Vec<u8>| self::text(text);
    let mut value = json!({
        "id": id,
        "path": text(&file.path),
        "deleted": file.is_deleted,
        "kind": figure(&file.kind, |kind| json!(kind.word())),
        "fs": figure(&file.file_system, |name| json!(&**name)),
        "device": [file.device.0, file.device.1],
        "inode": file.inode,
        "links": figure(&file.links, |links| json!(links)),
        "size": bytes(&file.size),
        "cached": bytes(&file.cached),
        "counts": counts(&file.counts),
        "dirty": bytes(&file.dirty),
        "writeback": bytes(&file.writeback),
        "evicted": bytes(&file.evicted),
        "nodes": figure(&file.nodes, word),
        "groups": figure(&file.groups, word),
        "container": figure(&file.container, |name| json!(name.as_deref())),
        "holders": figure(&file.holders, word),
        "holder_count": figure(&file.holder_count, |count| json!(count)),
        "method": file.method.word(),
        "note": file.note,
    });
    if let (Some(parts), Some(object)) = (&file.parts, value.as_object_mut()) {
        object.extend(parts_value(parts));
    }
    value
}

/// The parts, each with what differs from the file as a whole.
fn parts_value(parts: &Parts) -> Map<String, Value> {
    let of_pages = |part: &PagesOfFile| {
        json!({
            "group": part.group.as_deref().map(text),
            "nodes": figure(&part.nodes, |names| text(names)),
            "groups": figure(&part.groups, |names| text(names)),
            "counts": part.counts.0,
        })
    };
    let of_holder = |part: &HolderOfFile| json!({ "program": text(&part.program), "processes": part.processes });
    let lists: [(&str, Value); 3] = [
        ("by_group", parts.groups.iter().map(of_pages).collect()),
        ("by_node", parts.nodes.iter().map(of_pages).collect()),
        ("by_holder", parts.holders.iter().map(of_holder).collect()),
    ];
    lists.into_iter().map(|(key, list)| (key.to_owned(), list)).collect()
}
