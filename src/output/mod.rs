//! Renderers over any column table: aligned text, boxed tables for terminals, JSON, JSON lines, CSV, histograms, heat
//! strips; and what changed between two looks.
//!
//! A renderer takes rows and a `Write`; it knows columns and cells and nothing of memory. What a column means, and where
//! its figure comes from, is said once, in the tables of [`crate::views`].

pub mod cell;
pub mod change;
pub mod choose;
pub mod column;
pub mod delimited;
pub mod escape;
pub mod filter;
pub mod heat;
pub mod histogram;
pub mod json;
pub mod render;
pub mod select;
pub mod table;
pub mod total;

pub use cell::{Cell, SizeUnit};
pub use column::{Column, Kind, RowKind, Sum};
pub use render::{Format, Heading, Layout, LineEnd, Renderer};
pub use select::{Order, Ranking, Selection};
pub use total::Totals;
