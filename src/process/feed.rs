//! Feeds the text of an open file to a parser. A large text is read by a second thread.

use std::fs::File;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, ScopedJoinHandle};

use crate::process::records::{self, Records};
use crate::process::smaps::{ParseError, SmapsParser};

/// The kernel returns less than a page of text per `read`; larger chunks only save hand-overs between threads.
const CHUNK: usize = 256 << 10;

/// After this much text a second thread reads while this one parses: for 43 MB of smaps that hides the time for parsing
/// (two cores, kernel 6.18). For less text, starting a thread takes longer than parsing.
const ONE_THREAD_UP_TO: usize = 512 << 10;

/// Chunks on their way between the two threads.
const CHUNKS: usize = 3;

/// Why a text was not read to its end, or proves nothing.
pub(super) enum Stop {
    Read(io::Error),
    Parse(ParseError),
    /// The list of mappings changed while the page tables were read.
    Moved,
    /// The interface is missing, or its figures may differ from those of smaps.
    Unproven,
}

/// Feeds the whole of `file`.
pub(super) fn feed_all(file: &File, parser: &mut SmapsParser<'_>) -> std::result::Result<(), Stop> {
    if feed_up_to(file, parser, ONE_THREAD_UP_TO)? || feed_with_reader(file, parser)? {
        return Ok(());
    }
    // No thread could be started.
    feed_up_to(file, parser, usize::MAX).map(|_| ())
}

/// Feeds about `most` bytes in this thread; returns whether that was everything.
fn feed_up_to(file: &File, parser: &mut SmapsParser<'_>, most: usize) -> std::result::Result<bool, Stop> {
    let mut text = Records::of(file);
    let mut chunk = vec![0; records::most()];
    let mut fed = 0usize;
    while fed < most {
        match text.read(&mut chunk) {
            Ok(0) => return Ok(true),
            Ok(count) => {
                parser.feed(chunk.get(..count).unwrap_or_default()).map_err(Stop::Parse)?;
                fed = fed.saturating_add(count);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Stop::Read(error)),
        }
    }
    Ok(false)
}

/// Feeds the rest, read by a second thread. False, with nothing read, if that thread could not be started.
fn feed_with_reader(file: &File, parser: &mut SmapsParser<'_>) -> std::result::Result<bool, Stop> {
    let (full_in, full_out) = sync_channel(CHUNKS);
    let (empty_in, empty_out) = channel();
    for _ in 0..CHUNKS {
        // The receiver is in scope.
        let _ = empty_in.send(Vec::with_capacity(CHUNK));
    }
    thread::scope(|scope| {
        let reader = thread::Builder::new().name("smaps".into());
        let Ok(reader) = reader.spawn_scoped(scope, move || read_chunks(file, &empty_out, &full_in)) else {
            return Ok(false);
        };
        feed_chunks(parser, &full_out, empty_in).map_err(Stop::Parse)?;
        join(reader).map(|()| true)
    })
}

/// The result of a thread.
pub(super) fn join<T>(thread: ScopedJoinHandle<'_, io::Result<T>>) -> std::result::Result<T, Stop> {
    thread.join().unwrap_or_else(|_| Err(io::Error::other("a reading thread failed"))).map_err(Stop::Read)
}

/// The reading thread: fills chunks until the end of the file, or until the parser stops.
fn read_chunks(file: &File, empty: &Receiver<Vec<u8>>, full: &SyncSender<Vec<u8>>) -> io::Result<()> {
    let mut text = Records::of(file);
    for mut chunk in empty {
        chunk.clear();
        text.by_ref().take(CHUNK as u64).read_to_end(&mut chunk)?;
        if chunk.is_empty() || full.send(chunk).is_err() {
            break;
        }
    }
    Ok(())
}

fn feed_chunks(
    parser: &mut SmapsParser<'_>,
    full: &Receiver<Vec<u8>>,
    empty: Sender<Vec<u8>>,
) -> std::result::Result<(), ParseError> {
    for chunk in full {
        parser.feed(&chunk)?;
        // The reader may have reached the end already.
        let _ = empty.send(chunk);
    }
    Ok(())
}
