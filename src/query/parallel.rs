//! Renders many rows on several threads, in their order.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Builder};

use crate::render::{RowWriter, Sink};
use crate::table::{Cell, Column, Filter, RowKind, Stop, Totals};

/// How many rows a thread renders at a time: enough to make passing them on cheap, few enough to keep the text in a
/// cache.
const ROWS: usize = 256;

/// Rendering fewer rows than this is faster than starting threads.
const FEWEST: usize = 4096;

/// More threads than this wait for each other.
const MOST_THREADS: usize = 4;

/// The result for one chunk of rows.
struct Chunk<K: RowKind> {
    place: usize,
    text: Vec<u8>,
    totals: Totals<K>,
    written: usize,
}

/// Writes the rows that match `filter`, adds them to `totals` and returns their number. Does nothing if the format, the
/// machine or the small number of rows does not allow it.
pub(super) fn write_in_parallel<K: RowKind>(
    rows: &[K::Row],
    columns: &[Column<K>],
    filter: Option<&Filter<K>>,
    totals: &mut Totals<K>,
    sink: &mut dyn Sink,
) -> Result<Option<usize>, Stop> {
    if rows.len() < FEWEST {
        return Ok(None);
    }
    // Counting the usable processors reads several files, which would take longer than a short list.
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_THREADS);
    if threads < 2 {
        return Ok(None);
    }
    let Some(writer) = sink.row_writer() else { return Ok(None) };
    let next = AtomicUsize::new(0);
    let empty = totals.emptied();
    // Memory that was used once is not cleared again by the kernel.
    let used = Mutex::new(Vec::new());
    let render = |sender: SyncSender<Chunk<K>>| {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(rows) = rows.chunks(ROWS).nth(place) else { return };
            let used = used.try_lock().ok().and_then(|mut used| used.pop());
            let chunk = Chunk { place, text: used.unwrap_or_default(), totals: empty.emptied(), written: 0 };
            if sender.send(rendered(chunk, rows, columns, filter, writer.as_ref())).is_err() {
                return;
            }
        }
    };
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(2 * threads);
        let mut started = 0;
        for _ in 0..threads {
            let sender = sender.clone();
            started += usize::from(Builder::new().name("render".into()).spawn_scoped(scope, || render(sender)).is_ok());
        }
        drop(sender);
        if started == 0 {
            return Ok(None);
        }
        write_in_order(&receiver, &used, totals, sink).map(Some)
    })
}

fn rendered<K: RowKind>(
    mut chunk: Chunk<K>,
    rows: &[K::Row],
    columns: &[Column<K>],
    filter: Option<&Filter<K>>,
    writer: &dyn RowWriter,
) -> Chunk<K> {
    let rows: Vec<&K::Row> = rows.iter().filter(|row| filter.is_none_or(|filter| filter.matches(row))).collect();
    let cell = |row: usize, place: usize| match (rows.get(row), columns.get(place)) {
        (Some(row), Some(column)) => column.cell(row),
        _ => Cell::Remark(None),
    };
    writer.write(rows.len(), &cell, &mut chunk.text);
    rows.iter().for_each(|row| chunk.totals.add(row));
    chunk.written = rows.len();
    chunk
}

fn write_in_order<K: RowKind>(
    chunks: &Receiver<Chunk<K>>,
    used: &Mutex<Vec<Vec<u8>>>,
    totals: &mut Totals<K>,
    sink: &mut dyn Sink,
) -> Result<usize, Stop> {
    let (mut waiting, mut next, mut written) = (BTreeMap::new(), 0, 0);
    for chunk in chunks {
        waiting.insert(chunk.place, chunk);
        while let Some(mut chunk) = waiting.remove(&next) {
            sink.rendered(&chunk.text)?;
            totals.merge(&chunk.totals);
            written += chunk.written;
            next += 1;
            chunk.text.clear();
            used.lock().unwrap_or_else(PoisonError::into_inner).push(chunk.text);
        }
    }
    Ok(written)
}
