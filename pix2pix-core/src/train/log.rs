//! The run's log: one JSON record a line, from which the report is drawn and resumed runs go on.

use std::{
    fs::{self, File},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, Serialize};

use crate::metrics::Scores;

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// A session of training begins.
    Start(StartRecord),
    /// A step is done.
    Step(StepRecord),
    /// Validation is done.
    Validation(ValidationRecord),
    /// A session of training ends.
    Finish(FinishRecord),
}

/// What a session begins with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartRecord {
    /// Pairs trained on.
    pub num_train_pairs: usize,
    /// Pairs looked at in validation.
    pub num_val_pairs: usize,
    /// Steps of the whole run.
    pub total_steps: u64,
    /// Scores of always giving the mean picture of the training targets.
    pub baseline_mean_picture: Option<Scores>,
    /// Scores of giving the source itself, when channels allow.
    pub baseline_source_copied: Option<Scores>,
    /// Steps that were done before this session.
    pub resumed_at_step: u64,
}

/// Losses of one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Steps done, this one included.
    pub step: u64,
    /// Epoch that the step belongs to, from 0.
    pub epoch: u64,
    /// The generator's adversarial loss, unweighted.
    #[serde(deserialize_with = "null_is_nan")]
    pub g_gan: f32,
    /// The generator's reconstruction loss, unweighted, of values in [-1, 1].
    #[serde(deserialize_with = "null_is_nan")]
    pub g_l1: f32,
    /// The discriminator's loss on real pairs.
    #[serde(deserialize_with = "null_is_nan")]
    pub d_real: f32,
    /// The discriminator's loss on fake pairs.
    #[serde(deserialize_with = "null_is_nan")]
    pub d_fake: f32,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Seconds of training so far, over all sessions.
    pub seconds: f64,
    /// Seconds of those that training waited for data.
    pub wait_seconds: f64,
}

/// Scores on the validation pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidationRecord {
    /// Steps done.
    pub step: u64,
    /// Epochs done.
    pub epoch: u64,
    /// Means over the pairs.
    pub scores: Scores,
    /// Mean reconstruction loss of the training steps since the last validation, on [0, 1].
    pub train_l1: Option<f64>,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FinishRecord {
    /// Steps done.
    pub step: u64,
    /// Why it ended.
    pub reason: FinishReason,
    /// Seconds of training, over all sessions.
    pub seconds: f64,
    /// Seconds of those that training waited for data.
    pub wait_seconds: f64,
    /// Largest memory of the process so far, where the system tells.
    pub peak_memory_mib: Option<f64>,
}

/// Why a session of training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// All steps are done.
    Completed,
    /// It was asked to stop.
    Interrupted,
    /// A loss was not a finite number.
    NotFinite,
}

/// JSON has no NaN; it is written as null.
fn null_is_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    Ok(Option::<f32>::deserialize(deserializer)?.unwrap_or(f32::NAN))
}

/// A log that cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The system refused.
    #[error("cannot use log {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line is no record.
    #[error("line {line} of log {} is no record", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Its number, from 1.
        line: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// Appends records, each a whole line.
#[derive(Debug)]
pub struct LogWriter {
    path: PathBuf,
    file: File,
    position: u64,
}

impl LogWriter {
    /// Opens a log and cuts off what lies beyond `position` bytes.
    ///
    /// # Errors
    /// Whatever the system refuses.
    pub fn open(path: &Path, position: u64) -> Result<Self, LogError> {
        let refused = |source| LogError::Io { path: path.to_owned(), source };
        let mut file = File::options().create(true).write(true).truncate(false).open(path).map_err(refused)?;
        let length = file.metadata().map_err(refused)?.len();
        let position = position.min(length);
        file.set_len(position).map_err(refused)?;
        file.seek(SeekFrom::End(0)).map_err(refused)?;
        Ok(Self { path: path.to_owned(), file, position })
    }

    /// Writes a record.
    ///
    /// # Errors
    /// Whatever the system refuses.
    pub fn write(&mut self, record: &Record) -> Result<(), LogError> {
        let refused = |source| LogError::Io { path: self.path.clone(), source };
        let mut line = serde_json::to_vec(record).map_err(|error| refused(error.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(refused)?;
        self.position += line.len() as u64;
        Ok(())
    }

    /// Bytes written so far: where a resumed run goes on.
    pub const fn position(&self) -> u64 {
        self.position
    }
}

/// Reads all records. A last line that was cut off is left out.
///
/// # Errors
/// A file that cannot be read, or any other line that is no record.
pub fn read_log(path: &Path) -> Result<Vec<Record>, LogError> {
    let text = fs::read_to_string(path).map_err(|source| LogError::Io { path: path.to_owned(), source })?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let parse = |(index, line)| {
        serde_json::from_str(line).map_err(|source| LogError::Line { path: path.to_owned(), line: index + 1, source })
    };
    whole.lines().enumerate().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: u64, g_gan: f32) -> Record {
        Record::Step(StepRecord {
            step,
            epoch: 0,
            g_gan,
            g_l1: 0.25,
            d_real: 0.5,
            d_fake: 0.75,
            learning_rate: 2e-4,
            seconds: 1.5,
            wait_seconds: 0.25,
        })
    }

    #[test]
    fn records_come_back_and_a_cut_off_last_line_is_left_out() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log.jsonl");
        let mut log = LogWriter::open(&path, 0).expect("opened");
        log.write(&step(1, 0.5)).expect("written");
        let kept = log.position();
        log.write(&step(2, 0.5)).expect("written");
        let whole = fs::read(&path).expect("read");
        fs::write(&path, &whole[..whole.len() - 5]).expect("cut");
        assert_eq!(read_log(&path).expect("read"), [step(1, 0.5)]);
        let mut log = LogWriter::open(&path, kept).expect("opened");
        log.write(&step(3, 0.5)).expect("written");
        assert_eq!(read_log(&path).expect("read"), [step(1, 0.5), step(3, 0.5)]);
    }

    #[test]
    fn losses_that_are_not_numbers_survive_and_damaged_lines_are_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log.jsonl");
        LogWriter::open(&path, 0).and_then(|mut log| log.write(&step(1, f32::NAN))).expect("written");
        let records = read_log(&path).expect("read");
        assert!(matches!(&records[0], Record::Step(record) if record.g_gan.is_nan()));
        fs::write(&path, "{}\n{\"kind\":\"step\"}\n").expect("written");
        assert!(matches!(read_log(&path), Err(LogError::Line { line: 1, .. })));
    }
}
