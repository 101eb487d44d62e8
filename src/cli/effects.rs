//! `rmap warm`, `rmap evict` and `rmap lock`: change what the page cache holds, and report the result.

use clap::Args;

use super::answer::{AnswerArgs, View, refuse_if, unit_of_files};
use super::chosen::{ChosenArgs, OPERANDS};
use super::report::Report;
use super::run::{Configured, Done, Listed, Run};
use super::screen;
use super::signals::Signals;
use crate::error::{Error, ErrorKind, Subject};
use crate::query::Host;
use crate::units::{Bytes, Human, counted};
use crate::views::effect::{self, EffectSource, Effects, Work};

/// The arguments of all three.
///
/// -n is not --no-header here: in make, rsync and others it is a dry run, and then it would change the machine.
#[derive(Debug, Args)]
#[command(mut_arg("no_header", |option| option.short(None)))]
struct EffectArgs {
    /// Refused, because it is ambiguous
    #[arg(short = 'n', hide = true)]
    ambiguous: bool,
    /// Which files.
    #[command(flatten)]
    chosen: ChosenArgs,
    /// How the answer is shown.
    #[command(flatten)]
    answer: AnswerArgs,
}

/// `rmap warm`
#[derive(Debug, Args)]
pub(crate) struct WarmArgs {
    #[command(flatten)]
    effect: EffectArgs,
    #[command(flatten)]
    dry: DryArgs,
}

/// `rmap evict`
#[derive(Debug, Args)]
pub(crate) struct EvictArgs {
    #[command(flatten)]
    effect: EffectArgs,
    #[command(flatten)]
    dry: DryArgs,
}

/// Whether anything is done.
#[derive(Debug, Args)]
struct DryArgs {
    /// Do nothing; report what would be done
    ///
    /// evict cannot foresee every page that the kernel keeps: processes that have pages mapped are reported, other
    /// reasons are not. Pages that would be left do not change the exit status.
    #[arg(long, help_heading = "Files")]
    dry_run: bool,
}

/// `rmap lock`
#[derive(Debug, Args)]
pub(crate) struct LockArgs {
    #[command(flatten)]
    effect: EffectArgs,
}

/// What is to be done.
struct Task {
    work: Work,
    /// Whether it is only reported.
    is_dry: bool,
    /// The default columns.
    columns: &'static [&'static str],
}

impl Task {
    fn of(work: Work) -> Task {
        Task { work, is_dry: false, columns: effect::DEFAULT }
    }
}

/// What `--help` of all three says after the columns, and more.
macro_rules! notes {
    ($more:literal) => {
        concat!(
            "By default sizes are human-readable on a terminal, and in bytes in a pipe. --filter, --top and --by \
            choose what is shown, not which files are worked on: that is chosen by the options under \"Files\".",
            $more
        )
    };
}

/// What `-w` does.
const REPEATS: &str = notes!(" -w repeats the work and shows what changed in between.");

macro_rules! run_as {
    ($arguments:ty, $name:literal, $about:literal, $task:expr, $notes:expr, $no_watch:literal, $examples:expr) => {
        impl Run for $arguments {
            const NAME: &'static str = $name;
            const ABOUT: &'static str = $about;

            const ROWS: &'static [Listed] = &[Listed::of::<Effects>("Columns")];
            const NOTES: &'static str = $notes;
            const OPERANDS: &'static str = OPERANDS;
            const FILTERS: &'static [(&'static str, &'static str)] = &[("", "size>10M && name=~libc")];
            const EXAMPLES: &'static [(&'static str, &'static str)] = $examples;

            const NO_ROOT: &'static str = "it changes memory, and a capture does not change";
            const NO_WATCH: &'static str = $no_watch;

            fn is_machine(&self) -> bool {
                self.effect.answer.is_machine()
            }

            fn run(self, configured: &Configured, report: &mut Report) -> Done {
                let task: fn(&Self) -> Task = $task;
                let task = task(&self);
                self.effect.run(task, configured, report)
            }
        }
    };
}

