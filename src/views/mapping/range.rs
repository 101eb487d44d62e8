//! A range of addresses, as `-A` takes it.

use std::str::FromStr;

/// A range of addresses, including both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    /// The lowest address.
    pub low: u64,
    /// The highest address.
    pub high: u64,
}

impl AddressRange {
    /// Every address.
    pub const ALL: AddressRange = AddressRange { low: 0, high: u64::MAX };

    /// Whether a mapping with these addresses (excluding its end) overlaps the range.
    pub(super) fn meets(self, start: u64, end: u64) -> bool {
        start <= self.high && end > self.low
    }
}

impl FromStr for AddressRange {
    type Err = String;

    /// `LOW,HIGH`, `LOW,`, `,HIGH` or one address, as in pmap.
    fn from_str(text: &str) -> Result<AddressRange, String> {
        let address = |word: &str, default: u64| match word.trim().trim_start_matches("0x") {
            "" => Ok(default),
            digits => u64::from_str_radix(digits, 16)
                .map_err(|_| format!("invalid address '{word}': use hexadecimal digits, as in the first column")),
        };
        let (low, high) = text.split_once(',').unwrap_or((text, text));
        let range = AddressRange { low: address(low, 0)?, high: address(high, u64::MAX)? };
        match range.low <= range.high {
            true => Ok(range),
            false => Err("the first address is higher than the last".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_addresses_includes_both_ends() {
        let range: AddressRange = "1000,2000".parse().unwrap();
        assert!(range.meets(0x2000, 0x3000) && range.meets(0xfff, 0x1001) && range.meets(0, u64::MAX));
        assert!(!range.meets(0, 0x1000) && !range.meets(0x2001, 0x3000));
    }

    #[test]
    fn one_address_is_the_mapping_it_is_in() {
        let range: AddressRange = "0x1234".parse().unwrap();
        assert!(range.meets(0x1000, 0x2000) && !range.meets(0x2000, 0x3000));
        assert_eq!(",ff".parse(), Ok(AddressRange { low: 0, high: 0xff }));
        assert_eq!("ff,".parse(), Ok(AddressRange { low: 0xff, high: u64::MAX }));
        assert!("2,1".parse::<AddressRange>().is_err() && "x".parse::<AddressRange>().is_err());
    }
}
