//! `rmap demo`: makes memory and shows it from both sides.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use super::args::DemoArgs;
use super::progress::Progress;
use super::signals::Signals;
use super::{Done, Report, Stop, screen};
use crate::error::Error;
use crate::laboratory::demo::{Demo, DemoRequest, Observation};
use crate::output::choose::renderer;
use crate::output::escape::{error_line, escaped};
use crate::output::{Cell, Format, Layout, Renderer, SizeUnit, column};
use crate::units::Bytes;
use crate::views::demo_step::{self, DemoSteps, StepRow};

/// The shares of the file, in percent, at which both views are taken: 0 is after mapping, before anything is written.
const STEPS: [u64; 5] = [0, 25, 50, 75, 100];

/// The columns, for `--help`.
pub(crate) fn help() -> String {
    format!(
        "Columns:\n{}\nSizes are in KiB unless -b or -H is given, and in bytes for a file that is no multiple of 4 KiB.\n\n\
         The file is removed when the demo ends, also by kill -9: by a second process that waits for that. What ends \
         both at once, such as the end of the whole container or machine, leaves the file.",
        column::help(demo_step::COLUMNS)
    )
}

pub(crate) fn run(args: &DemoArgs, report: &mut Report) -> Done {
    if args.size == Bytes(0) {
        return Err(Stop::usage("--size 0", "a file of no bytes cannot be mapped; choose a size like 256M"));
    }
    let everything: Vec<&str> = demo_step::COLUMNS.iter().map(|column| column.id.as_ref()).collect();
    let table = args.output.format() == Format::Table;
    let default = if table { args.output.default_columns(demo_step::DEFAULT) } else { everything };
    let ids = args.output.columns.as_ref().map_or_else(|| default.clone(), |list| list.over(&default));
    let columns = column::select(demo_step::COLUMNS, &ids).map_err(Stop::Usage)?;
    let columns = screen::writable(columns, &args.output)?;

    let signals = Signals::watch()?;
    let request = DemoRequest { size: args.size, file: args.file.clone(), force: args.force, keep: args.keep };
    let demo = Demo::begin(&request).map_err(Stop::Failed)?;
    let layout = Layout { live: true, terminal_width: None, ..screen::layout(&args.output, exact_unit(args.size)) };
    let mut renderer = renderer::<DemoSteps>(layout, columns, screen::output());
    play(args, demo, renderer.as_mut(), &signals, report)
}

/// The unit in which every figure of a demo of this size is a whole number: figures are of pages, of the file's size, and of
/// quarters of it.
fn exact_unit(size: Bytes) -> SizeUnit {
    if size.0.is_multiple_of(4096) { SizeUnit::Kib } else { SizeUnit::Bytes }
}

/// Plays all steps. Whichever way it returns, the demo's value is dropped and its file removed.
fn play(
    args: &DemoArgs,
    mut demo: Demo,
    renderer: &mut dyn Renderer<DemoSteps>,
    signals: &Signals,
    report: &mut Report,
) -> Done {
    let table = args.output.format() == Format::Table;
    if table && !args.output.no_header {
        introduce(&demo, args)?;
    }
    renderer.begin(None)?;
    let mut last = None;
    let mut progress = Progress::new("filling");
    for step in STEPS {
        fill(&mut demo, part(args.size, step), args.size, signals, &mut progress)?;
        let seen = demo.observe().map_err(Stop::Failed)?;
        renderer.row(&StepRow { seen: &seen })?;
        last = Some(seen);
    }
    renderer.end(None)?;
    renderer.finish()?;
    if let Some(seen) = &last {
        conclude(args, &demo, seen, report)?;
    }
    if args.hold { hold(&demo, signals) } else { Ok(()) }
}

/// Says how it ended, and whether it showed all that was asked for.
fn conclude(args: &DemoArgs, demo: &Demo, seen: &Observation, report: &mut Report) -> Done {
    let meddling = demo.meddling();
    if args.output.format() == Format::Table {
        write_verdict(seen, meddling.as_ref())?;
    }
    // A demo that does not show what it promises has not reported all that was asked for.
    if seen.views.agrees() != Ok(true) {
        report.incomplete();
    }
    match &meddling {
        Some(error) if args.keep || args.output.format() != Format::Table => report.failure(error),
        Some(_) => report.incomplete(),
        None => {}
    }
    Ok(())
}

