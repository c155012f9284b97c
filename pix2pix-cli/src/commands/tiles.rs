//! `p2p tiles`: plan, run and merge, as one command or one by one on many machines.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use pix2pix_core::{
    pixel::{PixelError, encode::write_whole},
    region::{self, Export, Mosaic, Plan, RegionError, RegionOptions, Shard, Work},
    tiles::{self, Kind, Scheme, TileFormat},
    translate::{TranslateError, Translator},
};

use crate::{
    args::{
        ExportArgs, ModelArgs, ProgressArg, RegionArgs, ShardArg, TileFormatArg, TileSeamsArg, TilesArgs, TilesCommand,
        TilesMergeArgs, TilesPlanArgs, TilesRunArgs,
    },
    model,
    page::Page,
    printer::{Printer, line},
    progress::{Signals, TileProgress},
};

/// Nothing will help but another command.
const PERMANENT: u8 = 42;
/// The same command may work later (`EX_TEMPFAIL`).
const TRY_AGAIN: u8 = 75;

pub fn run(args: TilesArgs, printer: &Printer) -> Result<ExitCode> {
    match args.step {
        None => all(&args, printer),
        Some(TilesCommand::Plan(args)) => plan(&args, printer),
        Some(TilesCommand::Run(args)) => shard(&args, printer),
        Some(TilesCommand::Merge(args)) => merge(&args, printer),
    }
}

