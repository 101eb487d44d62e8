//! The smaps parser on generated text in the format of each kernel: the keys of every generation from 3.2 to 6.18 in
//! their order, mixed with keys of future kernels, 32 and 64 bits, pages of 4, 16 and 64 KiB, and arbitrary names. The
//! result is correct however the text is split into reads.
//!
//! The keys and their units are those of the texts in `tests/smaps`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

use proptest::prelude::*;
use rmap::process::{FieldUnit, Fields, Mapping, SmapsParser, Wanted};

/// The format of one kernel.
#[derive(Debug, Clone)]
struct Generation {
    keys: Vec<(String, FieldUnit)>,
    is_32_bit: bool,
    page: u64,
}

/// One mapping, and a number for the value of each key.
#[derive(Debug, Clone)]
struct Row {
    gap: u64,
    pages: u64,
    perm: &'static str,
    name: Vec<u8>,
    inode: u64,
    numbers: Vec<u64>,
}

const SAMPLES: [&str; 8] = [
    include_str!("smaps/linux-3.2-x86_64.txt"),
    include_str!("smaps/linux-4.4-x86_64.txt"),
    include_str!("smaps/linux-4.19-arm-32.txt"),
    include_str!("smaps/linux-4.19-x86_64.txt"),
    include_str!("smaps/linux-5.10-arm64-64k.txt"),
    include_str!("smaps/linux-5.10-x86_64.txt"),
    include_str!("smaps/linux-6.1-x86_64.txt"),
    include_str!("smaps/linux-6.18-x86_64.txt"),
];

/// The sample of a machine of 32 bits.
const SAMPLE_32_BIT: usize = 2;

const MOST_KEYS: usize = 32;

/// The keys of the first mapping of a sample.
fn keys_of(sample: &str) -> Vec<(String, FieldUnit)> {
    let keys = sample.lines().skip(1).map_while(|line| {
        let (key, value) = line.split_once(':').filter(|(key, _)| !key.contains('-'))?;
        let unit = match value.trim() {
            value if value.ends_with(" kB") => FieldUnit::Bytes,
            value if value.parse::<u64>().is_ok() => FieldUnit::Count,
            _ => FieldUnit::Text,
        };
        Some((key.to_owned(), unit))
    });
    keys.collect()
}

fn generation() -> impl Strategy<Value = Generation> {
    let unit = proptest::sample::select(vec![FieldUnit::Bytes, FieldUnit::Count, FieldUnit::Text]);
    let future = proptest::collection::vec((any::<prop::sample::Index>(), unit), 0..4);
    let page = proptest::sample::select(vec![4096u64, 16384, 65536]);
    (0..SAMPLES.len(), page, future).prop_map(|(sample, page, future)| {
        let mut keys = keys_of(SAMPLES[sample]);
        for (number, (place, unit)) in future.into_iter().enumerate() {
            // Never before Size, which every kernel writes first.
            let place = 1 + place.index(keys.len());
            keys.insert(place, (format!("Future_Key{number}"), unit));
        }
        Generation { keys, is_32_bit: sample == SAMPLE_32_BIT, page }
    })
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let kernels = [
        &b""[..],
        b"[heap]",
        b"[stack]",
        b"[vdso]",
        b"[anon:glibc: malloc]",
        b"/memfd:x (deleted)",
        b"/SYSV00000000 (deleted)",
        b"anon_inode:[perf_event]",
        b"//deleted",
        b"(unreachable)/x",
    ];
    let hostile = [
        &b"Size:                  4 kB"[..],
        b"7f0000000000-7f0000001000 r-xp 00000000 00:00 0",
        b"VmFlags: rd wr",
        b" (deleted)",
        b"\\012Rss: 1 kB",
        b"\x1b[2J",
        b"\xff\xfe",
        b"\xe2\x80\xae",
        b"\t \t",
        b"a/../b",
        b":",
    ];
    let path = proptest::collection::vec(proptest::sample::select(hostile.to_vec()), 1..6)
        .prop_map(|pieces| [&b"/"[..], &pieces.concat()].concat());
    prop_oneof![proptest::sample::select(kernels.to_vec()).prop_map(<[u8]>::to_vec), path]
}

