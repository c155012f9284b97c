//! Training: networks, losses and pairs joined; runs that can be stopped at any moment and go on as if they had not been.
//!
//! The core reads no clock and prints nothing: an [`Observer`] does both.

pub mod adam;
pub mod config;
pub mod folder;
pub mod log;
pub mod pix2pix;
pub mod pool;
pub mod report;
mod run;
mod samples;
mod validate;

use std::path::{Path, PathBuf};

pub use config::TrainConfig;
pub use folder::{RunFolder, RunPaths};
pub use run::{Outcome, TrainJob, render_report, saved_config, train};

use self::log::{FinishReason, LogError, StepRecord, ValidationRecord};
use crate::{checkpoint::CheckpointError, networks::NetworkError, pairs::PairsError, pixel::PixelError};

/// Sees training go on, has the clock, and can ask for a stop.
pub trait Observer {
    /// Training begins: steps of the whole run, steps already done, steps of an epoch.
    fn started(&mut self, _total_steps: u64, _done: u64, _steps_per_epoch: u64) {}
    /// A step is done.
    fn stepped(&mut self, _record: &StepRecord) {}
    /// Validation is done.
    fn validated(&mut self, _record: &ValidationRecord) {}
    /// A checkpoint was saved.
    fn saved(&mut self, _path: &Path) {}
    /// Whether training should end after this step.
    fn should_stop(&self) -> bool {
        false
    }
    /// Seconds since some fixed moment.
    fn seconds(&self) -> f64;
    /// Largest memory of the process so far, where the system tells.
    fn peak_memory_mib(&self) -> Option<f64> {
        None
    }
}

/// Why training did not begin or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The folder cannot be used.
    #[error("cannot write {}", path.display())]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The folder holds a run already.
    #[error("{} already holds a run", path.display())]
    RunExists {
        /// The folder.
        path: PathBuf,
    },
    /// Another process trains in the folder.
    #[error("another training is using {}", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// There is no checkpoint to go on from.
    #[error("there is no checkpoint to go on from: {} is missing", path.display())]
    NothingToResume {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The checkpoint holds networks only.
    #[error("training cannot go on from {}: {reason}", path.display())]
    NotResumable {
        /// The checkpoint.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// The data set is another one than the run began with.
    #[error("the run was training on {expected}, and now there are {found}")]
    PairsChanged {
        /// What the checkpoint says.
        expected: String,
        /// What was found.
        found: String,
    },
    /// There is nothing to train on.
    #[error("there are no pairs to train on among the {total} found in {}", path.display())]
    NoTrainingPairs {
        /// The data set.
        path: PathBuf,
        /// Pairs of other splits.
        total: usize,
    },
    /// A loss is not a finite number.
    #[error("the loss is not a finite number at step {step}: {losses}")]
    NotFinite {
        /// The step.
        step: u64,
        /// All losses of it.
        losses: String,
    },
    /// The configuration does not hold together.
    #[error("{reason}")]
    Config {
        /// What is wrong.
        reason: String,
    },
    /// Pairs cannot be used.
    #[error(transparent)]
    Pairs(#[from] PairsError),
    /// A checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The networks cannot be built.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A picture cannot be used.
    #[error(transparent)]
    Pixel(#[from] PixelError),
    /// The log cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl From<FinishReason> for &'static str {
    fn from(reason: FinishReason) -> Self {
        match reason {
            FinishReason::Completed => "completed",
            FinishReason::Interrupted => "interrupted",
            FinishReason::NotFinite => "a loss was not a finite number",
        }
    }
}
