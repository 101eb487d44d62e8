//! The mappings of one process: the contents of smaps, in flat storage.
//!
//! Sixty thousand mappings of 24 keys are 43 MB of text. Here each head takes 48 bytes and each kept value 8, in one
//! array per key, with no allocation per mapping. Nothing here reads or parses; see [`crate::process::smaps`].

use std::sync::Arc;

use crate::process::fields::{FieldId, FieldUnit, Fields, Wanted};
use crate::process::head::{Device, Head};
use crate::process::parse_error::ParseError;
use crate::process::pool::Pool;
use crate::units::{Absent, Bytes, Figure, Reason};

/// All mappings of one process, in the order of their addresses, without overlaps. Each mapping is a snapshot; the list
/// as a whole is not.
#[derive(Debug, Clone)]
pub struct Mappings {
    heads: Vec<Stored>,
    /// One column of values per [`FieldId`].
    columns: Vec<Column>,
    /// Names of mappings.
    names: Pool,
    /// Values that are text.
    texts: Pool,
    changed: usize,
    /// Where the text broke off.
    torn: Option<Box<ParseError>>,
    /// The names of the keys, and which of them were wanted; set once all mappings are there.
    keys: Arc<Keys>,
}

#[derive(Debug)]
struct Keys {
    fields: Fields,
    wanted: Wanted,
}

const NOT_WANTED: Absent = Absent::new(Reason::NotApplicable, "it was not read");
const NOT_KNOWN: Absent = Absent::new(Reason::Unsupported, "this kernel does not report it");
const NOT_HERE: Absent = Absent::new(Reason::Unsupported, "the kernel does not report it for this mapping");
const NOT_BYTES: Absent = Absent::new(Reason::NotApplicable, "it is not an amount of memory");

/// One mapping: a row of smaps. A view into [`Mappings`].
#[derive(Debug, Clone, Copy)]
pub struct Mapping<'a> {
    all: &'a Mappings,
    head: &'a Stored,
    index: usize,
}

#[derive(Debug, Clone)]
struct Stored {
    start: u64,
    end: u64,
    offset: u64,
    inode: u64,
    device: Device,
    perm: [u8; 4],
    name: u32,
}

/// The values of one key, by mapping: as long as the last mapping that has the key.
#[derive(Debug, Clone)]
struct Column {
    unit: FieldUnit,
    slots: Vec<u64>,
}

/// A slot without a value. No value is equal to it: bytes are multiples of 1024, texts are 32-bit numbers, and a count
/// this large is rejected.
const ABSENT: u64 = u64::MAX;

/// One value of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'t> {
    Bytes(Bytes),
    Count(u64),
    Text(&'t [u8]),
}