run_as!(
    WarmArgs,
    "warm",
    "Read into the page cache what is not cached yet, except holes",
    |arguments| match arguments.dry.dry_run {
        true => Task { is_dry: true, columns: effect::DEFAULT_PLAN_TO_WARM, ..Task::of(Work::Warm) },
        false => Task::of(Work::Warm),
    },
    REPEATS,
    "",
    &[
        ("rmap warm big.db", "read in what is not cached"),
        ("rmap warm --dry-run big.db", "how much that would be"),
        ("rmap warm -R /srv/db --include '*.db'", "the same for files below a directory"),
        ("rmap warm --range 0,64M big.db", "only the first 64 MiB"),
    ]
);
run_as!(
    EvictArgs,
    "evict",
    "Write files back and drop them; report which pages stay, and why",
    |arguments| match arguments.dry.dry_run {
        true => Task { is_dry: true, columns: effect::DEFAULT_PLAN_TO_EVICT, ..Task::of(Work::Evict) },
        false => Task::of(Work::Evict),
    },
    REPEATS,
    "",
    &[
        ("rmap evict big.db", "write back and drop"),
        ("rmap evict --dry-run big.db", "what would be dropped, and who keeps the rest"),
        ("rmap evict -R /srv/db --min-size 1M", "the larger files below a directory"),
        ("rmap evict --json big.db", "with every reason why a page stays, for a program"),
    ]
);
run_as!(
    LockArgs,
    "lock",
    "Hold files in the page cache with mlock until Ctrl-C or SIGTERM",
    |_| Task { columns: effect::DEFAULT_LOCK, ..Task::of(Work::Lock) },
    notes!(""),
    "locked pages do not change until the end",
    &[
        ("rmap lock big.db", "hold the file in memory until Ctrl-C"),
        ("rmap lock --range 8K,1M big.db", "hold a part of it"),
        ("rmap lock -R /srv/db --max-size 1M", "hold the smaller files below a directory"),
    ]
);

impl EffectArgs {
    fn run(self, task: Task, configured: &Configured, report: &mut Report) -> Done {
        let Task { work, is_dry, columns } = task;
        let why = match work {
            Work::Lock => "it could mean --no-header or a dry run, which lock does not have; type --no-header",
            Work::Warm | Work::Evict => "it could mean --no-header or --dry-run; type one of them",
        };
        refuse_if(self.ambiguous, "-n", why)?;
        refuse_if(work == Work::Lock && self.answer.every.is_some(), "-w", LockArgs::NO_WATCH)?;
        let view = if is_dry { View::Fixed(columns) } else { View::Usual(columns) };
        let mut query = self.answer.query::<Effects>(configured, view)?;
        let is_listed = query.columns.as_ref().is_some_and(|list| !list.adds);
        if is_dry && self.answer.is_machine() && !is_listed {
            let inspected = (work == Work::Evict).then_some("unseen_processes");
            let planned = ["dirty_before_pages", "planned_pages"].into_iter().chain(inspected);
            query.joined.push(planned.map(str::to_owned).collect());
        }
        if is_dry && query.top.is_some() {
            // What is cached afterwards, which usually decides, is not known.
            query.order = query.order.or_else(|| Some("planned_pages".to_owned()));
        }
        let presentation = self.answer.presentation(configured, unit_of_files());
        let narrowing = self.chosen.narrowing();
        report.works = !is_dry;
        report.paths_like_pids = self.chosen.paths_like_pids();
        let mut source = EffectSource { chosen: self.chosen.chosen()?, work, is_dry, locked: Vec::new() };
        if work == Work::Warm && !is_dry {
            report.show_progress("warming");
        }
        report.signals = Some(Signals::watch_first()?);
        Report::unless_closed(self.answer.answer(&query, &mut source, presentation, report))?;
        if source.chosen.reach.is_beyond_all() {
            let why = format!("no file reaches byte {}", source.chosen.range.offset);
            let error = Error::new(Subject::Words("--range".to_owned()), ErrorKind::Refused, why);
            report.failure(&error.with_advice("nothing was done"));
        }
        // A file that could not be visited has already been reported; whether it matches is not known.
        let matches_nothing = !source.chosen.reach.has_visited() && !report.has_failed();
        if matches_nothing && !narrowing.is_empty() {
            let error = Error::new(Subject::Words(narrowing.join(", ")), ErrorKind::Refused, "no file matches");
            report.failure(&error.with_advice("nothing was done"));
        }
        match &report.signals {
            Some(signals) if source.held() > Bytes(0) => {
                // Everything is reported by now, so a signal that has just arrived is the regular end, too.
                hold(source.held(), signals);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Waits until a signal arrives, which is then the regular end.
fn hold(held: Bytes, signals: &Signals) {
    // On standard error, so that standard output stays a valid document.
    let amount = counted(held.0, "byte", "bytes");
    screen::complain(&format!("{} ({amount}) locked in memory until Ctrl-C or SIGTERM", Human(held)));
    signals.wait();
}
