//! Experiments: memory of one kind goes through a number of acts, and after each of them both views are measured and
//! compared with what must hold.
//!
//! The acts are carried out by a process of their own, whose memory nothing else changes.

mod claim;
mod claims;
mod figures;
mod meddling;
mod request;
mod scene;
mod script;
mod sight;
mod stage;
mod words;

use std::path::{Path, PathBuf};
use std::time::Duration;

use claim::{contradiction, likely_cause, malloc_settings, unknown};
use meddling::Meddling;
use scene::Scene;
use words::{Data, Telling};

pub use claim::Claim;
pub use figures::{Figures, Mapped};
pub use request::{FillPattern, Manner, MemoryAdvice, Request, check_that_all_fit};
pub use script::{Act, Kind, parse_acts, parse_shared_acts};
pub use sight::Spot;

use crate::error::{Error, Result};
use crate::units::{Absent, Bytes, ExactUnit, Figure, PageSize};

/// An experiment that has begun.
pub struct Experiment {
    request: Request,
    stage: stage::Stage,
    before: Figures,
    was_written: bool,
    data: Data,
    block: u64,
    wrote_zeros: bool,
}

/// What was observed after an act.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The act.
    pub act: Act,
    /// The kind of memory.
    pub kind: Kind,
    /// The process that acts.
    pub pid: u32,
    /// The name of the file, if it has one.
    pub path: Option<PathBuf>,
    /// Both views after the act.
    pub figures: Figures,
    /// Page faults of the act that needed no I/O.
    pub minor_faults: u64,
    /// Page faults of the act that needed I/O.
    pub major_faults: u64,
    /// How long the act took.
    pub time: Duration,
    /// What the kernel did, and why.
    pub sentence: String,
    /// What must hold.
    pub claims: Vec<Claim>,
    /// What does not hold, with the likely cause; `None` if everything holds, as far as that is known.
    pub difference: Option<String>,
    /// Which figures could not be checked, and why.
    pub unknown: Option<(String, Absent)>,
    /// The size of a page.
    pub page_size: PageSize,
}

impl Observed {
    /// Whether everything holds that must hold; absent if a figure is.
    ///
    /// # Errors
    /// Why the figure is absent.
    pub fn holds(&self) -> Figure<bool> {
        match (&self.difference, &self.unknown) {
            (Some(_), _) => Ok(false),
            (None, Some((_, absent))) => Err(*absent),
            (None, None) => Ok(true),
        }
    }

    /// What must hold, as it is shown.
    pub fn must(&self) -> String {
        let unit = ExactUnit::of(self.claims.iter().flat_map(Claim::sizes));
        self.claims.iter().map(|claim| claim.words(unit)).collect::<Vec<_>>().join(", ")
    }
}

impl Experiment {
    /// Checks that everything fits and starts the process that acts.
    ///
    /// # Errors
    /// `Refused` if it does not fit or has no meaning; otherwise the error of the system. Nothing is left behind.
    pub fn begin(request: Request) -> Result<Experiment> {
        let mut stage = stage::Stage::prepare(request.clone())?;
        let before = stage.observe()?;
        Ok(Experiment { request, stage, before, was_written: false, data: Data::None, block: 0, wrote_zeros: false })
    }

    /// The acts, in their order.
    pub fn acts(&self) -> &[Act] {
        &self.request.acts
    }

    /// The pid of the process that acts.
    pub fn pid(&self) -> u32 {
        self.stage.pid()
    }

    /// The name of the file, if it has one.
    pub fn path(&self) -> Option<&Path> {
        self.stage.path()
    }

    /// What another process has done to the file since it was created, if anything.
    pub fn file_meddling(&self) -> Option<Error> {
        self.stage.meddling()
    }

    /// What another process has done to the name of the file, if anything.
    pub fn lost_name(&self) -> Option<Error> {
        self.stage.lost_name()
    }

