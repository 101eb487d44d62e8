//! The smaps parser on the text of kernels from 3.2 to 6.18, with 4 KiB and 64 KiB pages, 64-bit and 32-bit, and on
//! damaged or hostile text. `tests/smaps/linux-6.18-x86_64.txt` is a capture; the others are written by hand, based on
//! `show_smap` of their kernels.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

use rmap::process::{FieldId, FieldUnit, Fields, Mapping, Mappings, ParseError, Wanted, parse_smaps};
use rmap::units::Bytes;

/// The text of a file of `tests/smaps`.
fn text(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/smaps/{name}.txt", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn parse(text: &[u8]) -> Result<(Fields, Mappings), ParseError> {
    let mut fields = Fields::new();
    let mappings = parse_smaps(text, &mut fields, &Wanted::Everything)?;
    Ok((fields, mappings))
}

/// The error for a text.
fn complaint(text: &[u8]) -> String {
    parse(text).expect_err("the text was accepted").to_string()
}

fn names(fields: &Fields) -> Vec<&str> {
    fields.in_order().map(|id| fields.name(id)).collect()
}

fn total(mappings: &Mappings, field: FieldId) -> u64 {
    mappings.iter().filter_map(|mapping| mapping.bytes(field)).sum::<Bytes>().kib()
}

/// A mapping of 8 KiB at `start` with the keys of `body`.
fn mapping(start: u64, name: &[u8], body: &str) -> Vec<u8> {
    let head = format!("{start:08x}-{:08x} rw-p 00000000 00:00 0 ", start + 0x2000);
    [format!("{head:<73}").as_bytes(), name, b"\n", body.as_bytes()].concat()
}

const BODY: &str = "Size:                  8 kB\nRss:                   4 kB\nVmFlags: rd wr \n";

