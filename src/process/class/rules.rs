//! The table of rules.

use crate::process::class::programs::Programs;
use crate::process::class::regions::Region;
use crate::process::kind::MappingKind;
use crate::process::mapping::Mapping;

/// One rule: memory of which `when` is true has this class.
pub struct ClassRule {
    /// The class: one word, which never changes.
    pub class: &'static str,
    /// How the memory is recognized, for the documentation.
    pub when: &'static str,
    is: fn(&Seen<'_>) -> bool,
}

const fn rule(class: &'static str, when: &'static str, is: fn(&Seen<'_>) -> bool) -> ClassRule {
    ClassRule { class, when, is }
}

/// A mapping as the rules see it.
pub(super) struct Seen<'s> {
    pub(super) mapping: Mapping<'s>,
    pub(super) kind: MappingKind,
    /// What it is part of, by its place among its neighbours.
    pub(super) region: Option<Region>,
    pub(super) programs: &'s Programs,
}

/// Every rule, in the order in which they are tried: names first, then shapes.
pub const RULES: &[ClassRule] = &[
    rule(
        "thread-stack",
        "named `glibc: pthread stack: …` (also `user stack`, `unused stack`), `stack_and_tls:…` by \
        Android, or `[stack:TID]` by kernels before 4.5",
        |seen| {
            seen.named(&[" glibc: pthread ", " glibc: unused stack", "stack_and_tls:"])
                || seen.mapping.path().starts_with(b"[stack:")
        },
    ),
    rule("malloc-arena", "named `glibc: malloc arena`", |seen| seen.named(&[" glibc: malloc arena"])),
    rule(
        "malloc",
        "named by an allocator: `glibc: malloc`, `glibc: loader malloc`, `libc_malloc`, `scudo:…`, \
        `GWP-ASan…`, `jemalloc…`, `mimalloc…`, `tcmalloc…`",
        |seen| {
            seen.named(&[
                " glibc: malloc",
                " glibc: loader malloc",
                "libc_malloc",
                "scudo:",
                "GWP-ASan",
                "jemalloc",
                "mimalloc",
                "tcmalloc",
            ])
        },
    ),
    rule("go-heap", "named `Go: heap` or `Go: heap reservation` (Go 1.25)", |seen| {
        seen.is_named(&[" Go: heap", " Go: heap reservation"])
    }),
    rule("go-runtime", "any other name of Go: `Go: …`", |seen| seen.named(&[" Go: "])),
    rule(
        "dalvik-heap",
        "named by Android's runtime as space for objects: `dalvik-main space…`, `…large object \
        space…`, `…region space…`, `…non moving space…`, `…zygote space…`, `…allocspace…`",
        |seen| seen.named(&["dalvik-"]) && seen.has_in_name(&["space"]),
    ),
    rule("dalvik", "any other name of Android's runtime: `dalvik-…`", |seen| seen.named(&["dalvik-"])),
    rule("v8-heap", "named `v8…`, as Chromium does", |seen| seen.named(&["v8"])),
    rule("partition-alloc", "named `partition_alloc…`, Chromium's allocator", |seen| {
        seen.named(&["partition_alloc"])
    }),
    rule("named", "any other `[anon:NAME]` or `[anon_shmem:NAME]`: the column `mapping` shows the name", |seen| {
        seen.name().is_some()
    }),
    rule(
        "thread-stack",
        "above an inaccessible guard of at most 1 MiB, both with the flag `nh` that the kernel gives to stacks since \
        6.7 (JVM: only the stack); if the process has none: 2 or 8 MiB with or without a guard of 4 KiB; JVM: 1 MiB \
        with or without a guard of up to 64 KiB; musl: 128 to 192 KiB above a guard of 8 KiB",
        |seen| seen.region == Some(Region::ThreadStack),
    ),
    rule(
        "java-heap",
        "`/memfd:java_heap`, the heap of ZGC; it may be mapped several times, and counts as often",
        |seen| seen.kind == MappingKind::Memfd && seen.mapping.path().starts_with(b"/memfd:java_heap"),
    ),
    rule("java-heap", "JVM: what is below 32 GiB, without the class space; heaps above are not recognized", |seen| {
        seen.region == Some(Region::JavaHeap)
    }),
    rule("java-cds", "JVM: a private mapping of a file `*.jsa` (class data sharing) outside the heap", |seen| {
        seen.programs.jvm && seen.mapping.path().ends_with(b".jsa")
    }),
    rule(
        "java-class-space",
        "JVM: up to 1 GiB after the class data; without class data, 1 GiB above the heap or apart from it below 32 GiB",
        |seen| seen.region == Some(Region::JavaClassSpace),
    ),
    rule(
        "java-metaspace",
        "JVM: 64 MiB of which parts are in use, one of them from a multiple of 4 MiB on; a part in \
        which all is in use is not recognized",
        |seen| seen.region == Some(Region::JavaMetaspace),
    ),
    rule("java-code", "JVM: executable memory without a file (compiled code and stubs)", |seen| {
        seen.programs.jvm && seen.is_code()
    }),
    rule("v8-code", "node, Chromium, Electron, deno: executable memory without a file", |seen| {
        seen.programs.v8 && seen.is_code()
    }),
    rule(
        "v8-heap",
        "the same programs: from a multiple of 256 KiB on, at a random address between 4 GiB and 64 TiB",
        |seen| seen.programs.v8 && seen.is_nameless() && seen.starts_at_page_of_v8(),
    ),
    rule("jit-code", "other executable memory without a file: code that was made while running", |seen| seen.is_code()),
    rule(
        "go-heap",
        "adjacent memory from `c000000000` on (`4000000000` on arm64), or higher by a multiple of 1 TiB",
        |seen| seen.region == Some(Region::GoHeap),
    ),
    rule(
        "malloc-arena",
        "glibc: from a multiple of 64 MiB on, followed by inaccessible memory up to the next multiple of 64 MiB, both \
        with the flag `nr`: not accounted for",
        |seen| seen.region == Some(Region::MallocArena),
    ),
    rule(
        "postgres-shared",
        "PostgreSQL (its program is called `postgres`): shared memory without a file, of System V \
        or of huge pages",
        |seen| seen.programs.postgres && seen.mapping.perm().ends_with('s') && seen.is_shared_memory(),
    ),
];

/// The place of the first rule that is true of a mapping.
pub(super) fn rule_for(seen: &Seen<'_>) -> Option<u16> {
    use MappingKind::{AnonymousInode, Code, Device, Guard, Reserved, Special, Vdso};
    if matches!(seen.kind, Guard | Reserved | Code | Vdso | Device | AnonymousInode | Special) {
        return None;
    }
    RULES.iter().position(|rule| (rule.is)(seen)).and_then(|place| u16::try_from(place).ok())
}

impl Seen<'_> {
    /// The name that the program gave to memory without a file.
    fn name(&self) -> Option<&[u8]> {
        let path = self.mapping.path();
        let rest = path.strip_prefix(b"[anon:").or_else(|| path.strip_prefix(b"[anon_shmem:"))?;
        rest.strip_suffix(b"]")
    }

