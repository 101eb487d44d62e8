//! Checks of what the kernel says in its own formats (see `tests/checks/mod.rs`).

use super::bpf::structures::cut;

/// The kernel's description of its structures (BTF).
pub fn btf(whole: &[u8]) {
    for wanted in [&["hlist_head", "atomic_t"][..], &["page"], &[]] {
        let Some(once) = cut(whole, wanted) else { continue };
        // Everything in it is needed, and all that it needs is in it.
        assert_eq!(cut(&once, wanted), Some(once));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::damaged;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_description_that_was_cut_is_the_same_when_it_is_cut_again(
            whole in damaged(&[include_bytes!("seeds/btf/structures")]),
        ) {
            btf(&whole);
        }
    }
}