impl Mappings {
    /// How many mappings there are.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Whether there are none, as for a process that has unmapped everything.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// The mappings in the order of their addresses.
    pub fn iter(&self) -> Iter<'_> {
        Iter { all: self, heads: self.heads.iter().enumerate() }
    }

    /// The mapping at `index`, counted from the lowest address.
    pub fn get(&self, index: usize) -> Option<Mapping<'_>> {
        self.heads.get(index).map(|head| Mapping { all: self, head, index })
    }

    /// Whether any mapping has a kept value of this key.
    pub fn has(&self, field: FieldId) -> bool {
        self.columns.get(field.index()).is_some_and(|column| !column.slots.is_empty())
    }

    /// How many mappings are missing, in part or completely, because the process changed them during the read: the
    /// kernel reported them, and then another one that overlaps them. Zero for a process that does not change.
    pub fn changed(&self) -> usize {
        self.changed
    }

    /// Where and why the text that they came from broke off: mappings may be missing after the last one. `None` for a
    /// complete text, and for a live process, which is read again instead.
    pub fn torn(&self) -> Option<&ParseError> {
        self.torn.as_deref()
    }

    pub(super) fn set_torn(&mut self, error: ParseError) {
        self.torn = Some(Box::new(error));
    }

    /// Drops the last mapping.
    pub(super) fn drop_last(&mut self) {
        self.heads.pop();
        let kept = self.heads.len();
        self.columns.iter_mut().for_each(|column| column.slots.truncate(kept));
    }

    pub(super) fn new() -> Mappings {
        let keys = Arc::new(Keys { fields: Fields::new(), wanted: Wanted::Everything });
        Mappings {
            heads: Vec::new(),
            columns: Vec::new(),
            names: Pool::new(),
            texts: Pool::new(),
            changed: 0,
            torn: None,
            keys,
        }
    }

    /// Remembers the names of the keys, for [`Mapping::figure`].
    pub(super) fn set_keys(&mut self, fields: &Fields, wanted: &Wanted) {
        self.keys = Arc::new(Keys { fields: fields.clone(), wanted: wanted.clone() });
    }

    /// The key called `name`, if it is an amount of memory that was read.
    pub(super) fn find_bytes(&self, name: &str) -> Figure<FieldId> {
        if !self.keys.wanted.keeps(name) {
            return Err(NOT_WANTED);
        }
        let field = self.keys.fields.find(name.as_bytes()).ok_or(NOT_KNOWN)?;
        if self.keys.fields.unit(field) == FieldUnit::Bytes { Ok(field) } else { Err(NOT_BYTES) }
    }

    /// The names of the keys.
    pub(super) fn fields(&self) -> &Fields {
        &self.keys.fields
    }

    /// The end of the last mapping; 0 if there is none.
    pub(super) fn last_end(&self) -> u64 {
        self.heads.last().map_or(0, |head| head.end)
    }

    /// The size of the last mapping.
    pub(super) fn last_size(&self) -> Bytes {
        Bytes(self.heads.last().map_or(0, |head| head.end - head.start))
    }

    /// Gives the last mapping a name if its head has none.
    pub(super) fn name_last(&mut self, name: &[u8]) -> Result<(), &'static str> {
        let last = self.heads.last_mut().filter(|head| self.names.get(head.name).is_none_or(<[u8]>::is_empty));
        if let Some(last) = last {
            last.name = self.names.store(name).ok_or("the names take more than 4 GiB")?;
        }
        Ok(())
    }

    /// Drops the mappings that reach past `start`, where a newer one begins.
    fn replace_from(&mut self, start: u64) {
        let kept = self.heads.partition_point(|head| head.end <= start);
        // What starts later is covered by the newer mapping, which ends after them all.
        self.changed += self.heads.iter().skip(kept).filter(|head| head.start < start).count();
        self.heads.truncate(kept);
        self.columns.iter_mut().for_each(|column| column.slots.truncate(kept));
    }

    /// Adds a mapping, which may begin before the one above ends. The error is the reason why it cannot be added.
    ///
    /// The kernel continues with the first mapping that ends after the one it gave last. If the process has merged or
    /// moved mappings in between, that one can begin below it: this happened in 91 of 300 readings of a process that
    /// maps and unmaps in a loop (6.18). The newer mapping is right, and those that it overlaps no longer exist.
    pub(super) fn admit(&mut self, head: &Head<'_>) -> Result<(), &'static str> {
        if head.end <= self.last_end() {
            return Err("the mapping ends before the one above it: they are out of order");
        }
        if head.start < self.last_end() {
            self.replace_from(head.start);
        }
        self.push(head).ok_or("the names take more than 4 GiB")
    }

    /// Sets all values of a key that is an amount of memory, in the order of the mappings.
    pub(super) fn fill(&mut self, field: FieldId, bytes: Vec<u64>) {
        while self.columns.len() <= field.index() {
            self.columns.push(Column { unit: FieldUnit::Text, slots: Vec::new() });
        }
        if let Some(column) = self.columns.get_mut(field.index()) {
            *column = Column { unit: FieldUnit::Bytes, slots: bytes };
        }
    }

    /// Adds a mapping; `None` if its name can no longer be stored.
    fn push(&mut self, head: &Head<'_>) -> Option<()> {
        let name = self.names.store(head.name)?;
        self.heads.push(Stored {
            start: head.start,
            end: head.end,
            offset: head.offset,
            inode: head.inode,
            device: head.device,
            perm: head.perm,
            name,
        });
        Some(())
    }

    /// Sets a value of the last mapping. The error is the reason why that is impossible.
    pub(super) fn set(&mut self, field: FieldId, value: Value<'_>) -> Result<(), &'static str> {
        let index = self.heads.len().checked_sub(1).ok_or("there is no mapping for it")?;
        let slot = match value {
            Value::Bytes(bytes) => bytes.0,
            Value::Count(ABSENT) => return Err("the number is too large"),
            Value::Count(count) => count,
            Value::Text(text) => u64::from(self.texts.store(text).ok_or("there is too much text")?),
        };
        while self.columns.len() <= field.index() {
            self.columns.push(Column { unit: FieldUnit::Text, slots: Vec::new() });
        }
        let column = self.columns.get_mut(field.index()).ok_or("there are too many keys")?;
        column.put(index, value.unit(), slot)
    }
}

impl Column {
    fn put(&mut self, index: usize, unit: FieldUnit, slot: u64) -> Result<(), &'static str> {
        if self.slots.len() > index {
            return Err("the mapping has the key twice");
        }
        self.unit = unit;
        if self.slots.len() < index {
            self.slots.resize(index, ABSENT);
        }
        self.slots.push(slot);
        Ok(())
    }
}

