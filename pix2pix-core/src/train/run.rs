//! A whole run: from a data set to checkpoints, samples, log and report; and on again from the last checkpoint.

use std::{fs, path::Path, sync::Arc};

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};

use super::{
    Observer, TrainConfig, TrainError,
    adam::Adam,
    config::Resolved,
    folder::{RunFolder, RunPaths, write_text},
    log::{FinishReason, FinishRecord, LogWriter, Record, StartRecord, StepRecord, ValidationRecord, read_log},
    pix2pix::TrainState,
    pool::ImagePool,
    report::{DiscriminatorScale, ReportInput, Translation, render},
    samples,
    validate::{baselines, fake_of, for_each_pair},
};
use crate::{
    batch::PairBatch,
    checkpoint::{self, Checkpoint, CheckpointError, Description, Entry, FORMAT},
    metrics::{Scores, compare},
    networks::{TensorSpec, Unet, load_state, num_parameters, visit_state},
    pairs::{PairPath, PairSet, Split, augment::fit, loader::Loader, read::read_pair},
    pixel::Picture,
    seed,
};

/// What to train, on what and where.
#[derive(Debug)]
pub struct TrainJob {
    /// The run's folder.
    pub folder: RunFolder,
    /// The configuration; of a resumed run its own, with nothing changed but its length and its loader.
    pub config: TrainConfig,
    /// The pairs, all usable.
    pub pairs: PairSet,
    /// The device.
    pub device: Device,
    /// The device's name, for the report.
    pub device_name: String,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Why.
    pub reason: FinishReason,
    /// Steps done.
    pub step: u64,
    /// Scores of the last validation.
    pub last: Option<Scores>,
    /// The least validation L1 and the step that reached it.
    pub best: Option<(u64, f64)>,
    /// Scores of always giving the mean picture.
    pub mean_picture: Option<Scores>,
    /// Scores of giving the source itself.
    pub source_copied: Option<Scores>,
}

/// Where training stood, beside the tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    updates_generator: u64,
    updates_discriminator: u64,
    best: Option<(u64, f64)>,
    log_position: u64,
    num_train_pairs: usize,
    pairs_fingerprint: u64,
}

/// The configuration that a run was begun with, as its newest checkpoint has it.
///
/// # Errors
/// No checkpoint, a damaged one, or one of networks only.
pub fn saved_config(paths: &RunPaths) -> Result<TrainConfig, TrainError> {
    let checkpoint = Checkpoint::open(&paths.latest())?;
    serde_json::from_value(checkpoint.description().training.clone())
        .map_err(|error| TrainError::NotResumable { path: paths.latest(), reason: error.to_string() })
}

/// Trains until the run is complete or is asked to stop; goes on from the newest checkpoint when the folder holds one.
///
/// # Errors
/// Pairs, networks or files that cannot be used, and losses that are not finite. The newest checkpoint stays whole.
pub fn train(job: TrainJob, observer: &mut dyn Observer) -> Result<Outcome, TrainError> {
    let mut run = Run::prepare(job, observer)?;
    let result = run.go(observer);
    match &result {
        Ok(_) | Err(TrainError::NotFinite { .. }) => run.write_report()?,
        Err(_) => {}
    }
    result
}

/// Draws the report of a run's folder again, with pictures of other translations in front.
///
/// # Errors
/// Files that cannot be read or written.
pub fn render_report(paths: &RunPaths, translations: Vec<Translation>) -> Result<(), TrainError> {
    let description = Checkpoint::open(&paths.latest())?.description().clone();
    let config = saved_config(paths)?;
    let text =
        fs::read_to_string(paths.config()).map_err(|source| TrainError::Folder { path: paths.config(), source })?;
    let names = sample_names(paths)?;
    let input = ReportInput {
        run_name: run_name(paths.root()),
        config_toml: text,
        records: read_log(&paths.log())?,
        samples: samples::collect(&paths.samples(), &names)?,
        translations,
        num_parameters: parameters(&description)?,
        version: description.version.clone(),
        scale: DiscriminatorScale { balanced: config.objective.adversarial.balanced() },
    };
    write_text(&paths.report(), &render(&input))
}

