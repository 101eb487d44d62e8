//! Sums over mappings: a page of a file that is mapped several times is cached once, whatever is added up.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::path::Path;

use common::{Subject, memory, page, rmap};
use serde_json::Value;

/// A file of so many pages, all of them cached.
fn file(folder: &Path, name: &str, pages: u64) -> String {
    let path = folder.join(name);
    std::fs::write(&path, vec![7; (pages * page()) as usize]).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The columns of `--cache` in pages.
fn figures(row: &Value) -> [Option<u64>; 4] {
    ["cache_range", "cache_cached", "cache_mapped", "cache_unmapped"].map(|key| row[key].as_u64().map(|it| it / page()))
}

/// Runs `rmap pid ARGS... --cache` for the mappings of files in a folder.
fn cache(arguments: &[&str], folder: &Path) -> Value {
    let filter = format!("path =~ {}", folder.file_name().unwrap().to_str().unwrap());
    rmap([&["pid", "--json", "--cache", "--filter", &filter], arguments].concat()).good_of_own_files().json()
}

#[test]
fn pages_that_are_mapped_twice_count_once() {
    let folder = memory();
    let (one, two) = (file(folder.path(), "one", 64), file(folder.path(), "two", 8));
    // Pages 0 to 40 and 30 to 64 of the first file, of which 0 to 10 and 30 to 33 are mapped in.
    let parts = [format!("part:{one}:0:40:10"), format!("part:{one}:30:34:3"), format!("part:{two}:0:8:2")];
    let subject = Subject::start(&parts);
    let first = [Some(64), Some(64), Some(13), Some(51)];
    let all = [Some(72), Some(72), Some(15), Some(57)];
    let list = &cache(&[&subject.word()], folder.path())[0];
    assert_eq!((list["mappings"].as_array().unwrap().len(), figures(&list["total"])), (3, all), "{list}");
    let groups = &cache(&[&subject.word(), "--by", "file"], folder.path())[0];
    assert_eq!(figures(&groups["groups"][0]), first, "{groups}");
    assert_eq!(figures(&groups["total"]), all, "{groups}");
    // Two groups that share the pages 30 to 40.
    let groups = &cache(&[&subject.word(), "--by", "offset"], folder.path())[0];
    assert_eq!((groups["groups"].as_array().unwrap().len(), figures(&groups["total"])), (2, all), "{groups}");
    assert!(groups["total"]["rows_without_figure"].is_null(), "{groups}");
    let filter = format!("path == {one}");
    let rows = rmap(["pid", &subject.word(), "--json", "--cache", "--filter", &filter]).good_of_own_files().json();
    assert_eq!(figures(&rows[0]["total"]), first, "{rows}");
}

#[test]
fn pages_that_several_processes_map_count_once() {
    let folder = memory();
    let one = file(folder.path(), "one", 64);
    let subjects = [format!("part:{one}:0:64:10"), format!("part:{one}:0:64:12"), format!("part:{one}:60:4:4")];
    let subjects = subjects.map(|part| Subject::start([part]));
    let pids: Vec<String> = subjects.iter().map(Subject::word).collect();
    let pids: Vec<&str> = pids.iter().map(String::as_str).collect();
    let all = [Some(64), Some(64), Some(16), Some(48)];
    let merged = cache(&[&pids[..], &["--merge"]].concat(), folder.path());
    assert_eq!(figures(&merged["total"]), all, "{merged}");
    for key in ["file", "kind", "command"] {
        let groups = cache(&[&pids[..], &["--merge", "--by", key]].concat(), folder.path());
        assert_eq!(figures(&groups["total"]), all, "{key}: {groups}");
    }
    let apart = cache(&[&pids[..], &["--by", "pid"]].concat(), folder.path());
    assert_eq!((apart["groups"].as_array().unwrap().len(), figures(&apart["total"])), (3, all), "{apart}");
    let rows: Vec<_> = apart["groups"].as_array().unwrap().iter().map(figures).collect();
    assert!(rows.contains(&[Some(4), Some(4), Some(4), Some(0)]), "{apart}");
}