    fn named(&self, starts: &[&str]) -> bool {
        self.name().is_some_and(|name| starts.iter().any(|start| name.starts_with(start.as_bytes())))
    }

    fn is_named(&self, names: &[&str]) -> bool {
        self.name().is_some_and(|name| names.iter().any(|other| name == other.as_bytes()))
    }

    fn has_in_name(&self, parts: &[&str]) -> bool {
        let has = |name: &[u8], part: &str| memchr::memmem::find(name, part.as_bytes()).is_some();
        self.name().is_some_and(|name| parts.iter().any(|part| has(name, part)))
    }

    /// Whether it is private memory without a file and a name.
    fn is_nameless(&self) -> bool {
        self.kind == MappingKind::Anonymous && self.mapping.path().is_empty()
    }

    fn is_code(&self) -> bool {
        self.is_nameless() && self.mapping.perm().contains('x')
    }

    /// V8 asks for its pages of 256 KiB at random addresses of at most 46 bits.
    fn starts_at_page_of_v8(&self) -> bool {
        let start = self.mapping.start();
        start.is_multiple_of(256 << 10) && (4 << 30..1 << 46).contains(&start)
    }

    fn is_shared_memory(&self) -> bool {
        matches!(self.kind, MappingKind::SharedAnonymous | MappingKind::SysV | MappingKind::HugePages)
    }
}
