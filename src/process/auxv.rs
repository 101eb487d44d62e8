//! Which addresses `execve` told a program (`/proc/PID/auxv`).

use crate::process::handle::Process;

/// `AT_PHDR`: the headers of the program; `AT_BASE`: where its interpreter begins, which is usually the dynamic linker.
const OF_FILES: [u64; 2] = [3, 7];

/// The vector of a process has some twenty entries.
const MOST: u64 = 1 << 16;

impl Process {
    /// An address in each file that `execve` itself mapped: the program, and its interpreter if there is one. Empty if
    /// that cannot be read.
    pub(crate) fn read_loaded(&self) -> Vec<u64> {
        let read = |memory: super::handle::Memory| memory.directory.read_file("auxv", MOST).ok();
        self.memory().ok().and_then(read).map_or_else(Vec::new, |bytes| parse_loaded(&bytes))
    }
}

/// Pairs of words: what it is, and the value.
fn parse_loaded(bytes: &[u8]) -> Vec<u64> {
    const WORD: usize = size_of::<usize>();
    let word = |bytes: &[u8]| bytes.try_into().map(usize::from_ne_bytes).ok().and_then(|word| u64::try_from(word).ok());
    let words: Vec<u64> = bytes.chunks_exact(WORD).filter_map(word).collect();
    let pairs = words.chunks_exact(2).filter_map(|pair| <[u64; 2]>::try_from(pair).ok());
    pairs.filter(|[key, value]| OF_FILES.contains(key) && *value != 0).map(|[_, value]| value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_among_what_execve_mapped() {
        let words = [6usize, 4096, 3, 0x1040, 7, 0, 0, 0];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        assert_eq!(parse_loaded(&bytes), [0x1040]);
        assert_eq!(parse_loaded(&bytes[..bytes.len() / 2 - 1]), Vec::<u64>::new());
        let loaded = Process::own().unwrap().read_loaded();
        assert!(!loaded.is_empty());
    }
}
