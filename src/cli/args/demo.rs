//! What was typed behind `rmap demo`.

use std::path::PathBuf;

use clap::Args;

use super::OutputArgs;
use crate::units::Bytes;

/// `rmap demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// How large the file is: 256M, 1G
    #[arg(long, value_name = "SIZE", default_value = "256M")]
    pub size: Bytes,
    /// Make the file here instead of in a temporary directory on disk
    #[arg(long, value_name = "PATH")]
    pub file: Option<PathBuf>,
    /// Replace the file of --file if it exists. It is not restored: the new file is removed at the end unless --keep
    #[arg(long, requires = "file")]
    pub force: bool,
    /// Leave the file in place
    #[arg(long)]
    pub keep: bool,
    /// Stay alive at the end, until Ctrl-C, and say what to type in another terminal
    #[arg(long)]
    pub hold: bool,
    /// How the answer is written.
    #[command(flatten)]
    pub output: OutputArgs,
}
