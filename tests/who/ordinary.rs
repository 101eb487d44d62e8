//! What an ordinary user sees.

use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::Value;

use crate::common::{ForEveryone, NOBODY, Subject, memory, page, subject_program};

#[test]
fn an_ordinary_user_sees_the_own_processes_and_how_many_others_there_are() {
    let Some(everyone) = ForEveryone::copy() else { return };
    let folder = memory();
    let path = folder.path().join("file");
    std::fs::write(&path, vec![7; 8 * page() as usize]).unwrap();
    let _of_root = Subject::start([format!("glance:{}:8", path.display())]);
    let copy = everyone.bring(&subject_program());
    let mut own = Command::new(&copy);
    own.arg(format!("glance:{}:3", path.display())).current_dir("/").uid(NOBODY).gid(NOBODY);
    let own = Subject::until_ready(own);
    let run = everyone.rmap(["who", "--json", "--total", path.to_str().unwrap()]);
    assert_eq!(run.status, Some(1), "{run:?}");
    let lines = run.complaints();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("rmap: the processes of this machine: "), "{lines:?}");
    assert!(lines[0].contains("could not be looked at") && lines[0].ends_with("run as root"), "{lines:?}");
    let document = run.json();
    let rows = document["holders"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((&rows[0]["pid"], rows[0]["rss"].as_u64()), (&own.pid().into(), Some(3 * page())), "{rows:?}");
    // Not that of root, so what is mapped is not known.
    let file = &document["files"][0];
    assert_eq!(file["mapped_at_least"].as_u64(), Some(3 * page()), "{file}");
    assert_eq!((&file["mapped"], &file["unmapped"]), (&Value::Null, &Value::Null), "{file}");
    assert!(file["reason"].as_str().unwrap().starts_with("denied: "), "{file}");
    // The others may be in any group, but not in that of a process that was read.
    let sums = |by: &str| {
        let run =
            everyone.rmap(["who", "--json", "--total", "--by", by, "-o=holders,processes,rss", path.to_str().unwrap()]);
        let document = run.json();
        let (group, total) = (&document["groups"][0], &document["total"]);
        [&group["holders"], &group["processes"], &group["rss"], &total["holders"], &total["rss"]].map(Value::as_u64)
    };
    for by in ["user", "path"] {
        assert_eq!(sums(by), [None, None, None, Some(1), Some(3 * page())], "{by}");
    }
    let table = everyone.rmap(["who", "--by", "user", "-o=holders,rss", path.to_str().unwrap()]).text();
    assert!(table.contains(">=1") && table.contains(">="), "{table}");
    assert_eq!(sums("pid")[..3], [Some(1), Some(1), Some(3 * page())]);
    let run = everyone.rmap(["who", "--pages", path.to_str().unwrap()]);
    let [why, others] = &run.complaints()[..] else { panic!("{run:?}") };
    assert!(why.starts_with("rmap: --pages: it needs root"), "{run:?}");
    assert!(others.starts_with("rmap: the processes of this machine: ") && run.status == Some(1), "{run:?}");
    let table = everyone.rmap(["who", "/etc/hostname"]);
    assert!(table.text().contains("nobody that could be looked at maps it or has it open"), "{table:?}");
}
