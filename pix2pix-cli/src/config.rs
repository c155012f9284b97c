//! The configuration of a training: defaults, then the file, then `--set`, then options.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};
use pix2pix_core::{pairs::Layout, schedule::ScheduleConfig, train::TrainConfig};
use toml::{Table, Value};

use crate::args::{Size, TrainArgs, key};

/// Puts the configuration of a new training together.
pub fn resolve(args: &TrainArgs) -> Result<TrainConfig> {
    let mut table = match &args.config {
        Some(path) => read(path)?,
        None => Table::new(),
    };
    for setting in &args.settings {
        apply_setting(&mut table, setting)?;
    }
    apply_options(&mut table, args);
    check_keys(&table)?;
    Value::Table(table).try_into().context("the configuration does not hold together")
}

/// Changes what may be changed of a run that goes on: its length, its loader and how often it saves.
pub fn change_resumed(config: &mut TrainConfig, args: &TrainArgs) {
    if let Some(steps) = args.steps {
        config.schedule.steps = Some(steps);
    }
    if args.epochs.is_some() || args.decay_epochs.is_some() {
        let ScheduleConfig { epochs, decay_epochs, .. } = config.schedule;
        config.schedule.steps = None;
        config.schedule.epochs = args.epochs.unwrap_or(epochs);
        config.schedule.decay_epochs = args.decay_epochs.unwrap_or(decay_epochs);
    }
    if let Some(threads) = args.threads {
        config.loader.num_threads = Some(threads);
    }
    if let Some(cache_mib) = args.cache_mib {
        config.loader.cache_mib = cache_mib;
    }
    if let Some(steps) = args.save_every {
        config.record.save_every_steps = steps;
    }
}

fn read(path: &Path) -> Result<Table> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read configuration {}", path.display()))?;
    text.parse::<Table>().with_context(|| format!("{} is no TOML", path.display()))
}

fn apply_setting(table: &mut Table, setting: &str) -> Result<()> {
    let Some((key, text)) = setting.split_once('=') else {
        bail!("a setting is written key=value, found {setting:?}");
    };
    // What is no TOML value is taken as text: schedule.policy=cosine needs no quotes.
    let value = format!("x = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut parsed| parsed.remove("x"))
        .unwrap_or_else(|| Value::String(text.to_owned()));
    set(table, key.trim(), value);
    Ok(())
}

/// Sets a dotted key, making the tables above it.
fn set(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((first, rest)) => {
            let below = table.entry(first).or_insert_with(|| Value::Table(Table::new()));
            if !below.is_table() {
                *below = Value::Table(Table::new());
            }
            if let Value::Table(below) = below {
                set(below, rest, value);
            }
        }
    }
}

fn apply_options(table: &mut Table, args: &TrainArgs) {
    let integer = |number: usize| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let long = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let text = |text: String| Value::String(text);
    let yes = |given: bool, value: bool| given.then_some(Value::Boolean(value));
    let color = |color: [u8; 3]| Value::Array(color.iter().map(|&value| Value::Integer(value.into())).collect());
    let Size { width, height } = args.size.unwrap_or(Size { width: 0, height: 0 });
    let sized = |side: usize| args.size.map(|_| integer(side));
    let options = [
        ("seed", args.seed.map(long)),
        ("pool_size", args.pool_size.map(integer)),
        ("precision", args.precision.map(|precision| text(key(precision)))),
        ("pairs.layout", args.layout.map(|layout| text(layout.to_string()))),
        ("pairs.direction", args.direction.map(|direction| text(direction.to_string()))),
        ("pairs.labels", args.labels.map(integer)),
        ("pairs.instance_edges", yes(args.instance_edges, true)),
        ("pairs.source_channels", args.source_channels.map(integer)),
        ("pairs.target_channels", args.target_channels.map(integer)),
        ("pairs.alpha_background", args.alpha_background.map(color)),
        ("pairs.val_fraction", args.val_fraction.map(Value::Float)),
        ("augment.width", sized(width)),
        ("augment.height", sized(height)),
        ("augment.load_scale", args.load_scale.map(Value::Float)),
        ("augment.resize", yes(args.no_resize, false)),
        ("augment.flip_horizontal", yes(args.no_flip, false)),
        ("augment.flip_vertical", yes(args.vertical_flip, true)),
        ("augment.quarter_turns", yes(args.quarter_turns, true)),
        ("augment.source_jitter", args.source_jitter.map(Value::Float)),
        ("generator.width", args.width.map(integer)),
        ("discriminator.width", args.width.map(integer)),
        ("generator.depth", args.depth.map(integer)),
        ("generator.norm", args.norm.map(|norm| text(key(norm)))),
        ("discriminator.norm", args.norm.map(|norm| text(key(norm)))),
        ("generator.upsampling", args.upsampling.map(|way| text(key(way)))),
        ("generator.dropout", yes(args.no_dropout, false)),
        ("discriminator.num_layers", args.num_layers.map(integer)),
        ("discriminator.kind", args.pixel_discriminator.then(|| text("pixel".into()))),
        ("objective.adversarial", args.objective.map(|loss| text(key(loss)))),
        ("objective.reconstruction", args.reconstruction.map(|loss| text(key(loss)))),
        ("objective.reconstruction_weight", args.reconstruction_weight.map(Value::Float)),
        ("schedule.epochs", args.epochs.map(long)),
        ("schedule.decay_epochs", args.decay_epochs.map(long)),
        ("schedule.steps", args.steps.map(long)),
        ("schedule.policy", args.schedule.map(|policy| text(key(policy)))),
        ("adam.learning_rate", args.learning_rate.map(Value::Float)),
        ("loader.batch_size", args.batch_size.map(integer)),
        ("loader.num_threads", args.threads.map(integer)),
        ("loader.cache_mib", args.cache_mib.map(integer)),
        ("record.save_every_steps", args.save_every.map(long)),
    ];
    for (key, value) in options {
        if let Some(value) = value {
            set(table, key, value);
        }
    }
}

