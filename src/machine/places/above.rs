//! Values of directories, found from any path at or below them.

use std::collections::HashMap;

/// Values by directory. Paths have no `/` at their end; that of the root is empty.
#[derive(Debug, Clone)]
pub(super) struct Above<V> {
    values: HashMap<Box<[u8]>, V>,
    /// The lengths of the directories, the longest first: only starts of these lengths are looked up.
    lengths: Vec<usize>,
}

impl<V> Default for Above<V> {
    fn default() -> Self {
        Above { values: HashMap::new(), lengths: Vec::new() }
    }
}

impl<V: Default> Above<V> {
    /// The value of a directory, to be changed.
    pub(super) fn of(&mut self, directory: &[u8]) -> &mut V {
        let length = directory.len();
        if let Err(place) = self.lengths.binary_search_by(|known| length.cmp(known)) {
            self.lengths.insert(place, length);
        }
        self.values.entry(directory.into()).or_default()
    }
}

impl<V> Above<V> {
    /// The values of the directories that a path is at or below, the closest first, and what the path is below them:
    /// empty, or from a `/` on.
    pub(super) fn above<'v, 'p>(&'v self, path: &'p [u8]) -> impl Iterator<Item = (&'p [u8], &'v V)> {
        self.lengths.iter().filter_map(move |length| {
            let (directory, rest) = path.split_at_checked(*length)?;
            if !matches!(rest.first(), None | Some(b'/')) {
                return None;
            }
            Some((rest, self.values.get(directory)?))
        })
    }
}

/// A path without `/` at its end.
pub(super) fn trimmed(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    path.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_directory_comes_first_and_names_are_whole() {
        let mut above = Above::default();
        for directory in ["", "/a", "/a/b", "/a/bc", "/x"] {
            *above.of(directory.as_bytes()) = directory;
        }
        let find = |path: &'static str| -> Vec<_> {
            above.above(trimmed(path.as_bytes())).map(|(rest, value)| (str::from_utf8(rest).unwrap(), *value)).collect()
        };
        assert_eq!(find("/a/b/c"), [("/c", "/a/b"), ("/b/c", "/a"), ("/a/b/c", "")]);
        assert_eq!(find("/a/bc/"), [("", "/a/bc"), ("/bc", "/a"), ("/a/bc", "")]);
        assert_eq!(find("/ab"), [("/ab", "")]);
        assert_eq!(find("/"), [("", "")]);
        assert_eq!(Above::<()>::default().above(b"/a").count(), 0);
    }
}
