//! `rmap demo --acts` in other orders, sizes and places than usual: what is predicted still holds.

use crate::acts::held;
use crate::common::{has, mounted_as};

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
