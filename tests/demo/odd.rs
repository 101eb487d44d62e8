//! `rmap demo --acts` in other orders, sizes and places than usual: what is predicted still holds.

use std::process::Command;

use crate::acts::held;
use crate::common::{disk, has, mounted_as, program, rmap, run};
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
        let named = refusal.err.split(": up to ").nth(1).and_then(|rest| rest.split(' ').next());
        let fits = named.unwrap_or_else(|| panic!("{refusal:?}"));
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