/// Rss, Pss, Anonymous and Swap in KiB, and the number of keys and mappings, of each text.
#[test]
fn the_text_of_every_kernel_gives_these_figures() {
    let standard = [25, 21, 6, 2];
    let large = standard.map(|pages| pages * 64);
    let small = standard.map(|pages| pages * 4);
    for (name, figures, keys, mappings) in [
        ("linux-3.2-x86_64", small, 14, 7),
        ("linux-4.4-x86_64", small, 18, 7),
        ("linux-4.19-x86_64", small, 21, 7),
        ("linux-5.10-x86_64", small, 23, 7),
        ("linux-6.1-x86_64", small, 24, 7),
        ("linux-5.10-arm64-64k", large, 22, 6),
        ("linux-4.19-arm-32", [64, 64, 20, 0], 20, 4),
    ] {
        let (fields, found) = parse(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let figure = |key: &str| total(&found, fields.find(key.as_bytes()).unwrap());
        assert_eq!(["Rss", "Pss", "Anonymous", "Swap"].map(figure), figures, "{name}");
        assert_eq!((fields.len(), found.len()), (keys, mappings), "{name}");
        assert_eq!(found.iter().map(|mapping| mapping.size()).sum::<Bytes>().kib(), figure("Size"), "{name}");
    }
}

#[test]
fn a_capture_of_a_recent_kernel_keeps_its_order() {
    let text = text("linux-6.18-x86_64");
    let (fields, mappings) = parse(&text).unwrap();
    let expected: Vec<String> = String::from_utf8_lossy(&text)
        .lines()
        .skip(1)
        .take(fields.len())
        .map(|line| line.split(':').next().unwrap().to_owned())
        .collect();
    assert_eq!(names(&fields), expected);
    assert_eq!(expected.len(), 24);
    assert_eq!(mappings.len() * 25, text.iter().filter(|byte| **byte == b'\n').count());
    assert!(mappings.iter().any(|mapping| mapping.path() == b"[vsyscall]"));
}

#[test]
fn heads_and_values_of_one_mapping() {
    let (fields, mappings) = parse(&text("linux-6.1-x86_64")).unwrap();
    let heap: Mapping<'_> = mappings.get(2).unwrap();
    let field = |name: &str| fields.find(name.as_bytes()).unwrap();
    assert_eq!((heap.start(), heap.end(), heap.size()), (0x60_0000, 0x62_1000, Bytes(0x2_1000)));
    assert_eq!((heap.perm(), heap.offset(), heap.inode()), ("rw-p", 0, 0));
    assert_eq!(heap.path(), b"[heap]");
    assert_eq!(heap.bytes(field("Swap")), Some(Bytes(8192)));
    assert_eq!(heap.bytes(field("Locked")), Some(Bytes(0)));
    assert_eq!(heap.count(field("THPeligible")), Some(0));
    assert_eq!(heap.text(field("VmFlags")), Some(&b"rd wr mr mw me ac sd"[..]));
    // A value is only available in the unit of the kernel.
    assert_eq!((heap.count(field("Swap")), heap.bytes(field("THPeligible"))), (None, None));
    assert_eq!(fields.unit(field("ProtectionKey")), FieldUnit::Count);
    let shared = mappings.get(3).unwrap();
    assert_eq!((shared.perm(), shared.path()), ("rw-s", &b"/dev/zero (deleted)"[..]));
    assert_eq!(shared.device().to_string(), "00:05");
    assert_eq!(mappings.get(4).unwrap().path(), b"/tmp/two words\\012and a\ttab");
    assert!(mappings.get(7).is_none());
}

#[test]
fn only_wanted_keys_are_kept_but_all_have_names() {
    let mut fields = Fields::new();
    let wanted = Wanted::Only(vec!["rss".into(), "VmFlags".into()]);
    let mappings = parse_smaps(&text("linux-6.1-x86_64"), &mut fields, &wanted).unwrap();
    assert_eq!(fields.len(), 24);
    let kept: Vec<_> = fields.in_order().filter(|id| mappings.has(*id)).map(|id| fields.name(id)).collect();
    assert_eq!(kept, ["Rss", "VmFlags"]);
    assert_eq!(total(&mappings, fields.find(b"Rss").unwrap()), 100);
}

#[test]
fn one_dictionary_serves_processes_of_different_kernels() {
    let mut fields = Fields::new();
    let old = parse_smaps(&text("linux-3.2-x86_64"), &mut fields, &Wanted::Everything).unwrap();
    let new = parse_smaps(&text("linux-6.1-x86_64"), &mut fields, &Wanted::Everything).unwrap();
    let rss = fields.find(b"Rss").unwrap();
    assert_eq!((total(&old, rss), total(&new, rss)), (100, 100));
    let dirty = fields.find(b"Pss_Dirty").unwrap();
    assert!(!old.has(dirty) && new.has(dirty));
    assert_eq!(old.get(0).unwrap().bytes(dirty), None);
    let order = names(&fields);
    let place = |name| order.iter().position(|key| *key == name).unwrap();
    assert_eq!(place("Pss_Dirty"), place("Pss") + 1);
}

#[test]
fn keys_may_differ_from_mapping_to_mapping() {
    let text = [
        mapping(0x1000, b"", "Size: 8 kB\nNew_Pages: 3\nVmFlags: rd \n"),
        mapping(0x3000, b"", "Size: 8 kB\nRss: 4 kB\nNew-Text:\t two words \nVmFlags: \n"),
        mapping(0x5000, b"", "Rss:\t 4  kB\nSize: 8 kB\nVmFlags: rd \n"),
    ]
    .concat();
    let (fields, mappings) = parse(&text).unwrap();
    let field = |name: &str| fields.find(name.as_bytes()).unwrap();
    let all = |name| mappings.iter().map(|mapping| mapping.bytes(field(name)).map(Bytes::kib)).collect::<Vec<_>>();
    assert_eq!(all("Rss"), [None, Some(4), Some(4)]);
    assert_eq!(all("Size"), [Some(8); 3]);
    assert_eq!(mappings.get(0).unwrap().count(field("New_Pages")), Some(3));
    assert_eq!(mappings.get(1).unwrap().text(field("New-Text")), Some(&b"two words"[..]));
    assert_eq!(mappings.get(1).unwrap().text(field("VmFlags")), Some(&b""[..]));
    assert_eq!(mappings.get(2).unwrap().text(field("New-Text")), None);
}

#[test]
fn hostile_names_are_kept_byte_for_byte() {
    for name in [
        &b"/tmp/new\\012line"[..],
        b"/tmp/\x1b]0;title\x07\x1b[31m",
        b"/tmp/ a  b ",
        b"/tmp/tab\t",
        b"/tmp/\xff\xc0\x80",
        b"/tmp/x (deleted)",
        b"/memfd: (deleted)",
        b"[anon:]",
        b"/SYSV00000000 (deleted)",
        b"/tmp/7f0000000000-7f0000001000 r-xp 00000000 fe:00 1 /bin/sh",
        b"/tmp/Rss:  12 kB",
        b"Rss:                  12 kB",
        "/tmp/\u{202e}gnp.exe".as_bytes(),
    ] {
        let (_, mappings) = parse(&mapping(0x1000, name, BODY)).unwrap();
        assert_eq!(mappings.get(0).unwrap().path(), name, "{}", name.escape_ascii());
    }
}

#[test]
fn a_newer_mapping_replaces_those_it_overlaps() {
    let size = |kib: u64| format!("Size: {kib} kB\nVmFlags: rd \n");
    let long = |head: &str, kib| format!("{head} r--p 00000000 00:00 0 \n{}", size(kib)).into_bytes();
    let below = mapping(0x1000, b"", &size(8));
    let above = mapping(0x3000, b"[heap]", &size(8));
    // Both were merged into one that reaches further: nothing is missing.
    let (_, merged) = parse(&[&below[..], &above, &long("00001000-00006000", 20)].concat()).unwrap();
    assert_eq!((merged.len(), merged.get(0).unwrap().start(), merged.changed()), (1, 0x1000, 0));
    // One began in the middle of the last mapping, so the rest of that is unknown.
    let (fields, cut) = parse(&[&below[..], &above, &long("00004000-00006000", 8)].concat()).unwrap();
    assert_eq!((cut.len(), cut.get(1).unwrap().start(), cut.changed()), (2, 0x4000, 1));
    assert_eq!(total(&cut, fields.find(b"Size").unwrap()), 16);
}

#[test]
fn damaged_text_is_rejected_with_line_and_reason() {
    let good = mapping(0x1000, b"/bin/sh", BODY);
    let after = |more: &str| [&good[..], more.as_bytes()].concat();
    for (text, why) in [
        (after("junk"), "line 5: the text is truncated: it ends within a line"),
        (after("junk\n"), "line 5: the line is neither a mapping nor a key"),
        (after("\n"), "line 5: the line is neither a mapping nor a key"),
        (after("1two: 3 kB\n"), "line 5: the line is neither a mapping nor a key"),
        (after("R\u{e9}s: 3 kB\n"), "line 5: the line is neither a mapping nor a key"),
        (after("Rss: 4 kB\n"), "line 5: Rss: the mapping has the key twice"),
        (after("3000-2000 rw-p 0 00:00 0 \n"), "line 5: the mapping ends before it starts"),
        (after("3000-5000 rw-p 0 00:00 x \n"), "line 5: the inode is not a number"),
        (
            after("0800-1800 rw-p 0 00:00 0 \n"),
            "line 5: the mapping ends before the one above it: they are out of order",
        ),
        (after("3000-5000 rw-p 0 00:00 0 \n"), "line 5: the text is truncated: it ends within a mapping"),
        (after("3000-5000 rw-p 0 00:00 0 \nSize: 8 kB\n"), "line 6: the text is truncated: it ends within a mapping"),
        (after("3000-5000 rw-p 0 00:00 0 \nSize: 12 kB\n"), "line 6: Size: it is not the size of the address range"),
        (after("3000-5000 rw-p 0 00:00 0 \nRss: 4 MB\n"), "line 6: Rss: it is not a number of kB"),
        (after("3000-5000 rw-p 0 00:00 0 \nRss: -4 kB\n"), "line 6: Rss: it is not a number"),
        (after("3000-5000 rw-p 0 00:00 0 \nRss: 18014398509481984 kB\n"), "line 6: Rss: the number is too large"),
        (after("Other: 99999999999999999999\n"), "line 5: Other: the number is too large"),
        (after("Other: 18446744073709551615\n"), "line 5: Other: the number is too large"),
        (b"Rss: 4 kB\n".to_vec(), "line 1: the text does not begin with a mapping"),
        (b"1000-3000 rw-p 0 00:00 0 \n".to_vec(), "line 1: the text is truncated: it ends within a mapping"),
        (
            b"1000-3000 rw-p 0 00:00 0 \n3000-4000 rw-p 0 00:00 0 \n".to_vec(),
            "line 2: the mapping above has no keys: this is not smaps",
        ),
        (vec![b'x'; 2 << 20], "line 1: the line is longer than 1 MiB"),
    ] {
        assert_eq!(complaint(&text), why, "{}", text.escape_ascii().to_string().chars().take(200).collect::<String>());
    }
}

#[test]
fn too_many_keys_are_rejected() {
    let keys: String = (0..1000).map(|number| format!("Key{number}: 1 kB\n")).collect();
    let error = complaint(&mapping(0x1000, b"", &keys));
    assert!(error.ends_with("there are more than 256 different keys"), "{error}");
}

#[test]
fn a_process_without_mappings_has_none() {
    let (fields, mappings) = parse(b"").unwrap();
    assert!(mappings.is_empty() && fields.is_empty() && mappings.iter().next().is_none());
}
