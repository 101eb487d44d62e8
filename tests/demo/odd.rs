//! `rmap demo --acts` in other orders, sizes and places than usual: what is predicted still holds.

use std::process::Command;

use crate::acts::held;
use crate::common::{command, disk, has, mounted_as, page, program, rmap, run};
use crate::{names, refused};

#[test]
fn a_heap_of_any_size_is_predicted() {
    if cfg!(not(target_env = "gnu")) {
        return eprintln!("SKIPPED: this is about glibc");
    }
    for size in ["1200000", "5000001", "10000000"] {
        held(&["--kind", "heap", "--size", size]);
        held(&["--kind", "heap", "--acts", "large,fill,free", "--size", size]);
    }
}

#[test]
fn private_copies_need_no_page_cache() {
    let rows = held(&["--kind", "private", "--acts", "create,map,fill,evict,touch", "--size", "1M"]);
    assert!(rows[4]["must"].as_str().unwrap().contains("Cached at least Rss - Anonymous"), "{rows:?}");
}

#[test]
fn a_stack_grows_by_reading_and_has_nothing_to_free_before() {
    for acts in ["read,fill", "dontneed", "dontneed,read", "quarter,dontneed", "half,dontneed,read"] {
        held(&["--kind", "stack", "--size", "1M", "--acts", acts]);
    }
}

#[test]
fn zeros_that_were_written_instead_of_allocating_blocks_are_not_cached() {
    if !has("bindfs", "bindfs") {
        return;
    }
    let name = "odd::zeros_that_were_written_instead_of_allocating_blocks_are_not_cached";
    let mount = "mkdir back there; bindfs back there";
    let Some(folder) = mounted_as(name, mount) else { return };
    let file = folder.join("there/f");
    let rows = held(&["--acts", "create,map,fill", "--size", "4M", "--file", file.to_str().unwrap()]);
    assert_eq!(rows[0]["cached_bytes"], 0, "{rows:?}");
    assert!(rows[0]["what"].as_str().unwrap().contains("zeros were written to all of the file"), "{rows:?}");
}

#[test]
fn the_sentences_are_true_where_nothing_was_done() {
    let said = |options: &[&str], place: usize| {
        let rows = held(&[options, &["--size", "1M"]].concat());
        rows[place]["what"].as_str().unwrap().to_owned()
    };
    let private = ["--kind", "private", "--acts", "create,map,fill,evict,evict"];
    assert!(said(&private, 3).starts_with("The kernel dropped the clean pages"));
    assert_eq!(said(&private, 4), "Nothing was cached, so nothing was dropped.");
    let read = ["--kind", "private", "--acts", "create,map,fill,dontneed", "--read"];
    assert!(said(&read, 3).contains("There were no private copies"));
    let clean = said(&["--acts", "create,map,fill,msync", "--read"], 3);
    assert_eq!(clean, "No page was dirty, so msync had nothing to write.");
    let stride = ["--kind", "anon", "--acts", "map,quarter,half", "--pattern", "stride:100G"];
    assert!(said(&stride, 2).starts_with("No byte was touched"));
}

#[test]
fn what_must_hold_is_in_one_unit() {
    let rows = held(&["--acts", "create,map,touch", "--size", "8M"]);
    assert!(rows[2]["must"].as_str().unwrap().starts_with("Rss 4K to 2048K, "), "{rows:?}");
}

#[test]
fn a_file_that_is_kept_keeps_its_name() {
    let folder = disk();
    let file = folder.path().join("f");
    let rows = held(&["--acts", "all", "--keep", "--size", "1M", "--file", file.to_str().unwrap()]);
    assert!(rows.iter().all(|row| row["act"] != "unlink"), "{rows:?}");
    assert_eq!(names(folder.path()), ["f"]);
}

#[test]
fn advice_can_be_followed() {
    let demo = |limit: &str, options: &str| {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("{limit}; exec '{}' demo {options}", program().display()));
        run(shell)
    };
    refused(&demo("ulimit -s 256", "--kind stack --size 4K"), "some of which is in use; raise the limit");
    let out_of_memory = demo("ulimit -v 300000", "--kind anon --size 512M --acts map");
    refused(&out_of_memory, "the limit on address space (ulimit -v) is 300000K, of which ");
    // The size that is named fits, also while the memory is moved.
    for acts in ["map", "map,mremap"] {
        let refusal = demo("ulimit -v 300000", &format!("--kind anon --size 512M --acts {acts}"));
        let fits = named_size(&refusal.err);
        let run = demo("ulimit -v 300000", &format!("--kind anon --size {fits} --acts {acts}"));
        assert_eq!(run.status, Some(0), "{fits}: {run:?}");
    }
    refused(&rmap(["demo", "--kind", "anon", "--size", "900T"]), "choose a --size of up to ");
}

