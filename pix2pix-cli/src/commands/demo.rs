//! `p2p demo`.
use std::process::ExitCode;

use anyhow::Result;

use crate::{args::DemoArgs, printer::Printer};

pub fn run(_args: &DemoArgs, _printer: &Printer) -> Result<ExitCode> {
    anyhow::bail!("not there yet")
}
