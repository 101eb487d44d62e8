//! The texts of the files of a control group.

/// Version 1 has no word for "no limit": it shows the largest whole number of pages that a signed number of bytes can
/// hold, which depends on the page size. No machine has as much memory as this.
const NO_LIMIT_FROM: u64 = i64::MAX as u64 - (1 << 20);

/// The number that a file consists of.
pub(in crate::machine) fn parse_number(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    // `parse` would accept a sign.
    let is_plain = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| is_plain)?.parse().ok()
}

/// A limit: `Some(None)` if there is none (`max`, or the largest number of version 1).
pub(in crate::machine) fn parse_ceiling(text: &[u8]) -> Option<Option<u64>> {
    match text.trim_ascii() {
        b"max" => Some(None),
        text => parse_number(text).map(|limit| Some(limit).filter(|limit| *limit < NO_LIMIT_FROM)),
    }
}

/// The value of a line `key value`, as in `memory.stat` and `memory.events`.
pub(in crate::machine) fn parse_value(text: &[u8], key: &[u8]) -> Option<u64> {
    let mut lines = text.split(|byte| *byte == b'\n');
    parse_number(lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(b" "))?)
}

/// The average over ten seconds in a line `some avg10=1.25 ...` of `memory.pressure`, in percent.
pub(in crate::machine) fn parse_pressure(text: &[u8], line: &[u8]) -> Option<f64> {
    let mut lines = text.split(|byte| *byte == b'\n');
    let rest = lines.find_map(|text| text.strip_prefix(line)?.strip_prefix(b" "))?;
    let mut fields = rest.split(|byte| *byte == b' ');
    let average = fields.find_map(|field| field.strip_prefix(b"avg10="))?;
    let share: f64 = std::str::from_utf8(average).ok()?.parse().ok()?;
    (0.0..=100.0).contains(&share).then_some(share)
}

/// The processes in `cgroup.procs`. One of another pid namespace is 0.
pub(in crate::machine) fn parse_pids(text: &[u8]) -> Vec<u32> {
    let lines = text.split(|byte| *byte == b'\n');
    lines.filter_map(|line| u32::try_from(parse_number(line)?).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_a_word_or_more_than_any_machine_has() {
        for (text, limit) in [
            (&b"max\n"[..], Some(None)),
            (b"9223372036854771712\n", Some(None)),
            // With pages of 64 KiB.
            (b"9223372036854710272\n", Some(None)),
            (b"268435456\n", Some(Some(268_435_456))),
            (b"0\n", Some(Some(0))),
            (b"-1\n", None),
            (b"+5\n", None),
            (b"", None),
            (b"maximum\n", None),
        ] {
            assert_eq!(parse_ceiling(text), limit, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_value_has_its_whole_key() {
        let stat = b"anon 4096\nanon_thp 0\nfile 8192\nbad x\ninactive_file";
        let value = |key: &str| parse_value(stat, key.as_bytes());
        assert_eq!([value("anon"), value("anon_thp"), value("file")], [Some(4096), Some(0), Some(8192)]);
        assert_eq!([value("ano"), value("bad"), value("inactive_file"), value("")], [None; 4]);
    }

    #[test]
    fn pressure_is_the_average_of_ten_seconds() {
        let text = b"some avg10=1.25 avg60=0.10 avg300=0.00 total=77\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=1\n";
        assert_eq!((parse_pressure(text, b"some"), parse_pressure(text, b"full")), (Some(1.25), Some(0.5)));
        for odd in [&b"some avg10=NaN"[..], b"some avg10=-1", b"some avg10=1e9", b"some", b"full avg10=x", b""] {
            assert_eq!(parse_pressure(odd, b"some"), None, "{}", odd.escape_ascii());
        }
    }

    #[test]
    fn processes_of_another_namespace_are_zero() {
        assert_eq!(parse_pids(b"1\n0\n4190\n\n99999999999\nx\n"), [1, 0, 4190]);
    }
}
