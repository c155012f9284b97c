//! `p2p train`.

use std::{
    fs,
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressDrawTarget};
use pix2pix_core::{
    device::{Device, DeviceName},
    metrics::Scores,
    pairs::{PairSet, PairsError, Split, check::usable, layout::find_pairs},
    train::{
        Observer, Outcome, RunFolder, RunPaths, TrainConfig, TrainJob,
        log::{FinishReason, StepRecord, ValidationRecord},
        saved_config, train,
    },
};

use crate::{
    allocator::keep_freed_memory,
    args::TrainArgs,
    config,
    model::run_folder,
    printer::{Printer, duration, line, result, style},
};

/// Exit code after Ctrl-C, as shells expect it.
const INTERRUPTED: u8 = 130;
/// Lines without a terminal come after so many steps.
const STEPS_PER_LINE: u64 = 50;

pub fn run(args: TrainArgs, printer: &Printer) -> Result<ExitCode> {
    let device = args.device.open()?;
    let (folder, config, root) = match &args.resume {
        Some(run) => resume(run, &args)?,
        None => begin(&args)?,
    };
    keep_memory(&args.device, &config);
    let pairs = find(&root, &config, args.skip_bad, printer)?;
    let root_of_run = folder.paths().root().to_owned();
    describe(&pairs, &config, &root_of_run, printer);
    remember_pairs(folder.paths(), &root)?;
    link_latest(&root_of_run)?;
    let outcome = train_in(folder, config, pairs, (args.device, device), printer)?;
    conclude(&outcome, &RunPaths::new(&root_of_run), printer)
}

/// Has freed memory kept for steps of this size; before threads begin.
pub fn keep_memory(device: &DeviceName, config: &TrainConfig) {
    if device.is_cpu() {
        keep_freed_memory(config.loader.batch_size * config.augment.width * config.augment.height);
    }
}

/// Trains with bar, clock and Ctrl-C.
pub fn train_in(
    folder: RunFolder,
    config: TrainConfig,
    pairs: PairSet,
    (name, device): (DeviceName, Device),
    printer: &Printer,
) -> Result<Outcome> {
    let mut observer = Watcher::new(printer)?;
    let job = TrainJob { folder, config, pairs, device, device_name: name.to_string() };
    let outcome = train(job, &mut observer);
    observer.bar.finish_and_clear();
    Ok(outcome?)
}

fn begin(args: &TrainArgs) -> Result<(RunFolder, TrainConfig, PathBuf)> {
    let config = config::resolve(args)?;
    let Some(root) = args.pairs.clone() else { bail!("a new training needs a data set: --pairs DIR") };
    let folder = match &args.name {
        Some(name) => RunFolder::create(&args.runs.join(name))?,
        None => unused_folder(&args.runs, &root, &config)?,
    };
    Ok((folder, config, root))
}

/// `runs/maps-AtoB`, `runs/maps-AtoB-2`, ...
fn unused_folder(runs: &Path, root: &Path, config: &TrainConfig) -> Result<RunFolder> {
    let full = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let base = full.file_name().map_or_else(|| "run".into(), |name| name.to_string_lossy().into_owned());
    let base = format!("{base}-{}", config.pairs.direction);
    let names = std::iter::once(base.clone()).chain((2..).map(|number| format!("{base}-{number}")));
    for name in names.take(10_000) {
        let path = runs.join(name);
        if !path.exists() {
            return Ok(RunFolder::create(&path)?);
        }
    }
    bail!("{} is full of runs named {base}; give this one a --name", runs.display())
}

fn resume(run: &Path, args: &TrainArgs) -> Result<(RunFolder, TrainConfig, PathBuf)> {
    let path = run_folder(run, &args.runs);
    if !path.is_dir() {
        bail!("there is no run {}", path.display());
    }
    let path = path.canonicalize().with_context(|| format!("cannot use {}", path.display()))?;
    let folder = RunFolder::open(&path)?;
    let mut config = saved_config(folder.paths())?;
    config::change_resumed(&mut config, args);
    let root = match &args.pairs {
        Some(root) => root.clone(),
        None => {
            let file = path.join("pairs.txt");
            let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            PathBuf::from(text.trim_end_matches('\n'))
        }
    };
    Ok((folder, config, root))
}

