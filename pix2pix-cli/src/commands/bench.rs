//! `p2p bench`: how long a forward pass and a training step take, and how many pairs a second the loader gives.

use std::{path::Path, process::ExitCode, time::Instant};

use anyhow::{Context, Result};
use pix2pix_core::{
    agreement::{Agreement, agreement},
    batch::{PairBatch, stack},
    device::DeviceName,
    kernels::Simd,
    networks::{DiscriminatorConfig, Mode, UnetConfig, WeightUses},
    pairs::{
        Pair, PairsConfig,
        augment::AugmentConfig,
        layout::find_pairs,
        loader::{Loader, LoaderConfig},
        synth::{Scene, SynthOptions, write_pairs},
    },
    pixel::Planes,
    train::{
        TrainConfig,
        pix2pix::{Phase, TrainState},
    },
};

use super::train::peak_memory_mib;
use crate::{
    allocator::keep_freed_memory,
    args::{BenchArgs, BenchCommand, Size, key},
    printer::{line, result},
};

/// Generated pairs that the loader is measured with.
const GENERATED: usize = 16;
/// Passes before those that are counted.
const WARM_UP: usize = 2;
const PHASES: [(Phase, &str); 5] = [
    (Phase::GeneratorForward, "generator_forward_s"),
    (Phase::Discriminator, "discriminator_s"),
    (Phase::DiscriminatorAdam, "discriminator_adam_s"),
    (Phase::GeneratorBackward, "generator_backward_s"),
    (Phase::GeneratorAdam, "generator_adam_s"),
];

pub fn run(args: &BenchArgs) -> Result<ExitCode> {
    match &args.what {
        Some(BenchCommand::Loader { pairs, size, threads, cache_mib, repeat, json }) => {
            let loading = LoaderConfig { num_threads: Some(*threads), cache_mib: *cache_mib, ..Default::default() };
            let (count, seconds) = load(pairs, *size, loading, *repeat)?;
            loader(count, count as f64 / seconds, *threads, *json)
        }
        Some(BenchCommand::Check { device, size, width }) => check(*device, *size, *width),
        None => networks(args),
    }
}

/// Goes through all pairs of a folder, so many times: how many there were, and in how many seconds.
fn load(pairs: &Path, size: Size, loading: LoaderConfig, repeat: u64) -> Result<(usize, f64)> {
    let config = PairsConfig { val_fraction: 0.0, ..Default::default() };
    let set = find_pairs(pairs, &config, 0)?;
    let augment = AugmentConfig { width: size.width, height: size.height, ..Default::default() };
    let loader = Loader::new(set.pairs.clone(), set.reading(&config), augment, loading, 0)?;
    let (mut count, began) = (0, Instant::now());
    for epoch in 0..repeat {
        for batch in loader.epoch(epoch, 0) {
            count += batch?.len();
        }
    }
    Ok((count, began.elapsed().as_secs_f64()))
}

/// Pairs per second of the loader for generated pairs of the size at hand, in PNG files that are made for this.
fn load_generated(size: Size) -> Result<f64> {
    let folder = tempfile::tempdir().context("cannot make a folder for generated pairs")?;
    let out = folder.path().join("pairs");
    let options = SynthOptions {
        scene: Scene::Town,
        count: GENERATED,
        size: (size.width, size.height),
        seed: 0,
        out: out.clone(),
    };
    write_pairs(&options, &|_| ())?;
    load(&out, size, LoaderConfig::default(), 1)?;
    let (count, seconds) = load(&out, size, LoaderConfig::default(), 3)?;
    Ok(count as f64 / seconds)
}