#[test]
fn too_few_huge_pages_are_known_before_anything_is_shown() {
    for options in [&["--kind", "hugetlb"][..], &["--compare", "shared,hugetlb"]] {
        let run = rmap([&["demo", "--size", "900G", "--acts", "map"], options].concat());
        assert!(run.status != Some(0) && run.out.is_empty(), "{run:?}");
    }
    let run = rmap(["demo", "--kind", "hugetlb", "--size", "18446744073709551615"]);
    refused(&run, "memory of this size cannot be mapped; choose a smaller --size");
}

#[test]
fn a_last_page_of_which_only_some_blocks_are_in_memory_does_not_count_as_cached() {
    let name = "odd::a_last_page_of_which_only_some_blocks_are_in_memory_does_not_count_as_cached";
    let mount = "truncate -s 100M image; mkfs.ext4 -q -b 1024 image; mkdir disk; mount -o loop image disk";
    let Some(folder) = mounted_as(name, mount) else { return };
    let file = folder.join("disk/f");
    for size in ["1001K", "5000001", "1"] {
        for kind in ["private", "shared"] {
            let rows = held(&["--kind", kind, "--size", size, "--file", file.to_str().unwrap()]);
            if (size, kind, page()) == ("1001K", "private", 4096) {
                assert_eq!((&rows[0]["cached_bytes"], &rows[0]["dirty"]), (&(1000 << 10).into(), &(1004 << 10).into()));
                let what = rows[0]["what"].as_str().unwrap();
                assert!(what.contains("Cached does not count 4K that are not up to date"), "{what}");
                assert_eq!(rows[0]["must"], "Cached 0 -> 1000K");
            }
        }
    }
}

/// Runs an experiment where files have huge pages, if there are any.
fn on_huge_pages(name: &str, options: &[&str]) -> Option<Vec<serde_json::Value>> {
    let folder = mounted_as(name, "mkdir huge; mount -t tmpfs -o huge=always huge huge")?;
    let file = folder.join("huge/f");
    let rows =
        held(&[options, &["--kind", "private", "--advice", "hugepage", "--file", file.to_str().unwrap()]].concat());
    let touched = rows.iter().find(|row| row["act"] == "touch").unwrap();
    if touched["rss"].as_u64().unwrap() < 2 << 20 {
        eprintln!("SKIPPED: the kernel maps no huge pages of files here");
        return None;
    }
    let what = touched["what"].as_str().unwrap();
    assert!(what.ends_with(" in, as a huge page."), "{what}");
    Some(rows)
}

#[test]
fn a_huge_page_of_a_file_is_divided_when_it_is_written() {
    let name = "odd::a_huge_page_of_a_file_is_divided_when_it_is_written";
    let Some(rows) = on_huge_pages(name, &["--acts", "create,map,touch,quarter", "--size", "4M"]) else { return };
    assert_eq!((&rows[2]["rss"], &rows[3]["rss"]), (&(2 << 20).into(), &(1 << 20).into()), "{rows:?}");
    assert!(rows[3]["what"].as_str().unwrap().contains("2M of the file were mapped as huge pages"), "{rows:?}");
}

#[test]
fn what_maps_huge_pages_of_a_file_is_not_copied_by_fork() {
    let name = "odd::what_maps_huge_pages_of_a_file_is_not_copied_by_fork";
    let acts = ["--acts", "create,map,touch,half,read,fork", "--size", "10M"];
    let Some(rows) = on_huge_pages(name, &acts) else { return };
    assert_eq!((&rows[5]["rss"], &rows[5]["pss"]), (&(10 << 20).into(), &(7 << 20).into()), "{rows:?}");
    assert!(rows[5]["what"].as_str().unwrap().contains("It did not copy what maps 4M of the file"), "{rows:?}");
}

