//! Files on FUSE: looking at one does not drop its pages, and a server that does not answer holds nothing up.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::common::{SERVED_SIZE, Served, Subject, mounted_as, page};
use crate::{Answer, bytes, who};

/// What `who` finds. Now and then it takes the server for silent, and says so; then it is asked again.
fn answered(path: &Path) -> Answer {
    let silent = |found: &Answer| found.complaints.iter().any(|line| line.contains("does not answer"));
    let mut answers = (0..12).map(|_| who([path]));
    answers.find(|found| !silent(found)).unwrap_or_else(|| panic!("the server never answers"))
}

static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn a_file_on_fuse_keeps_its_pages_and_is_told_from_others() {
    // Files of both servers have the same numbers, so that a silent one would be asked, too.
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let name = "served::a_file_on_fuse_keeps_its_pages_and_is_told_from_others";
    let Some(folder) = mounted_as(name, "mkdir there") else { return };
    let there = folder.join("there");
    let Some(_served) = Served::mount(&there) else { return };
    let (a, b) = (there.join("a"), there.join("b"));
    let pages = SERVED_SIZE / page();
    let subject = Subject::start([format!("view:{}:{pages}", a.display())]);
    let other = Subject::start([format!("glance:{}:{pages}", b.display())]);
    // Opening it would drop them, so that the second time there would be none.
    for _ in 0..2 {
        let found = answered(&a);
        found.assert_only(&[&subject]);
        let row = found.row(&subject);
        assert_eq!((&row["how"], bytes(row, "rss")), (&"mapped shared, open".into(), SERVED_SIZE), "{row}");
        let found = answered(&b);
        assert_eq!(bytes(found.row(&other), "rss"), SERVED_SIZE, "{found:?}");
    }
}

#[test]
fn a_server_that_does_not_answer_holds_nothing_up() {
    // Files of both servers have the same numbers, so that a silent one would be asked, too.
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let name = "served::a_server_that_does_not_answer_holds_nothing_up";
    let Some(folder) = mounted_as(name, "mkdir there; echo local > here") else { return };
    let there = folder.join("there");
    let Some(served) = Served::mount(&there) else { return };
    let (here, a) = (folder.join("here"), there.join("a"));
    let local = Subject::start([format!("open:{}", here.display())]);
    let far = Subject::start([format!("glance:{}:1", a.display())]);
    let silence = served.fall_silent();
    let begun = Instant::now();
    let found = who([&a, &here]);
    assert!(begun.elapsed() < Duration::from_secs(8), "it took {:?}", begun.elapsed());
    assert_eq!(found.row(&local)["how"], "open");
    assert_eq!(found.complaints, [format!("rmap: {}: vanished: its file system does not answer", a.display())]);
    drop(silence);
    answered(&a).assert_only(&[&far]);
}
