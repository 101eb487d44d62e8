//! The error of the parsers of `maps` and smaps: the line and the reason.

use std::borrow::Cow;
use std::fmt;

/// Where smaps text does not follow the format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// The line, counted from 1.
    pub line: u64,
    /// What is wrong with it, worded to follow a colon.
    pub why: Cow<'static, str>,
}

impl fmt::Display for ParseError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}: {}", self.line, self.why)
    }
}

impl std::error::Error for ParseError {}
