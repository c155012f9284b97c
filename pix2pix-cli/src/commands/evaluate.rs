//! `p2p evaluate`.

use std::process::ExitCode;

use anyhow::Result;
use pix2pix_core::{
    evaluate::{evaluate, reading_for},
    pairs::{PairsConfig, Split, layout::find_pairs},
};

use super::pairs_config;
use crate::{
    args::EvaluateArgs,
    model,
    printer::{Printer, result},
};

pub fn run(args: &EvaluateArgs, printer: &Printer) -> Result<ExitCode> {
    let translator = model::load(&args.model)?;
    // Nothing is held out of what is to be scored, unless a split is asked for.
    let mut given = pairs_config(&args.pairs);
    if args.split.is_none() {
        given.val_fraction = 0.0;
    }
    let direction = args.pairs.direction;
    let reading = reading_for(&translator, &given);
    if let Some(direction) = direction.filter(|direction| *direction != reading.direction) {
        printer.warn(&format!("the model translates {}, not {direction}", reading.direction));
    }
    let config = PairsConfig { val_fraction: given.val_fraction, ..reading };
    let set = find_pairs(&args.pairs.pairs, &config, translator.description().seed)?;
    let paths = match args.split {
        Some(split) => set.split(Split::from(split)),
        None => set.pairs.clone(),
    };
    let options = model::options(&args.model, None);
    let bar = printer.bar(paths.len() as u64, "evaluating");
    let found = evaluate(&translator, &paths, &set.reading(&config), &options, &|done| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    if args.json {
        result(&serde_json::to_string(&found)?)?;
    } else {
        result(&format!(
            "pictures  {:>8}\nL1        {:>8.4}\nPSNR dB   {:>8.2}\nSSIM      {:>8.4}",
            found.count, found.l1, found.psnr, found.ssim
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
