//! Which container a control group belongs to, from its path alone: no container engine is asked.
//!
//! The engines name the groups. The innermost group that is known decides:
//!
//! | group | container |
//! |---|---|
//! | `/docker/ID`, `docker-ID.scope`, `...:docker:ID` | `docker:ID` |
//! | `libpod-ID.scope`, `libpod-ID`, `libpod-payload-ID` | `podman:ID` |
//! | `crio-ID.scope`, `crio-ID`, `...:crio:ID` | `crio:ID` |
//! | `cri-containerd-ID.scope`, `nerdctl-ID.scope`, `...:cri-containerd:ID` | `containerd:ID` |
//! | any of these, or `ID`, below the group of a pod, or with `kubepods` in its own name | `kubernetes:ID` |
//! | `kubepods/.../podUID`, `...kubepods-...-podUID.slice` without a container below | `kubernetes:podUID` |
//! | `lxc.payload.NAME`, `lxc.payload/NAME`, `lxc/NAME` | `lxc:NAME` |
//! | `machine-NAME.scope`, `systemd-nspawn@NAME.service` | `machine:NAME` |
//! | `ID` alone (`ctr`, ECS) | `container:ID` |
//!
//! An ID has 64 hexadecimal digits, of which the first 12 are shown, as the engines do. Of the UID of a pod the first
//! 12 digits are shown, with the hyphen between them, so that it can be searched for. In the names of units systemd
//! writes `\x2d` for a hyphen. The groups of monitors (`conmon`, `lxc.monitor`) are not those of a container.

use crate::process::container_id;

/// How many digits of an id are shown.
const DIGITS: usize = 12;

/// The container that a control group belongs to, such as `docker:0123456789ab`; `None` if it is not known to belong to
/// one. The path is that of `/proc/PID/cgroup`.
pub fn container_name(cgroup: &[u8]) -> Option<String> {
    let groups: Vec<&[u8]> = cgroup.split(|byte| *byte == b'/').collect();
    // The innermost: an engine may run in a container of another one.
    (0..groups.len()).rev().find_map(|place| {
        let (above, group) = (groups.get(..place)?, groups.get(place)?);
        let parent = above.last().copied().unwrap_or_default();
        of_engine(group, parent, above).or_else(|| of_pod(group)).or_else(|| of_name(group, parent))
    })
}

/// A container with an id.
fn of_engine(group: &[u8], parent: &[u8], above: &[&[u8]]) -> Option<String> {
    let id = text(container_id(group)?.get(..DIGITS)?)?.to_ascii_lowercase();
    let has = |name: &[u8]| memchr::memmem::find(group, name).is_some();
    // `SLICE:ENGINE:ID` names the slice too.
    let is_pod = above.iter().any(|group| of_pod(group).is_some()) || has(b"kubepods");
    let engine = match () {
        () if is_pod => "kubernetes",
        () if has(b"libpod") => "podman",
        () if has(b"crio") => "crio",
        () if has(b"containerd") || has(b"nerdctl") => "containerd",
        () if has(b"docker") || parent == b"docker" => "docker",
        () => "container",
    };
    Some(format!("{engine}:{id}"))
}

/// A pod: `podUID` below `kubepods`, or `kubepods-burstable-podUID.slice`, where `_` stands for `-`. If the kubelet has
/// a root of its own, the name of the slice begins with that: `kubelet-kubepods-podUID.slice` (kind).
fn of_pod(group: &[u8]) -> Option<String> {
    let name = text(group)?;
    let uid = match name.strip_suffix(".slice") {
        Some(slice) => {
            let (above, uid) = slice.rsplit_once("-pod")?;
            above.split('-').any(|name| name == "kubepods").then_some(uid)?
        }
        None => name.strip_prefix("pod")?,
    };
    let uid = uid.replace('_', "-").to_ascii_lowercase();
    let digits = uid.bytes().filter(u8::is_ascii_hexdigit).count();
    if digits != 32 || uid.bytes().any(|byte| !byte.is_ascii_hexdigit() && byte != b'-') {
        return None;
    }
    let mut left = DIGITS;
    let shown = uid.chars().take_while(|letter| {
        let is_shown = left > 0;
        left -= usize::from(is_shown && *letter != '-');
        is_shown
    });
    Some(format!("kubernetes:pod{}", shown.collect::<String>()))
}

/// A container that its user has named.
fn of_name(group: &[u8], parent: &[u8]) -> Option<String> {
    let name = text(group)?;
    let named = |kind: &str, name: &str| (!name.is_empty()).then(|| format!("{kind}:{name}"));
    if let Some(name) = name.strip_prefix("lxc.payload.") {
        return named("lxc", name);
    }
    if matches!(parent, b"lxc" | b"lxc.payload") {
        return named("lxc", name);
    }
    let machine = name.strip_prefix("machine-").and_then(|rest| rest.strip_suffix(".scope"));
    let machine =
        machine.or_else(|| name.strip_prefix("systemd-nspawn@").and_then(|rest| rest.strip_suffix(".service")));
    named("machine", &unescape_unit(machine?))
}

