//! The machine formats as promised in `docs/json.md`. JSON is read into types that reject keys that are not in the
//! contract and require those that are; CSV is read back with an independent parser.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "../common/mod.rs"]
mod common;
mod contract;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use common::{ForEveryone, Run, Subject, capture, disk, known_file, mapping, memory, page, rmap};
use contract::{
    FileDocument, FileRow, HoldingDocument, HoldingRow, MappingRow, Nullable, ProcessDocument, StepRow, check_rows,
    document,
};
use serde_json::Value;

#[test]
fn a_process_is_an_object_with_its_mappings_and_their_sums() {
    let subject = Subject::start(["anonymous:8:3", "locked:2"]);
    subject.stop();
    let run = rmap(["pid", &subject.word(), "--json"]).good();
    let [process]: [ProcessDocument; 1] = document::<Vec<_>>(&run).try_into().unwrap();
    assert_eq!(process.pid, subject.pid());
    assert!(process.command.ends_with("examples/subject anonymous:8:3 locked:2"), "{}", process.command);
    assert_eq!(process.total.rows, process.mappings.len() as u64);
    assert_eq!(process.total.rss, process.mappings.iter().map(|row| row.rss).sum::<u64>());
    assert_eq!(process.total.locked, process.mappings.iter().map(|row| row.locked).sum());
    for row in &process.mappings {
        assert_eq!((row.pid, row.size), (subject.pid(), row.end.0 - row.start.0));
        assert_eq!(row.perm.len(), 4);
        assert!(row.dev.split(':').all(|part| u32::from_str_radix(part, 16).is_ok()), "{}", row.dev);
        assert_eq!(row.path_bytes, Nullable(None));
    }
    assert!(process.mappings.iter().any(|row| row.path == Nullable(None) && row.inode == 0));
}

#[test]
fn a_holder_of_a_file_is_a_row_and_each_file_an_object_next_to_the_total() {
    let folder = memory();
    let path = folder.path().join("file");
    let subject = Subject::start([format!("synced:{}:4:1", path.display())]);
    let run = rmap(["who".as_ref(), "--json".as_ref(), "--total".as_ref(), path.as_os_str()]);
    let found: HoldingDocument = document(&run);
    assert_eq!((found.holders.len(), found.total.rows, found.files.len()), (1, 1, 1));
    assert_eq!((found.holders[0].pid.0, found.holders[0].rss.0), (Some(subject.pid()), Some(4 * page())));
    assert_eq!((found.files[0].holder_count, found.files[0].cached.0), (1, Some(4 * page())));
    let run = rmap(["who".as_ref(), "--json".as_ref(), path.as_os_str()]);
    let rows: Vec<HoldingRow> = document(&run);
    assert_eq!((rows.len(), rows[0].how.as_str()), (1, found.holders[0].how.as_str()));
}

#[test]
fn json_lines_has_the_same_rows_one_per_line() {
    // From a capture, because the Pss of a live library changes with every other process that maps it.
    let own = std::fs::read("/proc/self/smaps").unwrap();
    let capture = capture(&[(7, b"a", &own)]);
    let root = capture.path().to_str().unwrap();
    let lines = rmap(["pid", "7", "--jsonl", "--proc-root", root]).good().text();
    let whole = rmap(["pid", "7", "--json", "--proc-root", root]).good().json();
    let rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.len() > 20 && Value::from(rows) == whole[0]["mappings"]);
    assert!(lines.lines().all(|line| serde_json::from_str::<MappingRow>(line).is_ok()));
}

#[test]
fn every_process_has_an_object_and_an_empty_result_is_a_valid_document() {
    let one = mapping(0x1000, 1, "r--p", b"/a", 4);
    let capture = capture(&[(7, b"a", &one), (8, b"b", &one)]);
    let root = capture.path().to_str().unwrap();
    let run = rmap(["pid", "8", "9", "7", "--json", "--proc-root", root]);
    let pids: Vec<u64> = run.json().as_array().unwrap().iter().map(|one| one["pid"].as_u64().unwrap()).collect();
    assert_eq!((pids, run.status), (vec![8, 7], Some(1)));
    let run = rmap(["pid", "9", "--json", "--proc-root", root]);
    assert_eq!((run.text().as_str(), run.status), ("[]\n", Some(1)));
    let run = rmap(["pid", "9", "--csv", "-o", "start,rss", "--proc-root", root]);
    assert_eq!((run.text().as_str(), run.status), ("start,rss\r\n", Some(1)));
    for (format, nothing) in [("--json", "[]\n"), ("--jsonl", ""), ("--csv", "size,cached\r\n")] {
        let run = rmap(["pcstat", "/nonexistent", format, "-o", "size,cached"]);
        assert_eq!((run.text().as_str(), run.status), (nothing, Some(1)));
    }
}

