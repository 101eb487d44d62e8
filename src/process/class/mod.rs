//! What made the memory of a mapping: malloc, a thread's stack, the heap of a JVM, of Go, of V8 …
//!
//! The kernel does not know. Some programs name their memory (`[anon:NAME]`), others are recognized by the addresses
//! and sizes that they choose; [`RULES`] has all rules in one table, in the order in which they are tried. What no rule
//! knows keeps the word of its [`MappingKind`]: anonymous memory stays `anonymous`, a file stays `file`. Every mapping
//! has exactly one class, so that classes add up to the process.

mod programs;
mod regions;
mod rules;

use std::sync::Arc;

use regex::bytes::Regex;

use crate::process::flags::has_flag;
use crate::process::kind::MappingKind;
use crate::process::mapping::{Mapping, Mappings};
use programs::Programs;
use regions::Regions;
use rules::Seen;
pub use rules::{ClassRule, RULES};

/// A rule of the user: mappings whose name matches have this class.
#[derive(Debug, Clone)]
pub struct OwnClass {
    /// The class.
    pub name: String,
    /// Matches the name of the mapping as smaps writes it: a path, `[heap]` or `[anon:NAME]`.
    pub pattern: Regex,
}

/// The class of each mapping of a process, in the order of the mappings.
#[derive(Debug, Clone)]
pub struct Classes {
    places: Vec<u16>,
    words: Arc<Words>,
}

/// The words that classes can have: those of the rules, of the kinds, and of the user.
#[derive(Debug)]
struct Words {
    own: Vec<String>,
}

/// All classes that mappings can have without rules of the user, each once: those of the rules, then those that are
/// kinds.
pub fn class_words() -> Vec<&'static str> {
    let mut words: Vec<&'static str> = Vec::new();
    for word in RULES.iter().map(|rule| rule.class).chain(MappingKind::ALL.map(MappingKind::word)) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

impl Classes {
    /// Finds the class of every mapping. `devices` tells which files are devices, if that was examined. Without the
    /// counters `Rss` and `Swap` and the flags, less is recognized: see [`MappingKind::of`].
    pub fn of(mappings: &Mappings, devices: &[Option<bool>], own: &[OwnClass]) -> Classes {
        let fields = mappings.fields();
        let counters: Vec<_> = ["Rss", "Swap"].iter().filter_map(|name| fields.find(name.as_bytes())).collect();
        let flags_field = fields.find(b"VmFlags");
        let flags = |index: usize| flags_field.and_then(|field| mappings.get(index)?.text(field));
        let has_memory =
            |mapping: &Mapping<'_>| counters.iter().any(|field| mapping.bytes(*field).is_some_and(|size| size.0 > 0));
        let programs = Programs::of(mappings);
        let regions =
            Regions::find(mappings, &programs, |mapping, code| flags(mapping).map(|flags| has_flag(flags, code)));
        let place = |(index, mapping): (usize, Mapping<'_>)| {
            let name = mapping.path();
            let matching = own.iter().position(|rule| !name.is_empty() && rule.pattern.is_match(name));
            if let Some(place) = matching.and_then(|place| u16::try_from(place).ok()) {
                return place.saturating_add(FIRST_OWN);
            }
            let is_device = devices.get(index).copied().flatten();
            let kind = MappingKind::with_facts(&mapping, flags(index), is_device, has_memory);
            let region = regions.of(index);
            rules::rule_for(&Seen { mapping, kind, region, programs: &programs }).unwrap_or(FIRST_KIND + kind as u16)
        };
        let words = Arc::new(Words { own: own.iter().map(|rule| rule.name.clone()).collect() });
        Classes { places: mappings.iter().enumerate().map(place).collect(), words }
    }

    /// The class of the mapping at `index`.
    pub fn word(&self, index: usize) -> Option<&str> {
        let place = *self.places.get(index)?;
        if place >= FIRST_OWN {
            return self.words.own.get(usize::from(place - FIRST_OWN)).map(String::as_str);
        }
        if place >= FIRST_KIND {
            return MappingKind::ALL.iter().find(|kind| **kind as u16 == place - FIRST_KIND).map(|kind| kind.word());
        }
        RULES.get(usize::from(place)).map(|rule| rule.class)
    }
}

