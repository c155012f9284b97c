//! Which model a command uses.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use pix2pix_core::{
    train::RunPaths,
    translate::{TranslateOptions, Translator},
};

use crate::args::{ModelArgs, Size};

/// Where runs stand unless told otherwise.
const RUNS: &str = "runs";

/// The folder of a run: as given when it is one, else below `runs`. A folder of pictures may have a run's name.
pub fn run_folder(given: &Path, runs: &Path) -> PathBuf {
    let below = runs.join(given);
    let is_run = |folder: &Path| RunPaths::new(folder).checkpoints().is_dir();
    if is_run(given) || (given.is_dir() && !is_run(&below)) { given.to_owned() } else { below }
}

/// The checkpoint that the options name.
pub fn checkpoint(args: &ModelArgs) -> Result<PathBuf> {
    let given = args.model.clone().unwrap_or_else(|| Path::new(RUNS).join("latest"));
    if given.is_file() {
        return Ok(given);
    }
    let folder = run_folder(&given, Path::new(RUNS));
    if !folder.is_dir() {
        if args.model.is_none() {
            bail!("there is no model: {} does not exist; train one, or name one with --model", given.display());
        }
        bail!("there is no model {}: neither a checkpoint file nor the folder of a run", given.display());
    }
    let paths = RunPaths::new(&folder);
    let path = match args.checkpoint.as_str() {
        "latest" => paths.latest(),
        "best" => paths.best(),
        name => match name.strip_prefix("epoch-").and_then(|epoch| epoch.parse().ok()) {
            Some(epoch) => paths.epoch(epoch),
            None => bail!("a checkpoint is latest, best or epoch-N, found {name:?}"),
        },
    };
    if !path.is_file() {
        bail!("run {} has no checkpoint {}", folder.display(), args.checkpoint);
    }
    Ok(path)
}

/// Loads the model that the options name.
pub fn load(args: &ModelArgs) -> Result<Translator> {
    let path = checkpoint(args)?;
    let device = args.device.open()?;
    Translator::load(&path, &device).with_context(|| format!("cannot use model {}", path.display()))
}

/// How the options say that pictures are translated.
pub fn options(args: &ModelArgs, resize: Option<Size>) -> TranslateOptions {
    TranslateOptions {
        test_mode: args.test_mode.into(),
        resize: resize.map(|size| (size.width, size.height)),
        seed: args.seed,
        precision: args.precision.into(),
    }
}