#[test]
fn a_counter_that_the_kernel_does_not_report_is_null_with_a_reason() {
    let capture = capture(&[(7, b"a", &mapping(0x1000, 2, "r--p", b"/a", 4))]);
    let root = capture.path().to_str().unwrap();
    let run = rmap(["pid", "7", "--json", "-o", "rss,pss_dirty", "--proc-root", root]).good();
    check_rows(&run.json());
    let process = &run.json()[0];
    let row = process["mappings"][0].as_object().unwrap();
    assert_eq!(row.keys().collect::<Vec<_>>(), ["absent", "pss_dirty", "rss"]);
    assert_eq!((&row["rss"], &row["pss_dirty"]), (&Value::from(4096), &Value::Null));
    assert!(row["absent"]["pss_dirty"].as_str().unwrap().starts_with("unsupported: "));
    assert_eq!(process["total"]["pss_dirty"], Value::Null);
    assert_eq!(process["total"]["rows_without_figure"], serde_json::json!({"pss_dirty": 1}));
}

#[test]
fn a_field_of_a_future_kernel_has_a_key_with_its_name() {
    let text = [mapping(0x1000, 2, "r--p", b"/a", 4).as_slice(), b"Pss_Moon: 8 kB\n"].concat();
    let capture = capture(&[(7, b"a", &text)]);
    let run = rmap(["pid", "7", "--json", "--proc-root", capture.path().to_str().unwrap()]).good();
    assert_eq!(run.json()[0]["mappings"][0]["pss_moon"], 8192);
    assert_eq!(run.json()[0]["total"]["pss_moon"], 8192);
}

#[test]
fn names_that_are_not_utf8_are_complete_in_hexadecimal() {
    let capture = capture(&[(7, b"a\xffb", &mapping(0x1000, 1, "r--p", b"/x/caf\xe9 \"q\"", 4))]);
    let run = rmap(["pid", "7", "--json", "--proc-root", capture.path().to_str().unwrap()]).good();
    let [process]: [ProcessDocument; 1] = document::<Vec<_>>(&run).try_into().unwrap();
    assert_eq!(process.command, "a\u{fffd}b");
    assert_eq!(process.command_bytes, Nullable(Some("61ff62".into())));
    assert_eq!(process.mappings[0].path, Nullable(Some("/x/caf\u{fffd} \"q\"".into())));
    assert_eq!(process.mappings[0].path_bytes, Nullable(Some("2f782f636166e920227122".into())));

    let folder = memory();
    let name = folder.path().join(OsStr::from_bytes(b"caf\xe9\n"));
    std::fs::write(&name, "x").unwrap();
    let run = rmap([OsStr::new("pcstat"), OsStr::new("--json"), name.as_os_str()]).good();
    let [row]: [FileRow; 1] = document::<Vec<_>>(&run).try_into().unwrap();
    assert!(row.path.ends_with("caf\u{fffd}\n") && row.filename == row.path);
    assert!(row.path_bytes.0.unwrap().ends_with("636166e90a"));
}

