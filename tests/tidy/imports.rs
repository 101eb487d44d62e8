//! Which file of `src` imports which: a graph made of the paths in the sources.
//!
//! A path such as `crate::table::Cell` leads to the file that defines the name: a re-export (`pub use`) is followed,
//! and is not an import itself. Tests are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The path of a module: `table::filter::parse`. The crate itself is empty.
type Module = Vec<String>;

/// Which files each file imports.
pub(crate) type Imports = BTreeMap<PathBuf, BTreeSet<PathBuf>>;

/// One source: its file, the modules and re-exports that it declares, and the paths that it uses.
struct Source {
    file: PathBuf,
    children: BTreeSet<String>,
    /// The name under which something is re-exported, and what that is; `*` for everything in it.
    exports: Vec<(String, Vec<String>)>,
    paths: Vec<Vec<String>>,
}

/// The imports of all sources. Each has its file and its code without comments and tests.
pub(crate) fn imports(sources: &[(PathBuf, String)]) -> Imports {
    let modules: BTreeMap<Module, Source> =
        sources.iter().map(|(file, code)| (module_of(file), read(file, code))).collect();
    let mut imports = Imports::new();
    for (module, source) in &modules {
        let used = imports.entry(source.file.clone()).or_default();
        for path in &source.paths {
            let found = absolute(module, source, path).and_then(|path| file_of(&modules, path, 0));
            used.extend(found.filter(|file| *file != source.file));
        }
    }
    imports
}

