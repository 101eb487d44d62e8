//! Times as a person reads them on a terminal: in the local time zone, in whole seconds.

use std::io::Write;
use std::time::SystemTime;

use jiff::tz::TimeZone;

/// Appends a time such as `2026-11-28 14:03:07`; a time that the calendar does not have is `-`.
pub(super) fn write_local_time(time: SystemTime, out: &mut Vec<u8>) {
    let local = jiff::Timestamp::try_from(time).map(|time| time.to_zoned(TimeZone::system()));
    // Writing to a Vec cannot fail.
    let _ = match local {
        Ok(local) => write!(out, "{}", local.strftime("%Y-%m-%d %H:%M:%S")),
        Err(_) => out.write_all(b"-"),
    };
}
