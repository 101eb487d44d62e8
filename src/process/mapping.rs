//! The mappings of one process: what smaps said, in flat storage.
//!
//! Sixty thousand mappings of 24 keys are 43 MB of text. Here each head takes 48 bytes and each kept value 8, in one
//! array per key, with no allocation per mapping. Nothing here reads or parses; see [`crate::process::smaps`].

use std::fmt;

use crate::process::fields::{FieldId, FieldUnit};
use crate::process::head::Head;
use crate::process::pool::Pool;
use crate::units::Bytes;

/// All mappings of one process, in the order of their addresses; none overlaps another. Each is as the kernel saw it in
/// one moment, the list is not.
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
}

/// One mapping: a row of smaps. A view into [`Mappings`].
#[derive(Debug, Clone, Copy)]
pub struct Mapping<'a> {
    all: &'a Mappings,
    head: &'a Stored,
    index: usize,
}

/// The device of a mapped file as smaps gives it, which need not be what `stat` says of the file (btrfs, overlayfs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Device {
    /// The major number.
    pub major: u32,
    /// The minor number.
    pub minor: u32,
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

/// A slot without a value. No value can be it: bytes are multiples of 1024, texts are 32-bit numbers, and a count as
/// large is refused.
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

    /// Whether there is none, as for a process that unmapped everything.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// The mappings in the order of their addresses.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Mapping<'_>> + DoubleEndedIterator + Clone {
        self.heads.iter().enumerate().map(|(index, head)| Mapping { all: self, head, index })
    }

    /// The mapping at `index`, counted from the lowest address.
    pub fn get(&self, index: usize) -> Option<Mapping<'_>> {
        self.heads.get(index).map(|head| Mapping { all: self, head, index })
    }

    /// Whether any mapping has a kept value of this key.
    pub fn has(&self, field: FieldId) -> bool {
        self.columns.get(field.index()).is_some_and(|column| !column.slots.is_empty())
    }

    /// How many mappings are missing, in part or whole, because the process changed them while they were read: they
    /// were given, and then one that began in the middle of them. Zero for a process that stands still.
    pub fn changed(&self) -> usize {
        self.changed
    }

    /// No mappings yet.
    pub(super) fn new() -> Mappings {
        Mappings { heads: Vec::new(), columns: Vec::new(), names: Pool::new(), texts: Pool::new(), changed: 0 }
    }

    /// Where the last mapping ends; 0 without one.
    fn last_end(&self) -> u64 {
        self.heads.last().map_or(0, |head| head.end)
    }

    /// The size of the last mapping.
    pub(super) fn last_size(&self) -> Bytes {
        Bytes(self.heads.last().map_or(0, |head| head.end - head.start))
    }

    /// Drops the mappings that reach past `start`, where a newer one begins.
    fn replace_from(&mut self, start: u64) {
        let kept = self.heads.partition_point(|head| head.end <= start);
        // What starts later is covered by the newer mapping, which ends after them all.
        self.changed += self.heads.iter().skip(kept).filter(|head| head.start < start).count();
        self.heads.truncate(kept);
        self.columns.iter_mut().for_each(|column| column.slots.truncate(kept));
    }

    /// Adds a mapping that may begin before the one above ends; the reason in words where it cannot come here.
    ///
    /// The kernel goes on with the first mapping that ends past the one it gave last. If the process has merged or
    /// moved mappings meanwhile, that one can begin below what was already given: 91 of 300 readings of a process that
    /// maps and unmaps in a loop had such rows (6.18). The newer one is right, those it overlaps are gone.
    pub(super) fn admit(&mut self, head: &Head<'_>) -> Result<(), &'static str> {
        if head.end <= self.last_end() {
            return Err("the mapping ends before the one above it: they are out of order");
        }
        if head.start < self.last_end() {
            self.replace_from(head.start);
        }
        self.push(head).ok_or("the names are more than 4 GiB")
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

    /// Adds a mapping; absent when there is no more room for names.
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

    /// Sets a value of the last mapping; the reason in words where that cannot be.
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
        let column = self.columns.get_mut(field.index()).ok_or("there is no room for it")?;
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

    /// Its address space: `end - start`, which the parser has checked against the kernel's `Size`.
    pub fn size(&self) -> Bytes {
        Bytes(self.head.end - self.head.start)
    }

    /// Permissions as smaps writes them: `r-xp`, `rw-s`.
    pub fn perm(&self) -> &'a str {
        std::str::from_utf8(&self.head.perm).unwrap_or_default()
    }

    /// Where in the file the mapping starts, in bytes. Anonymous mappings have 0, or an address where they were moved.
    pub fn offset(&self) -> u64 {
        self.head.offset
    }

    /// The mapping before this one in the list: the next lower addresses, with or without a gap between.
    pub fn neighbour_below(&self) -> Option<Mapping<'a>> {
        self.all.get(self.index.checked_sub(1)?)
    }

    /// The mapping behind this one in the list: the next higher addresses, with or without a gap between.
    pub fn neighbour_above(&self) -> Option<Mapping<'a>> {
        self.all.get(self.index.checked_add(1)?)
    }

    /// The device of the mapped file; `00:00` for anonymous memory.
    pub fn device(&self) -> Device {
        self.head.device
    }

    /// The inode of the mapped file; 0 for anonymous memory.
    pub fn inode(&self) -> u64 {
        self.head.inode
    }

    /// The name as smaps gives it: a path as the process sees it, `[heap]`, or empty for anonymous memory.
    ///
    /// The bytes are the kernel's, untouched. It writes a newline as `\012` but leaves a backslash as it is, so that
    /// `\012` may be either, and ` (deleted)` at the end may be part of a name: the text alone cannot tell, so nothing
    /// is undone here.
    pub fn path(&self) -> &'a [u8] {
        self.all.names.get(self.head.name).unwrap_or_default()
    }

    /// The value of a key that is an amount of memory. Absent if the kernel did not give it for this mapping, if it was
    /// not wanted, or if it is no amount of memory.
    pub fn bytes(&self, field: FieldId) -> Option<Bytes> {
        self.slot(field, FieldUnit::Bytes).map(Bytes)
    }

    /// The value of a key that is a bare number; absent as for [`Mapping::bytes`].
    pub fn count(&self, field: FieldId) -> Option<u64> {
        self.slot(field, FieldUnit::Count)
    }

    /// The value of a key that is text, without the spaces around it; absent as for [`Mapping::bytes`].
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

impl fmt::Display for Device {
    /// As smaps writes it: `fe:00`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:02x}:{:02x}", self.major, self.minor)
    }
}
