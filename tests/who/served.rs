//! Files on FUSE: looking at one does not drop its pages, and a server that does not answer holds nothing up.

use std::time::{Duration, Instant};

use crate::common::{SERVED_SIZE, Served, Subject, mounted_as, page};
use crate::{bytes, who};

#[test]
fn a_file_on_fuse_keeps_its_pages_and_is_told_from_others() {
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
        let found = who([&a]);
        found.assert_only(&[&subject]);
        let row = found.row(&subject);
        assert_eq!((&row["how"], bytes(row, "rss")), (&"mapped shared, open".into(), SERVED_SIZE), "{row}");
        let found = who([&b]);
        assert_eq!(bytes(found.row(&other), "rss"), SERVED_SIZE, "{found:?}");
    }
}

#[test]
fn a_server_that_does_not_answer_holds_nothing_up() {
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
    who([&a]).assert_only(&[&far]);
}
