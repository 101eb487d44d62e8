//! What is said about the whole list: how many processes were read, how much they have, and how many could not be.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Subject};
use crate::process::usage::{LATE, OF_MACHINE, Usage, Usages};
use crate::process::{ProcRoot, who_could};
use crate::table::{Cell, Closing, OwnedCell};
use crate::units::{Bytes, Human, Reason, TOO_LARGE, counted};

/// The kernel counts in batches what a process has in swap, so that its counter may be off by some pages.
const DIFFERENCE: u128 = 1 << 20;

/// How many processes were read, and how much they have.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Account {
    /// Those that are listed.
    listed: u64,
    /// Those whose Pss is known.
    read: u64,
    /// The sum of it, with what several processes share counted once.
    pss: u128,
    /// The sum of Swap Pss, and that of Swap, over the processes that have both, with an address space counted once.
    swap_pss: u128,
    swap: u128,
    /// Those that this user may not read.
    denied: u64,
    /// Those that were not read in time.
    late: u64,
    /// Those that could not be read for another reason.
    failed: u64,
    /// Those that are not listed because `/proc` hides them; `None` if it hides how many they are, too.
    hidden: Option<u64>,
    /// How many of these may be threads of the kernel.
    hidden_threads: u64,
    /// Those that are not listed because there was no time to look at them.
    unseen: u64,
    /// Those that are not listed because they could not be read.
    unread: u64,
    /// Whether anything of this was read at all.
    has_shares: bool,
    /// Whether the sum of Swap is shown.
    shows_swap: bool,
    /// Who could read those: `root`. `None` if nobody can.
    who_could: Option<&'static str>,
}

impl Account {
    pub(super) fn of(root: &ProcRoot, found: &Usages, has_shares: bool, shows_swap: bool) -> Account {
        let mut account = Account {
            listed: found.usages.len() as u64,
            hidden: (!found.hides_more).then_some(found.hidden),
            hidden_threads: if found.hides_more { 0 } else { found.hidden_threads },
            unseen: found.unseen,
            failed: found.unread,
            unread: found.unread,
            has_shares,
            shows_swap,
            who_could: who_could().filter(|_| root.is_live()),
            ..Account::default()
        };
        let mut counted = std::collections::HashSet::new();
        for usage in found.usages.iter().filter(|_| has_shares) {
            match usage.share(|shares| shares.pss) {
                Ok(Bytes(pss)) => {
                    account.read += 1;
                    if counted.insert(usage.memory) {
                        account.pss += u128::from(pss);
                        // Only the same processes can be compared.
                        let in_swap = (usage.share(|shares| shares.swap_pss), usage.public(|status| status.swap));
                        if let (Ok(Bytes(swap_pss)), Ok(Bytes(swap))) = in_swap {
                            account.swap_pss += u128::from(swap_pss);
                            account.swap += u128::from(swap);
                        }
                    }
                }
                Err(absent) => match absent.reason {
                    Reason::Denied => account.denied += 1,
                    Reason::Late => account.late += 1,
                    _ => account.failed += 1,
                },
            }
        }
        account
    }

    /// How many processes there are.
    fn all(&self) -> Option<u64> {
        Some(self.listed.saturating_add(self.hidden?).saturating_add(self.unseen).saturating_add(self.unread))
    }

    /// For a table its last line, and for a JSON document an object.
    pub(super) fn closing(&self) -> Closing {
        let count = |number: Option<u64>| OwnedCell::Plain(number.map_or(Cell::Remark(None), Cell::Count));
        let figure = |number| count(Some(number).filter(|_| self.has_shares));
        let cells = vec![
            ("processes", count(self.all())),
            ("read", figure(self.read)),
            ("pss", count(u64::try_from(self.pss).ok().filter(|_| self.has_shares))),
            ("denied", figure(self.denied)),
            ("late", figure(self.late)),
            ("failed", figure(self.failed)),
            ("hidden", count(self.hidden)),
            ("unseen", count(Some(self.unseen))),
        ];
        Closing { lines: self.line().into_iter().collect(), object: Some(("account", cells)), ..Closing::default() }
    }

