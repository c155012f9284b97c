//! `p2p datasets`.
use std::process::ExitCode;

use anyhow::Result;

use crate::args::DatasetsArgs;

pub fn run(_args: &DatasetsArgs) -> Result<ExitCode> {
    anyhow::bail!("not there yet")
}
