//! What a mapping is: heap, stack, code, file, anonymous, shared …, from its line in `maps` and, if smaps was read, its
//! flags.
//!
//! | kind | recognized by |
//! |---|---|
//! | heap | `[heap]`: it overlaps the break area |
//! | stack | `[stack]`, `[stack:TID]` (before 4.5), or the flag `gd` |
//! | vdso | `[vdso]`, `[vvar]`, `[vvar_vclock]`, `[vsyscall]`, and the names of these on other architectures |
//! | special | any other name in brackets: `[uprobes]`, `[rollup]` |
//! | huge pages | the flag `ht`, or `/anon_hugepage (deleted)` |
//! | SysV | `/SYSV%08x (deleted)`: a segment of `shmget` |
//! | shared anonymous | `/dev/zero (deleted)`, `[anon_shmem:NAME]`: `MAP_SHARED` memory without a file |
//! | memfd | `/memfd:NAME (deleted)`: a file of `memfd_create` |
//! | secret | `/secretmem (deleted)`: a file of `memfd_secret`, which not even the kernel can read |
//! | anon inode | `anon_inode:…`, `[io_uring]` and other files without a name: a socket, `dmabuf`, kvm |
//! | device | the flags `io`, `pf`; a device file; if that is unknown, a name below `/dev` that is not shared memory |
//! | code | a file, mapped executable |
//! | data | a file, mapped private and writable: written pages become anonymous memory |
//! | file | any other mapping of a file |
//! | guard | no name, file, access (`---p`), memory; next to `[stack]`, or up to 1 MiB next to readable memory |
//! | reserved | any other without name, file, access and memory: address space that an allocator keeps for later |
//! | anonymous | no name and no file, or `[anon:NAME]` |
//!
//! The owner of a file chooses its name: a file may be called `/memfd:x (deleted)`. The kinds that come from the
//! kernel's internal file systems (SysV, shared anonymous, memfd, huge pages) therefore also require an unnumbered
//! device. tmpfs has one as well, so that a file there can still be mistaken for one of them.

use crate::process::flags::has_flag;
use crate::process::mapping::Mapping;

/// What a mapping is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MappingKind {
    /// The break area.
    Heap,
    /// A stack.
    Stack,
    /// Code of a program or library.
    Code,
    /// A file mapped private and writable.
    Data,
    /// A file mapped in any other way.
    File,
    /// Private memory without a file.
    Anonymous,
    /// Memory shared with children, without a file.
    SharedAnonymous,
    /// A file of `memfd_create`.
    Memfd,
    /// A file of `memfd_secret`.
    Secret,
    /// A segment of System V shared memory.
    SysV,
    /// Pages of hugetlb.
    HugePages,
    /// Mapped by the kernel into every process: `[vdso]` and its data.
    Vdso,
    /// Inaccessible pages next to memory, such as below a stack.
    Guard,
    /// Inaccessible address space that is reserved for later.
    Reserved,
    /// A file without a name.
    AnonymousInode,
    /// Memory of a device.
    Device,
    /// Another mapping with a name in brackets.
    Special,
}

impl MappingKind {
    /// Every kind, the ones that people look for most first.
    pub const ALL: [MappingKind; 17] = [
        MappingKind::Heap,
        MappingKind::Stack,
        MappingKind::Code,
        MappingKind::Data,
        MappingKind::File,
        MappingKind::Anonymous,
        MappingKind::SharedAnonymous,
        MappingKind::Memfd,
        MappingKind::Secret,
        MappingKind::SysV,
        MappingKind::HugePages,
        MappingKind::Vdso,
        MappingKind::Guard,
        MappingKind::Reserved,
        MappingKind::AnonymousInode,
        MappingKind::Device,
        MappingKind::Special,
    ];

    /// The kind of a mapping. `flags` is its `VmFlags`, if they were read. Some kinds are recognized only by them (a
    /// stack without a name, hugetlb behind a memfd). For address space without access, `Rss` and `Swap` are
    /// needed too: with memory it is neither a guard nor reserved.
    pub fn of(mapping: &Mapping<'_>, flags: Option<&[u8]>) -> MappingKind {
        MappingKind::with_facts(mapping, flags, None, has_memory)
    }

