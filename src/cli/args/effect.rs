//! What was typed behind `rmap warm`, `rmap evict` and `rmap lock`.

use clap::Args;

use super::{OutputArgs, SelectionArgs};

/// `rmap warm`, `rmap evict`, `rmap lock`
#[derive(Debug, Args)]
pub struct EffectArgs {
    /// Which files.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Close with a total
    #[arg(long)]
    pub total: bool,
    /// How the answer is written.
    #[command(flatten)]
    pub output: OutputArgs,
}
