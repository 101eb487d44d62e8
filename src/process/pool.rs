//! A pool of byte strings in one block of memory, for paths and flags that repeat from mapping to mapping.
//!
//! It is not a full interner: a string that repeats after many others may be stored again. That costs memory but is
//! never wrong, and storing takes only one hash and one comparison.

/// The number of remembered strings. Files map as four or five neighbours and flags come in a dozen combinations.
const REMEMBERED: usize = 64;

/// The odd number nearest to 2^64 divided by the golden ratio, which spreads neighbours far apart.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Byte strings, by number. Number 0 is the empty string.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    bytes: Vec<u8>,
    /// The end of each string, which is the start of the next one.
    ends: Vec<u32>,
    /// The string last stored under each hash.
    recent: Box<[u32; REMEMBERED]>,
}

impl Pool {
    pub(super) fn new() -> Pool {
        Pool { bytes: Vec::new(), ends: vec![0], recent: Box::new([0; REMEMBERED]) }
    }

    /// The number of `text`; `None` if the pool already holds 4 GiB.
    pub(super) fn store(&mut self, text: &[u8]) -> Option<u32> {
        let place = hash(text) % REMEMBERED;
        let remembered = self.recent.get(place).copied().unwrap_or(0);
        if self.get(remembered) == Some(text) {
            return Some(remembered);
        }
        if text.is_empty() {
            return Some(0);
        }
        let end = u32::try_from(self.bytes.len().checked_add(text.len())?).ok()?;
        let number = u32::try_from(self.ends.len()).ok()?;
        self.bytes.extend_from_slice(text);
        self.ends.push(end);
        if let Some(recent) = self.recent.get_mut(place) {
            *recent = number;
        }
        Some(number)
    }

    /// The string of that number.
    pub(super) fn get(&self, number: u32) -> Option<&[u8]> {
        let number = number as usize;
        let end = *self.ends.get(number)? as usize;
        let start = match number {
            0 => 0,
            _ => *self.ends.get(number - 1)? as usize,
        };
        self.bytes.get(start..end)
    }
}

/// A cheap hash of all bytes, eight at a time: flags differ in the middle, names at the end.
fn hash(text: &[u8]) -> usize {
    let (words, rest) = text.as_chunks::<8>();
    let rest = rest.iter().fold(text.len() as u64, |sum, byte| sum << 8 | u64::from(*byte));
    let sum =
        words.iter().fold(rest, |sum, word| (sum.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(SPREAD));
    // The product's high bits depend on every bit below.
    (sum.wrapping_mul(SPREAD) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_string_is_unchanged() {
        let mut pool = Pool::new();
        let texts: Vec<Vec<u8>> = (0..1000).map(|n| format!("/lib/{n}\u{fffd}").into_bytes()).collect();
        let numbers: Vec<u32> = texts.iter().map(|text| pool.store(text).unwrap()).collect();
        for (text, number) in texts.iter().zip(numbers) {
            assert_eq!(pool.get(number), Some(&text[..]));
        }
        assert_eq!(pool.get(5000), None);
    }

    #[test]
    fn a_string_that_repeats_is_stored_once() {
        let mut pool = Pool::new();
        let first = pool.store(b"rd wr mr mw me");
        pool.store(b"rd ex mr mw me");
        assert_eq!(pool.store(b"rd wr mr mw me"), first);
        assert_eq!(pool.store(b""), Some(0));
        assert_eq!(pool.get(0), Some(&b""[..]));
    }
}
