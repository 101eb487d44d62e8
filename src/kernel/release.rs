//! The release of the running kernel, for what no call reveals: whether an answer leaves something out.

use nix::sys::utsname::uname;

/// Whether the kernel is of this release or a later one; false if its release is not two numbers.
pub(crate) fn is_at_least(major: u32, minor: u32) -> bool {
    let release = uname().ok().and_then(|found| parse(found.release().to_str()?));
    release.is_some_and(|release| release >= (major, minor))
}

fn parse(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_of_a_kernel_is_two_numbers() {
        assert_eq!(parse("6.18.44-fc"), Some((6, 18)));
        assert_eq!(parse("7.0-rc1"), Some((7, 0)));
        assert_eq!(parse("10.2+"), Some((10, 2)));
        assert_eq!(parse("linux"), None);
        assert!(is_at_least(2, 6) && !is_at_least(u32::MAX, 0));
    }
}
