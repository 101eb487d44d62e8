//! JSON: one document, or one object per line. `docs/json.md` is the contract.
//!
//! Rows are written as they arrive. An absent figure is `null`, and the row's key `absent` gives the reason.

use std::io::{self, Write};
use std::sync::Arc;

use serde::ser::{Serialize, Serializer};
use serde_json::ser::{Formatter, Serializer as Json};

use super::{CellAt, Head, RowWriter, Sink, TotalStyle, cell_of};
use crate::table::{
    Cell, Closing, ColumnHead, ColumnKind, Difference, Section, TotalCell, TotalRow, bar_text, escape, push_hex,
    push_number,
};

/// One JSON document.
///
/// Without sections and totals it is an array of rows, as in pcstat. With a total it is an object with the rows and the
/// total. With sections it is an array of such objects, each with the fields of its section.
pub struct JsonSink<'w> {
    out: Box<dyn Write + 'w>,
    head: Option<Head>,
    rows: Arc<JsonRows>,
    sections: u64,
    is_first_row: bool,
    closing: Closing,
    scratch: Vec<u8>,
}

impl<'w> JsonSink<'w> {
    /// A document that is written to `out`.
    pub fn new(out: Box<dyn Write + 'w>) -> Self {
        JsonSink {
            out,
            head: None,
            rows: Arc::default(),
            sections: 0,
            is_first_row: true,
            closing: Closing::default(),
            scratch: Vec::new(),
        }
    }

    fn is_sectioned(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.sectioned)
    }

    fn is_object(&self) -> bool {
        self.is_sectioned() || self.head.as_ref().is_some_and(|head| head.total != TotalStyle::None)
    }
}

impl Sink for JsonSink<'_> {
    fn begin(&mut self, head: &Head) -> io::Result<()> {
        self.rows = Arc::new(JsonRows::new(head));
        self.head = Some(head.clone());
        Ok(())
    }

    fn section(&mut self, section: &Section) -> io::Result<()> {
        let mut out = Vec::new();
        if self.is_sectioned() {
            out.extend_from_slice(if self.sections == 0 { b"[" } else { b",\n" });
        }
        self.sections += 1;
        self.is_first_row = true;
        if self.is_object() {
            out.push(b'{');
            let time = section.time.map(|time| ("time", Cell::Time(time)));
            let fields = section.fields.iter().map(|(key, cell)| (*key, cell.cell()));
            let denied = section.denied.iter().map(|cell| ("denied", cell.cell()));
            let incomplete = section.incomplete.iter().map(|cell| ("incomplete", cell.cell()));
            for (key, cell) in time.into_iter().chain(fields).chain(denied).chain(incomplete) {
                write_key(key, &mut out);
                write_cell(&cell, &mut out);
                out.push(b',');
            }
            for (key, cells) in &section.objects {
                write_key(key, &mut out);
                write_object(cells.iter().map(|(key, cell)| (*key, cell.cell())), &mut out);
                out.push(b',');
            }
            write_key(self.head.as_ref().map_or("rows", |head| head.rows), &mut out);
        }
        out.push(b'[');
        self.out.write_all(&out)
    }

    fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let rows = self.rows.clone();
        let done = rows.write_row(|place| cell_of(cells, place), b",\n", &mut scratch, &mut |part| self.rendered(part));
        self.scratch = scratch;
        done
    }

    fn closing(&mut self, closing: Closing) {
        self.closing = closing;
    }

    fn end(&mut self, total: Option<&TotalRow>) -> io::Result<()> {
        self.out.write_all(if self.is_first_row { b"]" } else { b"\n]" })?;
        let Some(head) = &self.head else { return Ok(()) };
        let mut out = Vec::new();
        if let Some(total) = total.filter(|_| head.total == TotalStyle::Row) {
            out.extend_from_slice(b",\"total\":");
            write_total(total, &head.columns, &mut out);
        }
        if self.is_object() {
            let closing = std::mem::take(&mut self.closing);
            if let Some((key, cells)) = closing.object {
                out.push(b',');
                write_key(key, &mut out);
                write_object(cells.iter().map(|(key, cell)| (*key, cell.cell())), &mut out);
            }
            if let Some((key, list)) = closing.list {
                out.push(b',');
                write_key(key, &mut out);
                for (place, cells) in list.iter().enumerate() {
                    out.push(if place == 0 { b'[' } else { b',' });
                    write_object(cells.iter().map(|(key, cell)| (*key, cell.cell())), &mut out);
                }
                out.extend_from_slice(if list.is_empty() { b"[]" } else { b"]" });
            }
            out.push(b'}');
        }
        self.out.write_all(&out)?;
        // The reader of a pipe sees a finished section at once, even while a later one is being collected.
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.is_sectioned() {
            self.out.write_all(if self.sections == 0 { b"[]" } else { b"]" })?;
        }
        self.out.write_all(b"\n")?;
        self.out.flush()
    }

    fn is_json(&self) -> bool {
        true
    }

    fn row_writer(&self) -> Option<Arc<dyn RowWriter>> {
        let rows: Arc<JsonRows> = self.rows.clone();
        if rows.has_lists { None } else { Some(rows) }
    }

    /// Each row comes with the comma before it, which the first one drops.
    fn rendered(&mut self, rows: &[u8]) -> io::Result<()> {
        match std::mem::take(&mut self.is_first_row) {
            true => self.out.write_all(rows.strip_prefix(b",").unwrap_or(rows)),
            false => self.out.write_all(rows),
        }
    }
}

