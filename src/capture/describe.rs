//! The description of a machine, `rmap-capture.json`, and what the last entry says about the capture.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::FORMAT;
use crate::process::{Captured, Hides, NamelessMount, ProcRoot};
use crate::units::PageSize;

/// Which processes a capture has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope {
    /// Whether it has those of all users.
    pub(super) is_all: bool,
    /// Whether they are those of another pid namespace than the first.
    pub(super) is_of_namespace: bool,
    pub(super) hides: Hides,
}

/// The description of the machine below `root` as JSON.
pub(super) fn describe(root: &ProcRoot, has_command_lines: bool, scope: Scope) -> Vec<u8> {
    let name = nix::sys::utsname::uname().ok();
    let word = |part: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| {
        name.as_ref().map(|name| part(name).to_string_lossy().into_owned()).unwrap_or_default()
    };
    let nameless = root.nameless_mount();
    let description = json!({
        "format": FORMAT,
        "rmap": env!("CARGO_PKG_VERSION"),
        "time": Timestamp::try_from(root.time()).map(|time| time.to_string()).unwrap_or_default(),
        "page_size": root.page_size().bytes(),
        "release": word(nix::sys::utsname::UtsName::release),
        "machine": word(nix::sys::utsname::UtsName::machine),
        "boot": root.boot(),
        "command_lines": has_command_lines,
        "all_processes": scope.is_all,
        "pid_namespace": scope.is_of_namespace,
        "hidepid": scope.hides == Hides::Everything,
        "nameless_mount": nameless.map(|mount| json!({ "device": mount.device, "number": mount.number })),
    });
    let mut text = serde_json::to_vec_pretty(&description).unwrap_or_default();
    text.push(b'\n');
    text
}

/// Reads a description.
///
/// # Errors
/// Why it cannot be used, to follow a colon.
pub(super) fn parse(text: &[u8]) -> Result<Captured, String> {
    const NOT_VALID: &str = "its description is not as rmap writes it";
    let value: Value = serde_json::from_slice(text).map_err(|_| NOT_VALID.to_owned())?;
    match value.get("format").and_then(Value::as_u64) {
        Some(FORMAT) => {}
        Some(newer) if newer > FORMAT => {
            let rmap = value.get("rmap").and_then(Value::as_str).unwrap_or("a newer one");
            let rmap: String = rmap.chars().filter(char::is_ascii_graphic).take(20).collect();
            return Err(format!("it was taken by a newer rmap ({rmap}), whose captures this one cannot read"));
        }
        _ => return Err(NOT_VALID.to_owned()),
    }
    captured(&value).ok_or_else(|| NOT_VALID.to_owned())
}

/// The text of the last entry: the processes that exist but could not be captured, those of them that are hidden from
/// this user, and those that share their memory, if the kernel tells.
pub(super) fn describe_processes(missed: &[u32], hidden: &[u32], same_memory: Option<&[Vec<u32>]>) -> Vec<u8> {
    format!("{}\n", json!({ "missed": missed, "hidden": hidden, "same_memory": same_memory })).into_bytes()
}

/// Adds what the text of the last entry says, which may be empty.
///
/// # Errors
/// Why it cannot be used, to follow a colon.
pub(super) fn add_processes(captured: Captured, text: &[u8]) -> Result<Captured, &'static str> {
    if text.is_empty() {
        return Ok(captured);
    }
    parse_processes(captured, text).ok_or("its last entry is not as rmap writes it")
}

fn parse_processes(captured: Captured, text: &[u8]) -> Option<Captured> {
    let value: Value = serde_json::from_slice(text).ok()?;
    let pids = |value: &Value| -> Option<Vec<u32>> {
        value.as_array()?.iter().map(|pid| pid.as_u64()?.try_into().ok()).collect()
    };
    let missed = pids(value.get("missed")?)?.into_iter().collect();
    // Captures of an older rmap do not tell these.
    let hidden = value.get("hidden").map_or(Some(Vec::new()), pids)?.into_iter().collect();
    let same_memory = match value.get("same_memory") {
        None | Some(Value::Null) => None,
        Some(groups) => {
            let mut first_of = HashMap::new();
            for group in groups.as_array()? {
                let group = pids(group)?;
                let first = *group.first()?;
                first_of.extend(group.into_iter().map(|pid| (pid, first)));
            }
            Some(first_of)
        }
    };
    Some(Captured { missed, hidden, same_memory, ..captured })
}

