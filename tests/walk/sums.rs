//! Totals, `--summary`, `--by-dir`: sums equal the sums of the rows, for any number of threads.

use std::ffi::OsStr;
use std::os::unix::fs::{FileExt, PermissionsExt, chown};

use crate::command::{file, folder, pcstat, pcstat_as_nobody, sum, tree};
use crate::common::{ForEveryone, NOBODY, page, rmap};

#[test]
fn a_summary_is_the_sum_of_the_rows_for_any_number_of_threads() {
    let tree = tree();
    let rows = pcstat("-R -j 1", tree.path()).rows();
    assert_eq!(rows.len(), 60);
    for jobs in [1, 2, 7] {
        let summary = pcstat(&format!("-R -j {jobs} --summary"), tree.path()).rows();
        assert_eq!(summary.len(), 1);
        assert_eq!(summary[0]["files"], 60, "-j {jobs}");
        for key in ["size", "pages", "cached", "uncached", "cached_bytes", "dirty_pages", "evicted_pages"] {
            assert_eq!(summary[0][key], sum(&rows, key), "{key}, -j {jobs}");
        }
        let total = pcstat(&format!("-R -j {jobs} --total"), tree.path()).json();
        assert_eq!(total["total"]["cached"], summary[0]["cached"]);
        assert_eq!(total["total"]["percent"], summary[0]["percent"]);
    }
}

#[test]
fn a_large_directory_is_shared_among_threads_without_losing_files() {
    let folder = folder();
    for number in 0..5000 {
        std::fs::write(folder.path().join(format!("{number}")), "x").unwrap();
    }
    for jobs in [1, 4] {
        let summary = pcstat(&format!("-R -j {jobs} --summary"), folder.path()).rows();
        assert_eq!((&summary[0]["files"], &summary[0]["cached"]), (&5000.into(), &5000.into()));
    }
}

#[test]
fn a_directory_includes_everything_below_it_as_in_du() {
    let folder = folder();
    file(folder.path(), "a/one", 5000);
    file(folder.path(), "a/b/two", 1);
    file(folder.path(), "a/b/c/three", 1);
    file(folder.path(), "four", 4096);
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let seen = |depth: u32| -> Vec<(String, u64, u64)> {
        let rows = pcstat(&format!("-R -j 2 --by-dir {depth}"), folder.path()).rows();
        let below = |name: &str| name.strip_prefix(folder.path().to_str().unwrap()).unwrap().to_owned();
        let of = |row: &serde_json::Value, key: &str| row[key].as_u64().unwrap();
        rows.iter()
            .map(|row| (below(row["directory"].as_str().unwrap()), of(row, "files"), of(row, "cached")))
            .collect()
    };
    let row = |name: &str, files, cached| (name.to_owned(), files, cached);
    assert_eq!(seen(0), [row("", 4, 5)]);
    assert_eq!(seen(1), [row("", 4, 5), row("/a", 3, 4), row("/empty", 0, 0)]);
    assert_eq!(seen(2), [row("", 4, 5), row("/a", 3, 4), row("/a/b", 2, 2), row("/empty", 0, 0)]);
    assert_eq!(seen(9).len(), 5);
}

#[test]
fn by_dir_works_with_sort_and_top() {
    let tree = tree();
    let rows = pcstat("-R --by-dir 1 --sort=cached --top 2", tree.path()).rows();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["directory"], tree.path().to_str().unwrap());
    assert!(rows[0]["cached"].as_u64() > rows[1]["cached"].as_u64());
}

#[test]
fn top_shows_the_first_rows_of_the_sorted_list() {
    let tree = tree();
    let all = pcstat("-R -j 2 --sort=cached", tree.path()).rows();
    let top = pcstat("-R -j 2 --top 5", tree.path()).rows();
    let names = |rows: &[serde_json::Value]| rows.iter().map(|row| row["path"].clone()).collect::<Vec<_>>();
    assert_eq!(names(&all[..5]), names(&top));
    assert_eq!(pcstat("-R --top 0", tree.path()).rows().len(), 0);
}

#[test]
fn by_dir_shows_a_named_file_as_its_own_row() {
    let tree = tree();
    let rows = pcstat("--by-dir 1", tree.path().join("d1/e1/file-1")).rows();
    assert_eq!((rows.len(), &rows[0]["files"], &rows[0]["size"]), (1, &1.into(), &1000.into()));
}