/// Keeps the data set's folder, so that `--resume` needs nothing else.
pub fn remember_pairs(paths: &RunPaths, root: &Path) -> Result<()> {
    let full = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let file = paths.root().join("pairs.txt");
    fs::write(&file, format!("{}\n", full.display())).with_context(|| format!("cannot write {}", file.display()))
}

/// Finds pairs and makes sure that every one of them can be read.
pub fn find(root: &Path, config: &TrainConfig, skip_bad: bool, printer: &Printer) -> Result<PairSet> {
    let set = find_pairs(root, &config.pairs, config.seed)?;
    for note in &set.notes {
        printer.warn(note);
    }
    let bar = printer.bar(set.pairs.len() as u64, "reading pairs");
    let (good, bad) = usable(&set, &config.pairs, &|done| bar.set_position(done as u64));
    bar.finish_and_clear();
    if bad.is_empty() {
        return Ok(set);
    }
    let error = PairsError::BadFiles { files: bad, total: set.pairs.len() };
    if skip_bad && !good.pairs.is_empty() {
        printer.warn(&format!("{error}"));
        return Ok(good);
    }
    Err(error.into())
}

fn describe(pairs: &PairSet, config: &TrainConfig, run: &Path, printer: &Printer) {
    let count = |split| pairs.pairs.iter().filter(|pair| pair.split == split).count();
    printer.say(&format!(
        "{} pairs to train on, {} to validate, laid out {} ({}); {}x{} px, {} -> {} channels",
        count(Split::Train),
        count(Split::Val),
        pairs.layout,
        config.pairs.direction,
        config.augment.width,
        config.augment.height,
        pairs.source_channels,
        pairs.target_channels,
    ));
    printer.say(&format!("run {}", run.display()));
}

/// Makes `runs/latest` point to the run, in one step.
pub fn link_latest(run: &Path) -> Result<()> {
    let (Some(runs), Some(name)) = (run.parent(), run.file_name()) else {
        return Ok(());
    };
    let link = runs.join("latest");
    if link.exists() && !link.is_symlink() {
        bail!("{} is in the way: it should be a link to the newest run", link.display());
    }
    let temporary = runs.join(format!(".latest.{}", std::process::id()));
    #[cfg(unix)]
    let linked = std::os::unix::fs::symlink(name, &temporary);
    #[cfg(windows)]
    let linked = std::os::windows::fs::symlink_dir(name, &temporary);
    linked
        .and_then(|()| fs::rename(&temporary, &link))
        .with_context(|| format!("cannot make {} point to the run", link.display()))
}

