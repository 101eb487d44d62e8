//! Reading live processes and captures: the own process compared with `/proc/self/maps`, processes that cannot be read,
//! processes that change while they are read, and directories with the structure of `/proc`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use common::{ForEveryone, Subject, subject_program, wait_until};
use memmap2::{Advice, MmapMut};
use rmap::error::ErrorKind;
use rmap::process::{Fields, ProcRoot, Process, ProcessMappings, Wanted};
use rmap::units::{PageSize, Reason};

fn read(root: &ProcRoot, pid: u32) -> rmap::Result<(Fields, ProcessMappings)> {
    let mut fields = Fields::new();
    let found = Process::open_in(root, pid)?.read_smaps(&mut fields, &Wanted::Everything)?;
    Ok((fields, found))
}

/// The error for a process: its kind, and the line that a user sees.
fn complaint(root: &ProcRoot, pid: u32) -> (ErrorKind, String) {
    let error = read(root, pid).expect_err("the process was read");
    (error.kind(), error.to_string())
}

/// A shell that runs this script, and ends with the test.
fn shell(script: &str) -> Subject {
    let mut command = Command::new("/bin/sh");
    Subject::of(command.args(["-c", script]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// A directory with the structure of `/proc` and one process.
fn capture(pid: u32, files: &[(&str, &[u8])]) -> (tempfile::TempDir, ProcRoot) {
    let top = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = top.path().join(pid.to_string()).join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    std::fs::create_dir_all(top.path().join(pid.to_string())).unwrap();
    let root = ProcRoot::at(top.path().to_owned());
    (top, root)
}

fn sample() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/smaps/linux-6.1-x86_64.txt")).unwrap()
}

/// A stat file of a process in `state` with this many threads.
fn stat(state: char, threads: u32) -> Vec<u8> {
    format!(
        "12 (a b) {state} 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 {threads} 0 777 8 1 9 1 1 1 \
         0 0 0 0 0 0 0 0 0 17 0 0 0\n"
    )
    .into_bytes()
}

#[test]
fn an_idle_process_has_the_mappings_of_maps() {
    let subject = shell("sleep 100; exit");
    wait_until("it came to that", || {
        std::fs::read(format!("/proc/{}/cmdline", subject.pid())).is_ok_and(|line| line.starts_with(b"/bin/sh"))
    });
    let (mut maps, mut found) = (Vec::new(), None);
    // The shell may still be loading: maps must be the same before and after.
    for _ in 0..100 {
        maps = std::fs::read(format!("/proc/{}/maps", subject.pid())).unwrap();
        found = Some(read(&ProcRoot::live(), subject.pid()).unwrap());
        if std::fs::read(format!("/proc/{}/maps", subject.pid())).unwrap() == maps {
            break;
        }
    }
    let (fields, found) = found.unwrap();
    let lines: Vec<_> = String::from_utf8_lossy(&maps).lines().map(str::to_owned).collect();
    let rows: Vec<String> = found
        .mappings
        .iter()
        .map(|m| {
            let head = format!(
                "{:08x}-{:08x} {} {:08x} {} {} ",
                m.start(),
                m.end(),
                m.perm(),
                m.offset(),
                m.device(),
                m.inode()
            );
            let name = String::from_utf8_lossy(m.path());
            if name.is_empty() { head } else { format!("{head:<73}{name}") }
        })
        .collect();
    assert_eq!(rows, lines);
    let size = fields.find(b"Size").unwrap();
    assert!(found.mappings.iter().all(|mapping| mapping.bytes(size) == Some(mapping.size())));
    assert!(found.identity.command.starts_with(b"/bin/sh -c sleep 100; exit"));
    assert!(found.identity.start_time.is_some_and(|ticks| ticks > 0));
}

#[test]
fn self_is_the_own_process() {
    let root = ProcRoot::live();
    assert!(root.is_live());
    assert_eq!(Process::own_in(&root).unwrap().pid(), std::process::id());
    let own = Process::own().unwrap();
    assert!(own.is_live() && *own.root() == root);
    assert_eq!(own.identity().unwrap().pid, std::process::id());
}

#[test]
fn a_missing_process_is_an_error() {
    let (kind, line) = complaint(&ProcRoot::live(), u32::MAX);
    assert_eq!((kind, line.as_str()), (ErrorKind::NotFound, "pid 4294967295: no such process"));
    assert_eq!(Process::open(u32::MAX).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_zombie_is_reported_as_such() {
    let subject = shell("exit 0");
    let stat = format!("/proc/{}/stat", subject.pid());
    wait_until("it came to that", || std::fs::read_to_string(&stat).unwrap().contains(") Z "));
    let (kind, line) = complaint(&ProcRoot::live(), subject.pid());
    assert_eq!(kind, ErrorKind::Unsupported);
    assert!(line.ends_with(": a zombie: it has exited and waits for its parent"), "{line}");
    assert_eq!(Process::open(subject.pid()).unwrap().identity().unwrap().command, b"[sh]");
}

#[test]
fn a_kernel_thread_is_reported_as_such() {
    let root = ProcRoot::live();
    match Process::open(2).and_then(|process| process.identity()) {
        Ok(process) if process.command == b"[kthreadd]" => {}
        _ => return eprintln!("SKIPPED: pid 2 is not kthreadd here (a pid namespace)"),
    }
    let (kind, line) = complaint(&root, 2);
    assert_eq!((kind, line.as_str()), (ErrorKind::Unsupported, "pid 2: a kernel thread has no memory of its own"));
}

#[test]
fn another_users_process_is_denied_with_advice() {
    let Some(everyone) = ForEveryone::copy() else { return };
    let reader = everyone.bring(&subject_program());
    let run = everyone.run(&reader, [format!("read:{}", std::process::id())]);
    let line = format!("pid {}: permission denied; run as root, or as the user who owns it\n", std::process::id());
    assert_eq!(run.err, line);
}

#[test]
fn a_process_that_maps_and_unmaps_has_complete_rows_in_order() {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut held: HashMap<usize, MmapMut> = HashMap::new();
            for turn in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let pages = 1 + turn * 7919 % 9;
                held.insert(turn * 31 % 300, MmapMut::map_anon(pages * 4096).unwrap());
                held.remove(&(turn * 17 % 300));
            }
        });
        for _ in 0..100 {
            let (_, found) = read(&ProcRoot::live(), std::process::id()).unwrap();
            let rows: Vec<_> = found.mappings.iter().collect();
            assert!(rows.windows(2).all(|pair| pair[0].end() <= pair[1].start()), "rows overlap or are out of order");
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_process_that_calls_exec_is_read_completely_or_not_at_all() {
    let script = "exec /bin/sh -c \"$0\" \"$0\"";
    let mut command = Command::new("/bin/sh");
    let subject = Subject::of(command.args(["-c", script, script]).spawn().unwrap());
    for _ in 0..200 {
        match read(&ProcRoot::live(), subject.pid()) {
            // Between the old program and the new one there is little more than a stack, but always something.
            Ok((_, found)) => assert!(!found.mappings.is_empty()),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Changed, "{error}"),
        }
    }
}

#[test]
fn a_process_that_exits_during_reading_is_one_clear_error() {
    for _ in 0..50 {
        let subject = shell("exit 0");
        for _ in 0..100 {
            match read(&ProcRoot::live(), subject.pid()) {
                Ok((_, found)) => assert!(!found.mappings.is_empty()),
                Err(error) => {
                    let known = [ErrorKind::NotFound, ErrorKind::Unsupported, ErrorKind::Changed];
                    assert!(known.contains(&error.kind()), "{error}");
                    break;
                }
            }
        }
    }
}

#[test]
fn touched_pages_are_present() {
    let page = PageSize::FOUR_KIB;
    if nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE) != Ok(Some(4096)) {
        return eprintln!("SKIPPED: pages are not of 4 KiB here");
    }
    let mut memory = MmapMut::map_anon(64 * 4096).unwrap();
    memory.advise(Advice::NoHugePage).unwrap();
    for touched in [3, 4, 5, 40] {
        memory[touched * 4096] = 1;
    }
    let start = memory.as_ptr() as u64;
    let own = Process::own().unwrap();
    let present = own.read_present_pages(start..start + 64 * 4096, page).unwrap();
    assert_eq!(present, [3..6, 40..41]);
    let beyond = own.read_present_pages(u64::MAX - 4096..u64::MAX, page).unwrap_err();
    assert_eq!(beyond.kind(), ErrorKind::Unsupported, "{beyond}");
}

#[test]
fn a_capture_is_read_like_a_live_process() {
    let (_top, root) = capture(12, &[("smaps", &sample()), ("stat", &stat('S', 1)), ("cmdline", b"java\0-jar\0x y\0")]);
    let (_, found) = read(&root, 12).unwrap();
    assert_eq!((found.identity.pid, found.identity.start_time, found.mappings.len()), (12, Some(777), 7));
    assert_eq!(found.identity.command, b"java -jar x y");
    assert!(!root.is_live());
}

#[test]
fn a_capture_with_only_smaps_can_be_read() {
    let (_top, root) = capture(12, &[("smaps", &sample())]);
    let (_, found) = read(&root, 12).unwrap();
    assert_eq!((found.identity.start_time, found.identity.command.len(), found.mappings.len()), (None, 0, 7));
}

#[test]
fn a_capture_larger_than_a_chunk_is_read_by_two_threads() {
    let body = "Size: 4 kB\nRss: 4 kB\nVmFlags: rd wr mr mw me \n";
    let text: String = (1..40_000u64)
        .map(|page| format!("{:08x}-{:08x} rw-p 00000000 00:00 0 \n{body}", page * 4096, (page + 1) * 4096))
        .collect();
    let (_top, root) = capture(12, &[("smaps", text.as_bytes())]);
    assert_eq!(read(&root, 12).unwrap().1.mappings.len(), 39_999);
    let (_top, torn) = capture(12, &[("smaps", &text.as_bytes()[..text.len() - 30])]);
    let torn = read(&torn, 12).unwrap().1.mappings;
    assert_eq!((torn.len(), torn.torn().unwrap().line), (39_998, 39_999 * 4 - 1));
}

#[test]
fn a_process_whose_first_thread_has_exited_is_read_through_another() {
    let (_top, root) = capture(12, &[("stat", &stat('Z', 2)), ("smaps", b""), ("task/13/smaps", &sample())]);
    assert_eq!(read(&root, 12).unwrap().1.mappings.len(), 7);
}

#[test]
fn a_captured_stat_with_a_name_that_is_not_utf8_is_read() {
    let stat = stat('S', 1);
    let text = [b"12 (\xff\xfe", &stat[stat.iter().position(|byte| *byte == b')').unwrap()..]].concat();
    let (_top, root) = capture(12, &[("smaps", &sample()), ("stat", &text)]);
    let (_, found) = read(&root, 12).unwrap();
    assert_eq!((found.identity.start_time, &found.identity.command[..]), (Some(777), &b"[\xff\xfe]"[..]));
}

#[test]
fn figures_are_read_by_name() {
    let found = Process::own().unwrap().mappings(&["Rss", "Pss", "VmFlags"]).unwrap();
    let mut rss = 0;
    for mapping in &found.mappings {
        rss += mapping.figure("rss").unwrap().0;
        assert!(mapping.figure("Pss").unwrap() <= mapping.figure("Rss").unwrap());
        let reason = |name: &str| mapping.figure(name).unwrap_err().reason;
        assert_eq!(reason("Swap"), Reason::NotApplicable, "it was not read");
        assert_eq!(reason("VmFlags"), Reason::NotApplicable, "it is text");
    }
    assert!(rss > 0 && found.mappings.iter().len() == found.mappings.len());
    let mut fields = Fields::new();
    let parsed = rmap::process::parse_smaps(&sample(), &mut fields, &Wanted::Everything).unwrap();
    let row = parsed.get(0).unwrap();
    assert_eq!(row.figure("Rss").ok(), row.bytes(fields.find(b"Rss").unwrap()), "of a text in memory too");
    let all = Process::own().unwrap().read_smaps(&mut Fields::new(), &Wanted::Everything).unwrap();
    assert_eq!(all.mappings.get(0).unwrap().figure("NoSuchKey").unwrap_err().reason, Reason::Unsupported);
}

#[test]
fn unreadable_captures_are_reported_with_a_reason() {
    let root = |files| capture(12, files);
    for (files, kind, end) in [
        (&[("smaps", &b"junk\n"[..])][..], ErrorKind::Malformed, "line 1: the line is neither a mapping nor a key"),
        (&[("smaps", &b"junk"[..])], ErrorKind::Malformed, "line 1: the text is truncated: it ends within a line"),
        (&[("stat", &stat('S', 1)[..])], ErrorKind::NotFound, "it has no smaps file"),
        (&[("stat", &b"junk"[..])], ErrorKind::Malformed, "its stat file is not in the kernel's format"),
        (&[("smaps/x", &b""[..])], ErrorKind::System, "its smaps is not a regular file"),
        (&[], ErrorKind::NotFound, "it has no smaps file"),
        // This must not be reported as a process with 0 bytes.
        (&[("smaps", &b""[..])], ErrorKind::Malformed, "its smaps file is empty: nothing was captured"),
        (
            &[("smaps", &b""[..]), ("stat", &stat('S', 1)[..])],
            ErrorKind::Malformed,
            "its smaps file is empty: nothing was captured",
        ),
    ] {
        let (_top, root) = root(files);
        let (found, line) = complaint(&root, 12);
        assert_eq!(found, kind, "{line}");
        assert!(line.ends_with(end), "{line}");
    }
    let (top, root) = capture(12, &[]);
    assert_eq!(complaint(&root, 13).1, format!("pid 13: no such process in {}", top.path().display()));
    assert_eq!(Process::own_in(&root).unwrap_err().kind(), ErrorKind::Unsupported);
    let nowhere = ProcRoot::at("/nonexistent/proc".into());
    assert_eq!(complaint(&nowhere, 1).1, "/nonexistent/proc: no such directory");
}

#[test]
fn a_fifo_in_a_capture_does_not_block() {
    let (top, root) = capture(12, &[]);
    nix::unistd::mkfifo(&top.path().join("12/smaps"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(complaint(&root, 12).1.ends_with("its smaps is not a regular file"));
}