#[test]
fn a_file_row_is_a_superset_of_pcstats_row() {
    let folder = memory();
    let size = 9 * page() + 1;
    let known = known_file(&folder.path().join("f"), size, &[(2, 3), (9, 1)]);
    let run = rmap(["pcstat", "--json", known.path.to_str().unwrap()]).good();
    let [row]: [FileRow; 1] = document::<Vec<_>>(&run).try_into().unwrap();
    assert_eq!((row.size, row.pages, row.page_size, row.changed), (size, 10, page(), false));
    assert_eq!((row.cached.0, row.uncached.0, row.percent.0), (Some(4), Some(6), Some(40.0)));
    assert_eq!((row.cached_bytes.0, row.status.0), (Some(4 * page()), None));
    let run = rmap(["pcstat", "--json", "--pps", known.path.to_str().unwrap()]).good();
    let [row]: [FileRow; 1] = document::<Vec<_>>(&run).try_into().unwrap();
    let expected = [0, 0, 1, 1, 1, 0, 0, 0, 0, 1].map(|flag| flag == 1);
    assert_eq!(row.status.0.unwrap(), expected);
    let lines = rmap(["pcstat", "--jsonl", known.path.to_str().unwrap()]).good().text();
    assert_eq!(lines.lines().map(|line| serde_json::from_str::<FileRow>(line).unwrap().cached.0).next(), Some(Some(4)));
}

#[test]
fn the_total_of_files_is_next_to_the_files() {
    if !common::has_cachestat() {
        return;
    }
    let folder = memory();
    let full = known_file(&folder.path().join("full"), 2 * page(), &[(0, 2)]);
    let cold = known_file(&folder.path().join("cold"), 6 * page(), &[]);
    let empty = known_file(&folder.path().join("empty"), 0, &[]);
    let paths = [&full.path, &cold.path, &empty.path].map(|path| path.to_str().unwrap());
    let run = rmap([&["pcstat", "--json", "--total"], &paths[..]].concat()).good();
    let found: FileDocument = document(&run);
    assert_eq!((found.files.len(), found.total.rows), (3, 3));
    let total = &found.total;
    assert_eq!((total.size, total.pages, total.cached.0, total.percent.0), (8 * page(), 8, Some(2), Some(25.0)));
    assert_eq!(total.rows_without_figure, Nullable(None));
    assert_eq!(found.files[2].percent, Nullable(None));
    let reasons = found.files[2].absent.0.as_ref().unwrap();
    assert_eq!(reasons.keys().collect::<Vec<_>>(), ["percent"]);
    assert!(reasons["percent"].starts_with("not applicable"));
}

#[test]
fn denied_figures_are_null_and_the_total_says_so() {
    let Some(everyone) = ForEveryone::copy() else { return };
    let folder = disk();
    let cold = known_file(&folder.path().join("cold"), 6 * page(), &[]);
    let run = everyone.rmap(["pcstat", "--json", "--total", cold.path.to_str().unwrap()]);
    let found: FileDocument = document(&run);
    let row = &found.files[0];
    if row.method.0.as_deref() == Some("cachestat") && row.cached == Nullable(Some(0)) {
        return eprintln!("SKIPPED: cachestat on this kernel reports to any user (before 6.12.12)");
    }
    assert_eq!(run.status, Some(1));
    assert_eq!((row.size, row.pages), (6 * page(), 6));
    assert_eq!((&row.cached.0, &row.percent.0, &row.dirty.0, &row.method.0), (&None, &None, &None, &None));
    assert!(row.absent.0.as_ref().unwrap()["cached"].starts_with("denied: "));
    assert_eq!(found.total.cached, Nullable(None));
    assert_eq!(found.total.rows_without_figure.0.unwrap()["cached"], 1);
}

#[test]
fn the_demo_has_one_row_per_step() {
    let run = rmap(["demo", "--size", "1M", "--json"]);
    let steps: Vec<StepRow> = document(&run);
    assert_eq!(steps.iter().map(|step| step.filled_percent).collect::<Vec<_>>(), [0.0, 25.0, 50.0, 75.0, 100.0]);
    for step in &steps {
        assert_eq!((step.size, step.file_size, step.page_size), (1 << 20, 1 << 20, page()));
        assert_eq!(step.filled as f64, step.filled_percent * f64::from(1 << 20) / 100.0);
        assert!(Path::new(&step.path).is_absolute() && !Path::new(&step.path).exists());
    }
    let lines = rmap(["demo", "--size", "1M", "--jsonl"]).text();
    assert_eq!(lines.lines().filter(|line| serde_json::from_str::<StepRow>(line).is_ok()).count(), 5);
}

