//! Reads the list of cached files of a capture. The lines may be damaged or hostile: what is not as rmap writes it is
//! an error, never a guess.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use serde_json::Value;

use super::described::Method;
use super::divide::add_rows;
use super::parts::{HolderOfFile, PagesOfFile, Parts};
use super::{Account, FoundChoice, FoundFile};
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::machine::cached::{Counts, Kind};
use crate::process::ProcRoot;
use crate::units::{Absent, Bytes, Figure, PageSize, lasting};

/// Where the list is in a capture, next to `proc`.
pub(crate) const LIST: &str = "rmap/files.jsonl";

/// A list of cached files that was captured.
pub(crate) struct Captured {
    /// The chosen rows.
    pub(crate) files: Vec<FoundFile>,
    /// What they are of all.
    pub(crate) account: Account,
    /// Whether the list lacks something, and why.
    pub(crate) incomplete: Vec<String>,
    /// Which processes could not be asked what they hold, in words.
    pub(crate) unseen: Option<String>,
    /// Why the kernel's lists could not be read, if these are the files that processes held.
    pub(crate) lists: Option<Error>,
    /// Files that could not be measured.
    pub(crate) failures: Vec<Error>,
}

impl Captured {
    /// Reads the chosen files of a capture.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]: the capture does not have the list. [`ErrorKind::Malformed`]: it is damaged.
    pub(crate) fn read(root: &ProcRoot, choice: &FoundChoice) -> Result<Captured> {
        let about = || Subject::Words("the cached files".to_owned());
        let file = root.open_beside(LIST).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::new(about(), ErrorKind::NotFound, "the capture does not have them")
                .with_advice("take it without --no-files"),
            _ => Error::io(about(), &error),
        })?;
        let mut lines = BufReader::new(file).split(b'\n');
        let mut next = || lines.next().transpose().map_err(|error| Error::io(about(), &error));
        let mut number = 1_u64;
        let malformed = |number: u64| {
            Error::new(about(), ErrorKind::Malformed, format!("line {number} of {LIST} in the capture is not valid"))
        };
        let head = next()?.and_then(|line| serde_json::from_slice(&line).ok());
        let mut found = head.as_ref().and_then(parse_head).ok_or_else(|| malformed(number))?;
        let page = root.page_size();
        while let Some(line) = next()? {
            number += 1;
            let value: Option<Value> = serde_json::from_slice(&line).ok();
            let parsed = value.as_ref().and_then(|value| parse_file(value, page));
            let (file, parts) = parsed.ok_or_else(|| malformed(number))?;
            if choice.has(&file.path) {
                add_rows(file, parts, choice, &mut found.files);
            }
        }
        Ok(found)
    }
}

fn parse_head(value: &Value) -> Option<Captured> {
    let account = value.get("account")?;
    let strings = |value: &Value| -> Option<Vec<String>> {
        value.as_array()?.iter().map(|text| Some(text.as_str()?.to_owned())).collect()
    };
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
    };
    Some(Captured {
        files: Vec::new(),
        account,
        incomplete: value.get("incomplete").map_or(Some(Vec::new()), strings)?,
        unseen: optional(value.get("unseen")?, |words| Some(words.as_str()?.to_owned()))?,
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
        groups: figure(value.get("groups"), text)?,
        nodes: figure(value.get("nodes"), text)?,
        counts: counts(value.get("counts"))?.ok()?,
    })
}

fn holder_of_file(value: &Value) -> Option<HolderOfFile> {
    Some(HolderOfFile { program: text(value.get("program")?)?, processes: value.get("processes")?.as_u64()? })
}
