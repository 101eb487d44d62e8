//! Which application the control groups of a process belong to, from their paths alone: systemd is not asked.
//!
//! | group | application |
//! |---|---|
//! | of a container, see [`container_name`] | its name, such as `docker:0123456789ab` |
//! | `cron.service`, also with groups below it | `cron.service` |
//! | `app-gnome-org.gnome.Maps-1234.scope`, `app-org.kde.kate@1f2e.service` | `org.gnome.Maps`, `org.kde.kate` |
//! | `firefox-1234.scope`, `snap.firefox.firefox-UUID.scope` | `firefox`, `snap.firefox.firefox` |
//! | `session-1.scope`, `init.scope`, `run-u12.scope`, `vte-spawn-UUID.scope` | the name of the scope |
//! | without a unit | none |
//!
//! The innermost unit that is known decides. The scopes of a session or a command keep their whole names: anything may
//! run in them, so that they are not called by an application. The names of desktop applications follow systemd's
//! documentation ("Desktop Environment Integration"): `app[-LAUNCHER]-ID[-RANDOM].scope` and
//! `app[-LAUNCHER]-ID[@RANDOM].service`, with `\x2d` for a hyphen of the id. Another unit is called by its name as it
//! is: `a\x2db.service` and `a-b.service` are two.

use super::containers::{container_name, unescape_unit};

/// Units of these kinds have processes of their own. A service keeps the ending in its name, because that is how people
/// name it.
const KEPT: [&str; 4] = [".service", ".socket", ".mount", ".swap"];
const SCOPE: &str = ".scope";

/// Scopes in which anything may run. They keep their whole names.
const ANYTHING: [&str; 6] = ["session-", "init", "run-", "vte-spawn-", "tmux-spawn-", "ptyxis-spawn-"];

/// The application that the control groups of a process belong to; `None` if their paths do not tell: its group in
/// systemd's own hierarchy, if that is another, and its group for memory. The paths are those of `/proc/PID/cgroup`.
///
/// Only systemd's own hierarchy has a group for every unit. That for memory has one only if systemd accounts for
/// memory, and ends above the units of users in version 1.
pub fn app_name(unit: Option<&[u8]>, memory: Option<&[u8]>) -> Option<String> {
    let container = memory.and_then(container_name);
    container.or_else(|| [unit, memory].into_iter().flatten().find_map(of_group))
}

fn of_group(path: &[u8]) -> Option<String> {
    container_name(path).or_else(|| {
        let groups = path.rsplit(|byte| *byte == b'/').filter_map(|group| str::from_utf8(group).ok());
        // Only the innermost unit: what a session starts is not the service that started the session.
        groups.filter(|group| is_unit(group)).map(of_unit).next()?
    })
}

fn is_unit(group: &str) -> bool {
    KEPT.iter().chain([&SCOPE]).any(|ending| group.strip_suffix(ending).is_some_and(|name| !name.is_empty()))
}

fn of_unit(unit: &str) -> Option<String> {
    let scope = unit.strip_suffix(SCOPE);
    let name = match (unit.strip_prefix("app-"), scope) {
        (Some(app), Some(_)) => unescape_unit(of_desktop(without_random(app.strip_suffix(SCOPE)?))),
        (Some(app), None) => unescape_unit(of_desktop(app.strip_suffix(".service")?.split('@').next()?)),
        (None, Some(scope)) if ANYTHING.iter().any(|anything| scope.starts_with(anything)) => unit.to_owned(),
        (None, Some(scope)) => without_random(scope).to_owned(),
        (None, None) => unit.to_owned(),
    };
    (!name.is_empty()).then_some(name)
}

/// The id of an application, which may have its launcher before it.
fn of_desktop(name: &str) -> &str {
    name.rsplit_once('-').map_or(name, |(_, id)| id)
}

