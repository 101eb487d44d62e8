//! JSON: one document, or one object a line. `docs/json.md` is the contract.
//!
//! Every row is written as it comes. A figure that is absent is `null`, and the row's key `absent` says why.

use std::io::{self, BufWriter, Write};

use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde_json::ser::{Formatter, Serializer as Json};

use super::cell::{Cell, Difference, FlagRuns, Rfc3339, reworded};
use super::column::{Column, RowKind};
use super::escape;
use super::render::{Heading, Layout, Renderer};
use super::total::{TotalCell, Totals};

/// A row is written in a hundred small pieces: collected here, each is a copy and not a call through a pointer, which
/// made a fifth of the time of writing 60,000 rows.
type Collected<'w> = BufWriter<Box<dyn Write + 'w>>;

fn collected<'w>(out: Box<dyn Write + 'w>) -> Collected<'w> {
    BufWriter::with_capacity(1 << 15, out)
}

/// One JSON document.
///
/// Without groups and totals it is an array of rows, as pcstat's. With a total it is an object with the rows and the total;
/// with groups it is an array of such objects, each with its heading's fields.
pub struct JsonWriter<'w, K: RowKind> {
    columns: Vec<Column<K>>,
    out: Collected<'w>,
    rows_key: &'static str,
    grouped: bool,
    total: bool,
    groups: u64,
    rows: u64,
}

impl<'w, K: RowKind> JsonWriter<'w, K> {
    /// A document that writes to `out`.
    pub fn new(layout: Layout, columns: Vec<Column<K>>, out: Box<dyn Write + 'w>) -> Self {
        let Layout { rows_key, grouped, total, .. } = layout;
        JsonWriter { columns, out: collected(out), rows_key, grouped, total, groups: 0, rows: 0 }
    }

    fn is_object(&self) -> bool {
        self.grouped || self.total
    }
}

impl<K: RowKind> Renderer<K> for JsonWriter<'_, K> {
    fn begin(&mut self, heading: Option<&Heading<'_>>) -> io::Result<()> {
        if self.grouped {
            self.out.write_all(if self.groups == 0 { b"[" } else { b",\n" })?;
        }
        self.groups += 1;
        self.rows = 0;
        if self.is_object() {
            self.out.write_all(b"{")?;
            for (key, cell) in heading.iter().flat_map(|heading| &heading.fields) {
                write_value(&mut self.out, &CellValue(Cell::Word(key)))?;
                self.out.write_all(b":")?;
                write_value(&mut self.out, &CellValue(*cell))?;
                self.out.write_all(b",")?;
            }
            for (key, cells) in heading.iter().flat_map(|heading| &heading.objects) {
                write_value(&mut self.out, &CellValue(Cell::Word(key)))?;
                self.out.write_all(b":")?;
                write_value(&mut self.out, &CellMap(cells.clone()))?;
                self.out.write_all(b",")?;
            }
            write!(self.out, "\"{}\":", self.rows_key)?;
        }
        self.out.write_all(b"[")
    }

    fn row(&mut self, row: &K::Row<'_>) -> io::Result<()> {
        self.out.write_all(if self.rows == 0 { b"\n" } else { b",\n" })?;
        self.rows += 1;
        write_row(&mut self.out, &self.columns, row)
    }

    fn end(&mut self, total: Option<&Totals<K>>) -> io::Result<()> {
        self.out.write_all(if self.rows == 0 { b"]" } else { b"\n]" })?;
        if let Some(total) = total {
            self.out.write_all(b",\"total\":")?;
            write_total(&mut self.out, total)?;
        }
        if self.is_object() {
            self.out.write_all(b"}")?;
        }
        // A reader of a pipe sees a finished group at once, also while a later one is being collected.
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.grouped {
            self.out.write_all(if self.groups == 0 { b"[]" } else { b"]" })?;
        }
        self.out.write_all(b"\n")?;
        self.out.flush()
    }
}

/// One object a line, a row each; no totals, which are no rows.
pub struct JsonLinesWriter<'w, K: RowKind> {
    columns: Vec<Column<K>>,
    out: Collected<'w>,
}

impl<'w, K: RowKind> JsonLinesWriter<'w, K> {
    /// Lines that go to `out`.
    pub fn new(columns: Vec<Column<K>>, out: Box<dyn Write + 'w>) -> Self {
        JsonLinesWriter { columns, out: collected(out) }
    }
}

impl<K: RowKind> Renderer<K> for JsonLinesWriter<'_, K> {
    fn begin(&mut self, _heading: Option<&Heading<'_>>) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, row: &K::Row<'_>) -> io::Result<()> {
        write_row(&mut self.out, &self.columns, row)?;
        self.out.write_all(b"\n")
    }

    fn end(&mut self, _total: Option<&Totals<K>>) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes one row as an object: a key a column, then `absent`.
fn write_row<K: RowKind>(out: &mut Collected<'_>, columns: &[Column<K>], row: &K::Row<'_>) -> io::Result<()> {
    let mut json = Json::with_formatter(&mut *out, Harmless);
    let mut map = json.serialize_map(None)?;
    let mut any_absent = false;
    for column in columns {
        map.serialize_key(column.id.as_ref())?;
        let cell = column.cell(row);
        any_absent |= matches!(cell, Cell::Absent(_));
        map.serialize_value(&CellValue(cell))?;
    }
    let reasons =
        any_absent.then(|| Reasons(columns.iter().map(|column| (column.id.as_ref(), column.cell(row))).collect()));
    map.serialize_entry("absent", &reasons)?;
    SerializeMap::end(map)?;
    Ok(())
}

