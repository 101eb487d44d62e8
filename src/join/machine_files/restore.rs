//! Reads the list of cached files of a capture. The lines may be damaged or hostile: what is not as rmap writes it is
//! an error, never a guess.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use serde_json::Value;

use super::captured_below::{CapturedBelow, Unsure};
use super::described::Method;
use super::divide::{ChosenGroups, add_rows};
use super::parts::{HolderOfFile, PagesOfFile, Parts};
use super::{Account, FoundChoice, FoundFile};
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::machine::cached::{Counts, Kind};
use crate::process::ProcRoot;
use crate::units::{Absent, Bytes, Figure, PageSize, lasting};

/// Where the list is in a capture, next to `proc`.
pub(crate) const LIST: &str = "rmap/files.jsonl";

/// A line about one file is not longer: the programs that hold it, and the control groups that are charged for it.
const LONGEST: u64 = 16 << 20;

/// What a list of cached files that was captured says about all of them.
pub(crate) struct Captured {
    /// What they are of all.
    pub(crate) account: Account,
    /// Whether the list lacks something, and why.
    pub(crate) incomplete: Vec<String>,
    /// A message about the processes that could not be asked what they hold.
    pub(crate) unseen: Option<String>,
    /// Why the kernel's lists could not be read, if these are the files that processes held.
    pub(crate) lists: Option<Error>,
    /// Files that could not be measured.
    pub(crate) failures: Vec<Error>,
}

impl Captured {
    /// Opens the list of a capture.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]: the capture does not have the list. [`ErrorKind::Malformed`]: it is damaged.
    pub(crate) fn open(root: &ProcRoot) -> Result<(Captured, CapturedFiles)> {
        let file = root.open_beside(LIST).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::new(about(), ErrorKind::NotFound, "the capture does not have them")
                .with_advice("take it without --no-files"),
            _ => Error::io(about(), &error),
        })?;
        let mut lines = Lines { file: BufReader::new(file), line: Vec::new(), number: 0 };
        let head = lines.next()?.as_ref().and_then(parse_head).ok_or_else(|| lines.malformed())?;
        Ok((head, CapturedFiles { lines, root: root.clone() }))
    }
}

/// The files of the list, of which one at a time is in memory.
pub(crate) struct CapturedFiles {
    lines: Lines,
    root: ProcRoot,
}

impl CapturedFiles {
    /// Passes on the rows of the chosen files. Returns what is not known of the chosen directories.
    ///
    /// # Errors
    /// What `each` returns; [`ErrorKind::Malformed`]: the list is damaged.
    pub(crate) fn read<E: From<Error>>(
        mut self,
        choice: &FoundChoice,
        mut each: impl FnMut(FoundFile) -> std::result::Result<(), E>,
    ) -> std::result::Result<Unsure, E> {
        let (mut rows, mut below) = (Vec::new(), CapturedBelow::read(&self.root, choice));
        let (page_size, chosen) = (self.root.page_size(), ChosenGroups::new(&choice.groups, &self.root));
        let named: Vec<_> = choice.groups.each().collect();
        let one = |(name, group)| (name, group, ChosenGroups::new(group, &self.root));
        let mut uncharged: Vec<_> = named.iter().map(|(name, group)| one((*name, group))).collect();
        while let Some(value) = self.lines.next()? {
            let (mut file, parts) = parse_file(&value, page_size).ok_or_else(|| self.lines.malformed())?;
            uncharged.retain(|(_, _, groups)| !is_charged(groups, &parts));
            if below.has(&mut file) {
                add_rows(file, parts, choice, &chosen, &mut rows);
                rows.drain(..).try_for_each(&mut each)?;
            }
        }
        let uncharged = uncharged.into_iter().map(|(name, group, _)| (name.to_vec(), group.clone())).collect();
        Ok(Unsure { uncharged, ..below.unsure() })
    }

