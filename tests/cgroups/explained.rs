//! What the explanation of one group says that the kernel can take back.

use crate::capture::Captured;
use crate::common::rmap;
use crate::{assert_absent, row, rows};

/// A captured group without limits, `/d`, whose `memory.stat` has these lines.
fn captured(stat: &str) -> Captured {
    let captured = Captured::version_2();
    captured.group("d", 100 << 20, "max", 0, "");
    captured.write("d", &[("memory.stat", stat), ("memory.swap.max", "max\n")]);
    captured
}

/// The explanation of a captured group.
#[track_caller]
fn explained(captured: &Captured, group: &str) -> String {
    rmap(["cgroups", &captured.option(), group]).good().text()
}

#[track_caller]
fn assert_says(captured: &Captured, words: &str) {
    let text = explained(captured, "/d");
    assert!(text.contains(words), "{words}: {text}");
}

#[test]
fn locked_page_cache_that_is_dirty_is_not_taken_back_after_writing() {
    // 20 MiB are locked and dirtied again and again, and a page that is not locked is dirty.
    let of = |dirty: u64, locked: u64| {
        captured(&format!(
            "anon 3145728\nfile 62996480\nshmem 0\ninactive_file 42008576\nactive_file 16384\nfile_dirty {dirty}\n\
             file_writeback 0\nunevictable {locked}\n"
        ))
    };
    let locked = of(20_975_616, 20_971_520);
    assert_says(&locked, "\nThe kernel can take back 20M to 40M of clean page cache at once (it begins with ");
    assert_says(&locked, ", and 4K to 20M of page cache after it is written to disk.\n");
    assert_says(&locked, "\n20M cannot be taken: locked");
    assert_says(&of(4_194_304, 20_971_520), ", and up to 4M of page cache after it is written to disk.\n");
    // Without anything that is locked it is known.
    let free = of(4_194_304, 0);
    assert_says(&free, "\nThe kernel can take back 36M of clean page cache at once (");
    assert_says(&free, ", and 4M of page cache after it is written to disk.\n");
}

#[test]
fn freed_memory_is_not_called_page_cache() {
    // 50 MiB of anonymous memory were freed with MADV_FREE: they are on the list of files.
    let of = |locked: u64| {
        captured(&format!(
            "anon 59453440\nfile 1064960\nshmem 16384\nactive_anon 7024640\ninactive_anon 16384\n\
             inactive_file 53460992\nactive_file 16384\nfile_dirty 0\nfile_writeback 0\nunevictable {locked}\n"
        ))
    };
    let begin = "\nThe kernel can take back 51M at once (it begins with the inactive list, which has 50.9M): ";
    let freed = "of memory that processes have freed (MADV_FREE) and not written to again.\n";
    assert_says(&of(0), &format!("{begin}1M of clean page cache, and 50M {freed}"));
    assert_says(&of(524_288), &format!("{begin}512K to 1M of clean page cache, and 50M to 50.5M {freed}"));
    // What is on the lists of anonymous memory needs swap.
    assert_says(&of(0), "\n6.7M of anonymous and shared memory can only go to swap, ");
    // No more can have been freed than there is, and none if the lists have less than the page cache.
    let lists = "inactive_file 1048576\nactive_file 0\nfile_dirty 0\nfile_writeback 0\nunevictable 0\n";
    let clean = "\nThe kernel can take back 1M of clean page cache at once (";
    assert_says(&captured(&format!("anon 0\nfile 524288\nshmem 0\n{lists}")), clean);
    assert_says(&captured(&format!("anon 4096\nfile 1052672\nshmem 0\n{lists}")), clean);
}

#[test]
fn a_limit_of_memory_and_swap_that_was_reached_is_not_said_to_be_unreached() {
    let with = |limit: &str, failures: &str, kills: u64| {
        let captured = Captured::version_1();
        let kills = format!("oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n");
        let more = [
            ("memory.memsw.limit_in_bytes", limit),
            ("memory.memsw.failcnt", failures),
            ("memory.oom_control", &kills),
        ];
        captured.group_of_version_1("d", Some(50 << 20), &more);
        captured
    };
    // The most that both were together is 51 MiB. Linux 6.18 does not count how often a limit of both is reached.
    let reached = with("53477376\n", "0\n", 2);
    assert_says(
        &reached,
        "\nHow often a limit of it or of a group below it was reached is not known: the limit of memory and swap \
         together may have been reached, which is not counted; 2 of its processes were killed for lack of memory",
    );
    let found = rows(&[&reached.option()]);
    let why = "unsupported: the limit of memory and swap together may have been reached, which is not counted";
    for path in ["/", "/d"] {
        assert_absent(row(&found, path), "max", why);
    }
    assert_says(&with("53477376\n", "7\n", 0), "\nA limit of it or of a group below it was reached 7 times; no ");
    // Far from this limit, and without one, only the other can have been reached.
    for (limit, kills) in [("104857600\n", 0), ("104857600\n", 2), ("9223372036854771712\n", 2)] {
        let counted = "\nThe kernel counts no case in which a limit of it or of a group below it was reached; ";
        assert_says(&with(limit, "0\n", kills), counted);
    }
    // A process that was killed lacked memory of some limit.
    let killed = captured("anon 0\n");
    killed.write("d", &[("memory.events", "max 0\noom 0\noom_kill 1\n")]);
    assert_says(
        &killed,
        "\nThe kernel counts no case in which a limit of it or of a group below it was reached; 1 of ",
    );
}
