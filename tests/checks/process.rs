//! Checks of the parsers of `/proc` (see `tests/checks/mod.rs`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a check fails by panicking")]

use std::ops::Range;
use std::path::Path;

use super::cgroup::{WantedGroup, is_in_group, memory_group};
use super::class::Classes;
use super::head::{is_head, parse_head};
use super::stat::parse_stat;
use super::table_parts::Cutter;
use super::{
    Deleted, Fields, Mapping, MappingKind, Mappings, ParseError, ProcessMappings, SmapsParser, TablePart, Wanted,
    flags_in_words, parse_maps, parse_numa_maps, parse_smaps, parse_status,
};
use crate::kernel::mount_table::{Mount, parse_mount};
use crate::units::{Bytes, PageSize};

/// `smaps`: the rows are in order, and do not depend on how the text is cut into reads.
pub fn smaps(text: &[u8]) {
    let mut fields = Fields::new();
    let whole = parse_smaps(text, &mut fields, &Wanted::Everything);
    if let Ok(mappings) = &whole {
        check_rows(mappings, &fields);
    }
    // Split into reads of equal length; the first byte chooses the length.
    let length = 1 + usize::from(text.first().copied().unwrap_or(0)) * 3;
    let mut cut_fields = Fields::new();
    let cut = parse_in_reads(text, length, &mut cut_fields);
    assert_eq!(whole.as_ref().map(Mappings::len), cut.as_ref().map(Mappings::len), "reads of {length} bytes");
    if let (Ok(whole), Ok(cut)) = (&whole, &cut) {
        assert_eq!(rows(whole, &fields), rows(cut, &cut_fields));
    }
    // Unwanted fields are skipped unparsed, so that more texts are accepted, never fewer.
    let some = parse_smaps(text, &mut Fields::new(), &Wanted::Only(vec!["Rss".into()]));
    assert!(whole.is_err() || some.is_ok());
}

/// A captured smaps text that breaks off: the rows before the break are those of the whole text.
pub fn torn(text: &[u8]) {
    let read = |text: &[u8], fields: &mut Fields| {
        let found = ProcessMappings::read_bare(Path::new("x"), text, fields, &Wanted::Everything).ok()?;
        check_rows(&found.mappings, fields);
        Some((found.mappings.torn().is_some(), rows(&found.mappings, fields)))
    };
    let mut fields = Fields::new();
    let Some((is_torn, whole)) = read(text, &mut fields) else { return };
    let length = usize::from(text.first().copied().unwrap_or(0)) * 7 % (text.len() + 1);
    // Of mappings that overlap only the later one is kept: then the rows before a break are others.
    let heads = text.split(|byte| *byte == b'\n').filter(|line| parse_head(line).is_ok()).count();
    if is_torn || heads != whole.len() {
        return;
    }
    if let Some((_, part)) = read(&text[..length], &mut Fields::new()) {
        let address = |row: &String| row.split(' ').next().unwrap().to_owned();
        let addresses = |rows: &[String]| rows.iter().map(address).collect::<Vec<_>>();
        assert!(part.len() <= whole.len());
        assert_eq!(addresses(&part), addresses(&whole[..part.len()]));
    }
}

/// `maps`, and the heads of smaps: a line that is accepted is the same when it is written again.
pub fn maps(text: &[u8]) {
    if let Ok(mappings) = parse_maps(text) {
        check_rows(&mappings, &Fields::new());
        assert!(text.is_empty() || text.ends_with(b"\n"));
    }
    for line in text.split(|byte| *byte == b'\n') {
        let Ok(head) = parse_head(line) else { continue };
        assert!(is_head(line));
        let perm = std::str::from_utf8(&head.perm).unwrap();
        let fields = format!("{:x}-{:x} {perm} {:x} {} {}", head.start, head.end, head.offset, head.device, head.inode);
        let written = [fields.as_bytes(), b" ", head.name].concat();
        assert_eq!(parse_head(&written), Ok(head), "{}", written.escape_ascii());
    }
}

/// `stat`: the name cannot move any other field.
pub fn stat(text: &[u8]) {
    let Some(found) = parse_stat(text) else { return };
    let open = text.iter().position(|byte| *byte == b'(').unwrap();
    let close = text.iter().rposition(|byte| *byte == b')').unwrap();
    assert_eq!(found.name, &text[open + 1..close]);
    let renamed = [&text[..=open], b"a) R 1 (b\xff\n", &text[close..]].concat();
    let mut renamed = parse_stat(&renamed).unwrap();
    assert_eq!(renamed.name, b"a) R 1 (b\xff\n");
    renamed.name = found.name.clone();
    assert_eq!(renamed, found);
}

