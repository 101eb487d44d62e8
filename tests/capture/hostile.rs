//! Archives that are damaged or meant to do harm: one line, and nothing outside is touched.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{read, take};
use crate::common::Run;
use tar::{EntryType, Header};

/// An archive with a description and these entries: kind, path, target or text.
fn archive(folder: &Path, entries: &[(EntryType, &str, &str)]) -> PathBuf {
    let path = folder.join("hostile.tar");
    let mut out = fs::File::create(&path).unwrap();
    let description = r#"{"format":1,"rmap":"0.1.0","time":"2026-01-01T00:00:00Z","page_size":4096,"release":"6",
                          "machine":"x","boot":"b","command_lines":false}"#;
    let whole = [(EntryType::Regular, "rmap-capture.json", description)];
    let end = [(EntryType::Regular, "rmap/complete", "")];
    for (kind, name, text) in whole.iter().chain(entries).chain(&end) {
        let mut header = Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        let is_file = *kind == EntryType::Regular;
        header.set_size(if is_file { text.len() as u64 } else { 0 });
        if !is_file {
            header.as_mut_bytes()[157..157 + text.len()].copy_from_slice(text.as_bytes());
        }
        header.set_cksum();
        out.write_all(header.as_bytes()).unwrap();
        if is_file {
            out.write_all(text.as_bytes()).unwrap();
            out.write_all(&vec![0; text.len().next_multiple_of(512) - text.len()]).unwrap();
        }
    }
    out.write_all(&[0; 1024]).unwrap();
    path
}

#[track_caller]
fn assert_refused(run: &Run, why: &str) {
    // There may be the header of a table without rows.
    assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{run:?}");
    assert!(run.text().lines().count() < 2, "{run:?}");
    assert!(run.err.starts_with("rmap: ") && run.err.contains(why), "{why}: {run:?}");
}

#[test]
fn an_archive_cannot_leave_its_directory() {
    use EntryType::{Block, Char, Fifo, Link, Regular, Symlink};
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("outside");
    fs::write(&outside, "mine").unwrap();
    let absolute = outside.to_str().unwrap();
    for (entries, why) in [
        (&[(Regular, "../outside", "x")][..], "no capture has"),
        (&[(Regular, "proc/../../outside", "x")], "no capture has"),
        (&[(Regular, absolute, "x")], "no capture has"),
        (&[(Regular, "proc//x", "x")], "no capture has"),
        (&[(Regular, "etc/passwd", "x")], "not an archive that rmap capture wrote"),
        (&[(Symlink, "proc/7", "/etc")], "no capture has there"),
        (&[(Symlink, "sys", "/etc")], "no capture has there"),
        (&[(Symlink, "proc/7/smaps", "/etc/passwd")], "no capture has there"),
        (&[(Symlink, "proc/7/root", "/tmp"), (Regular, "proc/7/root/x", "x")], "two entries have the path"),
        (&[(Symlink, "proc/7/fd/3", absolute), (Regular, "proc/7/fd/3", "x")], "two entries have the path"),
        (&[(Regular, "proc/7/stat", "x"), (Regular, "proc/7/stat", "y")], "two entries have the path"),
        (&[(Link, "proc/7/stat", absolute)], "neither a file"),
        (&[(Char, "proc/7/stat", "")], "neither a file"),
        (&[(Block, "proc/7/stat", "")], "neither a file"),
        (&[(Fifo, "proc/7/stat", "")], "neither a file"),
    ] {
        let run = read(&archive(folder.path(), entries), &["pid", "7", "--csv"]);
        assert_refused(&run, why);
        assert_eq!(fs::read_to_string(&outside).unwrap(), "mine", "{entries:?}");
    }
}

#[test]
fn links_of_a_capture_are_texts_and_never_followed() {
    let folder = tempfile::tempdir().unwrap();
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
    let entries = [
        (EntryType::Regular, "proc/7/stat", &stat[..]),
        (EntryType::Regular, "proc/7/smaps", &smaps),
        (EntryType::Symlink, "proc/7/exe", "/no/such/program"),
        (EntryType::Symlink, "proc/7/root", "/etc"),
    ];
    let file = archive(folder.path(), &entries);
    let run = read(&file, &["pid", "--name", "program", "--json", "-o", "rss"]).good();
    assert_eq!(run.json()[0]["pid"], 7);
    // The same in a directory that another program made: a link in place of a file is not followed.
    let directory = folder.path().join("d");
    fs::create_dir_all(directory.join("7")).unwrap();
    std::os::unix::fs::symlink("/proc/self/smaps", directory.join("7/smaps")).unwrap();
    assert!(read(&directory, &["pid", "7", "--csv"]).err.contains("not a regular file"));
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let file = archive(folder.path(), &[(EntryType::Regular, "proc/7/smaps", "x")]);
    let mut bytes = fs::read(&file).unwrap();
    // The second header claims three gigabytes.
    let place = bytes.windows(12).position(|window| window == b"proc/7/smaps").unwrap();
    let mut header = Header::from_byte_slice(&bytes[place..place + 512]).clone();
    header.set_size(3 << 30);
    header.set_cksum();
    bytes[place..place + 512].copy_from_slice(header.as_bytes());
    fs::write(&file, &bytes).unwrap();
    assert_refused(&read(&file, &["pid", "7", "--csv"]), "more than 2 GiB");
    // A name of a gigabyte.
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(1 << 30);
    header.set_cksum();
    bytes[place..place + 512].copy_from_slice(header.as_bytes());
    bytes.truncate(place + 512);
    bytes.resize(place + (4 << 20), b'x');
    fs::write(&file, &bytes).unwrap();
    assert_refused(&read(&file, &["pid", "7", "--csv"]), "the name of an entry is too long");
}

