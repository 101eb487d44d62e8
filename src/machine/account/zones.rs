//! The zones of memory, from `/proc/zoneinfo`: how much of it there is, how much the page allocator manages, and which
//! node a page frame is on.

use crate::units::{Bytes, PageSize, Pages};

/// One zone of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// The number of its node.
    pub node: u32,
    /// `DMA`, `DMA32`, `Normal`, `HighMem`, `Movable` or `Device`.
    pub name: String,
    /// The pages in the lists of free blocks (`pages free`).
    pub free: Pages,
    /// The pages that are free and kept for one processor each (`count` of its `pagesets`). They are not among `free`.
    pub kept: Pages,
    /// The frames from its first to its last page, holes included (`spanned`).
    pub spanned: Pages,
    /// The pages that exist (`present`).
    pub present: Pages,
    /// The pages that the page allocator manages (`managed`): without those that were reserved at the start.
    pub managed: Pages,
    /// Its first frame (`start_pfn`); `None` for a zone without pages.
    pub first: Option<u64>,
}

/// All zones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Zones(pub Vec<Zone>);

impl Zones {
    /// Parses the text of `zoneinfo`. What is not in the kernel's format is left out.
    pub fn parse(text: &[u8]) -> Zones {
        let mut zones: Vec<Zone> = Vec::new();
        for line in text.split(|byte| *byte == b'\n') {
            let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            let (Some(first), Some(second), third) = (words.next(), words.next(), words.next()) else { continue };
            if let (b"Node", Some(b"zone")) = (first, third) {
                let node = second.strip_suffix(b",").and_then(number).and_then(|node| u32::try_from(node).ok());
                let name = words.next().map(|name| String::from_utf8_lossy(name).into_owned());
                zones.extend(node.zip(name).map(|(node, name)| Zone::new(node, name)));
                continue;
            }
            let Some(zone) = zones.last_mut() else { continue };
            match (first, number(second), third.and_then(number)) {
                (b"pages", _, Some(free)) if second == b"free" => zone.free = Pages(free),
                (b"spanned", Some(count), None) => zone.spanned = Pages(count),
                (b"present", Some(count), None) => zone.present = Pages(count),
                (b"managed", Some(count), None) => zone.managed = Pages(count),
                (b"count:", Some(count), None) => zone.kept = Pages(zone.kept.0.saturating_add(count)),
                (b"start_pfn:", Some(first), None) => zone.first = Some(first),
                _ => {}
            }
        }
        Zones(zones)
    }

    /// The sum of something over the zones of a node, or of all nodes.
    pub fn sum(&self, node: Option<u32>, of: impl Fn(&Zone) -> Pages) -> Pages {
        self.0.iter().filter(|zone| node.is_none_or(|node| zone.node == node)).map(of).sum()
    }

    /// The same in bytes.
    pub(super) fn bytes(&self, node: Option<u32>, page: PageSize, of: impl Fn(&Zone) -> Pages) -> Bytes {
        self.sum(node, of).bytes(page)
    }

    /// The numbers of the nodes that have memory.
    pub fn nodes(&self) -> Vec<u32> {
        let mut nodes: Vec<u32> = self.0.iter().filter(|zone| zone.present.0 > 0).map(|zone| zone.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }
}

impl Zone {
    fn new(node: u32, name: String) -> Zone {
        let none = Pages(0);
        Zone { node, name, free: none, kept: none, spanned: none, present: none, managed: none, first: None }
    }
}

fn number(word: &[u8]) -> Option<u64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// Which node a page frame is on: ranges of frames in ascending order.
#[derive(Debug, Clone, Default)]
pub(crate) struct NodeMap(Vec<(u64, u64, u32)>);

impl NodeMap {
    /// The map of these zones.
    pub(crate) fn of(zones: &Zones) -> NodeMap {
        let range = |zone: &Zone| Some((zone.first?, zone.first?.saturating_add(zone.spanned.0), zone.node));
        let mut ranges: Vec<_> = zones.0.iter().filter_map(range).filter(|(first, end, _)| first < end).collect();
        ranges.sort_unstable();
        NodeMap(ranges)
    }

    /// The first frame behind all zones; `None` if there are none.
    pub(crate) fn end(&self) -> Option<u64> {
        self.0.iter().map(|(_, end, _)| *end).max()
    }

    /// The node of a frame, and the first frame behind it that may be on another node. If the ranges of several nodes
    /// overlap, the one that begins last is the one: a node may lie in a hole of another one.
    pub(crate) fn node(&self, frame: u64) -> (Option<u32>, u64) {
        let behind = self.0.partition_point(|(first, ..)| *first <= frame);
        let (before, after) = self.0.split_at_checked(behind).unwrap_or_default();
        let next = after.first().map_or(u64::MAX, |(first, ..)| *first);
        match before.iter().rev().find(|(_, end, _)| frame < *end) {
            Some((_, end, node)) => (Some(*node), next.min(*end)),
            None => (None, next),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zones_of_two_nodes_are_read_with_what_each_processor_keeps() {
        let zones = Zones::parse(
            b"Node 0, zone      DMA\n  per-node stats\n      nr_inactive_anon 5\n  pages free 3840\n        min  10\n\
              \x20       spanned  4095\n        present  3998\n        managed  3840\n      nr_free_pages 3840\n\
              \x20 pagesets\n    cpu: 0\n              count:    5\n              high:     6\n    cpu: 1\n\
              \x20             count:    7\n  start_pfn:           1\nNode 1, zone   Normal\n  pages free     9\n\
              \x20       spanned  100\n        present  90\n        managed  80\n  start_pfn:           4096\n\
              Node 1, zone  Movable\n  pages free     0\n        spanned  0\nodd\nNode x, zone y\n",
        );
        let seen: Vec<_> = zones.0.iter().map(|zone| (zone.node, &zone.name[..], zone.free.0, zone.kept.0)).collect();
        assert_eq!(seen, [(0, "DMA", 3840, 12), (1, "Normal", 9, 0), (1, "Movable", 0, 0)]);
        assert_eq!(zones.sum(None, |zone| zone.managed), Pages(3920));
        assert_eq!((zones.sum(Some(1), |zone| zone.present), zones.nodes()), (Pages(90), vec![0, 1]));
    }

    #[test]
    fn the_node_of_a_frame_is_that_of_the_zone_around_it() {
        let zone = |node, first, spanned| Zone {
            first: Some(first),
            spanned: Pages(spanned),
            ..Zone::new(node, "Normal".to_owned())
        };
        let map = NodeMap::of(&Zones(vec![zone(0, 10, 90), zone(1, 40, 20), zone(0, 1, 5)]));
        assert_eq!(map.node(0), (None, 1));
        assert_eq!(map.node(3), (Some(0), 6));
        assert_eq!(map.node(7), (None, 10));
        assert_eq!(map.node(10), (Some(0), 40));
        assert_eq!(map.node(40), (Some(1), 60));
        assert_eq!(map.node(60), (Some(0), 100));
        assert_eq!(map.node(100), (None, u64::MAX));
    }
}