    /// `46 of 47 read, 104 MiB; 1 needs root`.
    fn line(&self) -> Option<String> {
        if !self.has_shares || self.all() == Some(0) {
            return None;
        }
        let of_all = self.all().map_or_else(String::new, |all| format!(" of {all}"));
        let mut line = format!("{}{of_all} read, {}", self.read, amount(self.pss));
        let kept = self.denied.saturating_add(self.hidden.unwrap_or(0));
        let late = self.late.saturating_add(self.unseen);
        let denied = match self.who_could {
            Some(who) => counted(kept, &format!("needs {who}"), &format!("need {who}")),
            None => counted(kept, "was denied", "were denied"),
        };
        let others = [
            (kept, denied),
            (late, counted(late, "was not read in time", "were not read in time")),
            (self.failed, counted(self.failed, "could not be read", "could not be read")),
            (self.hidden_threads, format!("{} of the hidden may be kernel threads", self.hidden_threads)),
            (u64::from(self.hidden.is_none()), "those of other users are hidden".to_owned()),
        ];
        for (_, text) in others.iter().filter(|(count, _)| *count > 0) {
            line.push_str("; ");
            line.push_str(text);
        }
        if self.shows_swap && self.swap.saturating_sub(self.swap_pss) > DIFFERENCE.max(self.swap_pss / 8) {
            line.push_str(&format!(
                "; Swap counts shared pages once per process; divided among them it is {}",
                amount(self.swap_pss)
            ));
        }
        Some(line)
    }
}

/// A sum in words.
fn amount(sum: u128) -> String {
    u64::try_from(sum).map_or_else(|_| TOO_LARGE.why.to_owned(), |sum| Human(Bytes(sum)).to_string())
}

/// What is missing, to be reported: processes, and then figures of the others.
pub(in crate::views) fn missing(
    root: &ProcRoot,
    found: &Usages,
    budget: Option<Duration>,
) -> (impl Iterator<Item = Error>, impl Iterator<Item = Error>) {
    let processes = [unseen(found, budget), found.hiding(root)].into_iter().flatten();
    (processes, late(found, budget).into_iter().chain(found.usages.iter().filter_map(failure_of)))
}

/// Why the Pss of a process is absent, to be reported; those of many processes are reported together.
fn failure_of(usage: &Usage) -> Option<Error> {
    let error = usage.failure.as_ref()?;
    if error.kind() != ErrorKind::Denied {
        return Some(error.clone());
    }
    let why = "permission denied: cannot read smaps_rollup, so figures that only this reports are absent";
    let said = Error::new(Subject::Process(usage.identity.pid, usage.name.clone()), ErrorKind::Denied, why);
    Some(match error.advice() {
        Some(advice) => said.with_advice(advice.to_owned()),
        None => said,
    })
}

/// What was not read in time.
fn late(found: &Usages, budget: Option<Duration>) -> Option<Error> {
    let late = found.usages.iter().filter(|usage| usage.shares == Err(LATE)).count() as u64;
    (late > 0).then(|| not_in_time(late, "was not read", "were not read", budget))
}

/// What was not looked at in time.
pub(super) fn unseen(found: &Usages, budget: Option<Duration>) -> Option<Error> {
    (found.unseen > 0).then(|| not_in_time(found.unseen, "was not looked at", "were not looked at", budget))
}

fn not_in_time(count: u64, one: &str, many: &str, budget: Option<Duration>) -> Error {
    let about = Subject::Words(counted(count, "process", "processes"));
    let within = budget.map_or_else(String::new, |budget| format!(" ({} s)", budget.as_secs_f64()));
    let why = format!("{} in time{within}", if count == 1 { one } else { many });
    Error::new(about, ErrorKind::System, why).with_advice("a longer --budget reads more")
}

/// That there may be more processes on this machine.
pub(super) fn elsewhere(found: &Usages) -> Option<Error> {
    let why = "this is another pid namespace, such as that of a container, so only the processes in it are seen";
    let of_namespace = || Error::new(Subject::Words(OF_MACHINE.to_owned()), ErrorKind::Denied, why);
    found.is_of_namespace.then(of_namespace).or_else(|| found.is_partial.then(|| partial("")))
}

/// That a capture has only some of the processes of its machine, and what follows.
pub(in crate::views) fn partial(so: &str) -> Error {
    let why = format!("it has only some of the processes of its machine{so}");
    Error::new(Subject::Words("the capture".to_owned()), ErrorKind::Unsupported, why)
}