#[test]
fn a_fault_that_makes_a_huge_page_is_said_to() {
    let rows = held(&["--kind", "anon", "--advice", "hugepage", "--acts", "map,fill", "--size", "8M"]);
    let (faults, what) = (rows[1]["minor_faults"].as_u64().unwrap(), rows[1]["what"].as_str().unwrap());
    if faults >= (8 << 20) / page() {
        return eprintln!("SKIPPED: the kernel makes no huge pages here");
    }
    assert!(what.starts_with(&format!("{faults} page faults made ")) && what.contains("huge page"), "{what}");
}

#[test]
fn the_settings_of_malloc_are_named_if_the_heap_is_not_as_predicted() {
    if cfg!(not(target_env = "gnu")) {
        return eprintln!("SKIPPED: this is about glibc");
    }
    let mut demo = command(["demo", "--kind", "heap", "--acts", "small", "--size", "4M", "--json"]);
    demo.env("MALLOC_PERTURB_", "5");
    let run = run(demo);
    assert_eq!(run.status, Some(1), "{run:?}");
    let json = run.json();
    let difference = json[0]["difference"].as_str().unwrap();
    assert!(
        difference.contains("likely because MALLOC_PERTURB_ is set, which changes how malloc works"),
        "{difference}"
    );
}

#[test]
fn a_limit_on_data_is_refused_with_the_size_that_fits() {
    let demo = |kind: &str, size: &str| {
        let mut shell = Command::new("sh");
        let words = format!("--kind {kind} --size {size}");
        shell.arg("-c").arg(format!("ulimit -d 60000; exec '{}' demo {words}", program().display()));
        run(shell)
    };
    for kind in ["anon", "private", "heap"] {
        if kind == "heap" && cfg!(not(target_env = "gnu")) {
            continue;
        }
        let refusal = demo(kind, "128M");
        refused(&refusal, "the limit on data (ulimit -d) is 60000K, of which ");
        let fits = named_size(&refusal.err);
        let run = demo(kind, fits);
        assert_eq!(run.status, Some(0), "{kind} {fits}: {run:?}");
    }
}

#[test]
fn a_disk_that_is_too_small_is_refused_with_the_size_that_fits() {
    let name = "odd::a_disk_that_is_too_small_is_refused_with_the_size_that_fits";
    let mount = "truncate -s 40M image; mkfs.ext2 -q -b 1024 image; mkdir disk; mount -o loop image disk";
    let Some(folder) = mounted_as(name, mount) else { return };
    let file = folder.join("disk/f");
    let demo = |size: &str| rmap(["demo", "--kind", "private", "--size", size, "--file", file.to_str().unwrap()]);
    let refusal = demo("64M");
    refused(&refusal, "it does not fit onto the disk of ");
    let fits = named_size(&refusal.err);
    assert_eq!(demo(fits).status, Some(0), "{fits}");
}

/// The size that a refusal says would fit.
fn named_size(refusal: &str) -> &str {
    let named = refusal.trim_end().strip_suffix(" fits").and_then(|rest| rest.rsplit(' ').next());
    named.unwrap_or_else(|| panic!("no size is named: {refusal}"))
}

#[test]
fn what_is_written_at_once_is_not_said_to_be_written_later() {
    if !has("bindfs", "bindfs") {
        return;
    }
    let name = "odd::what_is_written_at_once_is_not_said_to_be_written_later";
    let Some(folder) = mounted_as(name, "mkdir back there; bindfs back there") else { return };
    let file = folder.join("there/f");
    let rows = held(&["--kind", "private", "--acts", "create", "--size", "4M", "--file", file.to_str().unwrap()]);
    let says_later = rows[0]["what"].as_str().unwrap().contains("the disk gets it later");
    assert_eq!(says_later, rows[0]["dirty"].as_u64().unwrap() > 0, "{rows:?}");
}

#[test]
fn options_without_a_meaning_are_neither_offered_nor_named_if_they_were_not_typed() {
    let help = rmap(["demo", "--help"]).good().text();
    assert!(!help.contains("--by <") && help.contains("Wait for a key before each act but the first"), "{help}");
    assert!(rmap(["trace", "--help"]).good().text().contains("--by <"));
    let heap = rmap(["demo", "--kind", "heap", "--rate", "1M"]);
    assert_eq!(heap.parts(), (2, String::new(), "rmap: --rate: the heap is filled block after block\n".to_owned()));
    let keep = rmap(["demo", "--kind", "heap", "--acts", "large,keep"]);
    assert!(
        keep.status == Some(2) && keep.err.contains("'keep' needs small blocks; put 'small' before it"),
        "{keep:?}"
    );
}
