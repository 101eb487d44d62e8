//! kernel

pub mod pagemap;