#[test]
fn a_truncated_or_damaged_archive_is_refused_wherever_it_breaks() {
    for name in ["a.tar", "a.tar.zst"] {
        let taken = take(name, ["--no-files", &std::process::id().to_string()]);
        let whole = fs::read(&taken.file).unwrap();
        let broken = taken.folder.path().join("broken");
        for tenth in 0..10 {
            // A tar archive may also end between two entries.
            fs::write(&broken, &whole[..whole.len() * tenth / 10 / 512 * 512]).unwrap();
            let run = read(&broken, &["pid", "1", "--csv"]);
            assert_eq!((run.status, run.complaints().len(), run.out.len()), (Some(1), 1, 0), "{tenth}: {run:?}");
        }
        if name.ends_with("zst") {
            for place in [20, whole.len() / 3, whole.len() - 3] {
                let mut damaged = whole.clone();
                damaged[place] ^= 0x55;
                fs::write(&broken, damaged).unwrap();
                let run = read(&broken, &["pid", "7", "--csv"]);
                assert_eq!((run.status, run.complaints().len(), run.out.len()), (Some(1), 1, 0), "{place}: {run:?}");
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    for text in [&b""[..], b"x", b"PK\x03\x04", &[0x28, 0xb5, 0x2f, 0xfd]] {
        let file = folder.path().join("other");
        fs::write(&file, text).unwrap();
        assert_eq!(read(&file, &["pid", "1", "--csv"]).complaints().len(), 1);
    }
    let file = archive(folder.path(), &[]);
    let newer = String::from_utf8(fs::read(&file).unwrap()).unwrap().replace("\"format\":1", "\"format\":9");
    fs::write(&file, newer).unwrap();
    assert_refused(&read(&file, &["pid", "1", "--csv"]), "newer rmap");
}

#[test]
fn a_damaged_list_of_files_is_refused_and_a_missing_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let list = |text: &str| archive(folder.path(), &[(EntryType::Regular, "rmap/files.jsonl", text)]);
    let head = r#"{"account":{"method":"pages","size":1,"kinds":[["file",1]],"missed":[]},"unseen":null}"#;
    for text in ["", "x\n", "{}\n", &format!("{head}\n{{}}\n"), &format!("{head}\n[[[[\n")] {
        assert_refused(&read(&list(text), &["files", "--csv"]), "is not valid");
    }
    let run = read(&list(&format!("{head}\n")), &["files", "--csv", "-o", "path"]);
    assert_eq!((run.status, run.text().as_str()), (Some(0), "path\r\n"), "{run:?}");
    assert_refused(&read(&archive(folder.path(), &[]), &["files", "--csv"]), "the capture does not have them");
    let moved = "the page cache changed by 8M while it was read";
    let changed = head.replace("]},", &format!("],\"moved\":\"{moved}\"}},"));
    let said = read(&list(&format!("{changed}\n")), &["files"]).text();
    assert!(said.contains(&format!("\nfiles 1\n{moved}\n")), "{said}");
}

#[test]
fn a_name_that_no_file_can_have_is_a_fault_of_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let description = fs::read(archive(folder.path(), &[])).unwrap();
    let path = folder.path().join("long.tar");
    // The description is the first entry, of two blocks.
    let mut archive = tar::Builder::new(description[..1024].to_vec());
    let mut header = Header::new_gnu();
    header.set_size(0);
    archive.append_data(&mut header, format!("proc/7/{}", "x".repeat(300)), &b""[..]).unwrap();
    fs::write(&path, archive.into_inner().unwrap()).unwrap();
    let run = read(&path, &["pid", "7", "--csv"]);
    assert_refused(&run, "long.tar: the name of an entry is too long");
    assert!(!run.err.contains("TMPDIR"), "{run:?}");
}
