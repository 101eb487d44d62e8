//! The archive as it is written: tar, and above it zstd in frames of a few megabytes, each of which is decompressed on
//! its own. Programs such as `tar` and `zstd` read both.

use std::ffi::OsStr;
use std::io::{self, BufRead, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use tar::{Builder, EntryType, Header};

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all: `FILE.tar`.
    None,
    /// With zstd: `FILE.tar.zst`.
    Zstd,
}

/// How much is compressed at a time.
const FRAME: usize = 4 << 20;

/// The largest window that is decompressed. zstd itself allows 128 MiB by default, and a frame of ours needs 4 MiB.
const WINDOW: u64 = 128 << 20;

/// An archive that is written.
pub(super) struct Archive<W: Write> {
    tar: Builder<Output<W>>,
    time: u64,
}

impl<W: Write> Archive<W> {
    /// A new one; its entries have this time, in seconds since 1970.
    pub(super) fn new(out: W, compression: Compression, time: u64) -> Archive<W> {
        let frames = Frames { out, gathered: Vec::new() };
        let output = match compression {
            Compression::None => Output::Plain(frames.out),
            Compression::Zstd => Output::Zstd(frames),
        };
        let mut tar = Builder::new(output);
        tar.sparse(false);
        Archive { tar, time }
    }

    /// Adds a file.
    pub(super) fn add_file(&mut self, name: &[u8], text: &[u8]) -> io::Result<()> {
        self.add_long_file(name, text.len() as u64, text)
    }

    /// Adds a file with a text of this length.
    pub(super) fn add_long_file(&mut self, name: &[u8], length: u64, text: impl Read) -> io::Result<()> {
        let mut header = self.header(EntryType::Regular, 0o600);
        header.set_size(length);
        self.tar.append_data(&mut header, path_of(name), text)
    }

    /// Adds a symbolic link.
    pub(super) fn add_link(&mut self, name: &[u8], target: &[u8]) -> io::Result<()> {
        let mut header = self.header(EntryType::Symlink, 0o777);
        header.set_size(0);
        // As it is: of a path, tar makes `//` of `/`, which is the root directory of most processes.
        match header.set_link_name_literal(target) {
            Ok(()) => self.tar.append_data(&mut header, path_of(name), io::empty()),
            Err(_) => self.tar.append_link(&mut header, path_of(name), path_of(target)),
        }
    }

    /// Adds a directory.
    pub(super) fn add_directory(&mut self, name: &[u8]) -> io::Result<()> {
        let mut header = self.header(EntryType::Directory, 0o700);
        header.set_size(0);
        self.tar.append_data(&mut header, path_of(name), io::empty())
    }

    fn header(&self, kind: EntryType, mode: u32) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(self.time);
        header
    }

    /// Ends it, and returns where it was written to.
    pub(super) fn finish(self) -> io::Result<W> {
        match self.tar.into_inner()? {
            Output::Plain(mut out) => {
                out.flush()?;
                Ok(out)
            }
            Output::Zstd(mut frames) => {
                frames.flush()?;
                Ok(frames.out)
            }
        }
    }
}

fn path_of(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}

enum Output<W: Write> {
    Plain(W),
    Zstd(Frames<W>),
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Output::Plain(out) => out.write(bytes),
            Output::Zstd(frames) => frames.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Output::Plain(out) => out.flush(),
            Output::Zstd(frames) => frames.flush(),
        }
    }
}

/// Compresses what is written.
struct Frames<W: Write> {
    out: W,
    gathered: Vec<u8>,
}

impl<W: Write> Write for Frames<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = FRAME.saturating_sub(self.gathered.len());
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.gathered.extend_from_slice(taken);
        if self.gathered.len() >= FRAME {
            self.flush()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.gathered.is_empty() {
            let frame = compress_to_vec(&self.gathered[..], CompressionLevel::Fastest);
            self.gathered.clear();
            self.out.write_all(&frame)?;
        }
        self.out.flush()
    }
}

/// Decompresses frame after frame, and checks that each is what was compressed.
pub(super) struct Decompressed<R: BufRead>(State<R>);

enum State<R: BufRead> {
    Frame(Box<StreamingDecoder<R, FrameDecoder>>),
    Between(R),
    Over,
}

impl<R: BufRead> Decompressed<R> {
    pub(super) fn new(compressed: R) -> Decompressed<R> {
        Decompressed(State::Between(compressed))
    }
}

impl<R: BufRead> Read for Decompressed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(&mut self.0, State::Over) {
                _ if buffer.is_empty() => return Ok(0),
                State::Over => return Ok(0),
                State::Between(mut rest) => {
                    if rest.fill_buf()?.is_empty() {
                        return Ok(0);
                    }
                    let decoder = StreamingDecoder::new_with_max_window_size(rest, WINDOW);
                    self.0 = State::Frame(Box::new(decoder.map_err(|error| damaged(&error))?));
                }
                State::Frame(mut frame) => {
                    let count = frame.read(buffer).map_err(|error| damaged(&error))?;
                    if count > 0 {
                        self.0 = State::Frame(frame);
                        return Ok(count);
                    }
                    let (rest, decoder) = frame.into_parts();
                    let sum = decoder.get_checksum_from_data();
                    if sum.is_some() && sum != decoder.get_calculated_checksum() {
                        return Err(damaged(&"a checksum differs"));
                    }
                    self.0 = State::Between(rest);
                }
            }
        }
    }
}

fn damaged(why: &dyn std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("its compressed data is damaged: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_where_they_led() {
        let targets = ["/", "//x/", "mnt:[4026531841]", "/a (deleted)", &"/long".repeat(40)];
        let mut archive = Archive::new(Vec::new(), Compression::None, 0);
        targets.iter().for_each(|target| archive.add_link(b"exe", target.as_bytes()).unwrap());
        let bytes = archive.finish().unwrap();
        let mut read = tar::Archive::new(&bytes[..]);
        let found = read.entries().unwrap().map(|entry| entry.unwrap().link_name_bytes().unwrap().into_owned());
        assert_eq!(found.collect::<Vec<_>>(), targets.map(|target| target.as_bytes().to_vec()));
    }

    #[test]
    fn frames_are_read_back_as_they_were_written_and_damage_is_found() {
        let text: Vec<u8> = (0..FRAME as u64 + 100_000).flat_map(|number| (number / 7).to_le_bytes()).collect();
        let mut frames = Frames { out: Vec::new(), gathered: Vec::new() };
        frames.write_all(&text).unwrap();
        frames.flush().unwrap();
        let read = |bytes: &[u8]| {
            let mut found = Vec::new();
            Decompressed::new(bytes).read_to_end(&mut found).map(|_| found)
        };
        assert!(frames.out.len() < text.len() && read(&frames.out).unwrap() == text);
        for place in [9, frames.out.len() / 2, frames.out.len() - 1] {
            let mut damaged = frames.out.clone();
            damaged[place] ^= 0x10;
            assert!(read(&damaged).is_err(), "{place}");
        }
        assert!(read(&frames.out[..frames.out.len() / 2]).is_err());
    }
}
