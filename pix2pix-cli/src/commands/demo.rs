//! `p2p demo`: the whole main job on generated pairs, in a few minutes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use pix2pix_core::{
    pairs::synth::{Scene, SynthOptions, town_window, write_pairs},
    pixel::{Picture, encode::write_picture},
    schedule::ScheduleConfig,
    train::{
        RunFolder, TrainConfig,
        log::FinishReason,
        render_report,
        report::{Translation, embed},
    },
    translate::{TranslateOptions, Translator},
};

use super::{
    train::{find, keep_memory, link_latest, remember_pairs, scores_table, train_in},
    translate::beside,
};
use crate::{
    args::DemoArgs,
    printer::{Printer, line, result},
};

/// Pairs of the demo; every tenth validates.
const NUM_PAIRS: usize = 320;
/// Steps of the demo: two minutes on two cores at the size that is the default, with AVX-512.
const STEPS: u64 = 3000;
/// Channels after the first convolution: half of the paper's.
const WIDTH: usize = 32;
/// Number of the first window that is neither trained on nor validated with, and how many are translated.
const FIRST_UNSEEN: usize = 10_000;
const NUM_UNSEEN: usize = 6;
/// Windows that are translated are this many times as wide and high as those of training.
const LARGER: usize = 2;

pub fn run(args: &DemoArgs, printer: &Printer) -> Result<ExitCode> {
    let device = args.device.open()?;
    let root = unused(&args.out)?;
    let config = TrainConfig {
        seed: args.seed,
        schedule: ScheduleConfig { steps: Some(args.steps.unwrap_or(STEPS)), ..Default::default() },
        ..config(args.size)
    };
    // A folder that cannot be used is an error before anything is generated.
    let folder = RunFolder::create(&root)?;
    let pairs = root.join("pairs");
    let options = SynthOptions {
        scene: Scene::Town,
        count: NUM_PAIRS,
        size: (args.size, args.size),
        seed: args.seed,
        out: pairs.clone(),
    };
    keep_memory(&args.device, &config);
    printer.say(&format!("1/4 generating {NUM_PAIRS} pairs of a town: satellite picture and map"));
    let bar = printer.bar(NUM_PAIRS as u64, "generating");
    write_pairs(&options, &|done| bar.set_position(done as u64))?;
    bar.finish_and_clear();

    let set = find(&pairs, &config, false, printer)?;
    printer.say(&format!(
        "2/4 training a U-Net of width {WIDTH} on {0}x{0} px for {1} steps (Ctrl-C stops and saves)",
        args.size,
        config.schedule.total_steps(1)
    ));
    remember_pairs(folder.paths(), &pairs)?;
    link_latest(&root)?;
    let paths = folder.paths().clone();
    let outcome = train_in(folder, config, set, (args.device, device.clone()), printer)?;
    if outcome.reason == FinishReason::Interrupted {
        line(&format!("stopped; go on with: p2p train --resume {}", root.display()));
        return Ok(ExitCode::from(130));
    }

    printer
        .say(&format!("3/4 translating {NUM_UNSEEN} windows of the town that it has not seen, {LARGER} times as wide"));
    let translator = Translator::load(&paths.latest(), &device)?;
    let translations = translate_unseen(&root, &translator, args.size * LARGER, args.seed)?;
    printer.say("4/4 writing the report");
    render_report(&paths, translations)?;
    if let Some(last) = outcome.last {
        printer.say(&scores_table(&last, &outcome));
    }
    printer.say(&format!("look at it: {}", paths.report().display()));
    result(&paths.report().display().to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn config(size: usize) -> TrainConfig {
    let mut config = TrainConfig::default();
    (config.augment.width, config.augment.height) = (size, size);
    (config.generator.width, config.discriminator.width) = (WIDTH, WIDTH);
    config.record.validate_every_steps = 1;
    config.record.num_samples = 4;
    config
}

/// The folder itself, or the next free one beside it.
fn unused(out: &Path) -> Result<PathBuf> {
    let name = out.file_name().context("the demo needs a folder to work in")?.to_string_lossy().into_owned();
    let names = std::iter::once(name.clone()).chain((2..1000).map(|number| format!("{name}-{number}")));
    let free = names.map(|name| out.with_file_name(name)).find(|path| !path.exists());
    let Some(free) = free else { bail!("{} and all folders beside it are taken", out.display()) };
    Ok(free)
}

fn translate_unseen(root: &Path, translator: &Translator, size: usize, seed: u64) -> Result<Vec<Translation>> {
    let folder = root.join("translated");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let translate = |number: usize| -> Result<Translation> {
        // Windows apart from each other, so that they show different parts of the town.
        let (source, target) = town_window(seed, FIRST_UNSEEN + number * 3, (size, size));
        let fake = Picture::from_planes(&translator.translate(&source.to_planes(), &TranslateOptions::default()));
        let name = format!("window-{}", number + 1);
        let all = beside(&[source.clone(), fake.clone(), target.clone()]);
        write_picture(&folder.join(format!("{name}.png")), &all, &[])?;
        Ok(Translation { name, source: embed(&source)?, fake: embed(&fake)?, target: Some(embed(&target)?) })
    };
    (0..NUM_UNSEEN).map(translate).collect()
}