fn run_name(root: &Path) -> String {
    root.file_name().map_or_else(|| root.display().to_string(), |name| name.to_string_lossy().into_owned())
}

fn sample_names(paths: &RunPaths) -> Result<Vec<String>, TrainError> {
    let path = paths.samples().join("names.json");
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|error| TrainError::Folder { path, source: std::io::Error::other(error) }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(TrainError::Folder { path, source }),
    }
}

/// Parameters of generator and discriminator, from their descriptions alone.
fn parameters(description: &Description) -> Result<Option<(usize, usize)>, TrainError> {
    let Some(discriminator) = &description.discriminator else {
        return Ok(None);
    };
    let device = Device::flex();
    Ok(Some((num_parameters(&description.generator.blank(&device)?), num_parameters(&discriminator.blank(&device)?))))
}

/// Order-dependent fingerprint of the training pairs' names.
fn fingerprint(paths: &[PairPath]) -> u64 {
    paths.iter().fold(0, |hash, path| seed::mix(hash, &path.name, 0))
}

struct Run {
    folder: RunFolder,
    config: TrainConfig,
    resolved: Resolved,
    train: Vec<PairPath>,
    validation: Vec<PairPath>,
    sampled: Vec<PairPath>,
    device: Device,
    reading: crate::pairs::PairsConfig,
    loader: Arc<Loader>,
    state: Option<TrainState>,
    log: LogWriter,
    best: Option<(u64, f64)>,
    last: Option<Scores>,
    baselines: super::validate::Baselines,
    num_parameters: (usize, usize),
    /// The observer's seconds at which this session would have begun, had all earlier ones run without a break.
    began: f64,
    wait_seconds: f64,
    train_l1: (f64, u64),
}

impl Run {
    fn prepare(job: TrainJob, observer: &mut dyn Observer) -> Result<Self, TrainError> {
        let TrainJob { folder, config, pairs, device, .. } = job;
        let device = device.autodiff();
        let train = pairs.split(Split::Train);
        if train.is_empty() {
            return Err(TrainError::NoTrainingPairs { path: pairs.root, total: pairs.pairs.len() });
        }
        check_config(&config)?;
        let mut validation = pairs.split(Split::Val);
        validation.truncate(config.record.max_validation_pairs);
        let resolved = config.resolve(&pairs)?;
        let reading = pairs.reading(&config.pairs);
        let paths = folder.paths().clone();

        let resumed = if paths.latest().is_file() { Some(Checkpoint::open(&paths.latest())?) } else { None };
        let (state, progress) = match resumed {
            Some(checkpoint) => restore(checkpoint, &config, &resolved, &train, &device)?,
            None => (TrainState::begin(&config, &resolved.generator, &resolved.discriminator, &device)?, None),
        };
        let num_parameters = (num_parameters(&state.generator), num_parameters(&state.discriminator));
        let log = LogWriter::open(&paths.log(), progress.as_ref().map_or(0, |progress| progress.log_position))?;
        let (seconds, wait_seconds) = spent(&read_log(&paths.log())?);
        let text = toml::to_string(&config).map_err(|error| TrainError::Config { reason: error.to_string() })?;
        write_text(&paths.config(), &text)?;
        let baselines = baselines(&train, &validation, &reading, &config.augment)?;
        // Samples come from validation, and from training where there is none.
        let shown = if validation.is_empty() { &train } else { &validation };
        let stride = shown.len().div_ceil(config.record.num_samples.max(1)).max(1);
        let sampled = shown.iter().step_by(stride).take(config.record.num_samples).cloned().collect();
        let loader = Arc::new(Loader::new(
            train.clone(),
            reading.clone(),
            config.augment.clone(),
            config.loader.clone(),
            seed::mix(config.seed, "loader", 0),
        )?);
        let mut run = Self {
            folder,
            resolved,
            validation,
            sampled,
            device,
            reading,
            loader,
            state: Some(state),
            log,
            best: progress.and_then(|progress| progress.best),
            last: None,
            baselines,
            num_parameters,
            began: observer.seconds() - seconds,
            wait_seconds,
            train_l1: (0.0, 0),
            train,
            config,
        };
        run.keep_stills()?;
        let step = run.step();
        run.log.write(&Record::Start(StartRecord {
            num_train_pairs: run.train.len(),
            num_val_pairs: run.validation.len(),
            total_steps: run.total_steps(),
            baseline_mean_picture: run.baselines.mean_picture,
            baseline_source_copied: run.baselines.source_copied,
            resumed_at_step: step,
        }))?;
        observer.started(run.total_steps(), step, run.steps_per_epoch());
        Ok(run)
    }

