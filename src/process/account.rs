//! A summary of the memory of a process: a few figures, each with the file that it comes from.
//!
//! The figures are counters of the kernel and sums of them. A figure that the kernel does not report is absent, with
//! the reason.

use crate::error::{Error, ErrorKind, Result};
use crate::process::fields::{Fields, Wanted};
use crate::process::handle::Process;
use crate::process::identity::Identity;
use crate::process::read::ProcessMappings;
use crate::process::reclaim;
use crate::process::rollup::ProcessTotals;
use crate::process::status::Status;
use crate::units::{Absent, Bytes, Figure, Reason, TOO_LARGE};

/// The memory of one process.
#[derive(Debug, Clone)]
pub struct Account {
    /// The process.
    pub identity: Identity,
    /// What is in RAM and mapped here (`Rss`).
    pub resident: Amount,
    /// The same, with shared pages divided among the processes that map them (`Pss`).
    pub proportional: Amount,
    /// Resident and in no other mapping (`Private_Clean`, `Private_Dirty`). The kernel counts mappings, not processes:
    /// a page that this process maps twice is not private.
    pub private: Amount,
    /// Resident and not in a file (`Anonymous`; `RssAnon` of status).
    pub anonymous: Amount,
    /// Resident pages of files (`RssFile` of status; smaps_rollup does not have it).
    pub file: Amount,
    /// Resident shared memory, tmpfs and memfd (`RssShmem` of status).
    pub shared_memory: Amount,
    /// Resident and in transparent huge pages (`AnonHugePages`, `ShmemPmdMapped`, `FilePmdMapped`).
    pub huge: Amount,
    /// The share of this process in the locked resident memory (`Locked`). The kernel divides it like `Pss`: a locked
    /// page that two processes map counts half in each.
    pub locked: Amount,
    /// Resident memory that the kernel can certainly drop without writing it anywhere: it is unmodified, nothing else
    /// maps it, and it is in a file on an ordinary file system or was freed (`LazyFree`).
    pub clean: Amount,
    /// Other unmodified resident memory, which may be held in RAM: another mapping may have locked it, or it is memory
    /// of the kernel, of ramfs or shared memory, or on a file system about which nothing is known.
    pub unproven: Amount,
    /// The other resident memory, which must first be written to a file or to swap, or is locked by its mapping.
    pub dirty: Amount,
    /// Not resident: in swap (`Swap`; `VmSwap` of status, without shared memory).
    pub swap: Amount,
    /// Not resident: hugetlb pages (`Shared_Hugetlb`, `Private_Hugetlb`; `HugetlbPages` of status).
    pub hugetlb: Amount,
}

/// One figure, and the file of `/proc/PID` that it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// How much.
    pub bytes: Figure<Bytes>,
    /// The file's name.
    pub source: &'static str,
}

const DENIED: Absent = Absent::new(Reason::Denied, "only smaps reports it, which this user is not allowed to read");
const NO_STATUS: Absent = Absent::new(Reason::Unsupported, "there is no status file");
const CHANGED: Absent = Absent::new(Reason::Changed, "more memory was clean than was resident a moment before");
const NOT_YET: Absent = Absent::new(Reason::NotApplicable, "it is calculated from the clean memory");

/// The counters of smaps_rollup that an account consists of.
const COUNTERS: [&str; 16] = [
    "Rss",
    "Pss",
    "Shared_Clean",
    "Shared_Dirty",
    "Private_Clean",
    "Private_Dirty",
    "Anonymous",
    "LazyFree",
    "AnonHugePages",
    "ShmemPmdMapped",
    "FilePmdMapped",
    "Shared_Hugetlb",
    "Private_Hugetlb",
    "Swap",
    "SwapPss",
    "Locked",
];

impl Process {
    /// Reads the account from smaps, smaps_rollup and status.
    ///
    /// # Errors
    /// As for [`Process::read_smaps`].
    pub fn read_account(&self) -> Result<Account> {
        // The parts of the resident memory come from one reading, so that they add up. Only smaps reveals which clean
        // memory can be reclaimed.
        let wanted = COUNTERS.iter().chain(&reclaim::WANTED).map(|name| (*name).to_owned());
        let totals = ProcessTotals::of(self.read_smaps(&mut Fields::new(), &Wanted::Only(wanted.collect()))?)?;
        // A capture need not have a status file.
        let status = match self.read_status() {
            Ok(status) => Some(status),
            Err(error) if error.kind() == ErrorKind::NotFound && self.is_live() => return Err(error),
            Err(_) => None,
        };
        let mut account = of_smaps(&totals, status.as_ref(), &reclaim::Ordinary::read(self));
        // smaps rounds these shares down in every mapping, smaps_rollup only once.
        let shares =
            self.read_totals(&mut Fields::new(), &Wanted::Only(vec!["Pss".to_owned(), "Locked".to_owned()]))?;
        (account.proportional, account.locked) = (amount(&shares, &["Pss"]), amount(&shares, &["Locked"]));
        Ok(account)
    }