/// From inputs to exports: of the translation, and of the inputs themselves where that is asked for.
fn all(args: &TilesArgs, printer: &Printer) -> Result<ExitCode> {
    let Some(output) = &args.output else {
        bail!("p2p tiles takes --output");
    };
    let signals = Signals::listen()?;
    let translator = model::load(&args.region.model)?;
    let exports = [(Some(output), args.work.clone(), false), (args.source_tiles.as_ref(), None, true)];
    for (output, work, untranslated) in exports {
        let Some(output) = output else { continue };
        let options = RegionOptions { untranslated, ..options(&args.region) };
        let work = Work::new(&work.unwrap_or_else(|| beside(output)));
        let told = (args.progress, printer, &signals);
        if let Some(code) = one(args, (output, work), (&translator, &options), told)? {
            return Ok(code);
        }
    }
    if let Some(source) = &args.source_tiles {
        finish_folder(output, Some(source))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One export; an exit code where it did not come about.
fn one(
    args: &TilesArgs,
    (output, work): (&Path, Work),
    (translator, options): (&Translator, &RegionOptions),
    (how, printer, signals): Told<'_>,
) -> Result<Option<ExitCode>> {
    if args.fresh {
        remove(&work)?;
    }
    let began = work.plan()?.is_some();
    work.make()?;
    let lock = work.lock("work")?;
    let planned = planned(&args.region.inputs, &work, (translator, options), (how, printer, signals));
    if !began && !matches!(planned, Ok(Some(_))) {
        // Nothing was begun, nothing is left.
        drop(lock);
        work.remove()?;
        planned?;
        return Ok(Some(signals.exit_code()));
    }
    let Some((plan, mosaic)) = planned? else {
        return Ok(Some(signals.exit_code()));
    };
    let end = |work: Work, lock: fs::File| {
        drop(lock);
        if args.keep_work { Ok(()) } else { work.remove() }
    };
    match already(output)? {
        Some(found) if found == plan.fingerprint => {
            printer.say(&format!("{} is up to date", output.display()));
            end(work, lock)?;
            finish_folder(output, None)?;
            return Ok(None);
        }
        Some(found) if !args.fresh => {
            if !began {
                end(work, lock)?;
            }
            let error = RegionError::Fingerprint { path: output.to_owned(), found, expected: plan.fingerprint };
            return Err(error.into());
        }
        _ => {}
    }
    let told = (how, printer, signals);
    match blocks(&plan, Shard::ALL, (translator, &mosaic), &work, told)? {
        Done::Stopped => {
            printer.say("stopped; the same command goes on from here");
            return Ok(Some(signals.exit_code()));
        }
        Done::Failed(failed) if !failed.is_empty() => {
            list(&plan, &failed);
            return Ok(Some(ExitCode::FAILURE));
        }
        Done::Failed(_) => {}
    }
    let Some(count) = merged(&work, &plan, output, &args.export, (printer, signals))? else {
        return Ok(Some(signals.exit_code()));
    };
    end(work, lock)?;
    printer.say(&format!("{count} tiles, zooms {}..{}: {}", plan.min_zoom(), plan.world.zoom, output.display()));
    Ok(None)
}

fn plan(args: &TilesPlanArgs, printer: &Printer) -> Result<ExitCode> {
    let signals = Signals::listen()?;
    let translator = model::load(&args.region.model)?;
    let work = Work::new(&args.work);
    if args.fresh {
        remove(&work)?;
    }
    work.make()?;
    let _lock = work.lock("work")?;
    let Some((plan, _)) =
        planned(&args.region.inputs, &work, (&translator, &options(&args.region)), (args.progress, printer, &signals))?
    else {
        return Ok(signals.exit_code());
    };
    printer.say(&format!(
        "{} tiles in {} blocks at zoom {}: {}",
        plan.num_tiles(0..plan.blocks.len()),
        plan.blocks.len(),
        plan.world.zoom,
        work.root().display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// Some of the blocks, with exit codes for whoever runs job arrays.
fn shard(args: &TilesRunArgs, printer: &Printer) -> Result<ExitCode> {
    let signals = Signals::listen()?;
    match run_shard(args, printer, &signals) {
        Ok(code) => Ok(code),
        Err(error) => {
            printer.error(&error);
            let may_pass = error.chain().find_map(|cause| cause.downcast_ref::<RegionError>());
            Ok(ExitCode::from(if may_pass.is_some_and(RegionError::may_pass) { TRY_AGAIN } else { PERMANENT }))
        }
    }
}

fn run_shard(args: &TilesRunArgs, printer: &Printer, signals: &Signals) -> Result<ExitCode> {
    let shard = which(args.shard)?;
    let work = Work::new(&args.work);
    let Some(plan) = work.plan()? else {
        bail!("there is no plan in {}", args.work.display());
    };
    let _lock = work.lock(&format!("shards/{}-of-{}", shard.index, shard.count))?;
    let path = args.model.clone().unwrap_or_else(|| plan.model.clone());
    let device = args.device.open()?;
    let translator =
        Translator::load(&path, &device).with_context(|| format!("cannot use model {}", path.display()))?;
    let mosaic = plan.open(&translator)?;
    let range = shard.blocks(plan.blocks.len());
    printer.say(&format!("shard {} of {}: blocks {}..{}", shard.index, shard.count, range.start, range.end));
    match blocks(&plan, shard, (&translator, &mosaic), &work, (args.progress, printer, signals))? {
        Done::Stopped => Ok(signals.exit_code()),
        Done::Failed(failed) if failed.is_empty() => {
            let report = work.put_report(&plan, shard)?;
            let tiles = report.blocks.iter().map(|(_, tiles, _)| tiles).sum::<usize>();
            printer.say(&format!("{tiles} tiles in {} blocks", report.blocks.len()));
            Ok(ExitCode::SUCCESS)
        }
        Done::Failed(failed) => {
            list(&plan, &failed);
            let may_pass = failed.iter().all(|(_, error)| error.may_pass());
            Ok(ExitCode::from(if may_pass { TRY_AGAIN } else { PERMANENT }))
        }
    }
}

fn merge(args: &TilesMergeArgs, printer: &Printer) -> Result<ExitCode> {
    let signals = Signals::listen()?;
    let work = Work::new(&args.work);
    let Some(plan) = work.plan()? else {
        bail!("there is no plan in {}", args.work.display());
    };
    if let Some(found) = already(&args.output)?
        && found != plan.fingerprint
        && !args.fresh
    {
        let error = RegionError::Fingerprint { path: args.output.clone(), found, expected: plan.fingerprint };
        return Err(error.into());
    }
    let _lock = work.lock("work")?;
    match merged(&work, &plan, &args.output, &args.export, (printer, &signals))? {
        None => Ok(signals.exit_code()),
        Some(count) => {
            let (least, most) = (plan.min_zoom(), plan.world.zoom);
            printer.say(&format!("{count} tiles, zooms {least}..{most}: {}", args.output.display()));
            Ok(ExitCode::SUCCESS)
        }
    }
}

type Told<'a> = (ProgressArg, &'a Printer, &'a Signals);

/// The plan of these arguments, from the folder of the work where it is the same. `None` when told to stop.
fn planned(
    inputs: &[PathBuf],
    work: &Work,
    (translator, options): (&Translator, &RegionOptions),
    (how, printer, signals): Told<'_>,
) -> Result<Option<(Plan, Mosaic)>> {
    let known = work.plan()?;
    let before = known.as_ref().map(|plan| plan.fingerprint.clone());
    let mut told = TileProgress::new(how, printer, "looking", "windows");
    let mut progress = |done: usize, total: usize| {
        told.tell(done as f64, total as f64);
        signals.go_on()
    };
    let planned = region::plan(inputs, translator, options, known, &mut progress);
    told.end();
    let (plan, mosaic) = match planned {
        Err(RegionError::Translate(TranslateError::Stopped)) => return Ok(None),
        other => other?,
    };
    match before {
        Some(found) if found != plan.fingerprint => {
            let path = work.root().to_owned();
            Err(RegionError::Fingerprint { path, found, expected: plan.fingerprint }.into())
        }
        Some(_) => {
            printer.say("going on with unfinished work");
            Ok(Some((plan, mosaic)))
        }
        None => {
            work.put_plan(&plan)?;
            if let Some(range) = &plan.options.range {
                let text = range.iter().map(|(least, most)| format!("{least}..{most}")).collect::<Vec<_>>().join(", ");
                printer.say(&format!("16 bits are stretched from {text}"));
            }
            Ok(Some((plan, mosaic)))
        }
    }
}

fn options(args: &RegionArgs) -> RegionOptions {
    let ModelArgs { test_mode, precision, .. } = args.model;
    RegionOptions {
        zooms: args.zoom,
        tile_size: args.tile_size,
        format: match args.format {
            TileFormatArg::Png => TileFormat::Png,
            TileFormatArg::Jpeg => TileFormat::Jpeg,
            TileFormatArg::Webp => TileFormat::Webp,
        },
        quality: args.quality,
        bands: args.geo.bands.clone(),
        src_crs: args.geo.src_crs,
        range: None,
        test_mode: test_mode.into(),
        precision: precision.into(),
        exact: args.seams == TileSeamsArg::Exact,
        untranslated: false,
        window: args.max_window,
        block: args.block_size,
    }
}

/// How a shard ended.
enum Done {
    Stopped,
    /// Numbers of blocks that could not be done, and why.
    Failed(Vec<(usize, RegionError)>),
}

/// Translates the blocks of a shard that are not done yet.
fn blocks(
    plan: &Plan,
    shard: Shard,
    model: (&Translator, &Mosaic),
    work: &Work,
    (how, printer, signals): Told<'_>,
) -> Result<Done> {
    let range = shard.blocks(plan.blocks.len());
    let todo = range.clone().map(|number| Ok((number, work.has(plan, number)?)));
    let todo = todo.collect::<Result<Vec<_>, RegionError>>()?;
    let total = plan.num_tiles(range) as f64;
    let of = |number: usize| f64::from(plan.blocks[number].tiles);
    let mut done = todo.iter().filter(|(_, done)| *done).map(|(number, _)| of(*number)).sum::<f64>();
    let mut told = TileProgress::new(how, printer, "translating", "tiles");
    told.skip(done);
    let mut failed = Vec::new();
    for (number, _) in todo.into_iter().filter(|(_, done)| !done) {
        if signals.go_on().is_break() {
            told.end();
            return Ok(Done::Stopped);
        }
        let mut progress = |windows: usize, of_windows: usize| {
            let part = windows as f64 / of_windows.max(1) as f64;
            told.tell(done + part * of(number), total);
            signals.go_on()
        };
        match region::translate(plan, number, model, work, &mut progress) {
            Ok(_) => {}
            Err(RegionError::Translate(TranslateError::Stopped)) => {
                told.end();
                return Ok(Done::Stopped);
            }
            // Where the disk is full, the next block will not fit either.
            Err(error @ RegionError::Pixel(PixelError::Write { .. })) => {
                told.end();
                return Err(error.into());
            }
            Err(error) => failed.push((number, error)),
        }
        done += of(number);
    }
    told.end();
    Ok(Done::Failed(failed))
}

/// Tiles that are missing because of blocks that failed.
fn list(plan: &Plan, failed: &[(usize, RegionError)]) {
    line(&format!(
        "error: {} of {} blocks could not be translated; nothing was exported:",
        failed.len(),
        plan.blocks.len()
    ));
    for (number, error) in failed {
        let coord = plan.tile_of(plan.blocks[*number]);
        let count = 1_u64 << plan.levels();
        let (x, y) = (u64::from(coord.x) * count, u64::from(coord.y) * count);
        line(&format!(
            "  block {number}, tiles {}/{x}..{}/{y}..{}: {:#}",
            plan.world.zoom,
            x + count - 1,
            y + count - 1,
            anyhow::anyhow!(error.to_string())
        ));
    }
    line("hint: blocks that are done are kept; put the inputs right and give the same command again");
}

fn merged(
    work: &Work,
    plan: &Plan,
    output: &Path,
    export: &ExportArgs,
    (printer, signals): (&Printer, &Signals),
) -> Result<Option<usize>> {
    let name = output.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let export = Export {
        name: export.name.clone().unwrap_or(name),
        description: format!("generated by p2p {}", env!("CARGO_PKG_VERSION")),
        attribution: export.attribution.clone(),
        scheme: if export.tms { Scheme::Tms } else { Scheme::Xyz },
    };
    let bar = printer.bar(0, "writing");
    let mut progress = |done: usize, total: usize| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        signals.go_on()
    };
    let merged = region::merge(work, plan, output, &export, &mut progress);
    bar.finish_and_clear();
    match merged {
        Err(RegionError::Translate(TranslateError::Stopped)) => Ok(None),
        Err(error) => Err(error.into()),
        Ok(count) => {
            describe(output, &export, plan)?;
            finish_folder(output, None)?;
            Ok(Some(count))
        }
    }
}

/// TileJSON beside an archive; a folder has its own.
fn describe(output: &Path, export: &Export, plan: &Plan) -> Result<()> {
    if Kind::of(output) == Kind::Folder {
        return Ok(());
    }
    // As p2p serve has them.
    let tiles = format!("map/{{z}}/{{x}}/{{y}}.{}", plan.options.format.ending());
    let text = format!("{:#}\n", export.metadata(plan).tile_json(Some(&tiles)));
    let path = output.with_extension("tilejson.json");
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The page of a folder, which needs no server; with the tiles of the inputs where both are folders.
fn finish_folder(output: &Path, source: Option<&Path>) -> Result<()> {
    if Kind::of(output) != Kind::Folder || source.is_some_and(|source| Kind::of(source) != Kind::Folder) {
        return Ok(());
    }
    let layer = |folder: &Path, from: &str| -> Result<_> {
        let metadata = tiles::open(folder)?.metadata().clone();
        let address = format!("{from}{{z}}/{{x}}/{{y}}.{}", metadata.format.ending());
        Ok((metadata, address))
    };
    let source = source.map(|source| layer(source, &way(output, source)?)).transpose()?;
    let page = Page { map: Some(layer(output, "")?), source, ..Default::default() };
    Ok(write_whole(&output.join("index.html"), page.html().as_bytes())?)
}

/// The relative address of one folder from another, with a slash at its end.
fn way(from: &Path, to: &Path) -> Result<String> {
    let whole = |path: &Path| path.canonicalize().with_context(|| format!("cannot find {}", path.display()));
    let (from, to) = (whole(from)?, whole(to)?);
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = "../".repeat(from.components().count() - shared);
    let down = to.components().skip(shared).map(|part| format!("{}/", encoded(&part.as_os_str().to_string_lossy())));
    Ok(up + &down.collect::<String>())
}

/// A name as it stands in an address (RFC 3986).
fn encoded(name: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    name.bytes().map(byte).collect()
}

/// The fingerprint of an export that stands there.
fn already(output: &Path) -> Result<Option<String>> {
    if !output.exists() {
        return Ok(None);
    }
    let empty = output.is_dir() && fs::read_dir(output).is_ok_and(|mut entries| entries.next().is_none());
    if empty {
        return Ok(None);
    }
    let reader = tiles::open(output).with_context(|| format!("{} exists and is no export", output.display()))?;
    Ok(Some(reader.metadata().fingerprint.clone()))
}

fn beside(output: &Path) -> PathBuf {
    let name = output.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    output.with_file_name(format!("{name}.work"))
}

fn remove(work: &Work) -> Result<()> {
    if !work.root().exists() {
        return Ok(());
    }
    // Somebody else's folder is not work.
    if work.plan()?.is_none() && !work.root().join("blocks").is_dir() {
        bail!("{} is no folder of unfinished work", work.root().display());
    }
    let _lock = work.lock("work")?;
    Ok(Work::new(work.root()).remove()?)
}

/// Which shard this is, as the engine of the job array says.
fn which(arg: ShardArg) -> Result<Shard> {
    match arg {
        ShardArg::Given { index, count } => Ok(Shard { index, count }),
        ShardArg::Auto { count } => from_environment(count, |name| std::env::var(name).ok()),
    }
}

fn from_environment(count: Option<usize>, get: impl Fn(&str) -> Option<String>) -> Result<Shard> {
    let number = |name: &str| -> Result<Option<usize>> {
        get(name).map(|text| text.parse().with_context(|| format!("{name} is no number: {text:?}"))).transpose()
    };
    let (index, found) = if let Some(id) = number("SLURM_ARRAY_TASK_ID")? {
        let first = number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0);
        let step = number("SLURM_ARRAY_TASK_STEP")?.unwrap_or(1).max(1);
        (id.saturating_sub(first) / step, number("SLURM_ARRAY_TASK_COUNT")?)
    } else if let Some(index) = number("JOB_COMPLETION_INDEX")? {
        (index, None)
    } else if let Some(index) = number("AWS_BATCH_JOB_ARRAY_INDEX")? {
        (index, number("AWS_BATCH_JOB_ARRAY_SIZE")?)
    } else {
        bail!(
            "--shard auto finds no job array: neither SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX nor \
             AWS_BATCH_JOB_ARRAY_INDEX is set"
        );
    };
    let Some(count) = count.or(found) else {
        bail!("this job array does not say how many shards there are; write --shard auto/N");
    };
    if index >= count {
        bail!("shard {index} is not one of {count}");
    }
    Ok(Shard { index, count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_found_in_the_environments_of_job_arrays() {
        let of = |count, variables: &[(&str, &str)]| {
            from_environment(count, |name| {
                variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            })
        };
        let slurm = [
            ("SLURM_ARRAY_TASK_ID", "7"),
            ("SLURM_ARRAY_TASK_MIN", "1"),
            ("SLURM_ARRAY_TASK_STEP", "2"),
            ("SLURM_ARRAY_TASK_COUNT", "4"),
        ];
        assert_eq!(of(None, &slurm).expect("a shard"), Shard { index: 3, count: 4 });
        assert_eq!(of(Some(5), &[("JOB_COMPLETION_INDEX", "2")]).expect("a shard"), Shard { index: 2, count: 5 });
        let aws = [("AWS_BATCH_JOB_ARRAY_INDEX", "0"), ("AWS_BATCH_JOB_ARRAY_SIZE", "9")];
        assert_eq!(of(None, &aws).expect("a shard"), Shard { index: 0, count: 9 });
        for (count, variables) in [
            (None, &[][..]),
            (None, &[("JOB_COMPLETION_INDEX", "2")]),
            (Some(2), &[("JOB_COMPLETION_INDEX", "2")]),
            (Some(2), &[("JOB_COMPLETION_INDEX", "x")]),
        ] {
            assert!(of(count, variables).is_err(), "{count:?} {variables:?}");
        }
    }
}
