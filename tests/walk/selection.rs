//! Which files are selected (by name, size or list), and which part of them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::command::{file, folder, pcstat, pcstat_all, sum};
use crate::common::{command, run};

#[test]
fn a_directory_without_recursive_is_an_error_with_advice() {
    let folder = folder();
    file(folder.path(), "one", 1);
    let answer = pcstat_all("", [folder.path(), &folder.path().join("one")]);
    assert_eq!(answer.status, Some(1));
    assert!(answer.err.ends_with(": is a directory; use -R to include the files in it\n"), "{}", answer.err);
    assert_eq!(answer.json().as_array().unwrap().len(), 1);
}

#[test]
fn globs_match_names_or_paths() {
    let folder = folder();
    for name in ["a.db", "b.txt", "cache/c.db", "cache/deep/d.db", "keep/e.db"] {
        file(folder.path(), name, 1);
    }
    let names = |options: &str| pcstat(&format!("-R {options}"), folder.path()).names();
    assert_eq!(names("--include *.db"), ["a.db", "c.db", "d.db", "e.db"]);
    assert_eq!(names("--include *.db --include b*"), ["a.db", "b.txt", "c.db", "d.db", "e.db"]);
    assert_eq!(names("--include *.db --exclude cache"), ["a.db", "e.db"]);
    assert_eq!(names("--exclude */deep/*"), ["a.db", "b.txt", "c.db", "e.db"]);
    let none = pcstat("-R --exclude *", folder.path());
    assert_eq!(none.parts(), (0, "[]\n".to_owned(), "rmap: --exclude: no row matches\n".to_owned()));
    let wrong = pcstat("-R --include [", folder.path());
    assert_eq!((wrong.status, wrong.err.lines().count()), (Some(2), 1), "{}", wrong.err);
}

#[test]
fn sums_over_no_file_are_said_to_be_such() {
    let folder = folder();
    file(folder.path(), "small", 1);
    for view in ["--summary", "--by-dir 1"] {
        let sum = |options: &str| pcstat(&format!("-R {view} {options}"), folder.path());
        let none = sum("--filter size>1G");
        assert_eq!((none.status, none.err.as_str()), (Some(0), "rmap: --filter: no file matches\n"), "{view}");
        assert_eq!(none.json()[0]["files"], 0, "{view}");
        let both = sum("--only-cached --filter size>1G");
        assert_eq!(both.err, "rmap: --only-cached, --filter: no file matches\n", "{view}");
        assert_eq!(sum("--filter size>0").err, "", "{view}");
    }
    let named = pcstat("--by-dir 1 --filter size>1G", folder.path().join("small"));
    assert_eq!(named.parts(), (0, "[]\n".to_owned(), "rmap: --filter: no row matches\n".to_owned()));
}

#[test]
fn another_name_of_a_named_file_is_counted_in_its_own_row() {
    let folder = folder();
    file(folder.path(), "a/first", 1);
    std::fs::hard_link(folder.path().join("a/first"), folder.path().join("second")).unwrap();
    let counts = |view: &str| {
        let mut command = command(["pcstat", "--json", "-R", view, "a/first", "second", "a"]);
        command.current_dir(folder.path());
        let json = run(command).json();
        let count = |row: &serde_json::Value, column: &str| row[column].as_u64().unwrap();
        json.as_array().unwrap().iter().map(|row| (count(row, "files"), count(row, "again"))).collect::<Vec<_>>()
    };
    assert_eq!(counts("--summary"), [(1, 2)]);
    // The directory, the file and its other name.
    assert_eq!(counts("--by-dir=0"), [(0, 1), (1, 0), (0, 1)]);
}

#[test]
fn globs_with_a_slash_match_the_relative_or_the_printed_path() {
    let folder = folder();
    for name in ["top", "d1/a", "d1/sub/b", "d2/d1/c", "d2/x"] {
        file(folder.path(), name, 1);
    }
    let names = |options: &str, place: &str| {
        let mut command =
            command(["pcstat", "--json", "-R"].into_iter().chain(options.split_whitespace()).chain([place]));
        command.current_dir(folder.path());
        run(command).names()
    };
    let whole = folder.path().to_str().unwrap();
    for place in [".", "./", whole] {
        assert_eq!(names("--exclude d1/*", place), ["c", "top", "x"], "{place}");
        assert_eq!(names("--include d1/*", place), ["a", "b"], "{place}");
        assert_eq!(names("--exclude d1/sub", place), ["a", "c", "top", "x"], "{place}");
        assert_eq!(names("--exclude d2/d1/", place), ["a", "b", "top", "x"], "{place}");
        assert_eq!(names("--exclude d1", place), ["top", "x"], "{place}");
        assert_eq!(names("--exclude d1/", place), ["top", "x"], "{place}");
        assert_eq!(names("--exclude top/", place), ["a", "b", "c", "top", "x"], "{place}: a file");
        assert_eq!(names("--include d1/", place), ["a", "b", "c"], "{place}");
    }
    assert_eq!(names("--exclude ./d1/*", "."), ["c", "top", "x"]);
    assert_eq!(names(&format!("--exclude {whole}/d1/*"), whole), ["c", "top", "x"]);
    assert_eq!(names("--exclude sub/*", "d1"), ["a"]);
}