    /// The kind of a mapping about which more is known: whether its file is a device, which a name below `/dev` does
    /// not prove, and whether it has memory. `has_memory` is called only for address space without access.
    pub fn with_facts<'m>(
        mapping: &Mapping<'m>,
        flags: Option<&[u8]>,
        is_device: Option<bool>,
        has_memory: impl FnOnce(&Mapping<'m>) -> bool,
    ) -> MappingKind {
        let has = |code| flags.is_some_and(|flags| has_flag(flags, code));
        if has("ht") {
            return MappingKind::HugePages;
        }
        match has_file(mapping) {
            true => kind_of_file(mapping, if has("io") || has("pf") { Some(true) } else { is_device }),
            false => kind_without_file(mapping, has("gd"), has_memory),
        }
    }

    /// Its name in columns and filters: one word, which never changes.
    pub fn word(self) -> &'static str {
        match self {
            MappingKind::Heap => "heap",
            MappingKind::Stack => "stack",
            MappingKind::Code => "code",
            MappingKind::Data => "data",
            MappingKind::File => "file",
            MappingKind::Anonymous => "anonymous",
            MappingKind::SharedAnonymous => "shared-anonymous",
            MappingKind::Memfd => "memfd",
            MappingKind::Secret => "secret",
            MappingKind::SysV => "sysv",
            MappingKind::HugePages => "huge-pages",
            MappingKind::Vdso => "vdso",
            MappingKind::Guard => "guard",
            MappingKind::Reserved => "reserved",
            MappingKind::AnonymousInode => "anon-inode",
            MappingKind::Device => "device",
            MappingKind::Special => "special",
        }
    }
}

/// Whether there is a file behind a mapping.
pub(crate) fn has_file(mapping: &Mapping<'_>) -> bool {
    mapping.device().has_file(mapping.inode())
}

fn kind_without_file<'m>(
    mapping: &Mapping<'m>,
    grows_down: bool,
    has_memory: impl FnOnce(&Mapping<'m>) -> bool,
) -> MappingKind {
    match mapping.path() {
        b"[heap]" => MappingKind::Heap,
        b"[stack]" => MappingKind::Stack,
        name if name.starts_with(b"[stack:") => MappingKind::Stack,
        name if KERNEL_NAMES.contains(&name) => MappingKind::Vdso,
        name if name.starts_with(b"[anon:") => MappingKind::Anonymous,
        b"" if grows_down => MappingKind::Stack,
        b"" if mapping.perm() == "---p" && has_memory(mapping) => MappingKind::Anonymous,
        b"" if mapping.perm() == "---p" && guards(mapping) => MappingKind::Guard,
        b"" if mapping.perm() == "---p" => MappingKind::Reserved,
        b"" => MappingKind::Anonymous,
        name if name.starts_with(b"anon_inode:") => MappingKind::AnonymousInode,
        _ => MappingKind::Special,
    }
}

/// Whether it has pages in RAM or in swap, if that was read: it may have lost access after it was written to.
fn has_memory(mapping: &Mapping<'_>) -> bool {
    ["Rss", "Swap"].iter().any(|name| mapping.figure(name).is_ok_and(|bytes| bytes.0 > 0))
}

/// Whether the text alone does not reveal if the file is a device, so that the file has to be examined.
pub(super) fn may_be_device(mapping: &Mapping<'_>) -> bool {
    mapping.path().starts_with(b"/dev/")
        && has_file(mapping)
        && kind_of_file(mapping, Some(false)) != kind_of_file(mapping, None)
}

/// The largest guard that is not next to `[stack]`. Thread libraries use one page to some dozens; allocators reserve
/// tens of MiB (64 MiB for an arena of glibc).
const LONGEST_GUARD: u64 = 1 << 20;

/// Whether accessible memory or a stack is adjacent.
fn guards(mapping: &Mapping<'_>) -> bool {
    let below = mapping.neighbour_below().filter(|below| below.end() == mapping.start());
    let above = mapping.neighbour_above().filter(|above| above.start() == mapping.end());
    let is_small = mapping.size().0 <= LONGEST_GUARD;
    let counts = |other: Mapping<'_>| match other.path() {
        b"[stack]" => true,
        name if name.starts_with(b"[stack:") => true,
        _ => is_small && other.perm().starts_with('r'),
    };
    [below, above].into_iter().flatten().any(counts)
}

/// `[vdso]`, its data and its predecessors; `[sigpage]` and `[vectors]` of arm; `[compat_vdso]` and `[vdso32]` of
/// sparc and mips.
const KERNEL_NAMES: &[&[u8]] = &[
    b"[vdso]",
    b"[vvar]",
    b"[vvar_vclock]",
    b"[vsyscall]",
    b"[vectors]",
    b"[sigpage]",
    b"[compat_vdso]",
    b"[vdso32]",
    b"[vdso_data]",
];

