//! The small files that add to the account: System V segments, swap areas, zswap, KSM.

use crate::machine::fields::Fields;
use crate::process::ProcRoot;
use crate::units::Bytes;

/// What the other files of the account say. Nothing of it is needed.
#[derive(Debug, Clone, Default)]
pub(super) struct Others {
    /// The pages of zsmalloc: `nr_zspages` of `vmstat` (4.8 and later).
    pub(super) zsmalloc_pages: Option<u64>,
    /// Whether zswap has its pages from zsmalloc, as it always does since 6.18.
    pub(super) zswap_is_zsmalloc: bool,
    /// The pages that KSM shares: `pages_shared` of `/sys/kernel/mm/ksm`.
    pub(super) merged_pages: Option<u64>,
    /// The System V segments of this IPC namespace.
    pub(super) system_v: Option<SystemV>,
}

impl Others {
    pub(super) fn read(root: &ProcRoot) -> Others {
        let pool = root.read_system_file("module/zswap/parameters/zpool");
        Others {
            zsmalloc_pages: root.read_file("vmstat").ok().and_then(|text| Fields::parse(&text).count("nr_zspages")),
            zswap_is_zsmalloc: pool.map_or(true, |pool| pool.trim_ascii() == b"zsmalloc"),
            merged_pages: read_merged_pages(root),
            system_v: SystemV::read(root),
        }
    }
}

/// How many pages KSM shares; `None` if the kernel has no KSM, or the file cannot be read.
pub(super) fn read_merged_pages(root: &ProcRoot) -> Option<u64> {
    let text = root.read_system_file("kernel/mm/ksm/pages_shared").ok()?;
    std::str::from_utf8(text.trim_ascii()).ok()?.parse().ok()
}

/// The System V segments of an IPC namespace (`/proc/sysvipc/shm`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SystemV {
    /// How many there are.
    pub segments: u64,
    /// Their pages in memory.
    pub resident: Bytes,
    /// Their pages in swap.
    pub swapped: Bytes,
}

impl SystemV {
    /// Reads it; `None` if the kernel has no such file.
    pub fn read(root: &ProcRoot) -> Option<SystemV> {
        // A line has 170 bytes, and there may be 32,768 segments.
        SystemV::parse(&root.read_long_file("sysvipc/shm", 1 << 24).ok()?)
    }

    /// Parses the table. Its header says where the columns are, which kernels before 2.6.36 do not have.
    fn parse(text: &[u8]) -> Option<SystemV> {
        let mut lines = text.split(|byte| *byte == b'\n');
        let header: Vec<&[u8]> = words(lines.next()?).collect();
        let place = |name: &[u8]| header.iter().position(|word| *word == name);
        let (resident, swapped) = (place(b"rss")?, place(b"swap")?);
        let mut found = SystemV::default();
        for line in lines {
            let figures: Vec<&[u8]> = words(line).collect();
            let figure = |place: usize| std::str::from_utf8(figures.get(place)?).ok()?.parse().ok().map(Bytes);
            let Some((resident, swapped)) = figure(resident).zip(figure(swapped)) else { continue };
            found.segments += 1;
            found.resident = found.resident + resident;
            found.swapped = found.swapped + swapped;
        }
        Some(found)
    }
}

/// The swap areas (`/proc/swaps`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swap {
    /// How many there are.
    pub areas: u64,
    /// Their size.
    pub size: Bytes,
    /// What is used of it.
    pub used: Bytes,
}

impl Swap {
    /// Reads them; `None` if the kernel has no such file.
    pub fn read(root: &ProcRoot) -> Option<Swap> {
        Some(Swap::parse(&root.read_file("swaps").ok()?))
    }

    /// Parses the table: name, type, size and use in KiB, priority. A blank in a name is escaped.
    fn parse(text: &[u8]) -> Swap {
        let mut found = Swap::default();
        for line in text.split(|byte| *byte == b'\n').skip(1) {
            let figures: Vec<&[u8]> = words(line).collect();
            let &[_, _, size, used, _] = &figures[..] else { continue };
            let kib = |word| Bytes::from_kib(std::str::from_utf8(word).ok()?.parse().ok()?);
            let Some((size, used)) = kib(size).zip(kib(used)) else { continue };
            found = Swap { areas: found.areas + 1, size: found.size + size, used: found.used + used };
        }
        found
    }
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_added_up_whatever_columns_there_are() {
        let text = b"       key      shmid perms       size  cpid  rss  swap\n\
                     0 0 1600 67108864 77 8192 4096\n5 1 600 4096 78 4096 0\nodd\n";
        let found = SystemV { segments: 2, resident: Bytes(12288), swapped: Bytes(4096) };
        assert_eq!(SystemV::parse(text), Some(found));
        assert_eq!(SystemV::parse(b"key shmid size\n0 0 1\n"), None);
        assert_eq!(SystemV::parse(b""), None);
    }

    #[test]
    fn swap_areas_are_added_up() {
        let text = b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/zram0 partition\t1000\t10\t100\n\
                     /swap\\040file\tfile 24 0 -2\nodd line\n";
        assert_eq!(Swap::parse(text), Swap { areas: 2, size: Bytes(1024 << 10), used: Bytes(10 << 10) });
        assert_eq!(Swap::parse(b""), Swap::default());
    }
}
