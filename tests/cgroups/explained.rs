//! What the explanation of one group says that the kernel can take back.

use crate::capture::Captured;
use crate::common::rmap;
use crate::{assert_absent, figure, row, rows};

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
    assert_says(&locked, "\nAt least 20M cannot be taken: locked");
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
    let begin = "at once (it begins with the inactive list, which has 50.9M): ";
    // What is written to again stays on that list until the kernel looks at it.
    let freed = "that processes freed with MADV_FREE, unless written to again.\n";
    let words = |all: &str, clean: &str, most: &str| {
        format!("\nThe kernel can take back {all} {begin}{clean} of clean page cache, and up to {most} {freed}")
    };
    assert_says(&of(0), &words("1M to 51M", "1M", "50M"));
    assert_says(&of(524_288), &words("512K to 51M", "512K to 1M", "50.5M"));
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
    // What cannot be read is not zero.
    let unread = with("104857600\n", "\n", 0);
    let why = "unsupported: its file is not in the kernel's format";
    assert_absent(row(&rows(&[&unread.option()]), "/d"), "max", why);
    // Far from this limit, and without one, only the other can have been reached.
    for (limit, kills) in [("104857600\n", 0), ("104857600\n", 2), ("9223372036854771712\n", 2)] {
        let counted = "\nThe kernel has not counted a reached limit in it or in a group below it; ";
        assert_says(&with(limit, "0\n", kills), counted);
    }
    // A process that was killed lacked memory of some limit.
    let killed = captured("anon 0\n");
    killed.write("d", &[("memory.events", "max 0\noom 0\noom_kill 1\n")]);
    assert_says(&killed, "\nThe kernel has not counted a reached limit in it or in a group below it; 1 of ");
}

#[test]
fn swap_is_what_the_groups_above_and_the_machine_leave_of_it() {
    let captured = captured("anon 10485760\nshmem 0\nactive_anon 10485760\ninactive_anon 0\n");
    captured.group("d/e", 50 << 20, "max", 0, "");
    captured.group("d/e/f", 50 << 20, "max", 0, "");
    let stat = "anon 10485760\nshmem 0\nactive_anon 10485760\ninactive_anon 0\n";
    let swap = |group: &str, most: &str, used: u64| {
        let used = used.to_string();
        captured.write(group, &[("memory.swap.max", most), ("memory.swap.current", &used), ("memory.stat", stat)]);
    };
    let says = |words: &str| {
        let text = explained(&captured, "/d/e/f");
        let words = format!("\n10M of anonymous memory can only go to swap{words}.\n");
        assert!(text.contains(&words), "{words}: {text}");
    };
    captured.meminfo("MemTotal: 16384 kB\nSwapTotal: 307096 kB\nSwapFree: 3880 kB\n");
    ["d", "d/e", "d/e/f"].iter().for_each(|group| swap(group, "max\n", 0));
    says(", of which 3.7M of this machine's 299.8M are free");
    swap("d/e/f", "104857600\n", 0);
    says(", of which 3.7M of this machine's 299.8M are free");
    swap("d", "8388608\n", 7 << 20);
    says("; the limit of /d above it, 8M, leaves 1M");
    swap("d/e/f", "1048576\n", 1 << 19);
    says("; its limit of 1M leaves 512K");
    swap("d/e", "0\n", 0);
    says(", which the limit of /d/e above it forbids");
    swap("d/e/f", "0\n", 0);
    says(", which its limit forbids");
    captured.meminfo("MemTotal: 16384 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n");
    says(", which this machine does not have");
}

#[test]
fn lists_of_which_the_shared_part_is_not_known_are_not_called_anonymous_memory() {
    let lists = "active_anon 31457280\ninactive_anon 0\n";
    for anonymous in [20_971_520, 31_457_280, 41_943_040] {
        let words = "\n30M of anonymous and shared memory can only go to swap, as far as there is any.\n";
        assert_says(&captured(&format!("anon {anonymous}\n{lists}")), words);
    }
}

#[test]
fn without_swappiness_nothing_is_swapped_to_stay_below_a_limit() {
    let words = "40M of anonymous memory can only go to swap, as far as there is any. But swappiness is 0, so to stay \
                 below a limit the kernel swaps none of it; if the whole machine is short of memory, at most as a \
                 last resort.\n";
    let one = Captured::version_1();
    one.group_of_version_1("d", None, &[("memory.swappiness", "0\n")]);
    one.of_machine("sys/vm/swappiness", "60\n");
    assert_says(&one, words);
    one.write("d", &[("memory.swappiness", "1\n")]);
    one.of_machine("sys/vm/swappiness", "0\n");
    assert!(!explained(&one, "/d").contains("swappiness"));

    let two = captured("anon 41943040\nshmem 0\nactive_anon 41943040\ninactive_anon 0\n");
    two.of_machine("sys/vm/swappiness", "0\n");
    assert_says(&two, words);
    two.of_machine("sys/vm/swappiness", "60\n");
    assert!(!explained(&two, "/d").contains("swappiness"));
}

