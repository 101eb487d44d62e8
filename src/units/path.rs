//! Paths as the kernel writes them: bytes, compared by their parts and not by their letters. Nothing here looks at a
//! file system.

/// What a path is below a directory: empty if it is the directory, or from a `/` on. `None` if it is elsewhere.
pub(crate) fn rest_below<'p>(path: &'p [u8], directory: &[u8]) -> Option<&'p [u8]> {
    let rest = path.strip_prefix(directory.strip_suffix(b"/").unwrap_or(directory))?;
    matches!(rest.first(), None | Some(b'/')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::rest_below;

    #[test]
    fn the_parts_of_a_path_are_whole() {
        for (path, directory, expected) in [
            ("/a/b/c", "/a/b", Some("/c")),
            ("/a/b", "/a/b", Some("")),
            ("/a/b", "/a/b/", Some("")),
            ("/a/bc", "/a/b", None),
            ("/a", "/", Some("/a")),
            ("/a", "", Some("/a")),
            ("/", "/", Some("/")),
            ("/a", "/a/b", None),
        ] {
            let found = rest_below(path.as_bytes(), directory.as_bytes());
            assert_eq!(found, expected.map(str::as_bytes), "{path} below {directory}");
        }
    }
}
