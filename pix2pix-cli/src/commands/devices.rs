//! `p2p devices`.

use std::process::ExitCode;

use anyhow::Result;
use pix2pix_core::device::{DeviceError, DeviceKind, DeviceName};

use crate::printer::result;

pub fn run() -> Result<ExitCode> {
    for kind in DeviceKind::ALL {
        let state = match (DeviceName { kind, index: 0 }).open() {
            Ok(_) => "ready".to_owned(),
            Err(DeviceError::NotCompiledIn { .. }) => {
                format!("not in this build (--features {})", kind.name())
            }
            Err(DeviceError::NotPresent { reason, .. }) => format!("not on this machine: {reason}"),
            Err(error) => error.to_string(),
        };
        result(&format!("{:<8} {:<44} {state}", kind.name(), kind.description()))?;
    }
    Ok(ExitCode::SUCCESS)
}
