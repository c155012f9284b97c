//! `p2p bench`.

use std::{process::ExitCode, time::Instant};

use anyhow::Result;
use pix2pix_core::pairs::{
    PairsConfig,
    augment::AugmentConfig,
    layout::find_pairs,
    loader::{Loader, LoaderConfig},
};

use crate::{
    args::{BenchArgs, BenchCommand},
    printer::result,
};

pub fn run(args: &BenchArgs) -> Result<ExitCode> {
    let BenchCommand::Loader { pairs, size, threads, cache_mib, repeat, json } = &args.what;
    let config = PairsConfig { val_fraction: 0.0, ..Default::default() };
    let set = find_pairs(pairs, &config, 0)?;
    let augment = AugmentConfig { width: size.width, height: size.height, ..Default::default() };
    let loading = LoaderConfig { num_threads: Some(*threads), cache_mib: *cache_mib, ..Default::default() };
    let loader = Loader::new(set.pairs.clone(), set.reading(&config), augment, loading, 0)?;
    let (mut count, began) = (0, Instant::now());
    for epoch in 0..*repeat {
        for batch in loader.epoch(epoch, 0) {
            count += batch?.len();
        }
    }
    let per_second = count as f64 / began.elapsed().as_secs_f64();
    if *json {
        let value = serde_json::json!({ "pairs": count, "pairs_per_s": per_second, "threads": threads });
        result(&value.to_string())?;
    } else {
        result(&format!("{count} pairs, {per_second:.1} pairs/s with {threads} threads"))?;
    }
    Ok(ExitCode::SUCCESS)
}