/// Refuses keys that the configuration does not have, and names the nearest that it does.
fn check_keys(table: &Table) -> Result<()> {
    let known = known_keys()?;
    for key in flatten(table, "") {
        if !known.contains(&key) {
            let nearest =
                known.iter().max_by(|a, b| strsim::jaro_winkler(a, &key).total_cmp(&strsim::jaro_winkler(b, &key)));
            let nearest = nearest.map(String::as_str).unwrap_or_default();
            bail!("the configuration has no key {key:?}, the nearest is {nearest:?}");
        }
    }
    Ok(())
}

/// All keys, those included that are left out while they have no value.
fn known_keys() -> Result<Vec<String>> {
    let mut full = TrainConfig::default();
    full.pairs.layout = Some(Layout::SideBySide);
    full.pairs.labels = Some(1);
    full.pairs.source_channels = Some(3);
    full.pairs.target_channels = Some(3);
    full.generator.depth = Some(8);
    full.loader.num_threads = Some(1);
    full.schedule.steps = Some(1);
    Ok(flatten(&Table::try_from(full)?, ""))
}

fn flatten(table: &Table, prefix: &str) -> Vec<String> {
    let under = |(key, value): (&String, &Value)| {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(below) => flatten(below, &path),
            _ => vec![path],
        }
    };
    table.iter().flat_map(under).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn resolved(words: &str) -> Result<TrainConfig> {
        let cli = Cli::try_parse_from(["p2p", "train"].into_iter().chain(words.split_whitespace()))?;
        match cli.command {
            Command::Train(args) => resolve(&args),
            _ => unreachable!("train was asked for"),
        }
    }

    #[test]
    fn options_come_before_settings_and_settings_before_defaults() {
        let config = resolved("--pairs x --set schedule.policy=cosine --set adam.beta1=0.9 --set seed=4 --seed 5");
        let config = config.expect("a configuration");
        assert_eq!((config.seed, config.adam.beta1), (5, 0.9));
        assert_eq!(config.schedule.policy, pix2pix_core::schedule::Policy::Cosine);
        let sized = resolved("--pairs x --size 512x256 --width 32 --steps 7").expect("a configuration");
        assert_eq!((sized.augment.width, sized.augment.height), (512, 256));
        assert_eq!((sized.generator.width, sized.discriminator.width, sized.schedule.steps), (32, 32, Some(7)));
    }

    #[test]
    fn unknown_keys_name_the_nearest_known_one() {
        let error = resolved("--pairs x --set generator.widht=3").expect_err("no such key").to_string();
        assert!(error.contains("\"generator.widht\"") && error.contains("\"generator.width\""), "{error}");
        assert!(resolved("--pairs x --set generator.depth=6 --set pairs.labels=3").is_ok());
        assert!(resolved("--pairs x --set seed").is_err());
    }
}