/// The records of a CSV document, read as in RFC 4180; each line must have as many fields as the header.
fn records(run: &Run) -> Vec<Vec<Vec<u8>>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&run.out[..]);
    reader.byte_records().map(|record| record.unwrap().iter().map(<[u8]>::to_vec).collect()).collect()
}

/// The names in the header, which must be the JSON keys, without those that only JSON supports.
fn check_header(csv: &Run, row: &Value) -> Vec<String> {
    let header: Vec<String> = records(csv)[0].iter().map(|name| String::from_utf8(name.clone()).unwrap()).collect();
    let json_only = ["absent", "path_bytes", "status"];
    let keys: BTreeSet<String> =
        row.as_object().unwrap().keys().filter(|key| !json_only.contains(&key.as_str())).cloned().collect();
    assert_eq!(header.iter().cloned().collect::<BTreeSet<_>>(), keys);
    assert_eq!(header.len(), keys.len());
    header
}

const HOSTILE: [&[u8]; 6] = [b"a,b", b"say \"x\"", b"two\nlines", b"cr\r\nlf", b"caf\xe9", b" blanks "];

#[test]
fn csv_of_mappings_has_the_keys_of_json_and_preserves_every_name() {
    let mappings: Vec<Vec<u8>> = HOSTILE
        .iter()
        .zip(1..)
        .map(|(name, place)| {
            // The kernel escapes a newline in a name as \012.
            let name = name.iter().flat_map(|byte| if *byte == b'\n' { b"\\012".to_vec() } else { vec![*byte] });
            let name: Vec<u8> = b"/".iter().copied().chain(name).collect();
            mapping(place << 12, 1, "r--p", &name, 4)
        })
        .collect();
    let capture = capture(&[(7, b"a", &mappings.concat())]);
    let root = capture.path().to_str().unwrap();
    let csv = rmap(["pid", "7", "--csv", "--proc-root", root]).good();
    let json = rmap(["pid", "7", "--json", "--proc-root", root]).good().json();
    let header = check_header(&csv, &json[0]["mappings"][0]);
    let path = header.iter().position(|name| name == "path").unwrap();
    let names: Vec<Vec<u8>> = records(&csv)[1..].iter().map(|record| record[path][1..].to_vec()).collect();
    let expected: Vec<Vec<u8>> = HOSTILE
        .iter()
        .map(|name| name.iter().flat_map(|byte| if *byte == b'\n' { b"\\012".to_vec() } else { vec![*byte] }).collect())
        .collect();
    assert_eq!(names, expected);
    assert!(csv.out.ends_with(b"\r\n"));
    assert_eq!(records(&csv)[1][header.iter().position(|name| name == "rss").unwrap()], b"4096");
}

#[test]
fn csv_of_files_has_the_keys_of_json_and_preserves_every_name() {
    let folder = memory();
    let paths: Vec<_> = HOSTILE.iter().map(|name| folder.path().join(OsStr::from_bytes(name))).collect();
    paths.iter().for_each(|path| std::fs::write(path, "x").unwrap());
    let arguments = |format: &'static str| {
        [OsStr::new("pcstat"), OsStr::new(format)].into_iter().chain(paths.iter().map(|path| path.as_os_str()))
    };
    let csv = rmap(arguments("--csv")).good();
    let header = check_header(&csv, &rmap(arguments("--json")).good().json()[0]);
    for name in ["filename", "path"] {
        let place = header.iter().position(|found| found == name).unwrap();
        let names: Vec<Vec<u8>> = records(&csv)[1..].iter().map(|record| record[place].clone()).collect();
        assert_eq!(names, paths.iter().map(|path| path.as_os_str().as_bytes().to_vec()).collect::<Vec<_>>());
    }
    assert_eq!(header[..3], ["filename", "size", "timestamp"]);
    let lines = String::from_utf8_lossy(&csv.out).into_owned();
    assert_eq!(
        lines.matches("\r\n").count(),
        HOSTILE.len() + 3,
        "each record ends in CR LF, and one name, which is there twice, has one"
    );
}