fn write_value(out: &mut Collected<'_>, value: &impl serde::Serialize) -> io::Result<()> {
    Ok(value.serialize(&mut Json::with_formatter(out, Harmless))?)
}

fn write_total<K: RowKind>(out: &mut Collected<'_>, totals: &Totals<K>) -> io::Result<()> {
    let mut json = Json::with_formatter(&mut *out, Harmless);
    let mut map = json.serialize_map(None)?;
    map.serialize_entry("rows", &totals.rows())?;
    let mut lacking = Vec::new();
    for (column, cell) in totals.cells() {
        if let TotalCell::Sum { cell, missing } = cell {
            map.serialize_entry(column.id.as_ref(), &CellValue(cell))?;
            if missing > 0 {
                lacking.push((column.id.as_ref(), Cell::Count(missing)));
            }
        }
    }
    let lacking = (!lacking.is_empty()).then_some(CellMap(lacking));
    map.serialize_entry("rows_without_figure", &lacking)?;
    SerializeMap::end(map)?;
    Ok(())
}

/// JSON in one line, in which every character that could do harm on a terminal is written as `\u009b`: JSON loses nothing by it.
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

/// Cells under keys.
struct CellMap<'c>(Vec<(&'c str, Cell<'c>)>);

impl serde::Serialize for CellMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, cell)| (key, CellValue(*cell))))
    }
}

/// The reasons of the cells that are absent, under their keys.
struct Reasons<'c>(Vec<(&'c str, Cell<'c>)>);

impl serde::Serialize for Reasons<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let reasons = self.0.iter().filter_map(|(key, cell)| match cell {
            Cell::Absent(absent) => Some((key, absent.to_string())),
            _ => None,
        });
        serializer.collect_map(reasons)
    }
}

/// A cell as a JSON value.
struct CellValue<'c>(Cell<'c>);

impl serde::Serialize for CellValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Cell::Bytes(number) | Cell::Count(number) | Cell::Offset(number) => serializer.serialize_u64(number),
            Cell::Percent(share) => serializer.serialize_f64(share),
            Cell::Address(address) => serializer.collect_str(&format_args!("{address:x}")),
            Cell::Word(word) => serializer.serialize_str(word),
            Cell::Named([], _) | Cell::Absent(_) => serializer.serialize_none(),
            Cell::Text(text) | Cell::Named(text, _) => serializer.serialize_str(&escape::lossy(text)),
            Cell::Reworded(text, write) => serializer.serialize_str(&escape::lossy(&reworded(text, write))),
            Cell::RawBytes(bytes) if std::str::from_utf8(bytes).is_ok() => serializer.serialize_none(),
            Cell::RawBytes(bytes) => serializer.collect_str(&Hexadecimal(bytes)),
            Cell::Device(major, minor) => serializer.collect_str(&format_args!("{major:02x}:{minor:02x}")),
            Cell::Flag(flag) => serializer.serialize_bool(flag),
            Cell::Time(time) | Cell::UnixTime(time) => serializer.collect_str(&Rfc3339(time)),
            Cell::Change(Difference::Bytes(by) | Difference::Count(by)) => serializer.serialize_i64(by),
            Cell::Change(Difference::Share(by)) => serializer.serialize_f64(by),
            Cell::Remark(remark) => serializer.collect_some_str(remark),
            Cell::Flags(runs) => serialize_flags(runs, serializer),
        }
    }
}

/// An optional string as itself or null.
trait OptionalStr: Serializer {
    fn collect_some_str(self, text: Option<&str>) -> Result<Self::Ok, Self::Error>;
}

impl<S: Serializer> OptionalStr for S {
    fn collect_some_str(self, text: Option<&str>) -> Result<S::Ok, S::Error> {
        match text {
            Some(text) => self.serialize_str(text),
            None => self.serialize_none(),
        }
    }
}

struct Hexadecimal<'b>(&'b [u8]);

impl std::fmt::Display for Hexadecimal<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

/// An array of very many booleans, written one by one: a file of 1 TiB has 268,435,456 of them.
fn serialize_flags<S: Serializer>(runs: &dyn FlagRuns, serializer: S) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(None)?;
    let mut failed = None;
    let walked = runs.for_each_run(&mut |flag, times| {
        for _ in 0..times {
            if let Err(error) = list.serialize_element(&flag) {
                failed = Some(error);
                return Err(io::Error::other("the writer failed"));
            }
        }
        Ok(())
    });
    match (failed, walked) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(serde::ser::Error::custom(error)),
        (None, Ok(())) => list.end(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    #[test]
    fn json_on_a_terminal_does_no_harm_and_loses_nothing() {
        let name = "a\u{9b}31m\x7f\u{202e}b\u{e0041}é日\n";
        let mut out = Vec::new();
        name.serialize(&mut Json::with_formatter(&mut out, Harmless)).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, r#""a\u009b31m\u007f\u202eb\udb40\udc41é日\n""#);
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), name);
    }
}