/// A name without the number, or the UUID, that tells several scopes of a program apart.
fn without_random(name: &str) -> &str {
    const UUID: [usize; 5] = [8, 4, 4, 4, 12];
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parts: Vec<&str> = name.rsplitn(6, '-').collect();
    let (uuid, rest) = parts.split_at(parts.len().saturating_sub(1));
    if let [rest] = rest
        && uuid.len() == 5
        && uuid.iter().rev().zip(UUID).all(|(part, length)| part.len() == length && is_hex(part))
    {
        return rest;
    }
    match name.rsplit_once('-') {
        Some((rest, random)) if !rest.is_empty() && is_number(random) => rest,
        _ => name,
    }
}

/// A pid, or random digits: a word that happens to be hexadecimal is no number.
fn is_number(text: &str) -> bool {
    let is_hexadecimal = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    is_hexadecimal && has_digit && (text.bytes().all(|byte| byte.is_ascii_digit()) || text.len() >= 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_unit_is_the_application() {
        let user = "/user.slice/user-1000.slice/user@1000.service/app.slice/";
        for (cgroup, expected) in [
            ("/system.slice/cron.service", "cron.service"),
            ("/system.slice/system-postgresql.slice/postgresql@15-main.service", "postgresql@15-main.service"),
            ("/system.slice/systemd-udevd.service/udev", "systemd-udevd.service"),
            (r"/system.slice/dev-disk-by\x2duuid-1.swap", r"dev-disk-by\x2duuid-1.swap"),
            (r"/system.slice/foo\x2dbar.service", r"foo\x2dbar.service"),
            ("/system.slice/foo-bar.service", "foo-bar.service"),
            (r"USER/foo\x2dbar-1234.scope", r"foo\x2dbar"),
            ("USER/app-gnome-firefox-1234.scope", "firefox"),
            ("USER/app-firefox-1234.scope", "firefox"),
            ("USER/app-gnome-org.gnome.Maps-99.scope", "org.gnome.Maps"),
            (r"USER/app-org.kde.plasma\x2ddiscover-1f2e3d4c5b6a79881f2e3d4c5b6a7988.scope", "org.kde.plasma-discover"),
            ("USER/app-org.kde.kate@1f2e3d.service", "org.kde.kate"),
            (r"USER/app-gnome-org.gnome.Evolution\x2dalarm@autostart.service", "org.gnome.Evolution-alarm"),
            ("USER/firefox-1234.scope", "firefox"),
            ("USER/snap.firefox.firefox-1b4e28ba-2fa1-11d2-883f-0016d3cca427.scope", "snap.firefox.firefox"),
            ("USER/code-face.scope", "code-face"),
            ("USER/dbus.service", "dbus.service"),
            ("/docker/ID", "docker:0123456789ab"),
            ("/system.slice/docker-ID.scope/system.slice/cron.service", "docker:0123456789ab"),
            (r"/machine.slice/machine-qemu\x2d1\x2dvm.scope", "machine:qemu-1-vm"),
        ] {
            let id = "0123456789abcdef".repeat(4);
            let cgroup = cgroup.replace("USER/", user).replace("ID", &id);
            assert_eq!(app_name(None, Some(cgroup.as_bytes())).as_deref(), Some(expected), "{cgroup}");
        }
    }

    #[test]
    fn units_in_which_anything_runs_keep_their_whole_names() {
        for cgroup in [
            "/init.scope",
            "/user.slice/user-1000.slice/session-3.scope",
            "/user.slice/user-1000.slice/user@1000.service/init.scope",
            "/user.slice/user-1000.slice/user@1000.service",
            "/system.slice/run-u12.scope",
            "/user@1000.service/app.slice/vte-spawn-1b4e28ba-2fa1-11d2-883f-0016d3cca427.scope",
        ] {
            assert_eq!(app_name(None, Some(cgroup.as_bytes())).as_deref(), cgroup.rsplit('/').next(), "{cgroup}");
        }
    }

    #[test]
    fn a_group_without_a_unit_is_no_application() {
        for cgroup in ["", "/", "/a/.service", "/build/x"] {
            assert_eq!(app_name(None, Some(cgroup.as_bytes())), None, "{cgroup}");
        }
        assert_eq!(app_name(None, Some(b"/\xff.service/\xfe")), None);
    }
}