fn loader(count: usize, per_second: f64, threads: usize, json: bool) -> Result<ExitCode> {
    if json {
        let value = serde_json::json!({ "pairs": count, "pairs_per_s": per_second, "threads": threads });
        result(&value.to_string())?;
    } else {
        result(&format!("{count} pairs, {per_second:.1} pairs/s with {threads} threads"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn networks(args: &BenchArgs) -> Result<ExitCode> {
    let batch_size = args.batch.get();
    let (width, height) = (args.size.width, args.size.height);
    if args.device.is_cpu() {
        keep_freed_memory(batch_size * width * height);
    }
    if let Some(threads) = args.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().context("cannot start threads")?;
    }
    let loaded_per_second = load_generated(args.size)?;
    let plain = args.device.open()?;
    let device = plain.clone().autodiff();
    let generator =
        UnetConfig { width: args.width, depth: UnetConfig::depth_for(width, height)?, ..Default::default() };
    let discriminator = DiscriminatorConfig { width: args.width, ..Default::default() };
    let config = TrainConfig { precision: args.precision.into(), ..Default::default() };
    let pairs = (0..batch_size).map(|at| generated_pair(2 * at, args.size)).collect::<Vec<_>>();

    let unet = generator.init(0, &plain)?;
    let source = stack(pairs.iter().map(|pair| pair.source.clone()).collect(), &plain);
    let uses = (args.weight_cache > 0).then(|| WeightUses::keep(args.weight_cache << 20));
    let mode = Mode { uses: uses.as_ref(), ..Mode::image().in_precision(config.precision) };
    let forward = median(args.count, || {
        let began = Instant::now();
        unet.forward(source.clone(), mode).into_data();
        began.elapsed().as_secs_f64()
    });
    drop((unet, uses));

    let mut state = Some(TrainState::begin(&config, &generator, &discriminator, &device)?);
    let batch = PairBatch::new(pairs, &device);
    let mut parts = PHASES.map(|_| Vec::new());
    let step = median(args.count, || {
        let before = state.take().expect("a state is put back after every step");
        let began = Instant::now();
        let mut last = began;
        let (after, _) = before.train_step(batch.clone(), &config, config.adam.learning_rate, &mut |phase| {
            // What is still queued belongs to this phase.
            if !args.device.is_cpu() {
                drop(device.sync());
            }
            let now = Instant::now();
            for ((known, _), part) in PHASES.iter().zip(&mut parts) {
                if *known == phase {
                    part.push((now - last).as_secs_f64());
                }
            }
            last = now;
        });
        state = Some(after);
        began.elapsed().as_secs_f64()
    });
    let parts = parts.map(|seconds| middle(seconds[WARM_UP..].to_vec()));
    let memory = peak_memory_mib();
    let pairs = batch_size as f64 / step;
    if args.json {
        let mut value = serde_json::json!({
            "device": args.device.to_string(), "size": [width, height], "width": args.width, "batch": batch_size,
            "threads": rayon::current_num_threads(), "simd": name_of(Simd::current()),
            "precision": key(args.precision), "weight_cache_mib": args.weight_cache,
            "forward_s": forward, "step_s": step, "pairs_per_s": pairs, "peak_memory_mib": memory,
            "loader_s": batch_size as f64 / loaded_per_second, "loader_pairs_per_s": loaded_per_second,
        });
        for ((_, name), seconds) in PHASES.iter().zip(parts) {
            value[name] = seconds.into();
        }
        result(&value.to_string())?;
    } else {
        let mut lines = vec![format!("forward {:.1} ms", forward * 1e3), format!("step {:.1} ms", step * 1e3)];
        for ((_, name), seconds) in PHASES.iter().zip(parts) {
            let name = name.trim_end_matches("_s").replace('_', " ");
            lines.push(format!("  {name} {:.1} ms", seconds * 1e3));
        }
        let to_load = batch_size as f64 / loaded_per_second * 1e3;
        lines.push(format!(
            "loader {to_load:.1} ms, {loaded_per_second:.1} pairs/s, beside the step on threads of its own"
        ));
        lines.extend(memory.map(|memory| format!("peak memory {memory:.0} MiB")));
        result(&lines.join("\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether a device computes what the CPU computes.
fn check(device: DeviceName, size: Size, width: usize) -> Result<ExitCode> {
    let parts = agreement(&device.open()?, &generated_pair(0, size), width)?;
    for Agreement { name, error, most } in &parts {
        let verdict = if error <= most { "good" } else { "TOO MUCH" };
        result(&format!("{name:26} differs by {error:.1e} of its size, at most {most:.0e}: {verdict}"))?;
    }
    if parts.iter().all(Agreement::is_good) {
        return Ok(ExitCode::SUCCESS);
    }
    line(&format!("error: {device} does not compute what the CPU computes"));
    Ok(ExitCode::FAILURE)
}

/// A pair of pictures; any values in their range serve.
fn generated_pair(seed: usize, size: Size) -> Pair {
    let Size { width, height } = size;
    let picture = |seed: usize| Planes {
        channels: 3,
        height,
        width,
        values: (0..3 * height * width).map(|at| ((at + seed) * 7919 % 2003) as f32 / 1001.5 - 1.0).collect(),
    };
    Pair { name: String::new(), source: picture(seed), target: picture(seed + 1) }
}

/// The instructions by the name that the option has.
const fn name_of(simd: Simd) -> &'static str {
    match simd {
        Simd::Portable => "portable",
        Simd::Wide if cfg!(target_arch = "aarch64") => "neon",
        Simd::Wide => "avx2",
        Simd::Widest => "avx512",
    }
}

/// The median of `count` runs after those that warm up.
fn median(count: usize, mut seconds: impl FnMut() -> f64) -> f64 {
    for _ in 0..WARM_UP {
        seconds();
    }
    middle((0..count.max(1)).map(|_| seconds()).collect())
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