    /// Carries out an act and observes the result. While it is carried out, `go_on` is called again and again with a
    /// function that returns where the pages are, in as many parts as it is told, and how much is done; if `go_on`
    /// returns false, the act ends early.
    ///
    /// # Errors
    /// The error of the system.
    pub fn perform(
        &mut self,
        act: Act,
        mut go_on: impl FnMut(&dyn Fn(usize) -> (Vec<Spot>, Bytes)) -> bool,
    ) -> Result<Observed> {
        if self.stage.clear()? {
            // What a second process or a child had changed is as before again.
            self.before = self.stage.observe()?;
        }
        let mut look_on =
            |stage: &stage::Stage, done: u64| go_on(&|parts| (stage.look(parts).unwrap_or_default(), Bytes(done)));
        let done = self.stage.perform(act, &mut look_on)?;
        self.note(act);
        self.wrote_zeros |= act == Act::Create && done.result() > 0;
        let after = self.stage.observe()?;
        let scene = self.scene(act, &after);
        // Where it holds it says nothing new.
        let alone = scene.alone().filter(|claim| claim.holds() == Ok(false));
        let claims: Vec<Claim> = scene.claims().into_iter().chain(alone).collect();
        let is_wrong = claims.iter().any(|claim| claim.holds() == Ok(false));
        let meddling = if is_wrong { self.meddling(act) } else { Meddling::default() };
        let (minor_faults, major_faults) = (done.minor_faults, done.major_faults);
        let touched = done.result();
        let sentence = Telling { scene: &scene, data: self.data, touched, minor_faults, major_faults }.sentence();
        let observed = Observed {
            act,
            kind: self.request.kind,
            pid: self.pid(),
            path: self.path().map(Path::to_owned),
            difference: difference(self.request.kind, &claims, &after, &meddling),
            unknown: unknown(&claims),
            minor_faults,
            major_faults,
            time: done.time(),
            sentence,
            claims,
            figures: after.clone(),
            page_size: self.stage.page(),
        };
        self.before = after;
        Ok(observed)
    }

    /// What others than the processes of the experiment have done to the file, and what may be in the way of the act.
    fn meddling(&self, act: Act) -> Meddling {
        let length = self.stage.other_length().map(|error| error.why().to_owned());
        let file = self.stage.open_file().ok().flatten();
        // Only what has a disk can be written back and dropped.
        let needs_disk = matches!(act, Act::Create | Act::Msync | Act::Evict);
        let is_layer_unseen = needs_disk && self.stage.is_layer_unseen();
        Meddling::find(length, file.as_ref(), &self.stage.pids()).with_layer(is_layer_unseen)
    }

    /// Remembers what later predictions depend on.
    fn note(&mut self, act: Act) {
        match act {
            Act::Map => (self.was_written, self.data) = (false, Data::None),
            Act::Quarter | Act::Half | Act::Fill if !self.request.manner.reads => {
                (self.was_written, self.data) = (true, Data::There);
            }
            Act::DontNeed if self.data == Data::There => self.data = Data::Lost,
            Act::Small | Act::Large => self.block = self.request.block(act),
            _ => {}
        }
    }

    fn scene<'s>(&'s self, act: Act, after: &'s Figures) -> Scene<'s> {
        Scene {
            act,
            kind: self.request.kind,
            manner: self.request.manner,
            length: self.stage.length().0,
            touched: self.stage.touched().0,
            page: self.stage.page().bytes(),
            huge_page: self.stage.huge_page().0,
            is_on_disk: self.stage.is_on_disk(),
            is_layer_unseen: self.stage.is_layer_unseen(),
            wrote_zeros: self.wrote_zeros,
            was_written: self.was_written,
            is_mapped: after.mapped.is_some(),
            block: self.block,
            before: &self.before,
            after,
        }
    }
}

/// What does not hold, with the likely cause.
fn difference(kind: Kind, claims: &[Claim], after: &Figures, meddling: &Meddling) -> Option<String> {
    let wrong = || claims.iter().filter(|claim| claim.holds() == Ok(false));
    let unit = ExactUnit::of(wrong().flat_map(Claim::found_sizes));
    let wrong: Vec<String> = wrong().map(|claim| claim.found(unit)).collect();
    let settings = if kind == Kind::Heap && !wrong.is_empty() { malloc_settings(std::env::vars_os()) } else { None };
    let cause = settings.or_else(|| likely_cause(claims, after, meddling));
    let cause = cause.map(|cause| format!("likely because {cause}"));
    let parts: Vec<String> = wrong.into_iter().chain(cause).chain(contradiction(after)).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}
