//! A run's folder: where its files stand, and that only one process trains in it.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use super::TrainError;

/// The folder of one training run, locked for this process as long as the value lives.
#[derive(Debug)]
pub struct RunFolder {
    paths: RunPaths,
    /// Held, not read: the system releases it even when the process is killed.
    _lock: File,
}

/// Where the files of a run stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunPaths {
    root: PathBuf,
}

impl RunPaths {
    /// The files below this folder, which need not exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The resolved configuration.
    pub fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// One JSON record a line.
    pub fn log(&self) -> PathBuf {
        self.root.join("log.jsonl")
    }

    /// The folder of checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// The newest state of training, from which it goes on.
    pub fn latest(&self) -> PathBuf {
        self.checkpoints().join("latest.safetensors")
    }

    /// The networks with the least validation L1 so far.
    pub fn best(&self) -> PathBuf {
        self.checkpoints().join("best.safetensors")
    }

    /// The networks after this many epochs.
    pub fn epoch(&self, epoch: u64) -> PathBuf {
        self.checkpoints().join(format!("epoch-{epoch:05}.safetensors"))
    }

    /// The folder of sample pictures.
    pub fn samples(&self) -> PathBuf {
        self.root.join("samples")
    }

    /// The page to look at.
    pub fn report(&self) -> PathBuf {
        self.root.join("report").join("index.html")
    }
}

impl RunFolder {
    /// Makes the folder of a new run.
    ///
    /// # Errors
    /// A folder that already holds a run, is in use by another process, or cannot be made.
    pub fn create(root: &Path) -> Result<Self, TrainError> {
        let paths = RunPaths::new(root);
        for folder in [paths.checkpoints(), paths.samples(), root.join("report")] {
            fs::create_dir_all(&folder).map_err(|source| TrainError::Folder { path: folder, source })?;
        }
        let folder = Self::lock(paths)?;
        if folder.paths.log().exists() || folder.paths.latest().exists() {
            return Err(TrainError::RunExists { path: root.to_owned() });
        }
        Ok(folder)
    }

    /// Opens the folder of a run to go on with.
    ///
    /// # Errors
    /// A folder without a checkpoint, or in use by another process.
    pub fn open(root: &Path) -> Result<Self, TrainError> {
        let paths = RunPaths::new(root);
        if !paths.latest().is_file() {
            return Err(TrainError::NothingToResume { path: paths.latest() });
        }
        Self::lock(paths)
    }

    fn lock(paths: RunPaths) -> Result<Self, TrainError> {
        let path = paths.root.join("lock");
        let refused = |source| TrainError::Folder { path: path.clone(), source };
        let lock = File::options().create(true).append(true).open(&path).map_err(refused)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { paths, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(TrainError::InUse { path: paths.root }),
            Err(TryLockError::Error(source)) => Err(refused(source)),
        }
    }

    /// Where the files stand.
    pub const fn paths(&self) -> &RunPaths {
        &self.paths
    }
}

/// Writes a small text file whole: a temporary file beside it, then renamed.
pub(super) fn write_text(path: &Path, text: &str) -> Result<(), TrainError> {
    let temporary = path.with_extension("tmp");
    let written = fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|source| TrainError::Folder { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_training_in_one_folder_is_refused_until_the_first_ends() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().join("run");
        let first = RunFolder::create(&root).expect("a new run");
        assert!(matches!(RunFolder::create(&root), Err(TrainError::InUse { .. })));
        drop(first);
        assert!(RunFolder::create(&root).is_ok());
        fs::write(RunPaths::new(&root).log(), "").expect("written");
        assert!(matches!(RunFolder::create(&root), Err(TrainError::RunExists { .. })));
    }

    #[test]
    fn a_folder_without_a_checkpoint_cannot_be_resumed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(matches!(RunFolder::open(folder.path()), Err(TrainError::NothingToResume { .. })));
    }
}
