//! The smaps parser on generated text: the result is correct however the text is split into chunks; truncated and
//! damaged text is rejected or parsed, but never causes a panic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

use proptest::prelude::*;
use rmap::process::{Fields, Mappings, SmapsParser, Wanted, parse_smaps};

/// A mapping to be written.
#[derive(Debug, Clone)]
struct Written {
    start: u64,
    pages: u64,
    perm: &'static str,
    offset: u64,
    inode: u64,
    name: Vec<u8>,
    /// The values of its keys, in kB.
    values: Vec<Option<u64>>,
}

const KEYS: [&str; 6] = ["Rss", "Pss", "Anonymous", "Swap", "Future_Key", "Locked"];

fn name() -> impl Strategy<Value = Vec<u8>> {
    let pieces =
        [&b"/"[..], b"x", b" ", b"\t", b"\\012", b"\x1b[2J", b"\xff", b":", b" (deleted)", b"Rss: 1 kB", b"1000-2000"];
    let path = proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..9)
        .prop_map(|pieces| [&b"/"[..], &pieces.concat()].concat());
    prop_oneof![Just(Vec::new()), Just(b"[heap]".to_vec()), Just(b"[anon:a b]".to_vec()), path]
}

/// Mappings in order for pages of `page` bytes below `top`, and the keys of that kernel.
fn written() -> impl Strategy<Value = (u64, Vec<Written>)> {
    let value = prop_oneof![Just(None), (0u64..1 << 20).prop_map(Some), Just(Some(u64::MAX >> 10)), Just(Some(0))];
    let row = (
        0u64..20,
        1u64..5000,
        proptest::sample::select(vec!["r-xp", "rw-p", "---p", "rw-s", "--xp"]),
        any::<u32>(),
        any::<u64>(),
        name(),
        proptest::collection::vec(value, KEYS.len()),
    );
    let page = proptest::sample::select(vec![4096u64, 16384, 65536]);
    let base = proptest::sample::select(vec![0u64, 0x8048000, 0x5555_5555_0000, 0xffff_8000_0000_0000]);
    (page, base, proptest::collection::vec(row, 1..12)).prop_map(|(page, base, rows)| {
        let mut next = base / page * page;
        let rows = rows.into_iter().map(|(gap, pages, perm, offset, inode, name, values)| {
            let start = next + gap * page;
            next = start + pages * page;
            Written { start, pages, perm, offset: u64::from(offset), inode, name, values }
        });
        (page, rows.collect())
    })
}

/// The text, and where each mapping ends in it.
fn text_of(page: u64, rows: &[Written]) -> (Vec<u8>, Vec<usize>) {
    let mut text = Vec::new();
    let mut ends = Vec::new();
    for row in rows {
        let end = row.start + row.pages * page;
        let head = format!("{:08x}-{end:08x} {} {:08x} fe:00 {} ", row.start, row.perm, row.offset, row.inode);
        let head = if row.name.is_empty() { head } else { format!("{head:<73}") };
        text.extend_from_slice(head.as_bytes());
        text.extend_from_slice(&row.name);
        text.extend_from_slice(format!("\nSize:           {:8} kB\n", row.pages * page / 1024).as_bytes());
        for (key, value) in KEYS.iter().zip(&row.values) {
            if let Some(value) = value {
                text.extend_from_slice(format!("{:<16}{value:8} kB\n", format!("{key}:")).as_bytes());
            }
        }
        text.extend_from_slice(b"VmFlags: rd mr mw me \n");
        ends.push(text.len());
    }
    (text, ends)
}

/// The parsed mappings in the form in which they were written.
fn read_back(page: u64, fields: &Fields, mappings: &Mappings) -> Vec<String> {
    let rows = mappings.iter().map(|mapping| Written {
        start: mapping.start(),
        pages: mapping.size().0 / page,
        perm: ["r-xp", "rw-p", "---p", "rw-s", "--xp"].into_iter().find(|perm| *perm == mapping.perm()).unwrap(),
        offset: mapping.offset(),
        inode: mapping.inode(),
        name: mapping.path().to_vec(),
        values: KEYS
            .iter()
            .map(|key| fields.find(key.as_bytes()).and_then(|id| mapping.bytes(id)).map(|bytes| bytes.0 / 1024))
            .collect(),
    });
    rows.map(|row| format!("{row:?}")).collect()
}

/// Parses `text` in chunks that end at the given places.
fn parse_in_chunks(text: &[u8], cuts: &[usize], fields: &mut Fields) -> Result<Mappings, String> {
    let wanted = Wanted::Everything;
    let mut parser = SmapsParser::new(fields, &wanted);
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
    cuts.sort_unstable();
    let mut from = 0;
    for cut in cuts.into_iter().chain([text.len()]) {
        parser.feed(&text[from..cut]).map_err(|error| error.to_string())?;
        from = cut;
    }
    parser.finish().map_err(|error| error.to_string())
}

proptest! {
    #[test]
    fn what_was_written_is_read_however_it_is_cut(
        (page, rows) in written(),
        cuts in proptest::collection::vec(any::<usize>(), 0..40),
    ) {
        let (text, _) = text_of(page, &rows);
        let mut fields = Fields::new();
        let mappings = parse_in_chunks(&text, &cuts, &mut fields).map_err(TestCaseError::fail)?;
        let expected: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
        prop_assert_eq!(read_back(page, &fields, &mappings), expected);
        prop_assert_eq!(mappings.changed(), 0);
    }

    #[test]
    fn truncated_text_is_rejected_or_complete((page, rows) in written(), cut in any::<prop::sample::Index>()) {
        let (text, ends) = text_of(page, &rows);
        let cut = cut.index(text.len() + 1);
        match parse_smaps(&text[..cut], &mut Fields::new(), &Wanted::Everything) {
            // Within the first mapping the number of keys is not known yet.
            Ok(mappings) => prop_assert!(cut == 0 || cut < ends[0] || ends[mappings.len() - 1] == cut),
            Err(_) => prop_assert!(cut != 0 && !ends.contains(&cut)),
        }
    }

    #[test]
    fn damaged_text_never_panics(
        (page, rows) in written(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cuts in proptest::collection::vec(any::<usize>(), 0..4),
    ) {
        let (mut text, _) = text_of(page, &rows);
        for (place, byte) in damage {
            let place = place.index(text.len());
            text[place] = byte;
        }
        let (mut one, mut two) = (Fields::new(), Fields::new());
        let whole = parse_in_chunks(&text, &[], &mut one);
        let in_parts = parse_in_chunks(&text, &cuts, &mut two);
        prop_assert_eq!(whole.map(|all| all.len()), in_parts.map(|all| all.len()));
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse_smaps(&bytes, &mut Fields::new(), &Wanted::Everything);
    }
}