/// `status`: what was read is the same when it is written again.
pub fn status(text: &[u8]) {
    let Some(found) = parse_status(text) else { return };
    let mut written = [b"Name:\t", &found.name[..], b"\nState:\t", &[found.state]].concat();
    written.extend_from_slice(format!("\nUid:\t0\t{}\t0\t0\n", found.user).as_bytes());
    if let Ok(threads) = found.threads {
        written.extend_from_slice(format!("Threads:\t{threads}\n").as_bytes());
    }
    let lines = [
        ("VmSize", found.size),
        ("VmRSS", found.rss),
        ("RssAnon", found.rss_anonymous),
        ("RssFile", found.rss_file),
        ("RssShmem", found.rss_shared_memory),
        ("VmSwap", found.swap),
        ("VmLck", found.locked),
        ("HugetlbPages", found.hugetlb),
    ];
    for (key, bytes) in lines {
        if let Ok(bytes) = bytes {
            written.extend_from_slice(format!("{key}:\t{:8} kB\n", bytes.kib()).as_bytes());
        }
    }
    let again = parse_status(&written).unwrap();
    assert_eq!((&again.name, again.state, again.user), (&found.name, found.state, found.user));
    let figures = |status: &super::Status| {
        [status.size, status.rss, status.rss_anonymous, status.rss_file, status.rss_shared_memory, status.swap]
            .map(Result::ok)
    };
    assert_eq!((figures(&again), again.threads.ok()), (figures(&found), found.threads.ok()));
}

/// `cgroup`, and a group that a user names: the group of a process is found by its own path.
pub fn cgroup(text: &[u8]) {
    let (groups, name) = text.split_at(text.len() * 3 / 4);
    let _ = is_in_group(groups, &WantedGroup::new(name));
    let mount = parse_mount(name);
    let _ = is_in_group(groups, &WantedGroup::new(b"/sys/fs/cgroup/a").resolved(mount.as_slice(), false, None));
    let Some(path) = memory_group(text) else { return };
    let is_plain = path.starts_with(b"/") && !path.iter().any(|byte| b"*?[".contains(byte));
    assert!(!is_plain || is_in_group(text, &WantedGroup::new(path)), "{}", path.escape_ascii());
}

/// `mountinfo`: what was read is the same when it is written again.
pub fn mountinfo(text: &[u8]) {
    for mount in text.split(|byte| *byte == b'\n').filter_map(parse_mount) {
        let _ = mount.may_be_dax();
        let escaped =
            |path: &[u8]| -> Vec<u8> { path.iter().flat_map(|byte| format!("\\{byte:03o}").into_bytes()).collect() };
        let device = format!("{}:{}", mount.device.0, mount.device.1);
        let options: Vec<&[u8]> = mount.options().collect();
        let fields: [&[u8]; 10] = [
            &mount.number,
            b"1",
            device.as_bytes(),
            &escaped(&mount.root),
            &escaped(&mount.point),
            b"rw",
            b"-",
            &mount.kind,
            b"source",
            &options.join(&b','),
        ];
        let again = parse_mount(&fields.join(&b' ')).unwrap();
        let compared = |mount: &Mount| {
            let options: Vec<Vec<u8>> = mount.options().map(<[u8]>::to_vec).collect();
            (mount.number.clone(), mount.device, mount.root.clone(), mount.point.clone(), mount.kind.clone(), options)
        };
        assert_eq!(compared(&again), compared(&mount));
    }
}

/// Answers of `PAGEMAP_SCAN`: no part of a mapping has more pages than it is long.
pub fn tables(bytes: &[u8]) {
    let mut numbers = bytes.chunks_exact(2).map(|pair| u64::from(u16::from_le_bytes([pair[0], pair[1]])));
    let most = numbers.next().map_or(1, |number| (number as usize) % 70);
    let mut text = String::new();
    let mut page = 0;
    for _ in 0..numbers.next().unwrap_or(0) % 8 {
        let (gap, pages) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0) + 1);
        let start = page + gap % 64;
        page = start + pages;
        text.push_str(&format!("{:x}-{:x} rw-p 0 00:00 0\n", start << 12, page << 12));
    }
    let mappings = parse_maps(text.as_bytes()).unwrap();
    let mut cutter = Cutter::new(&mappings, most, PageSize::FOUR_KIB);
    let mut next = 0;
    let mut ranges: Vec<Range<u64>> = Vec::new();
    while let (Some(gap), Some(pages)) = (numbers.next(), numbers.next()) {
        let start = next + gap % 300;
        next = start + pages;
        ranges.push(start << 12..next << 12);
    }
    for range in &ranges {
        cutter.add(range.clone(), |size| TablePart { present: Bytes(size), ..TablePart::default() });
    }
    for (mapping, parts) in mappings.iter().zip(&cutter.parts) {
        assert!(parts.iter().all(|part| part.present <= part.size), "{parts:?}");
        assert_eq!(parts.iter().map(|part| part.size).sum::<Bytes>(), mapping.size());
        let common = |range: &Range<u64>| mapping.end().min(range.end).saturating_sub(mapping.start().max(range.start));
        let present = parts.iter().map(|part| part.present.0).sum::<u64>();
        assert_eq!(present, ranges.iter().map(common).sum::<u64>());
    }
}

