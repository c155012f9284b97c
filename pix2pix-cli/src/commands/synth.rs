//! `p2p synth`.
use std::process::ExitCode;

use anyhow::Result;

use crate::{args::SynthArgs, printer::Printer};

pub fn run(_args: &SynthArgs, _printer: &Printer) -> Result<ExitCode> {
    anyhow::bail!("not there yet")
}