/// A part of the name of a unit, in which systemd writes bytes as `\x2d`.
pub(super) fn unescape_unit(name: &str) -> String {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let escaped = after.strip_prefix(b"x").and_then(|behind| behind.split_at_checked(2));
        let value = escaped.and_then(|(digits, behind)| Some((u8::from_str_radix(text(digits)?, 16).ok()?, behind)));
        match value.filter(|_| *byte == b'\\') {
            Some((value, behind)) => {
                plain.push(value);
                rest = behind;
            }
            None => {
                plain.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

fn text(bytes: &[u8]) -> Option<&str> {
    str::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(cgroup: &str) -> Option<String> {
        let id = "0123456789abcdef".repeat(4);
        let uid = "1a2b3c4d-5e6f-7081-92a3-b4c5d6e7f809";
        let cgroup = cgroup.replace("U_I_D", &uid.replace('-', "_")).replace("UID", uid).replace("ID", &id);
        container_name(cgroup.as_bytes())
    }

    #[test]
    fn the_engines_name_their_groups() {
        for (cgroup, expected) in [
            ("/docker/ID", "docker:0123456789ab"),
            ("/docker/ID/system.slice/cron.service", "docker:0123456789ab"),
            ("/system.slice/docker-ID.scope", "docker:0123456789ab"),
            ("/../../system.slice/docker-ID.scope", "docker:0123456789ab"),
            ("/system.slice:docker:ID", "docker:0123456789ab"),
            ("/machine.slice/libpod-ID.scope/container", "podman:0123456789ab"),
            ("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope", "podman:0123456789ab"),
            ("/libpod_parent/libpod-ID", "podman:0123456789ab"),
            ("/system.slice/crio-ID.scope", "crio:0123456789ab"),
            ("/system.slice/cri-containerd-ID.scope", "containerd:0123456789ab"),
            ("/user.slice/nerdctl-ID.scope", "containerd:0123456789ab"),
            ("/default/ID", "container:0123456789ab"),
            ("/kubepods/burstable/podUID/ID", "kubernetes:0123456789ab"),
            (
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podU_I_D.slice/cri-containerd-ID.scope",
                "kubernetes:0123456789ab",
            ),
            ("/kubepods.slice/kubepods-podU_I_D.slice/crio-ID.scope/container", "kubernetes:0123456789ab"),
            (
                "/system.slice/containerd.service/kubepods-burstable-podU_I_D.slice:cri-containerd:ID",
                "kubernetes:0123456789ab",
            ),
            (
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podU_I_D.slice/cri-containerd-ID.scope",
                "kubernetes:0123456789ab",
            ),
            (
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable-podU_I_D.slice",
                "kubernetes:pod1a2b3c4d-5e6f",
            ),
            ("/kubepods/podUID", "kubernetes:pod1a2b3c4d-5e6f"),
            (
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_I_D.slice",
                "kubernetes:pod1a2b3c4d-5e6f",
            ),
            ("/lxc/web", "lxc:web"),
            ("/lxc.payload.web-1/system.slice/ssh.service", "lxc:web-1"),
            ("/lxc.payload/web", "lxc:web"),
            (r"/machine.slice/machine-my\x2dbox.scope", "machine:my-box"),
            (r"/machine.slice/systemd-nspawn@deb\x2d12.service/payload", "machine:deb-12"),
            // An engine in a container of another one.
            ("/docker/ID/kubelet/kubepods/podUID/ID", "kubernetes:0123456789ab"),
            ("/lxc.payload.web/docker/ID", "docker:0123456789ab"),
        ] {
            assert_eq!(name(cgroup).as_deref(), Some(expected), "{cgroup}");
        }
    }

    #[test]
    fn other_groups_are_no_containers() {
        for cgroup in [
            "",
            "/",
            "/system.slice/docker.service",
            "/system.slice/cron.service",
            "/user.slice/user-1000.slice/session-1.scope",
            "/machine.slice/libpod-conmon-ID.scope",
            "/kubepods.slice/crio-conmon-ID.scope",
            "/lxc.monitor.web",
            "/lxc.monitor/web",
            "/podracer",
            "/pod1a2b",
            "/machine-.scope",
            "/docker/0123456789ab",
        ] {
            assert_eq!(name(cgroup), None, "{cgroup}");
        }
        assert_eq!(container_name(b"/\xff/\xfe"), None);
    }
}
