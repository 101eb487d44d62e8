//! Files of the kernel with a name and a number on each line: `meminfo` of `/proc`, `meminfo` of a node, `vmstat`.

use crate::units::Bytes;

/// A line with this name that has no unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// kB: 1024 bytes.
    Kib,
    /// A bare number.
    None,
}

/// The lines of such a file. What is not in the kernel's format is left out.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    lines: Vec<(Vec<u8>, u64, Unit)>,
}

impl Fields {
    /// Parses `MemTotal:       16384 kB`, `Node 0 MemTotal:       16384 kB` and `nr_free_pages 1000`.
    pub(super) fn parse(text: &[u8]) -> Fields {
        Fields { lines: text.split(|byte| *byte == b'\n').filter_map(parse_line).collect() }
    }

    /// An amount of memory.
    pub(super) fn bytes(&self, key: &str) -> Option<Bytes> {
        self.find(key, Unit::Kib).and_then(Bytes::from_kib)
    }

    /// A bare number.
    pub(super) fn count(&self, key: &str) -> Option<u64> {
        self.find(key, Unit::None)
    }

    /// The fields of a node under the names that `/proc/meminfo` has for them. `FilePages` is all page cache: with the
    /// pages of block devices and, other than `Cached`, with the cache of swap.
    pub(super) fn with_node_names(mut self, huge_page: Option<Bytes>) -> Fields {
        let swap_cached = self.bytes("SwapCached").unwrap_or_default();
        if let Some(files) = self.bytes("FilePages") {
            self.lines.push((b"Cached".to_vec(), files.saturating_sub(swap_cached).kib(), Unit::Kib));
        }
        if let Some(size) = huge_page {
            self.lines.push((b"Hugepagesize".to_vec(), size.kib(), Unit::Kib));
        }
        self
    }

    fn find(&self, key: &str, unit: Unit) -> Option<u64> {
        let is_it = |line: &&(Vec<u8>, u64, Unit)| line.0 == key.as_bytes() && line.2 == unit;
        self.lines.iter().find(is_it).map(|(_, number, _)| *number)
    }
}

fn parse_line(line: &[u8]) -> Option<(Vec<u8>, u64, Unit)> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let mut key = words.next()?;
    if key == b"Node" {
        words.next()?;
        key = words.next()?;
    }
    let number = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    let unit = match words.next() {
        None => Unit::None,
        Some(b"kB") => Unit::Kib,
        Some(_) => return None,
    };
    let key = key.strip_suffix(b":").unwrap_or(key);
    words.next().is_none().then(|| (key.to_vec(), number, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_each_file_are_read_and_junk_is_left_out() {
        let fields = Fields::parse(
            b"MemTotal:       16 kB\nHugePages_Total:       3\nNode 0 MemFree: 4 kB\nnr_zspages 7\nodd\nA: x kB\n\
              B: 1 MB\nC: 18446744073709551615 kB\nActive(anon):  2 kB\n: 1\n\xff\xfe 1 kB\n",
        );
        assert_eq!(fields.bytes("MemTotal"), Some(Bytes(16384)));
        assert_eq!((fields.bytes("MemFree"), fields.bytes("Active(anon)")), (Some(Bytes(4096)), Some(Bytes(2048))));
        assert_eq!((fields.count("HugePages_Total"), fields.count("nr_zspages")), (Some(3), Some(7)));
        for key in ["A", "B", "C", "HugePages_Total", "odd", "Node"] {
            assert_eq!(fields.bytes(key), None, "{key}");
        }
    }
}
