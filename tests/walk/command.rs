//! Runs `rmap pcstat`, and creates trees on tmpfs, where pages stay cached.

use std::ffi::OsStr;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

pub(crate) use crate::common::memory as folder;
use crate::common::{ForEveryone, Run, command, run};

impl Run {
    /// The last parts of the names of the rows, sorted.
    pub(crate) fn names(self) -> Vec<String> {
        let last = |row: &Value| row["filename"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let mut names: Vec<String> = self.rows().iter().map(last).collect();
        names.sort();
        names
    }
}

/// `rmap pcstat --json OPTIONS PLACE`; the options are separated by blanks.
pub(crate) fn pcstat(options: &str, place: impl AsRef<OsStr>) -> Run {
    pcstat_all(options, [place])
}

/// The same for several places.
pub(crate) fn pcstat_all<P: AsRef<OsStr>>(options: &str, places: impl IntoIterator<Item = P>) -> Run {
    let mut command = command(arguments(options));
    command.args(places);
    run(command)
}

/// The same as the user nobody. If that is impossible, prints SKIPPED and returns `None`.
pub(crate) fn pcstat_as_nobody(options: &str, place: impl AsRef<OsStr>) -> Option<Run> {
    Some(ForEveryone::copy()?.rmap(arguments(options).chain([place.as_ref()])))
}

fn arguments(options: &str) -> impl Iterator<Item = &OsStr> {
    ["pcstat", "--json"].into_iter().chain(options.split_whitespace()).map(OsStr::new)
}

/// A file of `size` bytes, all cached, with the directories above it.
pub(crate) fn file(folder: &Path, name: impl AsRef<Path>, size: usize) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, vec![7; size]).unwrap();
}

/// A tree of 60 files in 12 directories, some empty, some sparse.
pub(crate) fn tree() -> TempDir {
    let folder = folder();
    for number in 0..60 {
        let name = format!("d{}/e{}/file-{number}", number % 3, number % 4);
        file(folder.path(), &name, number * 1000);
        if number % 7 == 0 {
            std::fs::File::options().write(true).open(folder.path().join(name)).unwrap().set_len(1 << 20).unwrap();
        }
    }
    folder
}

/// The sum of a figure over the rows.
pub(crate) fn sum(rows: &[Value], key: &str) -> u64 {
    rows.iter().map(|row| row[key].as_u64().unwrap()).sum()
}
