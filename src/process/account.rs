//! Where the memory of a process is, in a few figures: its totals, each with where it comes from.
//!
//! Nothing here is worked out that the kernel does not define: sums of its own counters at most. What it cannot tell of a
//! process is absent, with the reason.

use crate::error::{Error, ErrorKind, Result};
use crate::process::fields::{Fields, Wanted};
use crate::process::identity::{Process, read_process};
use crate::process::rollup::{ProcessTotals, read_totals};
use crate::process::root::ProcRoot;
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
    /// Of the resident: unmodified (`Shared_Clean`, `Private_Clean`), so that the kernel can drop it and write nothing.
    pub clean: Amount,
    /// Of the resident: modified (`Shared_Dirty`, `Private_Dirty`), so that it must go to a file or to swap first.
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

/// The counters of smaps_rollup that an account is made of.
const COUNTERS: [&str; 15] = [
    "Rss",
    "Pss",
    "Shared_Clean",
    "Shared_Dirty",
    "Private_Clean",
    "Private_Dirty",
    "Anonymous",
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
    Ok(of_totals(&totals, &fields, status.as_ref()))
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
        clean: sum(&["Shared_Clean", "Private_Clean"]),
        dirty: sum(&["Shared_Dirty", "Private_Dirty"]),
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
