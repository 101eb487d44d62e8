//! The overlays that may show a file, and the file of a layer that an overlay shows.

use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::wanted::path_of;
use crate::join::spot::Spot;
use crate::kernel::handle::Handle;
use crate::kernel::identity::PageSource;
use crate::kernel::whereabouts;
use crate::machine::Places;

/// A device number, major and minor.
type Device = (u32, u32);

/// Opens a descriptor that only names a file, without waiting for a file system that does not answer.
pub(super) fn open_name(path: &Path) -> std::result::Result<Handle, Errno> {
    match whereabouts::locate(path)? {
        None => whereabouts::open_name(path),
        Some(far) => far.open(OFlag::O_PATH),
    }
}

/// The devices of the overlays that may show a file: those on a layer that it is below, as far as its path tells, and
/// those with a layer that could not be found.
pub(super) fn overlays_of(places: &Places, spot: Option<&Spot>, is_stacked: bool, has_links: bool) -> Vec<Device> {
    let Some((device, within)) = spot.and_then(|spot| Some((spot.device, spot.within.as_deref()?))) else {
        return places.overlays().collect();
    };
    if has_links {
        // Another name may be in a layer.
        return places.overlays().collect();
    }
    let mut found: Vec<Device> = places.unplaced_layers().map(|(device, _)| device).collect();
    let mut add = |device, path: &[u8]| {
        found.extend(places.in_overlays(device, path).into_iter().map(|overlay| overlay.device));
    };
    match is_stacked {
        true => places.in_layers(device, within).iter().for_each(|layer| add(layer.device, &layer.path)),
        false => add(device, within),
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The file of a layer that has the pages of a file on an overlay.
pub(super) struct OfLayer {
    /// The device of its file system, as `maps` prints it.
    pub(super) device: Device,
    /// The device that `fstat` gives.
    pub(super) stat_device: u64,
    pub(super) inode: u64,
    /// Whether overlayfs has copied it from a lower layer.
    pub(super) is_copy: bool,
}

impl OfLayer {
    /// Of the file at this spot of an overlay, of which `source` has the pages.
    pub(super) fn find(places: &Places, spot: &Spot, source: &PageSource) -> Option<OfLayer> {
        let within = spot.within.as_deref()?;
        places.in_layers(spot.device, within).into_iter().find_map(|layer| {
            let place = places.find(layer.device, &layer.path).filter(|place| !place.is_hidden)?;
            let path = match place.pid {
                Some(pid) => [format!("/proc/{pid}/root").as_bytes(), &place.path].concat(),
                None => place.path,
            };
            let name = open_name(&path_of(&path)).ok()?;
            let stat = name.stat().ok()?;
            let is_it = |found: Option<PageSource>| found.is_some_and(|found| found.is_same(source));
            let is_copy = layer.is_upper && is_it(PageSource::of_copy(&name));
            let found = OfLayer { device: layer.device, stat_device: stat.st_dev, inode: stat.st_ino, is_copy };
            (is_copy || is_it(PageSource::of_name(&name, false))).then_some(found)
        })
    }
}
