//! Which rows are shown and in which order: `--filter`, `--sort`, `--top`, over any kind of row.

use super::column::{self, Column, RowKind};
use super::filter::Filter;
use crate::error::Result;

/// A column to sort by, and the direction.
pub struct Order<K: RowKind> {
    column: Column<K>,
    ascending: bool,
}

/// What of the rows is shown.
pub struct Selection<K: RowKind> {
    /// Which rows; all without one.
    pub filter: Option<Filter<K>>,
    /// In which order; as they come without one.
    pub order: Option<Order<K>>,
    /// How many at most.
    pub top: Option<usize>,
}

impl<K: RowKind> Order<K> {
    /// `COL`, largest first, or `-COL`, smallest first.
    ///
    /// # Errors
    /// A column that the table does not have.
    pub fn parse(word: &str, table: &[Column<K>]) -> Result<Order<K>> {
        let (name, ascending) = split(word);
        let mut columns = column::select(table, &[&name.to_ascii_lowercase()])?;
        let column = columns.pop().ok_or_else(|| column::unknown(table, name))?;
        Ok(Order { column, ascending })
    }

    /// Sorts: rows without a figure last, equal ones in the order in which they came.
    pub fn sort(&self, rows: &mut [K::Row<'_>]) {
        rows.sort_by(|left, right| column::compare(&self.column.cell(left), &self.column.cell(right), self.ascending));
    }
}

/// The name of the column in what was typed behind `--sort`.
pub fn sort_name(word: &str) -> &str {
    split(word).0
}

fn split(word: &str) -> (&str, bool) {
    word.strip_prefix('-').map_or((word, false), |name| (name, true))
}

impl<K: RowKind> Selection<K> {
    /// The rows that are shown, in their order. Without an order nothing is held: each row goes out as it comes.
    pub fn choose<'r, 's>(
        &'s self,
        rows: impl Iterator<Item = K::Row<'r>> + 's,
    ) -> Box<dyn Iterator<Item = K::Row<'r>> + 's>
    where
        'r: 's,
    {
        let shown = rows.filter(move |row| self.filter.as_ref().is_none_or(|filter| filter.matches(row)));
        let most = self.top.unwrap_or(usize::MAX);
        let Some(order) = &self.order else { return Box::new(shown.take(most)) };
        let mut sorted: Vec<K::Row<'r>> = shown.collect();
        order.sort(&mut sorted);
        Box::new(sorted.into_iter().take(most))
    }
}