#[test]
fn what_cannot_be_opened_is_counted_and_makes_sums_incomplete() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    ["own", "closed", "below/own", "shut/lost"].iter().for_each(|name| file(folder.path(), name, 5000));
    let close = |name: &str| std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(0o700)).unwrap();
    if nix::unistd::Uid::effective().is_root() {
        ["own", "below/own"].iter().for_each(|name| chown(at(name), Some(NOBODY), Some(NOBODY)).unwrap());
    }
    ["closed", "shut"].iter().for_each(|name| close(name));
    for jobs in ["-j 1", "-j 2"] {
        let Some(summary) = pcstat_as_nobody(&format!("-R {jobs} --summary"), folder.path()) else { return };
        let row = summary.json()[0].clone();
        assert_eq!((summary.status, &row["files"], &row["unknown_files"]), (Some(1), &3.into(), &1.into()), "{row}");
        assert_eq!(
            (&row["unread_directories"], &row["cached"], &row["percent"]),
            (&1.into(), &4.into(), &100.0.into())
        );
        let note = "1 file not included: nothing is known about its cached pages; 1 directory could not be read";
        assert_eq!(row["note"], note);
    }
    let columns = "cached,uncached,files,size,pages,special,unknown_files,unread_directories";
    let table = |view: &[&str]| {
        let options = [&["pcstat", "-R", "-o", columns], view].concat();
        let options = options.iter().map(OsStr::new).chain([folder.path().as_os_str()]);
        ForEveryone::copy().unwrap().rmap(options).text()
    };
    let has = |table: &str, row: &[&str]| table.lines().any(|line| line.split_whitespace().eq(row.iter().copied()));
    let text = table(&["--summary"]);
    assert!(has(&text, &[">=4", ">=0", ">=3", ">=10000", ">=4", ">=0", "1", "1"]), "{text}");
    // What could be read as a whole has exact figures.
    let text = table(&["--by-dir", "1"]);
    assert!(has(&text, &["2", "0", "1", "5000", "2", "0", "0", "0"]), "{text}");
    // Other columns say how much is missing, so that machine formats have the number.
    let options = ["pcstat", "-R", "--summary", "--csv", "-o", "cached,unknown_files"].map(OsStr::new);
    let csv = ForEveryone::copy().unwrap().rmap(options.into_iter().chain([folder.path().as_os_str()])).text();
    assert_eq!(csv.lines().last(), Some("4,1"), "{csv}");
    let rows = pcstat_as_nobody("-R --by-dir 1", folder.path()).unwrap().json();
    let unknown: Vec<_> = rows.as_array().unwrap().iter().map(|row| row["unknown_files"].as_u64().unwrap()).collect();
    assert_eq!(unknown, [1, 0], "{rows}");
    for options in ["-R", "-R --only-cached", "-R --by method"] {
        let run = pcstat_as_nobody(&format!("{options} --total"), folder.path()).unwrap();
        let total = &run.json()["total"];
        assert_eq!((&total["cached"], &total["rows_without_figure"]["cached"]), (&4.into(), &2.into()), "{total}");
    }
    let nothing = pcstat_as_nobody("--summary", at("closed")).unwrap().json()[0].clone();
    assert!(nothing["cached"].is_null() && nothing["percent"].is_null(), "{nothing}");
    // What does not exist is an error, but nothing is missing from the sums.
    let total = pcstat("--total", at("nowhere")).json()["total"].clone();
    assert!(total["rows_without_figure"].is_null(), "{total}");
}

#[test]
fn a_share_is_never_rounded_to_nothing() {
    let folder = folder();
    let path = folder.path().join("large");
    let large = std::fs::File::create(&path).unwrap();
    large.set_len(10_000_000 * page()).unwrap();
    large.write_all_at(&[1], 0).unwrap();
    for view in [&["--total"][..], &["--summary"], &["--by", "method", "--total"]] {
        let options = [&["pcstat", path.to_str().unwrap(), "-o", "percent"], view].concat();
        let text = rmap(options).good().text();
        let figures = text.split_whitespace().filter(|word| word.starts_with("0.00"));
        assert!(figures.clone().count() >= 1 && figures.into_iter().all(|figure| figure == "0.001"), "{text}");
    }
}
