//! Reads the account from the counters of the kernel.

use super::amounts::MemoryAccount;
use super::build::Counted;
use super::others::Others;
use super::zones::Zones;
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::machine::fields::Fields;
use crate::machine::meminfo::read_meminfo;
use crate::process::ProcRoot;
use crate::units::{Absent, Figure, PageSize, Reason};

/// How long `zoneinfo` may be: a machine with thousands of processors has some megabytes.
const LONGEST: u64 = 1 << 26;

impl MemoryAccount {
    /// Reads the account of the whole machine: `meminfo`, `zoneinfo`, `vmstat` and a few more.
    ///
    /// # Errors
    /// `meminfo` cannot be read, or is not in the kernel's format.
    pub fn read(root: &ProcRoot) -> Result<MemoryAccount> {
        let (path, fields) = read_meminfo(root)?;
        let zones = read_zones(root);
        let page = page_size(root, &fields, zones.as_ref().ok());
        let others = Others::read(root);
        let malformed = || Error::path(&path, ErrorKind::Malformed, "it is not in the kernel's format");
        let total = fields.bytes("MemTotal").ok_or_else(malformed)?;
        Ok(Counted {
            fields: &fields,
            zones: zones.as_ref().map_err(|absent| *absent),
            others: &others,
            page,
            node: None,
        }
        .account(total))
    }

    /// Reads the account of each node (`/sys/devices/system/node/node*/meminfo`). What the kernel counts for the whole
    /// machine only, such as vmalloc, is in [`Unnamed`](super::MemoryUse::Unnamed) of some node.
    ///
    /// # Errors
    /// No node can be read; [`ErrorKind::Unsupported`]: the kernel was built without nodes.
    pub fn read_nodes(root: &ProcRoot) -> Result<Vec<MemoryAccount>> {
        let directory = root.system_path().join("devices/system/node");
        let about = || Subject::Path(directory.clone());
        let listed = std::fs::read_dir(&directory).map_err(|error| Error::io(about(), &error))?;
        let number = |name: std::ffi::OsString| name.to_str()?.strip_prefix("node")?.parse().ok();
        let mut nodes: Vec<u32> = listed.filter_map(|entry| number(entry.ok()?.file_name())).collect();
        nodes.sort_unstable();
        let zones = read_zones(root);
        let whole = read_meminfo(root).map(|(_, fields)| fields).unwrap_or_default();
        let page = page_size(root, &whole, zones.as_ref().ok());
        let mut accounts = Vec::new();
        for node in nodes {
            let name = format!("devices/system/node/node{node}/meminfo");
            let path = || Subject::Path(root.system_path().join(&name));
            let text = root.read_system_file(&name).map_err(|error| Error::io(path(), &error))?;
            let fields = Fields::parse(&text).with_node_names(whole.bytes("Hugepagesize"));
            let Some(total) = fields.bytes("MemTotal") else {
                return Err(Error::new(path(), ErrorKind::Malformed, "it is not in the kernel's format"));
            };
            let zones = zones.as_ref().map_err(|absent| *absent);
            let others = Others::default();
            let counted = Counted { fields: &fields, zones, others: &others, page, node: Some(node) };
            accounts.push(counted.account(total));
        }
        match accounts.is_empty() {
            true => Err(Error::new(about(), ErrorKind::Unsupported, "it has no nodes")),
            false => Ok(accounts),
        }
    }
}

const NO_ZONES: Absent = Absent::new(Reason::Unsupported, "zoneinfo cannot be read");

/// Reads `zoneinfo`.
pub(super) fn read_zones(root: &ProcRoot) -> Figure<Zones> {
    let text = root.read_long_file("zoneinfo", LONGEST).map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => Absent::new(Reason::Denied, "zoneinfo cannot be read by this user"),
        _ => NO_ZONES,
    })?;
    let zones = Zones::parse(&text);
    if zones.sum(None, |zone| zone.managed).0 == 0 { Err(NO_ZONES) } else { Ok(zones) }
}

/// The page size of the machine.
pub fn read_page_size(root: &ProcRoot) -> PageSize {
    if says_page_size(root) {
        return root.page_size();
    }
    let fields = read_meminfo(root).map(|(_, fields)| fields).unwrap_or_default();
    page_size(root, &fields, read_zones(root).as_ref().ok())
}

/// Whether the page size is known. A directory that is no capture of rmap does not say it.
fn says_page_size(root: &ProcRoot) -> bool {
    root.is_live() || root.captured().is_some()
}

/// The same with what was read already. If nothing says it, it is the size with which `zoneinfo` fits `meminfo` best.
fn page_size(root: &ProcRoot, fields: &Fields, zones: Option<&Zones>) -> PageSize {
    let known = root.page_size();
    let managed = zones.map_or(0, |zones| zones.sum(None, |zone| zone.managed).0);
    if says_page_size(root) || managed == 0 {
        return known;
    }
    let total = fields.bytes("MemTotal").map_or(0, |total| total.0);
    let sizes = [1 << 12, 1 << 14, 1 << 16].into_iter().filter_map(PageSize::new);
    let distance = |size: &PageSize| total.abs_diff(managed.saturating_mul(size.bytes()));
    sizes.min_by_key(distance).unwrap_or(known)
}
