//! Where the memory of a process is, in a few figures: its totals, each with where it comes from.
//!
//! Nothing here is worked out that the kernel does not define: sums of its own counters at most. What it cannot tell of a
//! process is absent, with the reason.

use crate::error::{Error, ErrorKind, Result};
use crate::process::fields::{Fields, Wanted};
use crate::process::flags::has_flag;
use crate::process::identity::{Process, read_process};
use crate::process::mapping::Mapping;
use crate::process::read::read_smaps;
use crate::process::rollup::{ProcessTotals, read_totals};
use crate::process::root::ProcRoot;
use crate::process::source::Source;
use crate::process::status::{Status, read_status};
use crate::units::{Absent, Bytes, Figure, Reason};

/// The memory of one process.
#[derive(Debug, Clone)]
pub struct Account {
    /// Who it is.
    pub process: Process,
    /// What is in RAM and mapped here (`Rss`).
    pub resident: Amount,
    /// The same with shared pages divided among those who map them (`Pss`).
    pub proportional: Amount,
    /// Of the resident: mapped here alone (`Private_Clean`, `Private_Dirty`).
    pub private: Amount,
    /// Of the resident: in no file (`Anonymous`; `RssAnon` of status).
    pub anonymous: Amount,
    /// Of the resident: pages of files (`RssFile` of status, which smaps_rollup has not).
    pub file: Amount,
    /// Of the resident: shared memory, tmpfs, memfd (`RssShmem` of status).
    pub shared_memory: Amount,
    /// Of the resident: in transparent huge pages (`AnonHugePages`, `ShmemPmdMapped`, `FilePmdMapped`).
    pub huge: Amount,
    /// Of the resident: locked, divided as `Pss` is (`Locked`).
    pub locked: Amount,
    /// Of the resident: what the kernel can drop and write nothing: unmodified (`Shared_Clean`, `Private_Clean`), not locked here, and
    /// in a file or freed (`LazyFree`). Anonymous pages that happen to be unmodified are left out as far as the sums prove
    /// them; pages that only another process has locked are not, because nothing tells them.
    pub clean: Amount,
    /// Of the resident: the rest, which must go to a file or to swap first, or is locked.
    pub dirty: Amount,
    /// Not resident: in swap (`Swap`; `VmSwap` of status, which has no shared memory in it).
    pub swap: Amount,
    /// Not in the resident: hugetlb pages (`Shared_Hugetlb`, `Private_Hugetlb`; `HugetlbPages` of status).
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

const NO_FIELD: Absent = Absent::new(Reason::Unsupported, "this kernel does not give it");
const DENIED: Absent = Absent::new(Reason::Denied, "only smaps tells it, which this user may not read");
const NO_STATUS: Absent = Absent::new(Reason::Unsupported, "there is no status file that tells it");

const REPLACED: Absent = Absent::new(Reason::Changed, "its pid was given to another process while it was read");

/// The counters of smaps_rollup that an account is made of.
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

/// Reads the account of `pid` from smaps_rollup and status.
///
/// # Errors
/// As for [`crate::process::read_smaps`].
pub fn read_account(root: &ProcRoot, pid: u32) -> Result<Account> {
    let mut fields = Fields::new();
    let wanted = Wanted::Only(COUNTERS.map(str::to_owned).to_vec());
    let totals = read_totals(root, pid, &mut fields, &wanted)?;
    // A capture need not have a status file.
    let status = match read_status(root, pid) {
        Ok(status) => Some(status),
        Err(error) if error.kind() == ErrorKind::NotFound && root.is_live() => return Err(error),
        Err(_) => None,
    };
    let mut account = of_totals(&totals, &fields, status.as_ref());
    if account.locked.bytes.is_ok_and(|locked| locked.0 > 0) {
        account.clean = clean_and_unlocked(root, &account)?;
    }
    account.dirty = rest(&account);
    Ok(account)
}

/// What is clean outside the mappings that are locked: the sums of a whole process do not tell it, so that its smaps is read.
fn clean_and_unlocked(root: &ProcRoot, account: &Account) -> Result<Amount> {
    let mut fields = Fields::new();
    let names = ["Rss", "Shared_Clean", "Private_Clean", "Anonymous", "LazyFree", "Locked", "VmFlags"];
    let wanted = Wanted::Only(names.map(str::to_owned).to_vec());
    let read = read_smaps(root, account.process.pid, &mut fields, &wanted)?;
    let source = Source::Smaps.name();
    if !read.process.is_same_as(&account.process) {
        return Ok(Amount { bytes: Err(REPLACED), source });
    }
    let free = read.mappings.iter().filter(|mapping| !is_locked(mapping, &fields));
    let bytes = free.map(|mapping| {
        clean(&|name| fields.find(name.as_bytes()).and_then(|field| mapping.bytes(field)).ok_or(NO_FIELD))
    });
    Ok(Amount { bytes: bytes.sum(), source })
}

/// Whether a mapping is locked: `lo` of its flags, or, before the kernel gave flags (3.8), that anything of it is.
fn is_locked(mapping: &Mapping<'_>, fields: &Fields) -> bool {
    let find = |name: &str| fields.find(name.as_bytes());
    match find("VmFlags").and_then(|field| mapping.text(field)) {
        Some(flags) => has_flag(flags, "lo"),
        None => find("Locked").and_then(|field| mapping.bytes(field)).is_some_and(|locked| locked.0 > 0),
    }
}

/// What can be dropped with nothing written, of these sums and with nothing locked: what is clean, but no more than what is in
/// files or was freed. A kernel that does not count `LazyFree` (before 4.12) is taken to have none.
fn clean(one: &impl Fn(&str) -> Figure<Bytes>) -> Figure<Bytes> {
    let clean = one("Shared_Clean")? + one("Private_Clean")?;
    let in_files = one("Rss")?.saturating_sub(one("Anonymous")?);
    let freed = one("LazyFree").unwrap_or(Bytes(0));
    Ok(clean.min(in_files + freed))
}

/// The resident without what is clean, so that both add up.
fn rest(account: &Account) -> Amount {
    let bytes = account.resident.bytes.and_then(|whole| Ok(whole.saturating_sub(account.clean.bytes?)));
    Amount { bytes, source: account.clean.source }
}

/// Reads what any user may know of `pid`: its status. What only smaps tells is absent.
///
/// # Errors
/// As for [`read_status`] and [`read_process`].
pub fn read_public_account(root: &ProcRoot, pid: u32) -> Result<Account> {
    let status = read_status(root, pid)?;
    let process = read_process(root, pid)?;
    if status.rss.is_err() {
        return Err(Error::pid(pid, ErrorKind::Denied, "permission denied"));
    }
    let known = |bytes| Amount { bytes, source: "status" };
    let denied = Amount { bytes: Err(DENIED), source: "smaps_rollup" };
    Ok(Account {
        process,
        resident: known(status.rss),
        proportional: denied,
        private: denied,
        anonymous: known(status.rss_anonymous),
        file: known(status.rss_file),
        shared_memory: known(status.rss_shared_memory),
        huge: denied,
        locked: denied,
        clean: denied,
        dirty: denied,
        swap: known(status.swap),
        hugetlb: known(status.hugetlb),
    })
}

fn of_totals(totals: &ProcessTotals, fields: &Fields, status: Option<&Status>) -> Account {
    let source = totals.source.name();
    let one = |name: &str| fields.find(name.as_bytes()).and_then(|field| totals.bytes(fields, field)).ok_or(NO_FIELD);
    let sum = |names: &[&str]| Amount { bytes: names.iter().map(|name| one(name)).sum(), source };
    let known =
        |take: fn(&Status) -> Figure<Bytes>| Amount { bytes: status.map_or(Err(NO_STATUS), take), source: "status" };
    Account {
        process: totals.process.clone(),
        resident: sum(&["Rss"]),
        proportional: sum(&["Pss"]),
        private: sum(&["Private_Clean", "Private_Dirty"]),
        anonymous: sum(&["Anonymous"]),
        file: known(|status| status.rss_file),
        shared_memory: known(|status| status.rss_shared_memory),
        huge: Amount { bytes: huge(&one), source },
        locked: sum(&["Locked"]),
        clean: Amount { bytes: clean(&one), source },
        dirty: Amount { bytes: Err(NO_FIELD), source },
        swap: sum(&["Swap"]),
        hugetlb: sum(&["Shared_Hugetlb", "Private_Hugetlb"]),
    }
}

/// Transparent huge pages of all kinds. A kernel that does not count one kind (files before 5.4, shared memory before 4.8) had
/// none of it.
fn huge(one: &impl Fn(&str) -> Figure<Bytes>) -> Figure<Bytes> {
    let rest = ["ShmemPmdMapped", "FilePmdMapped"].iter().filter_map(|name| one(name).ok()).sum::<Bytes>();
    Ok(one("AnonHugePages")? + rest)
}

impl Account {
    /// The memory of both processes, figure by figure; absent if it is absent for one of them. Pages that both map count
    /// twice, except in `proportional`.
    #[must_use]
    pub fn plus(&self, other: &Account) -> Account {
        let sum = |one: Amount, other: Amount| Amount {
            bytes: one.bytes.and_then(|bytes| Ok(bytes + other.bytes?)),
            source: if one.source == other.source { one.source } else { "smaps" },
        };
        Account {
            process: self.process.clone(),
            resident: sum(self.resident, other.resident),
            proportional: sum(self.proportional, other.proportional),
            private: sum(self.private, other.private),
            anonymous: sum(self.anonymous, other.anonymous),
            file: sum(self.file, other.file),
            shared_memory: sum(self.shared_memory, other.shared_memory),
            huge: sum(self.huge, other.huge),
            locked: sum(self.locked, other.locked),
            clean: sum(self.clean, other.clean),
            dirty: sum(self.dirty, other.dirty),
            swap: sum(self.swap, other.swap),
            hugetlb: sum(self.hugetlb, other.hugetlb),
        }
    }
}