/// `step` percent of `size`, in whole bytes.
fn part(size: Bytes, step: u64) -> Bytes {
    Bytes((u128::from(size.0) * u128::from(step) / 100) as u64)
}

fn introduce(demo: &Demo, args: &DemoArgs) -> Done {
    let unit = match args.output.unit(exact_unit(args.size)) {
        SizeUnit::Kib => "Sizes are in KiB (-b: in bytes).",
        SizeUnit::Bytes => "Sizes are in bytes.",
        SizeUnit::Human => "Sizes are cut to a decimal.",
    };
    let mut out = screen::output();
    writeln!(out, "pid {} maps {} ({} bytes), shared and writable,", demo.pid(), path_words(demo), args.size.0)?;
    writeln!(out, "and fills it: byte i becomes i % 128. {unit}")?;
    writeln!(out, "Size to Anonymous: the mapping, from smaps. The rest: the file's page cache.\n")?;
    Ok(out.flush()?)
}

fn path_words(demo: &Demo) -> String {
    escaped(demo.path().as_os_str().as_bytes())
}

/// Fills the file up to `end`, with progress on a terminal.
fn fill(demo: &mut Demo, end: Bytes, size: Bytes, signals: &Signals, progress: &mut Progress) -> Done {
    let filled = demo.fill_to(end, |filled| {
        progress.reach(filled, size);
        signals.received().is_none()
    });
    progress.clear();
    let complete = filled.map_err(Stop::Failed)?;
    match signals.received() {
        Some(signal) if !complete => Err(Stop::Signal(signal)),
        _ => Ok(()),
    }
}

fn write_verdict(seen: &Observation, meddling: Option<&Error>) -> Done {
    let mut out = screen::output();
    let views = &seen.views;
    let (rss, page) = (views.usage.rss, views.file.page_size);
    match &seen.difference {
        None => writeln!(
            out,
            "\nBoth views agree: {} KiB mapped in (Rss) are {} KiB of page cache,\nthe same {} pages.",
            rss.kib(),
            rss.kib(),
            rss.0 / page.bytes()
        )?,
        Some(why) => {
            let mut cached = Vec::new();
            Cell::bytes(views.file.cached().map(|pages| pages.bytes(page))).write_words(SizeUnit::Kib, &mut cached);
            writeln!(
                out,
                "\nThe views differ: Rss is {} KiB, and {} KiB of the file are cached:\n{why}.",
                rss.kib(),
                String::from_utf8_lossy(&cached)
            )?;
        }
    }
    let missing = seen.size.0.saturating_sub(rss.0);
    if let Some(error) = meddling {
        writeln!(out, "But {}.", error_line(error))?;
    } else if missing > 0 {
        writeln!(
            out,
            "Of what was filled, {missing} bytes are not in RAM any more:\nthe kernel has written and reclaimed them."
        )?;
    }
    Ok(out.flush()?)
}

/// Stays alive until a signal comes; that is then the wished-for end.
fn hold(demo: &Demo, signals: &Signals) -> Done {
    // Another terminal is in another directory.
    let path = match demo.meddling() {
        None => std::path::absolute(demo.path()).unwrap_or_else(|_| demo.path().to_owned()),
        // By its name one would see another file, or none.
        Some(_) => format!("/proc/{}/fd/{}", demo.pid(), demo.descriptor()).into(),
    };
    // On standard error, so that a machine format on standard output stays one document. If that is closed there is nobody
    // to tell.
    let _ = writeln!(
        std::io::stderr(),
        "\nHolding until Ctrl-C. In another terminal:\n  rmap pid {} -o +inode\n  rmap pcstat {}",
        demo.pid(),
        shell_word(path.as_os_str().as_bytes())
    );
    signals.wait();
    Ok(())
}

/// A word as a shell takes it, of characters that a terminal can show.
fn shell_word(word: &[u8]) -> String {
    let shown = escaped(word);
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+,:@%=".contains(letter);
    if shown.as_bytes() != word {
        let letter = |byte: &u8| match byte {
            b'\'' | b'\\' => format!("\\{}", char::from(*byte)),
            b' '..=b'~' => char::from(*byte).to_string(),
            other => format!("\\{other:03o}"),
        };
        return format!("$'{}'", word.iter().map(letter).collect::<String>());
    }
    if shown.chars().all(plain) { shown } else { format!("'{}'", shown.replace('\'', r"'\''")) }
}