fn row() -> impl Strategy<Value = Row> {
    let perm = proptest::sample::select(vec!["r-xp", "rw-p", "---p", "rw-s", "--xp", "rwxs"]);
    let number = prop_oneof![Just(0), 0u64..5000, Just(u64::MAX >> 10)];
    let numbers = proptest::collection::vec(number, MOST_KEYS);
    (0u64..9, 1u64..3000, perm, name(), any::<u64>(), numbers)
        .prop_map(|(gap, pages, perm, name, inode, numbers)| Row { gap, pages, perm, name, inode, numbers })
}

/// The value of a key as the kernel prints it.
fn print(unit: FieldUnit, number: u64) -> String {
    match unit {
        FieldUnit::Bytes => format!("{number:8} kB"),
        FieldUnit::Count => format!("{number:8}"),
        FieldUnit::Text => ["rd wr mr mw me ac ", "", "?? zz "][number as usize % 3].to_owned(),
    }
}

/// The rows as text, and where each begins.
fn write(kernel: &Generation, rows: &[Row]) -> (Vec<u8>, Vec<u64>) {
    let (mut text, mut starts) = (Vec::new(), Vec::new());
    let mut next = if kernel.is_32_bit { 0x0001_0000 } else { 0x5555_5555_0000 };
    for row in rows {
        let start = next + row.gap * kernel.page;
        let end = start + row.pages * kernel.page;
        next = end;
        starts.push(start);
        let inode = if kernel.is_32_bit { row.inode >> 32 } else { row.inode };
        let head = format!("{start:08x}-{end:08x} {} {:08x} fe:00 {inode} ", row.perm, row.numbers[0]);
        // The column where names begin: 25 and six digits per byte of a pointer.
        let column = if kernel.is_32_bit { 49 } else { 73 };
        let head = if row.name.is_empty() { head } else { format!("{head:<column$}") };
        text.extend_from_slice(&[head.as_bytes(), &row.name, b"\n"].concat());
        for ((key, unit), number) in kernel.keys.iter().zip(&row.numbers) {
            let number = if key == "Size" { row.pages * kernel.page / 1024 } else { *number };
            text.extend_from_slice(format!("{:<16}{}\n", format!("{key}:"), print(*unit, number)).as_bytes());
        }
    }
    (text, starts)
}

/// The parsed value of a key in the kernel's format.
fn read_back(fields: &Fields, row: &Mapping<'_>, key: &str) -> Option<String> {
    let field = fields.find(key.as_bytes())?;
    match fields.unit(field) {
        FieldUnit::Bytes => Some(format!("{} kB", row.bytes(field)?.0 / 1024)),
        FieldUnit::Count => Some(row.count(field)?.to_string()),
        FieldUnit::Text => Some(String::from_utf8(row.text(field)?.to_vec()).unwrap()),
    }
}

proptest! {
    #[test]
    fn every_kernel_generation_is_read_correctly(
        kernel in generation(),
        rows in proptest::collection::vec(row(), 1..10),
        read in 1usize..5000,
    ) {
        let (text, starts) = write(&kernel, &rows);
        let (mut fields, wanted) = (Fields::new(), Wanted::Everything);
        let mut parser = SmapsParser::new(&mut fields, &wanted);
        let fed = text.chunks(read).try_for_each(|chunk| parser.feed(chunk));
        fed.map_err(|error| TestCaseError::fail(error.to_string()))?;
        let found = parser.finish().map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!((found.len(), found.changed()), (rows.len(), 0));
        let order: Vec<_> = fields.in_order().map(|id| fields.name(id).to_owned()).collect();
        let keys: Vec<_> = kernel.keys.iter().map(|(key, _)| key.clone()).collect();
        prop_assert_eq!(order, keys);
        for ((mapping, row), start) in found.iter().zip(&rows).zip(starts) {
            prop_assert_eq!((mapping.start(), mapping.size().0), (start, row.pages * kernel.page));
            let found = (mapping.perm(), mapping.path(), mapping.offset());
            prop_assert_eq!(found, (row.perm, &row.name[..], row.numbers[0]));
            for ((key, unit), number) in kernel.keys.iter().zip(&row.numbers).filter(|((key, _), _)| key != "Size") {
                let written = print(*unit, *number).trim().to_owned();
                prop_assert_eq!(read_back(&fields, &mapping, key), Some(written), "{}", key);
            }
        }
    }
}