#[test]
fn files_excluded_by_size_need_not_be_readable() {
    let folder = folder();
    for (name, size) in [("0", 0), ("1", 1), ("4095", 4095), ("4096", 4096), ("9000", 9000)] {
        file(folder.path(), name, size);
    }
    let names = |options: &str| pcstat(&format!("-R {options}"), folder.path()).names();
    assert_eq!(names("--min-size 4K"), ["4096", "9000"]);
    assert_eq!(names("--max-size 4095"), ["0", "1", "4095"]);
    assert_eq!(names("--min-size 1 --max-size 4K"), ["1", "4095", "4096"]);
    let none = pcstat("--min-size 4K", folder.path().join("1"));
    assert_eq!(none.parts(), (0, "[]\n".to_owned(), "rmap: --min-size: no row matches\n".to_owned()));
    assert_eq!(pcstat("-R --min-size 2 --max-size 1", folder.path()).status, Some(2));
}

#[test]
fn names_can_be_read_from_a_list() {
    let folder = folder();
    for name in ["one", "two", "new\nline"] {
        file(folder.path(), name, 1);
    }
    let at = |name: &str| folder.path().join(name).into_os_string().into_encoded_bytes();
    let lines = folder.path().join("lines");
    std::fs::write(&lines, [at("one"), b"\n\n".to_vec(), at("two")].concat()).unwrap();
    assert_eq!(pcstat("--files-from", &lines).names(), ["one", "two"]);
    std::fs::write(&lines, [at("new\nline"), b"\0".to_vec(), at("two"), b"\0".to_vec()].concat()).unwrap();
    assert_eq!(pcstat("-0 --files-from", &lines).names(), ["new\nline", "two"]);
    let forgot = pcstat("--files-from", &lines);
    assert_eq!(forgot.status, Some(1));
    assert!(forgot.err.contains("contains a NUL in a name; use -0"), "{}", forgot.err);
    let piped = std::process::Command::new("sh")
        .args(["-c", "\"$0\" pcstat --json -0 --files-from - < \"$1\""])
        .args([OsStr::new(env!("CARGO_BIN_EXE_rmap")), lines.as_os_str()])
        .output()
        .unwrap();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&piped.stdout).unwrap().as_array().unwrap().len(), 2);
    assert_eq!(pcstat("--files-from", "/no/such/list").status, Some(1));
}

#[test]
fn only_the_given_range_is_measured() {
    let folder = folder();
    file(folder.path(), "eight", 8 * 4096);
    let cached = |range: &str| sum(&pcstat(&format!("-R --range {range}"), folder.path()).rows(), "cached");
    if rmap::pagecache::Engine::detect().page_size().bytes() == 4096 {
        assert_eq!((cached("4K,8K"), cached("28K"), cached("0,1")), (2, 1, 1));
        let beyond = pcstat("-R --range 1M,1M", folder.path());
        assert_eq!((beyond.status, beyond.err.as_str()), (Some(0), "rmap: --range: no file reaches byte 1048576\n"));
        assert_eq!(beyond.json()[0]["cached"], 0);
        let summary = pcstat("-R --summary --range 4K,8K", folder.path()).rows();
        assert_eq!((&summary[0]["pages"], &summary[0]["cached"]), (&2.into(), &2.into()));
    }
}

#[test]
fn only_cached_leaves_out_files_without_cached_pages() {
    let folder = folder();
    file(folder.path(), "cached", 1);
    file(folder.path(), "empty", 0);
    std::fs::File::create(folder.path().join("hole")).unwrap().set_len(1 << 30).unwrap();
    assert_eq!(pcstat("-R --only-cached", folder.path()).names(), ["cached"]);
    assert_eq!(pcstat("-R --only-cached --summary", folder.path()).rows()[0]["files"], 1);
}

#[test]
fn names_of_any_kind_are_preserved() {
    let folder = folder();
    let names = [&b"new\nline"[..], b"\xff\xfe", b"blank at end ", b"-R", b"*", b"\x1b[31m"];
    for name in names {
        file(folder.path(), OsStr::from_bytes(name), 1);
    }
    let rows = pcstat("-R", folder.path()).rows();
    assert_eq!((rows.len(), sum(&rows, "cached")), (names.len(), names.len() as u64));
    let odd = rows.iter().find(|row| !row["path_bytes"].is_null()).unwrap();
    assert!(odd["path_bytes"].as_str().unwrap().ends_with("fffe"));
}

#[test]
fn many_files_are_shown_in_the_order_in_which_they_were_named() {
    let folder = folder();
    for count in [1, 31, 32, 33, 63, 64, 65, 200, 3000] {
        let paths: Vec<_> = (0..count).map(|number| folder.path().join(number.to_string())).collect();
        paths.iter().for_each(|path| std::fs::write(path, "x").unwrap());
        let missing = folder.path().join("missing");
        let mixed: Vec<_> = paths.iter().flat_map(|path| [path, &missing]).collect();
        let answer = pcstat_all("", &mixed);
        assert_eq!((answer.status, answer.err.lines().count()), (Some(1), count));
        let rows = answer.json().as_array().unwrap().clone();
        let named: Vec<_> = paths.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(rows.iter().map(|row| row["path"].as_str().unwrap()).collect::<Vec<_>>(), named);
    }
}