/// Places from here on are kinds, and from the second number on rules of the user.
const FIRST_KIND: u16 = 1 << 10;
const FIRST_OWN: u16 = 1 << 11;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::fields::{Fields, Wanted};
    use crate::process::smaps::parse_smaps;

    /// A text of smaps from lines of `maps` that may end in ` | FLAGS`.
    fn mappings(lines: &str) -> Mappings {
        let text: String = lines
            .lines()
            .map(|line| {
                let (head, flags) = line.trim().split_once('|').unwrap_or((line.trim(), "-"));
                let (addresses, rest) = head.split_once(' ').unwrap();
                let (start, end) = addresses.split_once('-').unwrap();
                let number = |text| u64::from_str_radix(text, 16).unwrap();
                let size = (number(end) - number(start)) / 1024;
                let flags = if flags == "-" { String::new() } else { format!("VmFlags:{flags} \n") };
                format!("{addresses} {rest}\nSize: {size} kB\nRss: 0 kB\nSwap: 0 kB\n{flags}")
            })
            .collect();
        parse_smaps(text.as_bytes(), &mut Fields::new(), &Wanted::Everything).unwrap()
    }

    fn classes(lines: &str) -> Vec<String> {
        let mappings = mappings(lines);
        let classes = Classes::of(&mappings, &[], &[]);
        (0..mappings.len()).map(|place| classes.word(place).unwrap().to_owned()).collect()
    }

    #[test]
    fn named_memory_has_the_class_of_its_name() {
        for (name, class) in [
            ("[anon: glibc: pthread stack: 77]", "thread-stack"),
            ("[anon: glibc: unused stack]", "thread-stack"),
            ("[anon:stack_and_tls:77]", "thread-stack"),
            ("[stack:77]", "thread-stack"),
            ("[anon: glibc: malloc arena]", "malloc-arena"),
            ("[anon: glibc: malloc]", "malloc"),
            ("[anon:libc_malloc]", "malloc"),
            ("[anon:scudo:primary]", "malloc"),
            ("[anon: Go: heap]", "go-heap"),
            ("[anon: Go: page summary]", "go-runtime"),
            ("[anon:dalvik-main space (region space)]", "dalvik-heap"),
            ("[anon:dalvik-LinearAlloc]", "dalvik"),
            ("[anon:v8]", "v8-heap"),
            ("[anon:partition_alloc]", "partition-alloc"),
            ("[anon:.bss]", "named"),
            ("[heap]", "heap"),
            ("[stack]", "stack"),
            ("[vdso]", "vdso"),
            ("", "anonymous"),
        ] {
            assert_eq!(classes(&format!("7f0000000000-7f0000001000 rw-p 00000000 00:00 0 {name}")), [class], "{name}");
        }
    }

    #[test]
    fn an_arena_of_glibc_ends_at_a_multiple_of_64_mib() {
        let flags = ["| rd wr nr", "| mr nr"];
        let arena = |open, closed, end| {
            let open = format!("7f0004000000-7f00041ea000 rw-p 00000000 00:00 0 {open}\n");
            classes(&format!("{open}7f00041ea000-{end} ---p 00000000 00:00 0 {closed}\n"))
        };
        assert_eq!(arena(flags[0], flags[1], "7f0008000000"), ["malloc-arena", "reserved"]);
        // Without flags the addresses have to do.
        assert_eq!(arena("", "", "7f0008000000"), ["malloc-arena", "reserved"]);
        // What a program opens by a new mapping is accounted for, and so is what it reserved to use it.
        assert_eq!(arena("| rd wr ac", "| mr", "7f0008000000"), ["anonymous", "reserved"]);
        assert_eq!(arena("| rd wr ac", flags[1], "7f0008000000"), ["anonymous", "reserved"]);
        assert_eq!(arena(flags[0], flags[1], "7f0007000000"), ["anonymous", "reserved"]);
        assert_eq!(arena(flags[0], flags[1], "7f000c000000"), ["anonymous", "reserved"]);
    }

    #[test]
    fn a_full_arena_is_recognized_next_to_one_that_is_not() {
        let full = "7f0010000000-7f0018000000 rw-p 00000000 00:00 0 | rd wr nr\n";
        let other = "7f0020000000-7f0020021000 rw-p 00000000 00:00 0 | rd wr nr\n\
                 7f0020021000-7f0024000000 ---p 00000000 00:00 0 | mr nr\n";
        assert_eq!(classes(full), ["anonymous"]);
        assert_eq!(classes(&format!("{full}{other}")), ["malloc-arena", "malloc-arena", "reserved"]);
    }

    #[test]
    fn a_stack_has_a_guard_and_the_flag_or_the_size_of_one() {
        let stack = |guard: u64, size: u64, flags: [&str; 2], file: &str| {
            let start = 0x7f00_0000_0000u64;
            let (stack, end) = (start + guard * 1024, start + (guard + size) * 1024);
            let found = classes(&format!(
                "400000-401000 r--p 00000000 fe:00 9 {file}\n\
             {start:x}-{stack:x} ---p 00000000 00:00 0 | mr{}\n{stack:x}-{end:x} rw-p 00000000 00:00 0 | rd wr{}\n",
                flags[0], flags[1]
            ));
            found.last().unwrap().clone()
        };
        assert_eq!(stack(4, 1234, [" nh", " nh"], "/a"), "thread-stack");
        // A program may keep huge pages away from other memory, too.
        assert_eq!(stack(4, 1234, ["", " nh"], "/a"), "anonymous");
        assert_eq!(stack(16, 1008, ["", " nh"], "/lib/libjvm.so"), "thread-stack");
        // Before Linux 6.7: glibc's old and new shapes, Rust, a JVM's zone of four pages, musl.
        let (jvm, musl) = ("/lib/libjvm.so", "/lib/ld-musl-x86_64.so.1");
        for (guard, size, file) in [(4, 8192, "/a"), (4, 8188, "/a"), (4, 2048, "/a"), (16, 1008, jvm), (8, 140, musl)]
        {
            assert_eq!(stack(guard, size, ["", ""], file), "thread-stack", "{guard} {size}");
        }
        for (guard, size, file) in [(4, 1234, "/a"), (4, 256, "/a"), (16, 8192, "/a"), (16, 1008, "/a"), (8, 140, "/a")]
        {
            assert_eq!(stack(guard, size, ["", ""], file), "anonymous", "{guard} {size}");
        }
    }

    #[test]
    fn go_asks_for_certain_addresses() {
        // Written after the runtime's source: Go 1.24, an arena of 64 MiB of which 4 MiB are used.
        let heap = "c000000000-c000400000 rw-p 00000000 00:00 0 | rd wr ac\n\
             c000400000-c004000000 ---p 00000000 00:00 0 | mr\n";
        assert_eq!(classes(heap), ["go-heap", "reserved"]);
        assert_eq!(classes("4000000000-4004000000 rw-p 00000000 00:00 0 \n"), ["go-heap"]);
        assert_eq!(classes("c000001000-c004000000 rw-p 00000000 00:00 0 \n"), ["anonymous"]);
    }

    #[test]
    fn shared_memory_of_postgres_is_known_by_its_program() {
        let shared = "7f0000000000-7f0008a5d000 rw-s 00000000 00:01 1046 /dev/zero (deleted)\n\
                  7f0008a5d000-7f0008a5e000 rw-s 00000000 00:01 7 /SYSV0052e2c1 (deleted)\n";
        let program = "559a1e000000-559a1e8f1000 r-xp 000d6000 fe:00 100 /usr/lib/postgresql/15/bin/postgres\n";
        assert_eq!(classes(shared), ["shared-anonymous", "sysv"]);
        assert_eq!(classes(&format!("{program}{shared}")), ["code", "postgres-shared", "postgres-shared"]);
    }

    #[test]
    fn a_rule_of_the_user_comes_first_and_needs_a_name() {
        let own = |name: &str, pattern: &str| OwnClass { name: name.into(), pattern: Regex::new(pattern).unwrap() };
        let rules = [own("arena", "^/srv/|libc_malloc"), own("rest", ".*")];
        let mappings = mappings(
            "7f0000000000-7f0000001000 rw-p 00000000 00:00 0 [anon:libc_malloc]\n\
         7f0000002000-7f0000003000 r-xp 00000000 fe:00 9 /srv/big\n\
         7f0000004000-7f0000005000 rw-p 00000000 00:00 0 \n\
         7f0000006000-7f0000007000 rw-p 00000000 00:00 0 [heap]\n",
        );
        let classes = Classes::of(&mappings, &[], &rules);
        assert_eq!([0, 1, 2, 3].map(|place| classes.word(place).unwrap()), ["arena", "arena", "anonymous", "rest"]);
    }

    #[test]
    fn every_word_is_one_word_and_the_places_do_not_collide() {
        let words = class_words();
        let is_plain =
            |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        assert!(words.iter().all(is_plain), "{words:?}");
        assert!(RULES.len() < usize::from(FIRST_KIND) && MappingKind::ALL.len() < usize::from(FIRST_OWN - FIRST_KIND));
    }
}
