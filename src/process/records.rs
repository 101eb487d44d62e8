//! Reads the files of `/proc` in which the kernel writes one record per mapping, without making it write any of them
//! twice.
//!
//! The kernel's `fs/seq_file.c` collects records in a buffer of one page until the reader has what it asked for. A
//! record that does not fit any more is dropped and written again for the next `read`, and to write a record of smaps
//! is to walk the page tables of its mapping. So a reader that asks for more than a page makes the kernel walk some
//! mappings twice: one in six in a list of small ones, and perhaps the one of 100 GiB. A reader that asks for so
//! little that one more record fits does not.

use std::io::{self, Read};

use crate::kernel::page_size;

/// What is left in the kernel's buffer for one more record. Those of smaps have 700 bytes and the name of the file
/// (6.18); one that is longer is written twice, if it comes at the end of the buffer.
const ROOM: usize = 796;

/// The most that is asked for at a time.
pub(super) fn most() -> usize {
    usize::try_from(page_size().bytes()).unwrap_or(4096).saturating_sub(ROOM)
}

/// The text of such a file, a little at a time.
pub(super) struct Records<R> {
    text: R,
    most: usize,
}

impl<R: Read> Records<R> {
    pub(super) fn of(text: R) -> Records<R> {
        Records { text, most: most() }
    }
}

impl<R: Read> Read for Records<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.most);
        self.text.read(buffer.get_mut(..most).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of `/proc` as `seq_read_iter` in the kernel's `fs/seq_file.c` serves it.
    #[derive(Default)]
    struct SeqFile {
        records: Vec<Vec<u8>>,
        next: usize,
        buffer: Vec<u8>,
        written: usize,
    }

    impl SeqFile {
        /// Writes one more record; false if it does not fit, or there is none.
        fn write(&mut self) -> bool {
            let Some(record) = self.records.get(self.next) else { return false };
            self.written += 1;
            let fits = self.buffer.len() + record.len() < 4096;
            if fits {
                self.buffer.extend_from_slice(record);
                self.next += 1;
            }
            fits
        }
    }

    impl Read for SeqFile {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            while self.buffer.len() < buffer.len() && self.write() {}
            let count = self.buffer.len().min(buffer.len());
            buffer[..count].copy_from_slice(&self.buffer[..count]);
            self.buffer.drain(..count);
            Ok(count)
        }
    }

    #[test]
    fn the_kernel_writes_each_record_once() {
        let records: Vec<Vec<u8>> =
            (0..300).map(|number| vec![b'a' + (number % 26) as u8; 640 + number % 150]).collect();
        let file = || SeqFile { records: records.clone(), ..SeqFile::default() };
        let read = |reader: &mut dyn Read| {
            let mut text = Vec::new();
            reader.read_to_end(&mut text).unwrap();
            assert_eq!(text, records.concat());
        };
        let mut whole = file();
        read(&mut whole);
        assert!(whole.written > 340, "{}: this is why", whole.written);
        let mut records_once = Records { text: file(), most: 4096 - ROOM };
        read(&mut records_once);
        assert_eq!(records_once.text.written, 300);
    }
}