fn kind_of_file(mapping: &Mapping<'_>, is_device: Option<bool>) -> MappingKind {
    let name = mapping.path();
    let internal = mapping.device().major == 0;
    match name {
        b"/anon_hugepage (deleted)" | b"/anon_hugepage" if internal => MappingKind::HugePages,
        b"/dev/zero (deleted)" if internal => MappingKind::SharedAnonymous,
        name if name.starts_with(b"[anon_shmem:") => MappingKind::SharedAnonymous,
        name if internal && is_sysv(name) => MappingKind::SysV,
        name if internal && name.starts_with(b"/memfd:") => MappingKind::Memfd,
        b"/secretmem (deleted)" | b"/secretmem" if internal => MappingKind::Secret,
        name if name.starts_with(b"[") || name.starts_with(b"anon_inode:") => MappingKind::AnonymousInode,
        b"/dev/zero" if mapping.perm().ends_with('p') => MappingKind::Anonymous,
        _ if is_device == Some(true) => MappingKind::Device,
        name if is_device.is_none() && name.starts_with(b"/dev/") && !is_memory_below_dev(name) => MappingKind::Device,
        // `dmabuf:` and others without a path; an unreachable path begins with a parenthesis.
        name if !name.starts_with(b"/") && !name.starts_with(b"(unreachable)") => MappingKind::AnonymousInode,
        _ if mapping.perm().contains('x') => MappingKind::Code,
        _ if mapping.perm().contains('w') && mapping.perm().ends_with('p') => MappingKind::Data,
        _ => MappingKind::File,
    }
}

/// `/SYSV` and a key of eight digits, the name that `shmget` gives.
fn is_sysv(name: &[u8]) -> bool {
    let key = name.strip_prefix(b"/SYSV").and_then(|rest| rest.strip_suffix(DELETED));
    key.is_some_and(|key| key.len() == 8 && key.iter().all(u8::is_ascii_hexdigit))
}

/// Whether it is on a file system with ordinary files that is mounted below `/dev`.
fn is_memory_below_dev(name: &[u8]) -> bool {
    name.starts_with(b"/dev/shm/") || name.starts_with(b"/dev/hugepages/")
}

