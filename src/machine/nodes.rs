//! The NUMA nodes of the machine that have memory.

use crate::process::ProcRoot;

/// The numbers of the nodes with memory, in ascending order, from `/sys/devices/system/node/has_memory`. `None` if that
/// cannot be read, as on a kernel without NUMA or in a capture without it.
pub fn read_memory_nodes(root: &ProcRoot) -> Option<Vec<u32>> {
    parse_list(&root.read_system_file("devices/system/node/has_memory").ok()?)
}

/// The most nodes that a kernel can have: `CONFIG_NODES_SHIFT` is at most 10.
const MOST: u32 = 1 << 10;

/// A list of numbers as the kernel writes it: `0-1,3`.
fn parse_list(text: &[u8]) -> Option<Vec<u32>> {
    let text = std::str::from_utf8(text).ok()?.trim_end();
    let mut numbers = Vec::new();
    for range in text.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        if last >= MOST || first > last {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_ranges() {
        assert_eq!(parse_list(b"0-1,3\n"), Some(vec![0, 1, 3]));
        assert_eq!(parse_list(b"0\n"), Some(vec![0]));
        for text in [&b"\n"[..], b"1-0\n", b"0-4294967295\n", b"x", b"-1"] {
            assert_eq!(parse_list(text), None, "{text:?}");
        }
    }
}