/// One object per line and row; no totals, which are not rows.
pub struct JsonLinesSink<'w> {
    out: Box<dyn Write + 'w>,
    rows: Arc<JsonLines>,
    live: bool,
    scratch: Vec<u8>,
}

impl<'w> JsonLinesSink<'w> {
    /// Lines that are written to `out`.
    pub fn new(out: Box<dyn Write + 'w>) -> Self {
        JsonLinesSink { out, rows: Arc::default(), live: false, scratch: Vec::new() }
    }
}

impl Sink for JsonLinesSink<'_> {
    fn begin(&mut self, head: &Head) -> io::Result<()> {
        self.rows = Arc::new(JsonLines(JsonRows::new(head)));
        self.live = head.live;
        Ok(())
    }

    fn section(&mut self, _section: &Section) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        self.scratch.clear();
        let out = &mut self.out;
        self.rows
            .0
            .write_row(|place| cell_of(cells, place), b"", &mut self.scratch, &mut |part| out.write_all(part))?;
        self.out.write_all(b"\n")?;
        if self.live { self.out.flush() } else { Ok(()) }
    }

    fn end(&mut self, _total: Option<&TotalRow>) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn is_json(&self) -> bool {
        true
    }

    fn row_writer(&self) -> Option<Arc<dyn RowWriter>> {
        let rows: Arc<JsonLines> = self.rows.clone();
        if rows.0.has_lists { None } else { Some(rows) }
    }

    fn rendered(&mut self, rows: &[u8]) -> io::Result<()> {
        self.out.write_all(rows)
    }
}

/// Writes rows as objects: a key for each column, then `absent`, and `at_least` if there may be lower bounds.
///
/// The keys are rendered once: of a row of 43 figures they are most of the text.
#[derive(Default)]
struct JsonRows {
    /// `{"pid":0`, then `,"start":0` and so on: with the most frequent figure, which is cut off if it is another.
    keys: Vec<Vec<u8>>,
    names: Vec<String>,
    /// Whether a column has long lists, which are written piece by piece and so never apart.
    has_lists: bool,
    /// Whether a column has sums that may be known only in part.
    has_bounds: bool,
}

/// The same, one per line.
#[derive(Default)]
struct JsonLines(JsonRows);

impl RowWriter for JsonRows {
    fn write(&self, rows: usize, cell: &CellAt<'_, '_>, out: &mut Vec<u8>) {
        for row in 0..rows {
            // Writing to a Vec cannot fail.
            let _ = self.write_row(|place| cell(row, place), b",\n", out, &mut |_| Ok(()));
        }
    }
}

impl RowWriter for JsonLines {
    fn write(&self, rows: usize, cell: &CellAt<'_, '_>, out: &mut Vec<u8>) {
        for row in 0..rows {
            let _ = self.0.write_row(|place| cell(row, place), b"", out, &mut |_| Ok(()));
            out.push(b'\n');
        }
    }
}

