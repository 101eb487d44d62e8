//! The parser of `/proc/PID/smaps`: bytes in, [`Mappings`] out, no I/O.
//!
//! It takes the text in chunks that may be cut anywhere, so that the text (700 bytes per mapping) is never held in
//! memory as a whole. It accepts the keys of any kernel and allocates nothing per line: the key of a line is guessed
//! from the line before it, because a kernel writes the keys of every mapping in the same order, and only the values
//! of wanted keys are parsed.
//!
//! The text comes from `show_smap` in the kernel's `fs/proc/task_mmu.c`.

use std::borrow::Cow;

use crate::process::fields::{FieldId, FieldUnit, Fields, MOST_KEYS, Wanted};
use crate::process::head::{decimal, is_head, parse_head};
use crate::process::mapping::{Mappings, Value};
pub use crate::process::parse_error::ParseError;
use crate::units::Bytes;

/// Longer than any line of a kernel (a path of 4096 newlines, each escaped with four bytes), and a limit for a capture
/// that is not smaps at all.
const LONGEST_LINE: usize = 1 << 20;

/// Longer than any key of a kernel (15 bytes on 6.18).
const LONGEST_KEY: usize = 64;

/// A parser of one process's smaps text.
#[derive(Debug)]
pub struct SmapsParser<'f> {
    fields: &'f mut Fields,
    wanted: &'f Wanted,
    /// How each key is used, by [`FieldId`].
    uses: Vec<KeyUse>,
    /// The key that came first after the last head line.
    first: Option<FieldId>,
    /// The key of the last line; none after a head line.
    previous: Option<FieldId>,
    mappings: Mappings,
    /// The beginning of a line whose end has not arrived yet.
    pending: Vec<u8>,
    line: u64,
    failed: Option<ParseError>,
    /// Whether the line that failed is a head.
    broke_at_head: bool,
}

/// How lines with one key are used.
#[derive(Debug, Clone, Copy)]
struct KeyUse {
    keep: bool,
    /// It is `Size`, which must be `end - start`.
    is_size: bool,
    /// The key that followed it last time.
    next: Option<FieldId>,
    /// It was the last key of some mapping.
    ends: bool,
}

/// Parses a whole smaps text that is in memory.
///
/// # Errors
/// As [`SmapsParser::feed`] and [`SmapsParser::finish`].
pub fn parse_smaps(text: &[u8], fields: &mut Fields, wanted: &Wanted) -> Result<Mappings, ParseError> {
    let mut parser = SmapsParser::new(fields, wanted);
    parser.feed(text)?;
    parser.finish()
}

impl<'f> SmapsParser<'f> {
    /// A parser that enters every key in `fields` and keeps the values of the `wanted` ones.
    pub fn new(fields: &'f mut Fields, wanted: &'f Wanted) -> Self {
        let uses = fields.numbered().map(|id| KeyUse::new(fields.name(id), wanted)).collect();
        SmapsParser {
            fields,
            wanted,
            uses,
            first: None,
            previous: None,
            mappings: Mappings::new(),
            pending: Vec::new(),
            line: 0,
            failed: None,
            broke_at_head: false,
        }
    }