/// Says how it ended, and what to do next.
fn conclude(outcome: &Outcome, paths: &RunPaths, printer: &Printer) -> Result<ExitCode> {
    if let Some(last) = outcome.last {
        printer.say(&scores_table(&last, outcome));
    }
    if outcome.reason == FinishReason::Interrupted {
        printer.say(&format!("stopped after step {}; everything is saved", outcome.step));
        line(&format!("go on with: p2p train --resume {}", paths.root().display()));
        return Ok(ExitCode::from(INTERRUPTED));
    }
    printer.say(&format!("report  {}", paths.report().display()));
    result(&paths.latest().display().to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// Scores beside those of the baselines.
pub fn scores_table(last: &Scores, outcome: &Outcome) -> String {
    let row = |name: &str, scores: Option<Scores>| {
        scores.map(|s| format!("\n  {name:<22}{:>8.4}{:>9.2}{:>8.3}", s.l1, s.psnr, s.ssim)).unwrap_or_default()
    };
    format!(
        "validation                    L1  PSNR dB    SSIM{}{}{}",
        row("this model", Some(*last)),
        row("mean of the targets", outcome.mean_picture),
        row("source copied", outcome.source_copied)
    )
}

/// Draws the bar, or lines where there is no terminal; has the clock; listens for Ctrl-C.
struct Watcher {
    began: Instant,
    stop: Arc<AtomicBool>,
    bar: ProgressBar,
    quiet: bool,
    lines: bool,
    /// Steps and seconds when this session's first step was done.
    first: Option<(u64, f64)>,
    total: u64,
    per_epoch: u64,
}

impl Watcher {
    fn new(printer: &Printer) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let pressed = ctrlc::set_handler(move || {
            // A second Ctrl-C does not wait for the step to end.
            if flag.swap(true, Ordering::SeqCst) {
                std::process::exit(INTERRUPTED.into());
            }
        });
        pressed.context("cannot listen for Ctrl-C")?;
        let terminal = std::io::stderr().is_terminal();
        Ok(Self {
            began: Instant::now(),
            stop,
            bar: ProgressBar::hidden(),
            quiet: printer.is_quiet(),
            lines: !printer.is_quiet() && !terminal,
            first: None,
            total: 0,
            per_epoch: 1,
        })
    }

    fn say(&self, text: &str) {
        if self.lines {
            line(text);
        } else if !self.quiet {
            self.bar.suspend(|| line(text));
        }
    }

    /// Steps per second of this session, and seconds that are left of the run.
    fn pace(&self, step: u64) -> Option<(f64, f64)> {
        let (first, at) = self.first?;
        let pace = (step - first) as f64 / (self.seconds() - at);
        (step > first && pace.is_finite()).then(|| (pace, (self.total - step) as f64 / pace))
    }
}

impl Observer for Watcher {
    fn started(&mut self, total: u64, done: u64, per_epoch: u64) {
        (self.total, self.per_epoch) = (total, per_epoch);
        if !self.quiet && !self.lines {
            self.bar = ProgressBar::with_draw_target(Some(per_epoch), ProgressDrawTarget::stderr_with_hz(5));
            self.bar.set_style(style("{prefix} {bar:20.cyan/dim} {pos}/{len} {wide_msg}"));
        }
        if done > 0 {
            self.say(&format!("going on after step {done} of {total}"));
        }
    }

    fn stepped(&mut self, record: &StepRecord) {
        if self.first.is_none() {
            self.first = Some((record.step, self.seconds()));
        }
        let pace = self.pace(record.step);
        let losses = format!(
            "g_gan {:.3}  g_l1 {:.3}  d_real {:.3}  d_fake {:.3}",
            record.g_gan, record.g_l1, record.d_real, record.d_fake
        );
        let pace = pace.map(|(pace, left)| format!("{pace:.2} steps/s, {} left  ", duration(left))).unwrap_or_default();
        if self.lines && (record.step.is_multiple_of(STEPS_PER_LINE) || record.step == self.total) {
            let epoch = record.epoch + 1;
            line(&format!("step {}/{} epoch {epoch}  {pace}{losses}", record.step, self.total));
        }
        // An epoch that the end of the run cuts short has a shorter bar.
        let before = record.epoch * self.per_epoch;
        self.bar.set_length(self.per_epoch.min(self.total - before));
        self.bar.set_prefix(format!("epoch {}/{}", record.epoch + 1, self.total.div_ceil(self.per_epoch)));
        self.bar.set_position(record.step - before);
        self.bar.set_message(format!("{pace}{losses}"));
    }

    fn validated(&mut self, record: &ValidationRecord) {
        let Scores { l1, psnr, ssim } = record.scores;
        self.say(&format!(
            "epoch {}, step {}: validation L1 {l1:.4}, PSNR {psnr:.2} dB, SSIM {ssim:.3}",
            record.epoch, record.step
        ));
    }

    fn should_stop(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    fn peak_memory_mib(&self) -> Option<f64> {
        peak_memory_mib()
    }
}

/// Largest memory of this process so far. Linux tells; elsewhere nobody does.
pub fn peak_memory_mib() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?;
    kib.parse::<f64>().ok().map(|kib| kib / 1024.0)
}
