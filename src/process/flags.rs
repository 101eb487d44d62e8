//! The meaning of the `VmFlags` of smaps.
//!
//! Each flag has two letters, from `show_smap_vma_flags` in the kernel's `fs/proc/task_mmu.c` and the table in its
//! `Documentation/filesystems/proc.rst`, of every version from 3.8 (the first with the line) to 6.19.

/// One flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// Its two letters.
    pub code: &'static str,
    /// What it means, in a few words.
    pub words: &'static str,
}

const fn flag(code: &'static str, words: &'static str) -> Flag {
    Flag { code, words }
}

/// Every flag of every kernel so far.
pub const FLAGS: &[Flag] = &[
    flag("rd", "readable"),
    flag("wr", "writable"),
    flag("ex", "executable"),
    flag("sh", "shared"),
    flag("mr", "may be made readable"),
    flag("mw", "may be made writable"),
    flag("me", "may be made executable"),
    flag("ms", "may be shared"),
    flag("gd", "stack: grows down"),
    flag("pf", "page frames without accounting"),
    flag("dw", "writes to the file are denied"),
    flag("lo", "locked in RAM"),
    flag("lf", "locked as pages are touched"),
    flag("io", "device memory"),
    flag("sr", "advice: read sequentially"),
    flag("rr", "advice: read at random"),
    flag("dc", "not copied on fork"),
    flag("de", "cannot be expanded"),
    flag("ac", "accounted (reserved)"),
    flag("nr", "no swap space reserved"),
    flag("ht", "hugetlb pages"),
    flag("sf", "page faults may be synchronous (DAX)"),
    flag("nl", "not linear"),
    flag("ar", "special to the architecture"),
    flag("wf", "wiped on fork"),
    flag("dd", "not in core dumps"),
    flag("sd", "soft-dirty"),
    flag("mm", "pages with and without accounting"),
    flag("hg", "advice: transparent huge pages"),
    flag("nh", "advice: no transparent huge pages"),
    flag("mg", "advice: may be merged (KSM)"),
    flag("um", "userfaultfd: missing pages"),
    flag("uw", "userfaultfd: write-protected pages"),
    flag("ui", "userfaultfd: minor faults"),
    flag("bt", "guarded for branch targets (arm64)"),
    flag("mt", "memory tags (arm64)"),
    flag("ss", "shadow or guarded control stack"),
    flag("sl", "sealed"),
    flag("dp", "dropped under memory pressure"),
    flag("mp", "bounds tables (MPX)"),
    flag("gu", "may hold guard regions"),
    flag("??", "a flag without a name in this kernel"),
];

/// The flag with these two letters.
pub fn find_flag(code: &[u8]) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.code.as_bytes() == code)
}

/// The meanings of the flags in a `VmFlags` value, in the same order. An unknown flag is returned as its letters.
pub fn flags_in_words(value: &[u8]) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
    codes(value).map(|code| match find_flag(code) {
        Some(flag) => flag.words.into(),
        None => String::from_utf8_lossy(code),
    })
}

/// Whether a `VmFlags` value has a flag.
pub fn has_flag(value: &[u8], code: &str) -> bool {
    codes(value).any(|found| found == code.as_bytes())
}

fn codes(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(u8::is_ascii_whitespace).filter(|code| !code.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_words_and_unknown_ones_are_kept() {
        let words: Vec<_> = flags_in_words(b"rd wr gd zz ").collect();
        assert_eq!(words, ["readable", "writable", "stack: grows down", "zz"]);
        assert!(has_flag(b"rd wr mr", "wr") && !has_flag(b"rd wr mr", "w") && !has_flag(b"", "rd"));
    }

    #[test]
    fn each_code_has_two_letters_and_is_listed_once() {
        for (place, flag) in FLAGS.iter().enumerate() {
            assert!(flag.code.len() == 2 && !flag.words.is_empty());
            assert!(FLAGS.iter().skip(place + 1).all(|other| other.code != flag.code), "{}", flag.code);
        }
    }

    #[test]
    fn every_flag_of_our_own_mappings_is_known() {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        for line in smaps.lines().filter_map(|line| line.strip_prefix("VmFlags:")) {
            for code in codes(line.as_bytes()) {
                assert!(find_flag(code).is_some(), "{}", code.escape_ascii());
            }
        }
    }
}
