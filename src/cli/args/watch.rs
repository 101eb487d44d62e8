//! What was typed to repeat an answer.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;

/// Whether and how often an answer is repeated.
#[derive(Debug, Clone, Args)]
pub struct WatchArgs {
    /// Repeat every SECS seconds (0.5, 2) until Ctrl-C, and show what changed since the look before
    #[arg(short = 'w', long = "watch", value_name = "SECS")]
    pub every: Option<Interval>,
}

/// The time from one look to the next: more than nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval(pub Duration);

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Interval, String> {
        let refusal = || format!("'{text}' is no time to wait: write seconds, more than 0, like 0.5 or 2");
        let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let seconds: f64 = text.parse().ok().filter(|_| plain).ok_or_else(refusal)?;
        let interval = Duration::try_from_secs_f64(seconds).map_err(|_| refusal())?;
        if interval.is_zero() { Err(refusal()) } else { Ok(Interval(interval)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_of_seconds_are_times_to_wait_and_nothing_is_not() {
        assert_eq!("2".parse(), Ok(Interval(Duration::from_secs(2))));
        assert_eq!("0.25".parse(), Ok(Interval(Duration::from_millis(250))));
        for text in ["0", "0.0", "-1", "", "x", "1e3", "inf", "nan", "99999999999999999999999", "0.0000000001"] {
            assert!(text.parse::<Interval>().is_err(), "{text}");
        }
    }
}