impl JsonRows {
    fn new(head: &Head) -> JsonRows {
        let columns = &head.columns;
        let key = |(place, column): (usize, &ColumnHead)| {
            let mut key = vec![if place == 0 { b'{' } else { b',' }];
            write_key(&column.id, &mut key);
            key.push(b'0');
            key
        };
        let names = columns.iter().map(|column| column.id.to_string()).collect();
        let has_lists = columns.iter().any(|column| column.kind == ColumnKind::Flags);
        let keys = columns.iter().enumerate().map(key).collect();
        JsonRows { keys, names, has_lists, has_bounds: columns.iter().any(|column| column.has_bounds) }
    }

    /// Renders a row into `scratch`, which is given to `write` at its end, and before that whenever a long list has
    /// filled it.
    fn write_row<'r>(
        &self,
        cell: impl Fn(usize) -> Cell<'r>,
        before: &[u8],
        scratch: &mut Vec<u8>,
        write: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        scratch.extend_from_slice(before);
        let mut any_absent = false;
        for (place, key) in self.keys.iter().enumerate() {
            let cell = cell(place);
            scratch.extend_from_slice(key);
            if let Cell::Bytes(0) | Cell::Count(0) = cell {
                continue;
            }
            scratch.pop();
            match &cell {
                Cell::Flags(runs) => write_flags(*runs, scratch, write)?,
                cell => write_cell(cell, scratch),
            }
            any_absent |= cell.absence().is_some();
        }
        scratch.extend_from_slice(if self.keys.is_empty() { b"{\"absent\":" } else { b",\"absent\":" });
        if any_absent {
            let reason = |(place, name): (usize, &String)| {
                cell(place).absence().map(|absent| (name.clone(), absent.to_string()))
            };
            let reasons: Vec<(String, String)> = self.names.iter().enumerate().filter_map(reason).collect();
            write_object(reasons.iter().map(|(key, why)| (key.as_str(), Cell::Word(why))), scratch);
        } else {
            scratch.extend_from_slice(b"null");
        }
        if self.has_bounds {
            self.write_bounds(&cell, any_absent, scratch);
        }
        scratch.push(b'}');
        write(scratch)
    }
}

impl JsonRows {
    /// The lower bounds of sums, which are null then.
    fn write_bounds<'r>(&self, cell: &impl Fn(usize) -> Cell<'r>, may_have_some: bool, out: &mut Vec<u8>) {
        let bound = |(place, name): (usize, &'_ String)| match cell(place) {
            Cell::AtLeast(amount, _) => Some((name.clone(), amount.cell())),
            _ => None,
        };
        let bounds: Vec<(String, Cell<'_>)> = match may_have_some {
            true => self.names.iter().enumerate().filter_map(bound).collect(),
            false => Vec::new(),
        };
        out.extend_from_slice(b",\"at_least\":");
        match bounds.is_empty() {
            true => out.extend_from_slice(b"null"),
            false => write_object(bounds.iter().map(|(key, bound)| (key.as_str(), *bound)), out),
        }
    }
}

fn write_total(total: &TotalRow, columns: &[ColumnHead], out: &mut Vec<u8>) {
    let mut entries = vec![("rows", Cell::Count(total.rows))];
    let (mut lacking, mut absent) = (Vec::new(), Vec::new());
    for (column, cell) in columns.iter().zip(&total.cells) {
        if let TotalCell::Sum { cell, missing } = cell {
            entries.push((column.id.as_ref(), *cell));
            if *missing > 0 {
                lacking.push((column.id.as_ref(), Cell::Count(*missing)));
            }
            if let Some(why) = cell.absence().filter(|_| *missing == 0) {
                absent.push((column.id.as_ref(), why.to_string()));
            }
        }
    }
    write_object(entries.into_iter(), out);
    // Back into the object.
    out.pop();
    out.extend_from_slice(b",\"rows_without_figure\":");
    match lacking.is_empty() {
        true => out.extend_from_slice(b"null"),
        false => write_object(lacking.into_iter(), out),
    }
    if !absent.is_empty() {
        out.extend_from_slice(b",\"absent\":");
        write_object(absent.iter().map(|(key, why)| (*key, Cell::Text(why.as_bytes()))), out);
    }
    out.push(b'}');
}

fn write_object<'c>(entries: impl Iterator<Item = (&'c str, Cell<'c>)>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (place, (key, cell)) in entries.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_key(key, out);
        write_cell(&cell, out);
    }
    out.push(b'}');
}

