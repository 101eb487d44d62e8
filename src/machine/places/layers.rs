//! The layers of overlays: the pages of a file that is seen through overlayfs belong to the file of the layer that it
//! comes from, which is on another device and has another path.

use std::collections::HashMap;
use std::sync::Arc;

use super::above::{Above, trimmed};
use super::mounts::{Device, or_slash};
use crate::kernel::mount_table::LayerRole;

/// An overlay on a layer of another overlay on a layer: the kernel allows no more.
const DEPTH: usize = 2;

/// A file of an overlay in a layer, or the other way round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerPath {
    /// The device of the file system.
    pub device: (u32, u32),
    /// The path within it.
    pub path: Vec<u8>,
    /// Whether the layer is the one that is written, and so hides the others.
    pub is_upper: bool,
}

/// A layer: a directory of a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directory {
    pub(super) device: Device,
    /// Without `/` at its end.
    pub(super) path: Vec<u8>,
    pub(super) role: LayerRole,
}

/// An overlay.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    pub(super) device: Device,
    /// The uppermost first.
    pub(super) layers: Vec<Directory>,
    /// Of the layers that could not be found, the ends of their paths, which are known: from a `/` on, and without it.
    pub(super) unplaced: Vec<Vec<u8>>,
    /// The containers that have it as a file system, each once.
    pub(super) containers: Vec<Arc<str>>,
}

/// The layers of all overlays.
#[derive(Debug, Default)]
pub(super) struct Layers {
    overlays: Vec<Overlay>,
    by_device: HashMap<Device, usize>,
    /// By directory: an overlay that uses it, and its role there.
    users: HashMap<Device, Above<Vec<(usize, LayerRole)>>>,
}

impl Layers {
    pub(super) fn new(overlays: Vec<Overlay>) -> Layers {
        let mut users: HashMap<Device, Above<Vec<(usize, LayerRole)>>> = HashMap::new();
        for (place, overlay) in overlays.iter().enumerate() {
            for layer in &overlay.layers {
                users.entry(layer.device).or_default().of(&layer.path).push((place, layer.role));
            }
        }
        let by_device = overlays.iter().enumerate().map(|(place, overlay)| (overlay.device, place)).collect();
        Layers { overlays, by_device, users }
    }

    /// The layers that could not be found: the device of the overlay, and the end of the path.
    pub(super) fn unplaced(&self) -> impl Iterator<Item = (Device, &[u8])> {
        self.overlays.iter().flat_map(|overlay| {
            let device = overlay.device;
            overlay.unplaced.iter().map(move |end| (device, end.as_slice()))
        })
    }

    /// The devices of the overlays.
    pub(super) fn devices(&self) -> impl Iterator<Item = Device> {
        self.overlays.iter().map(|overlay| overlay.device)
    }

    /// Whether this is the device of an overlay.
    pub(super) fn has(&self, device: Device) -> bool {
        self.by_device.contains_key(&device)
    }

    /// The paths in the layers of the overlay on this device.
    pub(super) fn below(&self, device: Device, path: &[u8]) -> Vec<LayerPath> {
        let mut found = Vec::new();
        self.add_below(device, path, DEPTH, &mut found);
        found
    }

    fn add_below(&self, device: Device, path: &[u8], depth: usize, found: &mut Vec<LayerPath>) {
        let overlay = self.by_device.get(&device).and_then(|place| self.overlays.get(*place));
        for layer in overlay.into_iter().flat_map(|overlay| &overlay.layers) {
            // The names in such a layer are others.
            if layer.role == LayerRole::Data {
                continue;
            }
            let below = [&layer.path, path].concat();
            if depth > 1 && self.by_device.contains_key(&layer.device) {
                self.add_below(layer.device, &below, depth - 1, found);
            } else {
                let is_upper = layer.role == LayerRole::Upper;
                found.push(LayerPath { device: layer.device, path: or_slash(below), is_upper });
            }
        }
    }

    /// The paths in the overlays that have a layer at or above this path.
    pub(super) fn above(&self, device: Device, path: &[u8]) -> Vec<LayerPath> {
        let mut found = Vec::new();
        self.add_above(device, path, DEPTH, &mut found);
        found
    }

    fn add_above(&self, device: Device, path: &[u8], depth: usize, found: &mut Vec<LayerPath>) {
        let Some(users) = self.users.get(&device) else { return };
        for (rest, uses) in users.above(path) {
            for (place, role) in uses.iter().filter(|(_, role)| *role != LayerRole::Data) {
                let Some(overlay) = self.overlays.get(*place) else { continue };
                let is_upper = *role == LayerRole::Upper;
                found.push(LayerPath { device: overlay.device, path: or_slash(rest.to_vec()), is_upper });
                if depth > 1 {
                    self.add_above(overlay.device, rest, depth - 1, found);
                }
            }
        }
    }

    /// The container that a file belongs to: on the device of its overlay, or in one of the layers, if no other
    /// container has the same.
    pub(super) fn container(&self, device: Device, path: &[u8]) -> Option<Arc<str>> {
        if let Some(overlay) = self.by_device.get(&device).and_then(|place| self.overlays.get(*place)) {
            return only(overlay.containers.iter());
        }
        let (_, uses) = self.users.get(&device)?.above(trimmed(path)).next()?;
        let overlays = || uses.iter().filter_map(|(place, role)| Some((self.overlays.get(*place)?, *role)));
        let written = overlays().find(|(_, role)| *role == LayerRole::Upper);
        match written {
            Some((overlay, _)) => only(overlay.containers.iter()),
            // An overlay that no container is known to have may be that of one that is not known.
            None if overlays().any(|(overlay, _)| overlay.containers.is_empty()) => None,
            None => only(overlays().flat_map(|(overlay, _)| &overlay.containers)),
        }
    }
}

/// The one name, if there are no others.
fn only<'n>(mut names: impl Iterator<Item = &'n Arc<str>>) -> Option<Arc<str>> {
    let first = names.next()?;
    names.all(|name| name == first).then(|| Arc::clone(first))
}