    fn step(&self) -> u64 {
        self.state.as_ref().map_or(0, |state| state.step)
    }

    fn steps_per_epoch(&self) -> u64 {
        self.loader.num_batches() as u64
    }

    fn total_steps(&self) -> u64 {
        self.config.schedule.total_steps(self.steps_per_epoch())
    }

    /// Epochs between validations: enough that they hold the configured number of steps.
    fn epochs_between(&self) -> u64 {
        self.config.record.validate_every_steps.div_ceil(self.steps_per_epoch()).max(1)
    }

    fn go(&mut self, observer: &mut dyn Observer) -> Result<Outcome, TrainError> {
        if self.step() == 0 {
            // A first picture of every sample, and a checkpoint to go on from however soon the process is killed.
            self.keep_fakes()?;
            self.save(observer)?;
        }
        let (total, per_epoch) = (self.total_steps(), self.steps_per_epoch());
        let mut reason = FinishReason::Completed;
        'run: while self.step() < total {
            let epoch = self.step() / per_epoch;
            // The running epoch holds the loader; steps change everything else.
            let loader = Arc::clone(&self.loader);
            let mut batches = loader.epoch(epoch, (self.step() % per_epoch) as usize);
            let mut ended = Ok(());
            while self.step() < total {
                let before = observer.seconds();
                let Some(batch) = batches.next() else { break };
                self.wait_seconds += observer.seconds() - before;
                ended = batch.map_err(TrainError::from).and_then(|pairs| self.train_on(pairs, epoch, observer));
                if ended.is_err() {
                    break;
                }
                if observer.should_stop() {
                    reason = FinishReason::Interrupted;
                    break;
                }
                if self.step().is_multiple_of(self.config.record.save_every_steps.max(1)) && self.step() < total {
                    ended = self.save(observer);
                    if ended.is_err() {
                        break;
                    }
                }
            }
            drop(batches);
            if let Err(TrainError::NotFinite { .. }) = &ended {
                self.finish(FinishReason::NotFinite, observer)?;
            }
            ended?;
            if reason == FinishReason::Interrupted {
                break 'run;
            }
            self.end_epoch(epoch + 1, observer)?;
        }
        if reason == FinishReason::Interrupted {
            self.save(observer)?;
        }
        self.finish(reason, observer)?;
        Ok(Outcome {
            reason,
            step: self.step(),
            last: self.last,
            best: self.best,
            mean_picture: self.baselines.mean_picture,
            source_copied: self.baselines.source_copied,
        })
    }

    fn train_on(
        &mut self,
        pairs: Vec<crate::pairs::Pair>,
        epoch: u64,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let state = self.state.take().expect("a state is put back after every step");
        let factor = self.config.schedule.factor(state.step, self.steps_per_epoch());
        let learning_rate = self.config.adam.learning_rate * factor;
        let batch = PairBatch::new(pairs, &self.device);
        let (state, losses) = state.train_step(batch, &self.config, learning_rate, &mut |_| {});
        let step = state.step;
        self.state = Some(state);
        let record = StepRecord {
            step,
            epoch,
            g_gan: losses.g_gan,
            g_l1: losses.g_l1,
            d_real: losses.d_real,
            d_fake: losses.d_fake,
            learning_rate,
            seconds: observer.seconds() - self.began,
            wait_seconds: self.wait_seconds,
        };
        self.log.write(&Record::Step(record.clone()))?;
        observer.stepped(&record);
        if !losses.are_finite() {
            let losses = format!(
                "g_gan {}, g_l1 {}, d_real {}, d_fake {}",
                losses.g_gan, losses.g_l1, losses.d_real, losses.d_fake
            );
            return Err(TrainError::NotFinite { step, losses });
        }
        self.train_l1.0 += f64::from(losses.g_l1) / 2.0;
        self.train_l1.1 += 1;
        Ok(())
    }

    fn end_epoch(&mut self, epochs_done: u64, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let complete = self.step() >= self.total_steps();
        if !complete && !epochs_done.is_multiple_of(self.epochs_between()) {
            return Ok(());
        }
        if let Some(scores) = self.validate()? {
            self.last = Some(scores);
            let (sum, count) = std::mem::take(&mut self.train_l1);
            let record = ValidationRecord {
                step: self.step(),
                epoch: epochs_done,
                scores,
                train_l1: (count > 0).then(|| sum / count as f64),
            };
            self.log.write(&Record::Validation(record.clone()))?;
            observer.validated(&record);
            if self.best.is_none_or(|(_, l1)| scores.l1 < l1) {
                self.best = Some((self.step(), scores.l1));
                let path = self.folder.paths().best();
                self.save_networks(&path, observer)?;
            }
        }
        self.keep_fakes()?;
        let every = self.config.record.keep_every_epochs;
        if every > 0 && epochs_done.is_multiple_of(every) {
            let path = self.folder.paths().epoch(epochs_done);
            self.save_networks(&path, observer)?;
            self.remove_old()?;
        }
        self.save(observer)?;
        self.write_report()
    }

    fn validate(&self) -> Result<Option<Scores>, TrainError> {
        let generator = self.valid_generator();
        let device = self.device.clone().without_autodiff();
        let mut scores = Vec::new();
        for_each_pair(&self.validation, &self.reading, &self.config.augment, &mut |pair| {
            scores.push(compare(&fake_of(&generator, pair.source, &device), &pair.target));
        })?;
        Ok(Scores::mean(&scores))
    }

    fn valid_generator(&self) -> Unet {
        self.state.as_ref().expect("a state is put back after every step").generator.valid()
    }

    fn keep_stills(&self) -> Result<(), TrainError> {
        let folder = self.folder.paths().samples();
        fs::create_dir_all(&folder).map_err(|source| TrainError::Folder { path: folder.clone(), source })?;
        let names = self.sampled.iter().map(|path| path.name.clone()).collect::<Vec<_>>();
        let json = serde_json::to_string(&names).map_err(|error| TrainError::Config { reason: error.to_string() })?;
        write_text(&folder.join("names.json"), &json)?;
        for (index, path) in self.sampled.iter().enumerate() {
            let decoded = read_pair(path, &self.reading)?;
            let shown = crate::pairs::DecodedPair {
                source: crate::pairs::SourcePixels::Picture(decoded.source.shown()),
                ..decoded
            };
            let pair = fit(&shown, &self.config.augment)?;
            let (source, target) = (Picture::from_planes(&pair.source), Picture::from_planes(&pair.target));
            samples::keep_still(&folder, index, &path.name, &source, &target)?;
        }
        Ok(())
    }

    fn keep_fakes(&self) -> Result<(), TrainError> {
        let generator = self.valid_generator();
        let device = self.device.clone().without_autodiff();
        let folder = self.folder.paths().samples();
        let mut fakes = Vec::new();
        for_each_pair(&self.sampled, &self.reading, &self.config.augment, &mut |pair| {
            fakes.push(fake_of(&generator, pair.source, &device));
        })?;
        for (index, fake) in fakes.iter().enumerate() {
            samples::keep_fake(&folder, index, self.step(), &Picture::from_planes(fake))?;
        }
        Ok(())
    }

    fn description(&self, progress: Option<&Progress>) -> Result<Description, TrainError> {
        let json = |error: serde_json::Error| TrainError::Config { reason: error.to_string() };
        Ok(Description {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generator: self.resolved.generator.clone(),
            discriminator: Some(self.resolved.discriminator.clone()),
            preprocessing: self.resolved.preprocessing.clone(),
            step: self.step(),
            seed: self.config.seed,
            training: serde_json::to_value(&self.config).map_err(json)?,
            progress: progress.map(serde_json::to_value).transpose().map_err(json)?,
        })
    }

    /// Saves everything that training goes on from.
    fn save(&mut self, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let state = self.state.as_ref().expect("a state is put back after every step");
        let progress = Progress {
            updates_generator: state.adam_generator.num_updates(),
            updates_discriminator: state.adam_discriminator.num_updates(),
            best: self.best,
            log_position: self.log.position(),
            num_train_pairs: self.train.len(),
            pairs_fingerprint: fingerprint(&self.train),
        };
        let mut entries = network_entries("generator", &state.generator);
        entries.extend(network_entries("discriminator", &state.discriminator));
        entries.extend(state.adam_generator.entries("adam_generator"));
        entries.extend(state.adam_discriminator.entries("adam_discriminator"));
        entries.extend(state.pool.entries());
        let path = self.folder.paths().latest();
        checkpoint::write(&path, &self.description(Some(&progress))?, entries)?;
        observer.saved(&path);
        Ok(())
    }

    /// Saves the networks alone.
    fn save_networks(&self, path: &Path, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let state = self.state.as_ref().expect("a state is put back after every step");
        let mut entries = network_entries("generator", &state.generator);
        entries.extend(network_entries("discriminator", &state.discriminator));
        checkpoint::write(path, &self.description(None)?, entries)?;
        observer.saved(path);
        Ok(())
    }

    /// Removes all but the newest of the checkpoints that are kept by epoch.
    fn remove_old(&self) -> Result<(), TrainError> {
        let folder = self.folder.paths().checkpoints();
        let refused = |source| TrainError::Folder { path: folder.clone(), source };
        let mut kept = Vec::new();
        for entry in fs::read_dir(&folder).map_err(refused)? {
            let path = entry.map_err(refused)?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("epoch-")) {
                kept.push(path);
            }
        }
        kept.sort();
        let surplus = kept.len().saturating_sub(self.config.record.keep_most);
        kept.into_iter()
            .take(surplus)
            .try_for_each(|path| fs::remove_file(&path).map_err(|source| TrainError::Folder { path, source }))
    }

    fn finish(&mut self, reason: FinishReason, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let record = FinishRecord {
            step: self.step(),
            reason,
            seconds: observer.seconds() - self.began,
            wait_seconds: self.wait_seconds,
            peak_memory_mib: observer.peak_memory_mib(),
        };
        Ok(self.log.write(&Record::Finish(record))?)
    }

    fn write_report(&self) -> Result<(), TrainError> {
        let paths = self.folder.paths();
        let names = self.sampled.iter().map(|path| path.name.clone()).collect::<Vec<_>>();
        let text = toml::to_string(&self.config).map_err(|error| TrainError::Config { reason: error.to_string() })?;
        let input = ReportInput {
            run_name: run_name(paths.root()),
            config_toml: text,
            records: read_log(&paths.log())?,
            samples: samples::collect(&paths.samples(), &names)?,
            translations: Vec::new(),
            num_parameters: Some(self.num_parameters),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            scale: DiscriminatorScale { balanced: self.config.objective.adversarial.balanced() },
        };
        write_text(&paths.report(), &render(&input))
    }
}