/// The groups of files that import each other, directly or through others of the group.
pub(crate) fn circles(imports: &Imports) -> Vec<Vec<PathBuf>> {
    let reached: BTreeMap<&Path, BTreeSet<&Path>> =
        imports.keys().map(|file| (file.as_path(), reachable(imports, file))).collect();
    let mut circles = BTreeSet::new();
    for (file, others) in &reached {
        let circle: Vec<PathBuf> =
            others.iter().filter(|other| reached[**other].contains(file)).map(|other| other.to_path_buf()).collect();
        if !circle.is_empty() {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

fn reachable<'i>(imports: &'i Imports, file: &Path) -> BTreeSet<&'i Path> {
    let mut reached = BTreeSet::new();
    let mut open = vec![file];
    while let Some(file) = open.pop() {
        for next in imports.get(file).into_iter().flatten() {
            if reached.insert(next.as_path()) {
                open.push(next);
            }
        }
    }
    reached
}

fn module_of(file: &Path) -> Module {
    let inside = file.strip_prefix("src").unwrap().with_extension("");
    let mut module: Module = inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if module.last().is_some_and(|last| last == "mod") || module == ["lib"] {
        module.pop();
    }
    module
}

/// A path that begins at the crate; `None` if it leads out of it.
fn absolute(module: &Module, source: &Source, path: &[String]) -> Option<Module> {
    let supers = path.iter().take_while(|part| *part == "super").count();
    match path.first()?.as_str() {
        "crate" => Some(path[1..].to_vec()),
        "rmap" if *module == ["main"] => Some(path[1..].to_vec()),
        "self" => Some([module, &path[1..]].concat()),
        "super" => Some([&module[..module.len().checked_sub(supers)?], &path[supers..]].concat()),
        first if source.children.contains(first) => Some([module, path].concat()),
        _ => None,
    }
}

/// The file in which the thing at an absolute path is defined.
fn file_of(modules: &BTreeMap<Module, Source>, path: Module, depth: usize) -> Option<PathBuf> {
    let length = (0..=path.len()).rev().find(|length| modules.contains_key(&path[..*length]))?;
    let (module, rest) = path.split_at(length);
    let source = &modules[module];
    let Some((name, rest)) = rest.split_first().filter(|_| depth < 8) else { return Some(source.file.clone()) };
    for (exported, target) in &source.exports {
        if exported == name || exported == "*" {
            let target = match exported.as_str() {
                "*" => [target, std::slice::from_ref(name), rest].concat(),
                _ => [target, rest].concat(),
            };
            return file_of(modules, absolute(&module.to_vec(), source, &target)?, depth + 1);
        }
    }
    Some(source.file.clone())
}

fn read(file: &Path, code: &str) -> Source {
    let tokens = tokens(code);
    let mut source = Source { file: file.to_owned(), children: BTreeSet::new(), exports: vec![], paths: vec![] };
    for window in tokens.windows(3) {
        if let [keyword, name, end] = window
            && keyword == "mod"
            && end == ";"
        {
            source.children.insert(name.clone());
        }
    }
    let mut place = 0;
    while let Some(token) = tokens.get(place) {
        let is_start = place == 0 || tokens[place - 1] != "::";
        if token == "use" {
            let end = place + tokens[place..].iter().position(|token| token == ";").unwrap();
            let mut tree = Vec::new();
            expand(&tokens[place + 1..end], &mut Vec::new(), &mut tree);
            // `pub use`, or `pub(crate) use`.
            if place > 0 && (tokens[place - 1] == "pub" || tokens[place - 1] == ")") {
                source.exports.extend(tree);
            } else {
                source.paths.extend(tree.into_iter().map(|(_, path)| path));
            }
            place = end;
        } else if is_start && is_name(token) && tokens.get(place + 1).is_some_and(|next| next == "::") {
            let mut path = vec![token.clone()];
            while tokens.get(place + 1).is_some_and(|next| next == "::")
                && tokens.get(place + 2).is_some_and(|name| is_name(name))
            {
                path.push(tokens[place + 2].clone());
                place += 2;
            }
            source.paths.push(path);
        }
        place += 1;
    }
    source
}

/// The names that a `use` tree brings in, and their paths.
fn expand(tree: &[String], before: &mut Vec<String>, found: &mut Vec<(String, Vec<String>)>) {
    let depth = before.len();
    let mut name = None;
    let mut place = 0;
    while let Some(token) = tree.get(place) {
        match token.as_str() {
            "{" => {
                let end = closing(tree, place);
                let mut start = place + 1;
                let mut level = 0;
                for at in place + 1..=end {
                    match tree[at].as_str() {
                        "{" => level += 1,
                        "}" if at < end => level -= 1,
                        "," | "}" if level == 0 => {
                            expand(&tree[start..at], before, found);
                            start = at + 1;
                        }
                        _ => {}
                    }
                }
                before.truncate(depth);
                return;
            }
            "as" => {
                name = tree.get(place + 1).cloned();
                break;
            }
            "::" => {}
            // `{self, ...}` names what is before the braces.
            "self" if depth > 0 => {}
            part => before.push(part.to_owned()),
        }
        place += 1;
    }
    if let Some(last) = before.last().cloned().filter(|_| place > 0) {
        let mut path = before.clone();
        if last == "*" {
            path.pop();
        }
        found.push((name.unwrap_or(last), path));
    }
    before.truncate(depth);
}

fn closing(tree: &[String], open: usize) -> usize {
    let mut level = 0;
    for (place, token) in tree.iter().enumerate().skip(open) {
        match token.as_str() {
            "{" => level += 1,
            "}" => level -= 1,
            _ => {}
        }
        if level == 0 {
            return place;
        }
    }
    panic!("a use tree without its end: {tree:?}");
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::`, and single characters; strings are left out.
fn tokens(code: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let length = if is_name(rest) {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else if first == '"' {
            rest = after_string(rest);
            continue;
        } else if rest.starts_with("'\"'") {
            3
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        if !first.is_whitespace() {
            tokens.push(token.to_owned());
        }
        rest = after;
    }
    tokens
}

fn after_string(text: &str) -> &str {
    let mut escaped = false;
    for (place, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return &text[place + 1..],
            _ => {}
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(file: &str, code: &str) -> (PathBuf, String) {
        (PathBuf::from(file), code.to_owned())
    }

    #[test]
    fn a_circle_is_found_through_a_re_export_and_an_inline_path() {
        let sources = [
            source("src/lib.rs", "pub mod a; pub mod d;"),
            source("src/a/mod.rs", "mod b; mod c; pub use b::{One, Two as Three}; pub(crate) use c::*;"),
            source("src/a/b.rs", "use crate::d::{self, Four}; pub struct One;"),
            source("src/a/c.rs", "use super::One; const WORDS: &str = \"crate::a::b\";"),
            source("src/d.rs", "fn f() { let three: crate::a::Three = todo(); }"),
        ];
        let imports = imports(&sources);
        let files = |names: &[&str]| names.iter().map(PathBuf::from).collect::<BTreeSet<_>>();
        assert_eq!(imports[Path::new("src/a/b.rs")], files(&["src/d.rs"]));
        assert_eq!(imports[Path::new("src/a/c.rs")], files(&["src/a/b.rs"]));
        assert_eq!(imports[Path::new("src/a/mod.rs")], files(&[]));
        assert_eq!(circles(&imports), [["src/a/b.rs", "src/d.rs"].map(PathBuf::from)]);
    }
}