fn write_key(key: &str, out: &mut Vec<u8>) {
    write_string(key, out);
    out.push(b':');
}

/// Writes a cell as a JSON value.
fn write_cell(cell: &Cell<'_>, out: &mut Vec<u8>) {
    match *cell {
        Cell::Bytes(number) | Cell::Count(number) | Cell::Offset(number) => push_number(number, out),
        Cell::Known(amount) => push_number(amount.number(), out),
        Cell::Percent(share) | Cell::Change(Difference::Share(share)) => write_value(share, out),
        Cell::Change(Difference::Bytes(by) | Difference::Count(by) | Difference::Pages(by)) => write_value(by, out),
        Cell::Flag(flag) => write_value(flag, out),
        Cell::Word(word) | Cell::Remark(Some(word)) => write_string(word, out),
        Cell::Bar(eighths) => write_string(bar_text(eighths), out),
        Cell::Named([], _) | Cell::Remark(None) | Cell::Flags(_) => out.extend_from_slice(b"null"),
        Cell::Absent(_) | Cell::Without(_) | Cell::AtLeast(..) => {
            out.extend_from_slice(b"null");
        }
        Cell::RawBytes(bytes) if std::str::from_utf8(bytes).is_ok() => out.extend_from_slice(b"null"),
        Cell::Text(text) | Cell::Named(text, _) if is_plain(text) => write_plain(text, out),
        Cell::Text(text) | Cell::Named(text, _) => write_string(&escape::lossy(text), out),
        Cell::Reworded(text, translate) => {
            let mut translated = Vec::new();
            translate(text, &mut translated);
            write_string(&escape::lossy(&translated), out);
        }
        Cell::UnixTime(time) => write_cell(&Cell::Time(time), out),
        Cell::Address(address) => {
            out.push(b'"');
            push_hex(address, 1, out);
            out.push(b'"');
        }
        // The text of these is harmless: digits, points and colons.
        Cell::RawBytes(_) | Cell::Device(..) | Cell::Time(_) | Cell::Strip(_) => {
            out.push(b'"');
            cell.write_text(crate::table::SizeUnit::Bytes, out);
            out.push(b'"');
        }
    }
}

fn write_value(value: impl Serialize, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail, and a number is always a value.
    let _ = value.serialize(&mut Json::new(out));
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    // The serializer for one string costs more than the string.
    match is_plain(text.as_bytes()) {
        true => write_plain(text.as_bytes(), out),
        false => drop(Json::with_formatter(out, Harmless).serialize_str(text)),
    }
}

/// Whether a text is printable ASCII that needs no escape, as most are.
fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b'"' && *byte != b'\\')
}

fn write_plain(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(text);
    out.push(b'"');
}

/// An array of very many booleans, written piece by piece: a file of 1 TiB has 268,435,456 of them.
fn write_flags(
    runs: &dyn crate::table::FlagRuns,
    scratch: &mut Vec<u8>,
    write: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    const PIECE: usize = 1 << 15;
    scratch.push(b'[');
    let mut is_first = true;
    runs.for_each_run(&mut |flag, times| {
        for _ in 0..times {
            if !std::mem::take(&mut is_first) {
                scratch.push(b',');
            }
            scratch.extend_from_slice(if flag { b"true" } else { b"false" });
            if scratch.len() > PIECE {
                write(scratch)?;
                scratch.clear();
            }
        }
        Ok(())
    })?;
    scratch.push(b']');
    Ok(())
}

/// JSON in one line, in which every character that could do harm on a terminal is escaped (`\u009b`), at no loss.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        // The package itself escapes what is below a blank. Nearly all names are ASCII.
        if fragment.is_ascii() && !fragment.contains('\x7f') {
            return out.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some((place, letter)) = rest.char_indices().find(|(_, letter)| escape::is_harmful(*letter)) {
            let (before, after) = rest.split_at(place);
            out.write_all(before.as_bytes())?;
            letter.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))?;
            rest = after.strip_prefix(letter).unwrap_or_default();
        }
        out.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_on_a_terminal_does_no_harm_and_loses_nothing() {
        let name = "a\u{9b}31m\x7f\u{202e}b\u{e0041}é日\n";
        let mut out = Vec::new();
        write_string(name, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, r#""a\u009b31m\u007f\u202eb\udb40\udc41é日\n""#);
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), name);
    }
}