#[test]
fn csv_of_the_demo_has_the_keys_of_json_and_absent_figures_are_empty() {
    let csv = rmap(["demo", "--size", "1M", "--csv"]);
    check_header(&csv, &rmap(["demo", "--size", "1M", "--json"]).json()[0]);
    assert_eq!(records(&csv).len(), 6);
    let folder = memory();
    let empty = known_file(&folder.path().join("empty"), 0, &[]);
    let csv = rmap(["pcstat", "--csv", "-o", "pages,percent", empty.path.to_str().unwrap()]).good();
    assert_eq!(csv.text(), "pages,percent\r\n0,\r\n");
}

#[test]
fn exactly_the_selected_columns_are_written() {
    let folder = memory();
    let known = known_file(&folder.path().join("f"), page(), &[(0, 1)]);
    let path = known.path.to_str().unwrap();
    let run = rmap(["pcstat", "--json", "-o", "cached,size", path]).good();
    assert_eq!(run.text(), format!("[\n{{\"cached\":1,\"size\":{},\"absent\":null}}\n]\n", page()));
    let run = rmap(["pcstat", "--csv", "-o", "cached,size", path]).good();
    assert_eq!(run.text(), format!("cached,size\r\n1,{}\r\n", page()));
}

/// The keys in the first column of the tables of one section of the contract.
fn promised(section: &str) -> BTreeSet<String> {
    let contract = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/json.md")).unwrap();
    let contract = contract.replace("\n### ", "\n## ");
    let text = contract.split("\n## ").find(|text| text.starts_with(section)).unwrap().to_owned();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    rows.flat_map(|keys| keys.split(", ").map(|key| key.trim_matches('`').to_owned()).collect::<Vec<_>>()).collect()
}

#[test]
fn every_documented_key_exists() {
    let keys = |row: &Value| row.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(promised("`rmap demo`"), keys(&rmap(["demo", "--size", "1M", "--json"]).json()[0]));
    let acts = rmap(["demo", "--kind", "memfd", "--acts", "create,map", "--size", "1M", "--json"]);
    let acts = acts.without_log().rows();
    acts.iter().for_each(|row| assert_eq!(promised("The experiments"), keys(row)));
    let traced = rmap(["trace", "--json", "--min-change", "64K", "true"]);
    assert_eq!(promised("`rmap trace`"), keys(&serde_json::from_str::<Value>(&traced.err).unwrap()[0]));
    let folder = memory();
    let known = known_file(&folder.path().join("f"), page(), &[(0, 1)]);
    let path = known.path.to_str().unwrap();
    assert_eq!(promised("`rmap pcstat`"), keys(&rmap(["pcstat", "--json", path]).json()[0]));
    assert_eq!(promised("`--runs`"), keys(&rmap(["pcstat", "--runs", "--json", path]).json()[0]));
    // An ordinary user sees the files that processes hold, with the same keys.
    assert_eq!(promised("`rmap files`"), keys(&rmap(["files", "--json", "--top", "1"]).json()[0]));
    assert_eq!(promised("`rmap ps`"), keys(&rmap(["ps", "self", "--json"]).good().json()[0]));
    assert_eq!(promised("`rmap mem`"), keys(&rmap(["mem", "--json"]).good().json()[0]));
    let warmed = rmap(["warm", "--json", path]).good();
    assert_eq!(promised("`rmap warm`"), keys(&warmed.json()[0]));
    let process = &rmap(["pid", "self", "--json"]).good().json()[0];
    let mut mapping = promised("`rmap pid`");
    let [document, only_asked_for] = [["command", "mappings", "total"].as_slice(), &["address", "mapping"]];
    document.iter().for_each(|key| assert!(mapping.remove(*key) && !process[key].is_null(), "{key}"));
    assert!(mapping.remove("command_bytes") && process.get("command_bytes").is_some());
    only_asked_for.iter().for_each(|key| assert!(mapping.remove(*key), "{key}"));
    assert!(mapping.is_subset(&keys(&process["mappings"][0])), "{mapping:?}");
    let asked = &rmap(["pid", "self", "--json", "-o", "address,mapping"]).good().json()[0]["mappings"][0];
    assert_eq!(keys(asked).into_iter().collect::<Vec<_>>(), ["absent", "address", "mapping"]);
}