    /// The same rows at once.
    ///
    /// # Errors
    /// The list is damaged.
    pub(crate) fn collect(self, choice: &FoundChoice) -> Result<Vec<FoundFile>> {
        let mut found = Vec::new();
        self.read(choice, |file| {
            found.push(file);
            Ok::<(), Error>(())
        })?;
        Ok(found)
    }
}

/// Whether a part of a file is charged to one of the groups.
fn is_charged(groups: &ChosenGroups<'_>, parts: &Parts) -> bool {
    parts.groups.iter().any(|part| groups.has(&part.groups, part.group_inode))
}

fn about() -> Subject {
    Subject::Words("the cached files".to_owned())
}

/// The lines of a list.
struct Lines {
    file: BufReader<File>,
    line: Vec<u8>,
    number: u64,
}

impl Lines {
    /// The value of the next line; `None` at the end.
    fn next(&mut self) -> Result<Option<Value>> {
        self.number += 1;
        self.line.clear();
        let read = (&mut self.file).take(LONGEST).read_until(b'\n', &mut self.line);
        if read.map_err(|error| Error::io(about(), &error))? == 0 {
            return Ok(None);
        }
        serde_json::from_slice(&self.line).map(Some).map_err(|_| self.malformed())
    }

    /// The error for a line that is not as rmap writes it.
    fn malformed(&self) -> Error {
        let why = format!("line {} of {LIST} in the capture is not valid", self.number);
        Error::new(about(), ErrorKind::Malformed, why)
    }
}

fn parse_head(value: &Value) -> Option<Captured> {
    let account = value.get("account")?;
    let strings = |value: &Value| -> Option<Vec<String>> {
        value.as_array()?.iter().map(|text| Some(text.as_str()?.to_owned())).collect()
    };
    let words = |value: &Value| optional(value, |words| Some(words.as_str()?.to_owned()));
    let kind = |pair: &Value| -> Option<(Option<Kind>, Bytes)> {
        let name = pair.get(0)?;
        let kind = if name.is_null() { None } else { Some(kind_of(name)?) };
        Some((kind, Bytes(pair.get(1)?.as_u64()?)))
    };
    let account = Account {
        method: method_of(account.get("method")?)?,
        size: optional(account.get("size")?, |size| size.as_u64().map(Bytes))?,
        kinds: account.get("kinds")?.as_array()?.iter().map(kind).collect::<Option<_>>()?,
        missed: strings(account.get("missed")?)?,
        moved: account.get("moved").map_or(Some(None), words)?,
    };
    Some(Captured {
        account,
        incomplete: value.get("incomplete").map_or(Some(Vec::new()), strings)?,
        unseen: words(value.get("unseen")?)?,
        lists: value.get("lists").map_or(Some(None), |error| error_of(error).map(Some))?,
        failures: list(value.get("failures"), error_of)?,
    })
}

/// A value that may be null.
fn optional<T>(value: &Value, parse: impl Fn(&Value) -> Option<T>) -> Option<Option<T>> {
    if value.is_null() { Some(None) } else { parse(value).map(Some) }
}

fn error_of(value: &Value) -> Option<Error> {
    let (kind, subject) = value.get("about")?.as_object()?.iter().next()?;
    let subject = match &kind[..] {
        "path" => Subject::Path(OsString::from_vec(text(subject)?).into()),
        "pid" => Subject::Pid(subject.as_u64()?.try_into().ok()?),
        _ => Subject::Words(subject.as_str()?.to_owned()),
    };
    let kind = ErrorKind::of_word(value.get("kind")?.as_str()?)?;
    Some(Error::new(subject, kind, value.get("why")?.as_str()?.to_owned()))
}

fn method_of(value: &Value) -> Option<Method> {
    let word = value.as_str()?;
    Method::ALL.into_iter().find(|method| method.word() == word)
}