fn captured(value: &Value) -> Option<Captured> {
    let text = |key| Some(value.get(key)?.as_str()?.to_owned());
    let time: Timestamp = value.get("time")?.as_str()?.parse().ok()?;
    let number = |value: &Value| value.as_u64()?.try_into().ok();
    let nameless = |mount: &Value| {
        let device = mount.get("device")?;
        let device = (number(device.get(0)?)?, number(device.get(1)?)?);
        Some(NamelessMount { device, number: mount.get("number")?.as_u64() })
    };
    Some(Captured {
        page_size: PageSize::new(value.get("page_size")?.as_u64()?)?,
        time: SystemTime::from(time),
        release: text("release")?,
        machine: text("machine")?,
        boot: text("boot"),
        has_command_lines: value.get("command_lines")?.as_bool()?,
        has_all_processes: value.get("all_processes").is_none_or(|all| all == true),
        is_of_namespace: value.get("pid_namespace").is_some_and(|is_it| is_it == true),
        hides_more: value.get("hidepid").is_some_and(|hides| hides == true),
        nameless: value.get("nameless_mount").and_then(nameless),
        missed: HashSet::new(),
        hidden: HashSet::new(),
        same_memory: None,
        archive: None,
        unpacked: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Scope = Scope { is_all: true, is_of_namespace: false, hides: Hides::Nothing };

    #[test]
    fn a_description_is_read_as_it_was_written() {
        let found = parse(&describe(&ProcRoot::live(), true, Scope { is_all: false, ..ALL })).unwrap();
        assert_eq!((found.page_size, found.has_command_lines), (crate::kernel::page_size(), true));
        assert!(!found.has_all_processes);
        assert_eq!(found.boot, ProcRoot::live().boot());
        assert_eq!(found.nameless.map(|mount| mount.device), NamelessMount::find().map(|mount| mount.device));
        assert!(found.time.elapsed().unwrap().as_secs() < 60);
    }

    #[test]
    fn what_is_said_of_processes_is_read_as_it_was_written() {
        let machine = || parse(&describe(&ProcRoot::live(), true, ALL)).unwrap();
        let read = |text: &[u8]| add_processes(machine(), text).map(|found| (found.missed, found.same_memory));
        let same = describe_processes(&[7, 9], &[9], Some(&[vec![3, 5], vec![8, 11]]));
        let first_of = HashMap::from([(3, 3), (5, 3), (8, 8), (11, 8)]);
        assert_eq!(read(&same), Ok((HashSet::from([7, 9]), Some(first_of))));
        assert_eq!(read(&describe_processes(&[7, 9], &[], None)), Ok((HashSet::from([7, 9]), None)));
        assert_eq!(read(b"{\"missed\":[]}"), Ok((HashSet::new(), None)));
        assert_eq!(add_processes(machine(), &same).map(|found| found.hidden), Ok(HashSet::from([9])));
        assert_eq!(read(b""), Ok((HashSet::new(), None)));
        for text in ["{}", "x", "[7]", "{\"missed\":[-1]}", "{\"missed\":[4294967296]}", "{\"missed\":[],\"hidden\":7}"]
        {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        for groups in ["3", "[3]", "[[]]", "[[-1]]"] {
            assert!(read(format!("{{\"missed\":[],\"same_memory\":{groups}}}").as_bytes()).is_err(), "{groups}");
        }
    }

    #[test]
    fn other_descriptions_are_rejected_with_the_reason() {
        let text = String::from_utf8(describe(&ProcRoot::live(), false, ALL)).unwrap();
        assert!(parse(text.replace("\"format\": 1", "\"format\": 2").as_bytes()).unwrap_err().contains("newer rmap"));
        let size = format!("\"page_size\": {}", crate::kernel::page_size().bytes());
        assert!(parse(text.replace(&size, "\"page_size\": 4097").as_bytes()).is_err());
        for text in ["", "{}", "[]", "{\"format\": 1}"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
