//! The columns of `--numa`: the policy of a mapping, and on which nodes its pages are.
//!
//! How many nodes there are is known only when the machine was asked: [`put_nodes`] makes a column for each.

use std::borrow::Cow;

use super::row::{MappingNeed, MappingRow, MappingRows, NOT_READ};
use crate::process::{NumaAmount, NumaMapping};
use crate::table::{Cell, Column, col};
use crate::units::Figure;

/// A column of this view.
type C = Column<MappingRows>;

const NUMA: &[MappingNeed] = &[MappingNeed::Numa];

/// The columns of `numa_maps`, with that of one node.
pub const COLUMNS: &[Column<MappingRows>] = &[
    col!(new "policy", "Policy", Text, |row| line(row).map_or_else(Cell::Absent, |line| Cell::Text(line.policy())),
        "NUMA policy, such as default, bind:0-1 or interleave:0-1, from --numa (numa_maps)",
        needing(NUMA), on_request()),
    C::sum(
        "node0",
        "Node 0",
        crate::table::ColumnKind::Bytes,
        on_node,
        "in RAM on NUMA node 0, from --numa; each node has such a column, and nodes means all of them. As in Rss, a \
         page counts in every mapping that has it; hugetlb pages count here but not in Rss",
    )
    .needing(NUMA)
    .on_request(),
    col!(sum "numa_anon", "NUMA anon", Bytes, |row| amount(row, NumaAmount::Anonymous),
        "anonymous, on any node, from --numa", needing(NUMA), on_request()),
    col!(sum "numa_dirty", "NUMA dirty", Bytes, |row| amount(row, NumaAmount::Dirty),
        "dirty in the page tables or by itself, on any node, from --numa", needing(NUMA), on_request()),
    col!(sum "numa_swapcache", "Swap cache", Bytes, |row| amount(row, NumaAmount::SwapCache),
        "in RAM and also in the swap cache, from --numa", needing(NUMA), on_request()),
    col!(sum "numa_active", "NUMA active", Bytes, |row| amount(row, NumaAmount::Active),
        "active or unevictable, on any node, from --numa", needing(NUMA), on_request()),
    col!(sum "numa_writeback", "NUMA writeback", Bytes, |row| amount(row, NumaAmount::Writeback),
        "under writeback, on any node, from --numa", needing(NUMA), on_request()),
    col!(new "numa_mapmax", "Map max", Number, |row| of(row, |line| Cell::Count(line.max_mapped())),
        "how often its page that is mapped most often is mapped by all processes, from --numa",
        needing(NUMA), on_request()),
    col!(new "numa_page_size", "NUMA page size", Bytes, |row| of(row, |line| Cell::bytes(line.page_size())),
        "size of the pages that the nodes' figures were counted in, from --numa", needing(NUMA), on_request(),
        identifier()),
    col!(new "numa_huge", "NUMA huge", Flag, |row| of(row, |line| Cell::Flag(line.is_huge())),
        "whether it has hugetlb pages, from --numa", needing(NUMA), on_request()),
];

/// The column of every node: in place of the one for node 0.
pub(super) fn put_nodes(columns: &mut Vec<Column<MappingRows>>, nodes: &[u32]) {
    let Some(place) = columns.iter().position(is_node).filter(|_| !nodes.is_empty()) else { return };
    let Some(first) = columns.get(place).cloned() else { return };
    let column = |node: &u32| {
        let mut column = first.clone();
        column.head.id = Cow::Owned(format!("node{node}"));
        column.head.title = Cow::Owned(format!("Node {node}"));
        column.argument = *node;
        column
    };
    columns.splice(place..=place, nodes.iter().map(column));
}

/// Whether it is the column of a node.
pub(super) fn is_node(column: &Column<MappingRows>) -> bool {
    column.id().strip_prefix("node").is_some_and(is_number)
}

/// Whether a name stands for the column of a node or of all nodes.
pub(super) fn is_of_nodes(name: &str) -> bool {
    name == super::presets::NODES || name.strip_prefix("node").is_some_and(is_number)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn line(row: &MappingRow) -> Figure<NumaMapping<'_>> {
    row.process.numa.as_ref().ok_or(NOT_READ)?.as_ref().map_err(|absent| *absent)?.line(row.place as usize)
}

fn of<'r>(row: &'r MappingRow, take: impl FnOnce(NumaMapping<'r>) -> Cell<'r>) -> Cell<'r> {
    line(row).map_or_else(Cell::Absent, take)
}

fn on_node(row: &MappingRow, node: u32) -> Cell<'_> {
    of(row, |line| Cell::Bytes(line.on_node(node).0))
}

fn amount(row: &MappingRow, what: NumaAmount) -> Cell<'_> {
    Cell::bytes(line(row).and_then(|line| line.amount(what)))
}