fn kind_of(value: &Value) -> Option<Kind> {
    let word = value.as_str()?;
    Kind::ALL.into_iter().find(|kind| kind.word() == word)
}

/// Bytes: a string, or hexadecimal digits.
fn text(value: &Value) -> Option<Vec<u8>> {
    if let Some(text) = value.as_str() {
        return Some(text.as_bytes().to_vec());
    }
    let digits = value.get("hex")?.as_str()?.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(byte).collect()
}

/// A figure, or why it is absent.
fn figure<T>(value: Option<&Value>, parse: impl Fn(&Value) -> Option<T>) -> Option<Figure<T>> {
    let value = value?;
    match value.get("absent") {
        Some(absent) => Some(Err(Absent::restored(absent.get(0)?.as_str()?, absent.get(1)?.as_str()?))),
        None => parse(value).map(Ok),
    }
}

fn bytes(value: Option<&Value>) -> Option<Figure<Bytes>> {
    figure(value, |value| value.as_u64().map(Bytes))
}

fn counts(value: Option<&Value>) -> Option<Figure<Counts>> {
    figure(value, |value| {
        let numbers: Vec<u64> = value.as_array()?.iter().map(Value::as_u64).collect::<Option<_>>()?;
        Some(Counts(numbers.try_into().ok()?))
    })
}

/// The name of a file system, which is a plain word.
fn plain_word(value: &Value) -> Option<Arc<str>> {
    let word = value.as_str()?;
    word.bytes().all(|byte| byte.is_ascii_graphic()).then(|| word.into())
}

fn parse_file(value: &Value, page_size: PageSize) -> Option<(FoundFile, Parts)> {
    let get = |key| value.get(key);
    let number = |value: &Value| value.as_u64();
    let device = |place| get("device")?.get(place)?.as_u64()?.try_into().ok();
    let file = FoundFile {
        id: get("id")?.as_u64()?,
        part: Vec::new(),
        path: text(get("path")?)?,
        is_deleted: get("deleted")?.as_bool()?,
        kind: figure(get("kind"), kind_of)?,
        file_system: figure(get("fs"), plain_word)?,
        device: (device(0)?, device(1)?),
        inode: get("inode")?.as_u64()?,
        links: figure(get("links"), number)?,
        size: bytes(get("size"))?,
        cached: bytes(get("cached"))?,
        counts: counts(get("counts"))?,
        dirty: bytes(get("dirty"))?,
        writeback: bytes(get("writeback"))?,
        evicted: bytes(get("evicted"))?,
        nodes: figure(get("nodes"), text)?,
        groups: figure(get("groups"), text)?,
        container: figure(get("container"), |name| optional(name, |name| Some(Arc::from(name.as_str()?))))?,
        holders: figure(get("holders"), text)?,
        holder_count: figure(get("holder_count"), number)?,
        method: method_of(get("method")?)?,
        note: optional(get("note")?, |note| note.as_str().map(lasting))?,
        page_size,
        parts: None,
    };
    let parts = Parts {
        groups: list(get("by_group"), pages_of_file)?,
        nodes: list(get("by_node"), pages_of_file)?,
        holders: list(get("by_holder"), holder_of_file)?,
    };
    Some((file, parts))
}

/// The entries of a list that need not be there.
fn list<T>(value: Option<&Value>, parse: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    value.map_or(Some(Vec::new()), |list| list.as_array()?.iter().map(parse).collect())
}

fn pages_of_file(value: &Value) -> Option<PagesOfFile> {
    Some(PagesOfFile {
        group: optional(value.get("group")?, text)?,
        group_inode: None,
        groups: figure(value.get("groups"), text)?,
        nodes: figure(value.get("nodes"), text)?,
        counts: counts(value.get("counts"))?.ok()?,
    })
}

fn holder_of_file(value: &Value) -> Option<HolderOfFile> {
    Some(HolderOfFile { program: text(value.get("program")?)?, processes: value.get("processes")?.as_u64()? })
}