fn check_config(config: &TrainConfig) -> Result<(), TrainError> {
    let wrong = |reason: String| Err(TrainError::Config { reason });
    if config.loader.batch_size == 0 {
        return wrong("a batch holds at least one pair, found a batch size of 0".into());
    }
    let augment = &config.augment;
    if !(1.0..=8.0).contains(&augment.load_scale) {
        return wrong(format!("the load scale must be from 1 to 8, found {}", augment.load_scale));
    }
    if !(0.0..1.0).contains(&augment.source_jitter) {
        return wrong(format!("the jitter must be at least 0 and below 1, found {}", augment.source_jitter));
    }
    let adam = &config.adam;
    let sound = adam.learning_rate > 0.0 && adam.learning_rate.is_finite() && adam.epsilon > 0.0;
    if !sound || !(0.0..1.0).contains(&adam.beta1) || !(0.0..1.0).contains(&adam.beta2) {
        return wrong(format!("the optimiser needs a positive learning rate and betas below 1, found {adam:?}"));
    }
    Ok(())
}

/// Everything as the checkpoint left it.
fn restore(
    mut checkpoint: Checkpoint,
    config: &TrainConfig,
    resolved: &Resolved,
    train: &[PairPath],
    device: &Device,
) -> Result<(TrainState, Option<Progress>), TrainError> {
    let path = checkpoint.path().to_owned();
    let not_resumable = |reason: String| TrainError::NotResumable { path: path.clone(), reason };
    let description = checkpoint.description().clone();
    let progress = description.progress.clone().ok_or_else(|| not_resumable("it holds networks only".into()))?;
    let progress = serde_json::from_value::<Progress>(progress).map_err(|error| not_resumable(error.to_string()))?;
    if progress.pairs_fingerprint != fingerprint(train) {
        return Err(TrainError::PairsChanged {
            expected: format!("{} pairs with other names", progress.num_train_pairs),
            found: format!("{} pairs", train.len()),
        });
    }
    if description.generator != resolved.generator
        || description.discriminator.as_ref() != Some(&resolved.discriminator)
    {
        return Err(not_resumable("its networks are not those of the configuration".into()));
    }
    let misfit = |source| CheckpointError::State { path: path.clone(), source };
    let generator =
        load_state(resolved.generator.blank(device)?, checkpoint.read_group("generator")?).map_err(misfit)?;
    let discriminator =
        load_state(resolved.discriminator.blank(device)?, checkpoint.read_group("discriminator")?).map_err(misfit)?;
    let plain = device.clone().without_autodiff();
    let mut adam = |group: &str, updates| -> Result<Adam, TrainError> {
        Adam::restore(checkpoint.read_group(group)?, updates, &plain)
            .map_err(|name| not_resumable(format!("moment {group}.{name} has no partner")))
    };
    let adam_generator = adam("adam_generator", progress.updates_generator)?;
    let adam_discriminator = adam("adam_discriminator", progress.updates_discriminator)?;
    let stored = checkpoint.read_group("pool")?.into_values().map(|data| Tensor::<4>::from_data(data, device));
    // Names sort as index.fake, index.source.
    let stored = stored.collect::<Vec<_>>();
    let pairs = stored.chunks_exact(2).map(|pair| [pair[1].clone(), pair[0].clone()]).collect();
    let pool = ImagePool::restored(config.pool_size, pairs);
    let state =
        TrainState { generator, discriminator, adam_generator, adam_discriminator, pool, step: description.step };
    Ok((state, Some(progress)))
}

/// A network's tensors, each fetched when it is written.
fn network_entries(group: &str, network: &impl Module) -> Vec<Entry> {
    let mut entries = Vec::new();
    visit_state(network, &mut |TensorSpec { name, shape }, fetch| {
        entries.push(Entry { name: format!("{group}.{name}"), shape, fetch });
    });
    entries
}

/// Seconds of training and of waiting that the log tells of.
fn spent(records: &[Record]) -> (f64, f64) {
    let times = records.iter().rev().find_map(|record| match record {
        Record::Step(step) => Some((step.seconds, step.wait_seconds)),
        Record::Finish(finish) => Some((finish.seconds, finish.wait_seconds)),
        _ => None,
    });
    times.unwrap_or((0.0, 0.0))
}