#[test]
fn a_limit_of_memory_and_swap_together_keeps_nothing_out_of_swap() {
    let captured = Captured::version_1();
    captured.meminfo("MemTotal: 16384 kB\nSwapTotal: 307096 kB\nSwapFree: 307096 kB\n");
    let says = |words: &str| {
        let text = explained(&captured, "/d/e");
        let begin =
            "\n40M of anonymous memory can only go to swap, of which 299.8M of this machine's 299.8M are free.\n";
        let words = format!("{begin}{words}");
        assert!(text.contains(&words), "{words}: {text}");
    };
    let both = |group: &str, both: u64, hierarchical: &str| {
        let files = [("memory.memsw.limit_in_bytes", &*both.to_string()), ("memory.use_hierarchy", hierarchical)];
        captured.group_of_version_1(group, Some(60 << 20), &files);
    };
    captured.group_of_version_1("d/e", None, &[]);
    both("d", 60 << 20, "1\n");
    says(
        "Memory and swap together can grow by 9M: the limit of /d above it on both is 60M, and swapping does not help \
         to stay below it.\n",
    );
    // It does not count for those below it.
    both("d", 60 << 20, "0\n");
    says("");
    assert!(!explained(&captured, "/d/e").contains("together"));
    both("d/e", 60 << 20, "1\n");
    let below = "the limit on both is 60M, and swapping does not help to stay below it.\n";
    says(&format!("Memory and swap together can grow by 9M: {below}"));
    // Without knowing what is in swap, no more than that is known.
    captured.write("d/e", &[("memory.stat", "total_rss 41943040\ntotal_shmem 0\ntotal_unevictable 0\n")]);
    says(&format!("Memory and swap together can grow by up to 60M: {below}"));
}

#[test]
fn a_group_above_that_uses_more_than_its_memory_high_is_named() {
    let captured = captured("anon 0\n");
    captured.group("d/e", 1 << 20, "max", 0, "");
    captured.write("d", &[("memory.high", "62914560\n")]);
    let words = " /d above it uses 100M, more than its memory.high of 60M: all groups below it are reclaimed from, and \
                 slowed down.\n";
    assert!(explained(&captured, "/d/e").contains(words), "{}", explained(&captured, "/d/e"));
    captured.write("d", &[("memory.high", "104857600\n")]);
    assert!(!explained(&captured, "/d/e").contains("memory.high"));
}

#[test]
fn the_swap_cache_is_named_and_goes_to_swap() {
    // 5 MiB of the swap cache are not mapped, and belong to no other part of the usage.
    let of = |cached: u64, writeback: u64| {
        let captured = captured(&format!(
            "anon 10485760\nfile 1048576\nkernel 0\nsock 0\nshmem 0\nswapcached {cached}\nactive_anon 10485760\n\
             inactive_anon 5242880\ninactive_file 1048576\nactive_file 0\nfile_dirty 0\n\
             file_writeback {writeback}\nunevictable 0\n"
        ));
        captured.write("d", &[("memory.current", "16777216\n")]);
        captured
    };
    let all = of(5_242_880, 0);
    assert_says(&all, ", sockets 0, other 5M (up to all of it swap cache).\n");
    let words = "\n15M of anonymous and shared memory can only go to swap, as far as there is any. Up to 5M of it is \
                 in the swap cache, and has its place there already.\n";
    assert_says(&all, words);
    let part = "other 5M (up to 1M of it swap cache; and such as pages kept ready for each processor).\n";
    assert_says(&of(1_048_576, 0), part);
    assert_says(&of(0, 0), "other 5M (such as pages kept ready for each processor).\n");
    assert_says(&of(0, 0), "\n10M of anonymous memory can only go to swap, as far as there is any.\n");
    // What is written to swap is no page cache that is written to a file.
    let unwritten = ", and up to 512K of page cache after it is written to disk.\n";
    assert_says(&of(5_242_880, 524_288), unwritten);
    assert_says(&of(0, 524_288), ", and 512K of page cache after it is written to disk.\n");
}

#[test]
fn processes_that_version_1_may_not_list_are_not_said_to_hold_nothing() {
    let captured = Captured::version_1();
    captured.group_of_version_1("d", None, &[("cgroup.procs", "20\n")]);
    captured.process(20, 100);
    captured.files();
    captured.describe(true);
    let held = "Which files of other groups its processes hold is not known: ";
    // The first pid namespace.
    captured.pid_namespace(20, 4_026_531_836);
    let found = rows(&[&captured.option()]);
    assert_eq!((figure(row(&found, "/d"), "process_count"), figure(row(&found, "/d"), "pss")), (1, 100 << 10));
    assert_says(&captured, &format!("{held}a capture has the programs that hold a file, and not their processes.\n"));
    // Another one.
    captured.pid_namespace(20, 4_026_532_222);
    let found = rows(&[&captured.option()]);
    for (path, key) in [("/d", "process_count"), ("/d", "pss"), ("/", "process_count"), ("/", "pss")] {
        let why = "unsupported: version 1 may not list those of other pid namespaces here";
        assert_absent(row(&found, path), key, why);
    }
    assert_says(&captured, &format!("{held}version 1 may not list those of other pid namespaces here.\n"));
}