impl Value<'_> {
    pub(super) fn unit(self) -> FieldUnit {
        match self {
            Value::Bytes(_) => FieldUnit::Bytes,
            Value::Count(_) => FieldUnit::Count,
            Value::Text(_) => FieldUnit::Text,
        }
    }
}

impl<'a> Mapping<'a> {
    /// Its first address.
    pub fn start(&self) -> u64 {
        self.head.start
    }

    /// The address after its last.
    pub fn end(&self) -> u64 {
        self.head.end
    }

    /// The size of its address space: `end - start`, which the parser has compared with the kernel's `Size`.
    pub fn size(&self) -> Bytes {
        Bytes(self.head.end - self.head.start)
    }

    /// Its permissions as smaps prints them: `r-xp`, `rw-s`.
    pub fn perm(&self) -> &'a str {
        std::str::from_utf8(&self.head.perm).unwrap_or_default()
    }

    /// Where in the file it starts, in bytes. Anonymous mappings have 0, or an address if they were moved.
    pub fn offset(&self) -> u64 {
        self.head.offset
    }

    /// The mapping before this one in the list, which need not be adjacent.
    pub fn neighbour_below(&self) -> Option<Mapping<'a>> {
        self.all.get(self.index.checked_sub(1)?)
    }

    /// The mapping after this one in the list, which need not be adjacent.
    pub fn neighbour_above(&self) -> Option<Mapping<'a>> {
        self.all.get(self.index.checked_add(1)?)
    }

    /// The device of the mapped file; `00:00` for anonymous memory.
    pub fn device(&self) -> Device {
        self.head.device
    }

    /// The inode of the mapped file; 0 for anonymous memory, and for the System V segment with id 0.
    pub fn inode(&self) -> u64 {
        self.head.inode
    }

    /// The name as smaps prints it: a path as the process sees it, `[heap]`, or empty for anonymous memory.
    ///
    /// These are the kernel's bytes, unchanged. The kernel escapes a newline as `\012` but does not escape a backslash,
    /// and ` (deleted)` at the end may be part of the name. Because the text is ambiguous, it is not unescaped here.
    pub fn path(&self) -> &'a [u8] {
        self.all.names.get(self.head.name).unwrap_or_default()
    }

    /// The counter called `name` (`Rss`, in any mix of cases).
    ///
    /// # Errors
    /// The kernel does not report it, it was not among the counters that were read, or it is not an amount of memory.
    pub fn figure(&self, name: &str) -> Figure<Bytes> {
        self.given(self.all.find_bytes(name)?)
    }

    /// The same without a lookup by name, if the key is an amount of memory that was read.
    pub(super) fn given(&self, field: FieldId) -> Figure<Bytes> {
        self.bytes(field).ok_or(NOT_HERE)
    }

    /// The value of a key that is an amount of memory, without a lookup by name. None if the kernel did not report it
    /// for this mapping, if it was not wanted, or if it is not an amount of memory.
    pub fn bytes(&self, field: FieldId) -> Option<Bytes> {
        self.slot(field, FieldUnit::Bytes).map(Bytes)
    }

    /// The value of a key that is a bare number; none as for [`Mapping::bytes`].
    pub fn count(&self, field: FieldId) -> Option<u64> {
        self.slot(field, FieldUnit::Count)
    }

    /// The value of a key that is text, without the spaces around it; none as for [`Mapping::bytes`].
    pub fn text(&self, field: FieldId) -> Option<&'a [u8]> {
        let number = u32::try_from(self.slot(field, FieldUnit::Text)?).ok()?;
        self.all.texts.get(number)
    }

    fn slot(&self, field: FieldId, unit: FieldUnit) -> Option<u64> {
        let column = self.all.columns.get(field.index())?;
        let slot = *column.slots.get(self.index)?;
        (column.unit == unit && slot != ABSENT).then_some(slot)
    }
}

/// An iterator over the mappings of one process, in the order of their addresses.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    all: &'a Mappings,
    heads: std::iter::Enumerate<std::slice::Iter<'a, Stored>>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Mapping<'a>;

    fn next(&mut self) -> Option<Mapping<'a>> {
        self.heads.next().map(|(index, head)| Mapping { all: self.all, head, index })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.heads.size_hint()
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.heads.next_back().map(|(index, head)| Mapping { all: self.all, head, index })
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'a> IntoIterator for &'a Mappings {
    type Item = Mapping<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}