    /// Takes the next chunk of the text, cut anywhere.
    ///
    /// # Errors
    /// A line that is neither head nor key; a head with an invalid field, or one that does not end after the mapping
    /// above it; a number of more than 64 bits; a value with another unit than the first one of this key; a key twice
    /// in a mapping; a `Size` that is not `end - start`. After an error the parser returns the same one again.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), ParseError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let done = self.feed_lines(chunk);
        self.failed = done.as_ref().err().cloned();
        done
    }

    /// Ends the text.
    ///
    /// # Errors
    /// The error of an earlier [`SmapsParser::feed`]; a text that ends within a line or, compared with the mappings
    /// above, within a mapping.
    pub fn finish(mut self) -> Result<Mappings, ParseError> {
        self.end()?;
        self.mappings.set_keys(self.fields, self.wanted);
        Ok(self.mappings)
    }

    /// Ends the text, but keeps the mappings that were complete before an error: [`Mappings::torn`] then reports where
    /// the text broke off. This is for a text that cannot be read again, such as a captured one.
    ///
    /// # Errors
    /// As for [`SmapsParser::finish`], if no mapping is complete.
    pub fn finish_torn(mut self) -> Result<Mappings, ParseError> {
        if let Err(error) = self.end() {
            // The mapping before a broken head is complete.
            if !self.broke_at_head {
                self.mappings.drop_last();
            }
            if self.mappings.is_empty() {
                return Err(error);
            }
            self.mappings.set_torn(error);
        }
        self.mappings.set_keys(self.fields, self.wanted);
        Ok(self.mappings)
    }

    fn end(&mut self) -> Result<(), ParseError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if !self.pending.is_empty() {
            self.line += 1;
            // Only a key can follow within a mapping.
            self.broke_at_head = is_head(&self.pending) && self.ends_whole();
            return Err(self.error("the text is truncated: it ends within a line"));
        }
        if !self.mappings.is_empty() && !self.ends_whole() {
            return Err(self.error("the text is truncated: it ends within a mapping"));
        }
        Ok(())
    }

    fn feed_lines(&mut self, chunk: &[u8]) -> Result<(), ParseError> {
        let mut rest = chunk;
        if !self.pending.is_empty() {
            let Some((line, after)) = split_line(rest) else { return self.keep_pending(rest) };
            self.keep_pending(line)?;
            rest = after;
            let mut whole = std::mem::take(&mut self.pending);
            self.take_line(&whole)?;
            // Its memory is reused for the next cut line.
            whole.clear();
            self.pending = whole;
        }
        while let Some((line, after)) = split_line(rest) {
            self.take_line(line)?;
            rest = after;
        }
        self.keep_pending(rest)
    }

    fn keep_pending(&mut self, part: &[u8]) -> Result<(), ParseError> {
        if self.pending.len() + part.len() > LONGEST_LINE {
            self.line += 1;
            return Err(self.error("the line is longer than 1 MiB"));
        }
        self.pending.extend_from_slice(part);
        Ok(())
    }

    fn take_line(&mut self, line: &[u8]) -> Result<(), ParseError> {
        self.line += 1;
        if let Some(id) = self.guess()
            && let Some(value) = self.fields.value_in(id, line)
        {
            return self.take_value(id, value);
        }
        if is_head(line) { self.take_head(line) } else { self.take_key(line) }
    }

    /// The key of this line if the mapping has the same keys as the one above.
    fn guess(&self) -> Option<FieldId> {
        match self.previous {
            Some(previous) => self.uses.get(previous.index())?.next,
            None => self.first,
        }
    }

    fn take_head(&mut self, line: &[u8]) -> Result<(), ParseError> {
        if !self.mappings.is_empty() {
            self.end_mapping()?;
        }
        self.broke_at_head = true;
        let head = parse_head(line).map_err(|why| self.error(why))?;
        self.mappings.admit(&head).map_err(|why| self.error(why))?;
        self.broke_at_head = false;
        self.previous = None;
        Ok(())
    }

    /// Remembers the last key of the mapping above a head.
    fn end_mapping(&mut self) -> Result<(), ParseError> {
        match self.previous.and_then(|last| self.uses.get_mut(last.index())) {
            Some(key) => {
                key.ends = true;
                Ok(())
            }
            None => Err(self.error("the mapping above has no keys: this is not smaps")),
        }
    }

    /// Whether the last mapping ends with the same key as another one, as it does in the text of any kernel.
    fn ends_whole(&self) -> bool {
        let Some(last) = self.previous.and_then(|last| self.uses.get(last.index())) else { return false };
        last.ends || self.mappings.len() == 1
    }

    /// Takes a line whose key is not the guessed one.
    fn take_key(&mut self, line: &[u8]) -> Result<(), ParseError> {
        let Some((name, value)) = split_key(line) else {
            return Err(self.error("the line is neither a mapping nor a key"));
        };
        if self.mappings.is_empty() {
            return Err(self.error("the text does not begin with a mapping"));
        }
        // Android before Linux 5.17 writes the name of anonymous memory below a head without a name.
        if name == "Name" {
            return self.mappings.name_last(value.trim_ascii()).map_err(|why| self.error(why));
        }
        let id = match self.fields.find_exact(name.as_bytes()) {
            Some(id) => id,
            None => self.enter(name, value)?,
        };
        match self.previous {
            Some(previous) => self.uses.get_mut(previous.index()).into_iter().for_each(|key| key.next = Some(id)),
            None => self.first = Some(id),
        }
        self.take_value(id, value)
    }

    fn enter(&mut self, name: &str, value: &[u8]) -> Result<FieldId, ParseError> {
        let value = parse_value(value).map_err(|why| self.key_error(name, why))?;
        let id = self
            .fields
            .enter(name, value.unit(), self.previous)
            .ok_or_else(|| self.error(format!("there are more than {MOST_KEYS} different keys")))?;
        self.uses.push(KeyUse::new(name, self.wanted));
        Ok(id)
    }

    #[inline]
    fn take_value(&mut self, id: FieldId, value: &[u8]) -> Result<(), ParseError> {
        self.previous = Some(id);
        match self.uses.get(id.index()) {
            Some(key) if key.keep || key.is_size => self.keep_value(id, value, *key),
            _ => Ok(()),
        }
    }

    fn keep_value(&mut self, id: FieldId, value: &[u8], key: KeyUse) -> Result<(), ParseError> {
        let value = parse_value_as(self.fields.unit(id), value).map_err(|why| self.value_error(id, why))?;
        if key.is_size && value != Value::Bytes(self.mappings.last_size()) {
            return Err(self.value_error(id, "it is not the size of the address range"));
        }
        if key.keep {
            self.mappings.set(id, value).map_err(|why| self.value_error(id, why))?;
        }
        Ok(())
    }

    fn value_error(&self, id: FieldId, why: &str) -> ParseError {
        self.key_error(self.fields.name(id), why)
    }

    fn key_error(&self, name: &str, why: &str) -> ParseError {
        self.error(format!("{name}: {why}"))
    }

    fn error(&self, why: impl Into<Cow<'static, str>>) -> ParseError {
        ParseError { line: self.line, why: why.into() }
    }
}