fn parse_in_reads(text: &[u8], length: usize, fields: &mut Fields) -> Result<Mappings, ParseError> {
    let wanted = Wanted::Everything;
    let mut parser = SmapsParser::new(fields, &wanted);
    text.chunks(length).try_for_each(|read| parser.feed(read))?;
    parser.finish()
}

fn check_rows(mappings: &Mappings, fields: &Fields) {
    let mut end = 0;
    for mapping in mappings.iter() {
        assert!(mapping.start() < mapping.end() && mapping.start() >= end, "rows overlap");
        end = mapping.end();
        let flags = fields.find(b"VmFlags").and_then(|field| mapping.text(field));
        let _ = (MappingKind::of(&mapping, flags).word(), Deleted::by_name(&mapping));
        flags.into_iter().flat_map(flags_in_words).for_each(|words| assert!(!words.is_empty()));
    }
    let classes = Classes::of(mappings, &[], &[]);
    assert!((0..mappings.len()).all(|place| classes.word(place).is_some_and(|word| !word.is_empty())));
}

/// `numa_maps`: amounts of a line never exceed what the text says, and other text is an error.
pub fn numa_maps(text: &[u8]) {
    let Ok(maps) = parse_numa_maps(text) else { return };
    let lines = text.iter().filter(|byte| **byte == b'\n').count();
    assert!(maps.get(lines).is_none() && (lines == 0 || maps.get(lines - 1).is_some()));
    for place in 0..lines {
        let line = maps.get(place).unwrap();
        let sum: u64 = maps.nodes().iter().map(|node| line.on_node(*node).0).sum();
        assert!(sum == 0 || line.max_mapped() > 0, "pages that nobody maps");
    }
}

/// Everything that was kept, as text.
fn rows(mappings: &Mappings, fields: &Fields) -> Vec<String> {
    let row = |mapping: Mapping<'_>| {
        let values: Vec<_> = fields
            .in_order()
            .map(|id| (fields.name(id).to_owned(), mapping.bytes(id), mapping.count(id), mapping.text(id)))
            .collect();
        format!("{:x}-{:x} {} {:?} {values:?}", mapping.start(), mapping.end(), mapping.perm(), mapping.path())
    };
    mappings.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::damaged;
    use proptest::prelude::*;

    const SMAPS: [&[u8]; 4] = [
        include_bytes!("../smaps/linux-3.2-x86_64.txt"),
        include_bytes!("../smaps/linux-4.19-arm-32.txt"),
        include_bytes!("../smaps/linux-5.10-arm64-64k.txt"),
        include_bytes!("../smaps/linux-6.1-x86_64.txt"),
    ];

    const MAPS: [&[u8]; 2] = [include_bytes!("seeds/maps/maps.txt"), include_bytes!("seeds/maps/jvm.txt")];
    const STAT: [&[u8]; 2] = [include_bytes!("seeds/stat/own.txt"), include_bytes!("seeds/stat/odd.txt")];
    const NUMA_MAPS: [&[u8]; 1] = [include_bytes!("seeds/numa_maps/two.txt")];
    const STATUS: [&[u8]; 1] = [include_bytes!("seeds/status/status.txt")];
    const GROUPS: [&[u8]; 2] = [include_bytes!("seeds/cgroup/one.txt"), include_bytes!("seeds/cgroup/two.txt")];
    const MOUNTS: [&[u8]; 1] = [include_bytes!("seeds/mountinfo/mountinfo.txt")];

    proptest! {
        #[test]
        fn damaged_smaps_is_rejected_or_the_same_in_any_reads(text in damaged(&SMAPS)) {
            smaps(&text);
        }

        #[test]
        fn the_rows_before_a_break_are_those_of_the_whole_text(text in damaged(&SMAPS)) {
            torn(&text);
        }

        #[test]
        fn a_line_of_maps_is_the_same_when_written(text in damaged(&MAPS)) {
            maps(&text);
        }

        #[test]
        fn the_name_in_stat_moves_no_other_field(text in damaged(&STAT)) {
            stat(&text);
        }

        #[test]
        fn amounts_on_nodes_are_mapped_amounts(text in damaged(&NUMA_MAPS)) {
            numa_maps(&text);
        }

        #[test]
        fn status_is_the_same_when_written(text in damaged(&STATUS)) {
            status(&text);
        }

        #[test]
        fn a_group_is_found_by_its_own_path(text in damaged(&GROUPS)) {
            cgroup(&text);
        }

        #[test]
        fn a_mount_is_the_same_when_written(text in damaged(&MOUNTS)) {
            mountinfo(&text);
        }

        #[test]
        fn no_part_has_more_pages_than_it_is_long(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            tables(&bytes);
        }
    }
}