/// What the kernel appends to the name of a file that was removed.
pub(super) const DELETED: &[u8] = b" (deleted)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::maps::parse_maps;

    fn kind(tail: &str, flags: Option<&str>) -> MappingKind {
        let mappings = parse_maps(format!("1000-2000 {tail}\n").as_bytes()).unwrap();
        MappingKind::of(&mappings.get(0).unwrap(), flags.map(str::as_bytes))
    }

    #[test]
    fn every_name_of_the_kernel_has_its_kind() {
        for (tail, expected) in [
            ("rw-p 00000000 00:00 0 ", MappingKind::Anonymous),
            ("rw-p 00000000 00:00 0 [anon:glibc: malloc arena]", MappingKind::Anonymous),
            ("---p 00000000 00:00 0 ", MappingKind::Reserved),
            ("rw-p 00000000 00:00 0 [heap]", MappingKind::Heap),
            ("rw-p 00000000 00:00 0 [stack]", MappingKind::Stack),
            ("rw-p 00000000 00:00 0 [stack:1234]", MappingKind::Stack),
            ("r-xp 00000000 00:00 0 [vdso]", MappingKind::Vdso),
            ("r--p 00000000 00:00 0 [vvar]", MappingKind::Vdso),
            ("r--p 00000000 00:00 0 [vvar_vclock]", MappingKind::Vdso),
            ("--xp 00000000 00:00 0 [vsyscall]", MappingKind::Vdso),
            ("r-xp 00000000 00:00 0 [sigpage]", MappingKind::Vdso),
            ("r-xp 00000000 00:00 0 [uprobes]", MappingKind::Special),
            ("rw-s 00000000 00:01 7 [anon_shmem:name]", MappingKind::SharedAnonymous),
            ("rw-s 00000000 00:01 7 /dev/zero (deleted)", MappingKind::SharedAnonymous),
            ("rw-p 00000000 00:05 7 /dev/zero", MappingKind::Anonymous),
            ("rw-s 00000000 00:01 7 /memfd:name with spaces (deleted)", MappingKind::Memfd),
            ("rw-s 00000000 00:01 32 /SYSV0000002a (deleted)", MappingKind::SysV),
            ("rw-s 00000000 00:0a 7 /secretmem (deleted)", MappingKind::Secret),
            ("rw-p 00000000 00:0f 7 /anon_hugepage (deleted)", MappingKind::HugePages),
            ("rw-s 00000000 00:0e 7 anon_inode:[perf_event]", MappingKind::AnonymousInode),
            ("rw-s 00000000 00:0e 7 anon_inode:kvm-vcpu:0", MappingKind::AnonymousInode),
            ("rw-s 00000000 00:0c 7 dmabuf:", MappingKind::AnonymousInode),
            ("rw-s 00000000 00:06 7 /dev/dri/card0", MappingKind::Device),
            ("rw-s 00000000 00:1b 7 /dev/shm/sem.x", MappingKind::File),
            ("r-xp 00000000 fe:00 7 /usr/bin/cat", MappingKind::Code),
            ("rw-p 00000000 fe:00 7 /usr/bin/cat", MappingKind::Data),
            ("r--p 00000000 fe:00 7 /usr/bin/cat", MappingKind::File),
            ("rw-s 00000000 fe:00 7 /srv/data (deleted)", MappingKind::File),
            ("rw-s 00000000 fe:00 7 (unreachable)/data", MappingKind::File),
            ("rw-s 00000000 fe:00 7 //deleted", MappingKind::File),
            // On a numbered device these are ordinary names.
            ("rw-s 00000000 fe:00 7 /memfd:x (deleted)", MappingKind::File),
            ("rw-s 00000000 fe:00 7 /SYSV00000000 (deleted)", MappingKind::File),
            ("rw-s 00000000 00:01 7 /SYSVbackup (deleted)", MappingKind::File),
            ("rw-s 00000000 fe:00 7 /dev/zero (deleted)", MappingKind::Device),
        ] {
            assert_eq!(kind(tail, None), expected, "{tail}");
        }
    }

    #[test]
    fn a_guard_is_small_and_next_to_memory_and_anything_else_is_reserved() {
        use MappingKind::{Anonymous, Guard, Reserved, Stack};
        for (lines, expected) in [
            // A thread's stack; an arena and its reserve; nothing adjacent.
            ("1000-2000 ---p 00000000 00:00 0 \n2000-9000 rw-p 00000000 00:00 0 \n", &[Guard, Anonymous][..]),
            ("1000-2000 rw-p 00000000 00:00 0 \n2000-4000000 ---p 00000000 00:00 0 \n", &[Anonymous, Reserved]),
            ("1000-2000 ---p 00000000 00:00 0 \n3000-4000 rw-p 00000000 00:00 0 \n", &[Reserved, Anonymous]),
            ("100000-200000 ---p 00000000 00:00 0 \n200000-201000 rw-p 00000000 00:00 0 \n", &[Guard, Anonymous]),
            ("0ff000-200000 ---p 00000000 00:00 0 \n200000-201000 rw-p 00000000 00:00 0 \n", &[Reserved, Anonymous]),
            ("1000-900000 ---p 00000000 00:00 0 \n900000-901000 rw-p 00000000 00:00 0 [stack]\n", &[Guard, Stack]),
        ] {
            let mappings = parse_maps(lines.as_bytes()).unwrap();
            let kinds: Vec<_> = mappings.iter().map(|mapping| MappingKind::of(&mapping, None)).collect();
            assert_eq!(kinds, expected, "{lines}");
        }
    }

    #[test]
    fn flags_decide_what_the_name_does_not() {
        assert_eq!(kind("rw-s 00000000 00:0f 7 /memfd:x (deleted)", Some("rd wr sh ht ")), MappingKind::HugePages);
        assert_eq!(kind("rw-p 00000000 00:00 0 ", Some("rd wr gd ")), MappingKind::Stack);
        assert_eq!(kind("rw-s 00000000 00:16 7 /sys/bus/pci/resource0", Some("rd wr sh io pf ")), MappingKind::Device);
        assert_eq!(kind("rw-p 00000000 00:00 0 ", Some("rd wr mr ")), MappingKind::Anonymous);
    }

    #[test]
    fn each_kind_has_its_own_word() {
        for (place, one) in MappingKind::ALL.iter().enumerate() {
            assert!(MappingKind::ALL.iter().skip(place + 1).all(|other| other.word() != one.word()));
        }
    }
}