impl KeyUse {
    fn new(name: &str, wanted: &Wanted) -> KeyUse {
        KeyUse { keep: wanted.keeps(name), is_size: name == "Size", next: None, ends: false }
    }
}

/// The first line without its newline, and what follows it.
fn split_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\n', text)?;
    let (line, rest) = text.split_at_checked(end)?;
    Some((line, rest.get(1..)?))
}

/// The key of a line and what follows its colon. A key is printable ASCII and begins with a letter.
fn split_key(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = memchr::memchr(b':', line.get(..line.len().min(LONGEST_KEY + 1))?)?;
    let (name, rest) = line.split_at_checked(colon)?;
    let is_key = name.first()?.is_ascii_alphabetic() && name.iter().all(|byte| matches!(byte, b' '..=b'~'));
    Some((std::str::from_utf8(name).ok().filter(|_| is_key)?, rest.get(1..)?))
}

/// Parses the first value of a key, which decides its unit.
fn parse_value(text: &[u8]) -> Result<Value<'_>, &'static str> {
    let text = text.trim_ascii();
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match text.get(digits..).unwrap_or_default().trim_ascii_start() {
        _ if digits == 0 => Ok(Value::Text(text)),
        b"kB" => parse_value_as(FieldUnit::Bytes, text),
        b"" => parse_value_as(FieldUnit::Count, text),
        _ => Ok(Value::Text(text)),
    }
}

/// Parses a value of a key whose unit is known.
fn parse_value_as(unit: FieldUnit, text: &[u8]) -> Result<Value<'_>, &'static str> {
    let text = text.trim_ascii();
    match unit {
        FieldUnit::Text => Ok(Value::Text(text)),
        FieldUnit::Count => match number(text)? {
            (count, b"") => Ok(Value::Count(count)),
            _ => Err("it is not a bare number"),
        },
        FieldUnit::Bytes => match number(text)? {
            (kib, b" kB") => Bytes::from_kib(kib).map(Value::Bytes).ok_or("the number is too large"),
            (kib, rest) if rest.trim_ascii_start() == b"kB" => {
                Bytes::from_kib(kib).map(Value::Bytes).ok_or("the number is too large")
            }
            _ => Err("it is not a number of kB"),
        },
    }
}

/// Decimal digits and what follows them.
fn number(text: &[u8]) -> Result<(u64, &[u8]), &'static str> {
    match text.first() {
        Some(b'0'..=b'9') => decimal(text).ok_or("the number is too large"),
        _ => Err("it is not a number"),
    }
}