    /// Reads what any user may know: the figures of status. Figures that only smaps reports are absent.
    ///
    /// # Errors
    /// As for [`Process::read_status`]; [`ErrorKind::Denied`] if not even status has memory figures.
    pub fn read_public_account(&self) -> Result<Account> {
        let status = self.read_status()?;
        let identity = self.identity()?;
        if status.rss.is_err() {
            return Err(Error::pid(self.pid(), ErrorKind::Denied, "permission denied"));
        }
        let known = |bytes| Amount { bytes, source: "status" };
        let denied = Amount { bytes: Err(DENIED), source: "smaps_rollup" };
        Ok(Account {
            identity,
            resident: known(status.rss),
            proportional: denied,
            private: denied,
            anonymous: known(status.rss_anonymous),
            file: known(status.rss_file),
            shared_memory: known(status.rss_shared_memory),
            huge: denied,
            locked: denied,
            clean: denied,
            unproven: denied,
            dirty: denied,
            swap: known(status.swap),
            hugetlb: known(status.hugetlb),
        })
    }
}

impl ProcessMappings {
    /// The account of a process of which there is only the text of its smaps. Which file systems it uses is not known,
    /// so no clean memory is proven to be reclaimable but what was freed.
    ///
    /// # Errors
    /// The text breaks off: sums would be too small.
    pub fn into_account(self) -> Result<Account> {
        Ok(of_smaps(&ProcessTotals::of(self)?, None, &reclaim::Ordinary::none()))
    }
}

/// The account of all mappings.
fn of_smaps(totals: &ProcessTotals, status: Option<&Status>, ordinary: &reclaim::Ordinary) -> Account {
    let mut account = of_totals(totals, status);
    let reclaimable = reclaim::sum(totals.mappings(), ordinary);
    account.clean.bytes = reclaimable.map(|found| found.proven);
    account.unproven.bytes = reclaimable.map(|found| found.unproven);
    account.dirty = rest(&account);
    account
}

/// The resident memory without the clean and the unproven memory, so that all three add up.
fn rest(account: &Account) -> Amount {
    let rest = || {
        let rest = account.resident.bytes?.0.checked_sub(account.clean.bytes?.0);
        rest.and_then(|rest| rest.checked_sub(account.unproven.bytes.ok()?.0)).map(Bytes).ok_or(CHANGED)
    };
    Amount { bytes: rest(), source: account.clean.source }
}

/// The sum of counters.
fn amount(totals: &ProcessTotals, names: &[&str]) -> Amount {
    Amount { bytes: Bytes::sum_of(names.iter().map(|name| totals.figure(name))), source: totals.interface.name() }
}

fn of_totals(totals: &ProcessTotals, status: Option<&Status>) -> Account {
    let source = totals.interface.name();
    let one = |name: &str| totals.figure(name);
    let sum = |names: &[&str]| amount(totals, names);
    let known =
        |take: fn(&Status) -> Figure<Bytes>| Amount { bytes: status.map_or(Err(NO_STATUS), take), source: "status" };
    Account {
        identity: totals.identity.clone(),
        resident: sum(&["Rss"]),
        proportional: sum(&["Pss"]),
        private: sum(&["Private_Clean", "Private_Dirty"]),
        anonymous: sum(&["Anonymous"]),
        file: known(|status| status.rss_file),
        shared_memory: known(|status| status.rss_shared_memory),
        huge: Amount { bytes: huge(one), source },
        locked: sum(&["Locked"]),
        clean: sum(&["Shared_Clean", "Private_Clean"]),
        unproven: Amount { bytes: Ok(Bytes(0)), source },
        dirty: Amount { bytes: Err(NOT_YET), source },
        swap: sum(&["Swap"]),
        hugetlb: sum(&["Shared_Hugetlb", "Private_Hugetlb"]),
    }
}

/// Transparent huge pages of all kinds. Kernels that do not count a kind (files before 5.4, shared memory before 4.8)
/// have no such pages.
fn huge(one: impl Fn(&str) -> Figure<Bytes>) -> Figure<Bytes> {
    let is_reported = |figure: &Figure<Bytes>| figure.is_ok() || *figure == Err(TOO_LARGE);
    let rest = ["ShmemPmdMapped", "FilePmdMapped"].iter().map(|name| one(name)).filter(is_reported);
    Bytes::sum_of([one("AnonHugePages")].into_iter().chain(rest))
}

impl Account {
    /// The memory of both processes, figure by figure; absent if it is absent for one of them. Pages that both map
    /// count twice, except in `proportional`.
    #[must_use]
    pub fn plus(&self, other: &Account) -> Account {
        let sum = |one: Amount, other: Amount| Amount {
            bytes: Bytes::sum_of([one.bytes, other.bytes]),
            source: if one.source == other.source { one.source } else { "smaps" },
        };
        Account {
            identity: self.identity.clone(),
            resident: sum(self.resident, other.resident),
            proportional: sum(self.proportional, other.proportional),
            private: sum(self.private, other.private),
            anonymous: sum(self.anonymous, other.anonymous),
            file: sum(self.file, other.file),
            shared_memory: sum(self.shared_memory, other.shared_memory),
            huge: sum(self.huge, other.huge),
            locked: sum(self.locked, other.locked),
            clean: sum(self.clean, other.clean),
            unproven: sum(self.unproven, other.unproven),
            dirty: sum(self.dirty, other.dirty),
            swap: sum(self.swap, other.swap),
            hugetlb: sum(self.hugetlb, other.hugetlb),
        }
    }
}
