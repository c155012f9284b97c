//! A folder of its own for a test, and the binary run in it.

// Not every test uses all of it.
#![allow(dead_code)]

use std::{
    path::PathBuf,
    process::{Command, Output},
};

/// A folder of its own, and the binary run in it.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_p2p"));
        command.current_dir(self.0.path()).args(words.split_whitespace()).env_remove("P2P_MODEL");
        command
    }

    pub fn run(&self, words: &str) -> Output {
        let output = self.command(words).output().expect("the binary runs");
        assert!(!text(&output.stderr).contains("panicked"), "{words}: {}", text(&output.stderr));
        output
    }

    /// Runs and expects success; gives what was written to stdout.
    pub fn good(&self, words: &str) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs and expects failure; gives what was written to stderr.
    pub fn bad(&self, words: &str) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(1), "{words}: {}", text(&output.stdout));
        text(&output.stderr)
    }

    /// Twelve pairs of towns, 32 pixels wide, and a run of a tiny network on them.
    pub fn with_run(steps: u64) -> Self {
        let place = Self::new();
        place.good("synth --count 12 --size 32 --out town");
        place.good(&format!("{TRAIN} --pairs town --steps {steps} --name run"));
        place
    }
}

/// How tiny runs are trained.
pub const TRAIN: &str = "train --size 32 --width 4 --num-layers 1 --seed 3";

/// What was written, for people.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
