//! `p2p translate`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read, Write},
    num::NonZero,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Mutex, PoisonError, mpsc::sync_channel},
    thread,
};

use anyhow::{Context, Result, bail};
use pix2pix_core::{
    geo::{Georeference, write_world_file},
    kernels::{Precision, alone},
    pixel::{
        Picture,
        decode::{DecodeOptions, decode_picture, is_picture_path, probe},
        encode::{encode, png_bytes, write_whole},
        resize::bicubic,
    },
    translate::{LargeOptions, TestMode, TranslateOptions, Translator},
};
use walkdir::WalkDir;

use crate::{
    args::TranslateArgs,
    hint::for_error,
    imagery::{self, Input},
    model,
    printer::{Printer, line},
    windows::{self, Run, Seen},
};

/// Pictures between decoding, network and encoding.
const IN_BETWEEN: usize = 2;
/// So few pictures do not make up for filling memory with transformed weights.
const FEW: usize = 32;
/// Pixels of pictures that go side by side, at most.
const MOST_SIDE_BY_SIDE: usize = 512 * 512;
/// Pixels between pictures beside each other.
const GAP: usize = 0;

/// One picture to be translated.
struct Job {
    input: PathBuf,
    output: PathBuf,
    target: Option<PathBuf>,
    instances: Option<PathBuf>,
}

pub fn run(args: &TranslateArgs, printer: &Printer) -> Result<ExitCode> {
    let translator = model::load(&args.model)?;
    let options = model::options(&args.model, args.resize);
    if args.inputs.iter().any(|input| input == Path::new("-")) {
        return pipe(args, &translator, &options);
    }
    let jobs = plan(args)?;
    let total = jobs.len();
    let translator = if total > FEW { translator.keeping_weights(args.weight_cache << 20) } else { translator };
    let bar = printer.bar(total as u64, "translating");
    let how = How::new(args, &translator, &options, at_a_time(&jobs, args));
    // One picture has a bar of its windows, several one of pictures.
    let windows_done = |done: usize, windows: usize| {
        if total == 1 && windows > 1 {
            bar.set_length(windows as u64);
            bar.set_position(done as u64);
        }
    };
    let failed = work(
        &jobs,
        &how,
        &|| {
            if total > 1 {
                bar.inc(1);
            }
        },
        &windows_done,
    );
    bar.finish_and_clear();
    if failed.is_empty() {
        printer.say(&format!("translated {total} {}", if total == 1 { "picture" } else { "pictures" }));
        return Ok(ExitCode::SUCCESS);
    }
    line(&format!("error: {} of {total} pictures could not be translated:", failed.len()));
    for (input, error) in &failed {
        line(&format!("  {}: {error:#}", input.display()));
    }
    let hints = failed.iter().filter_map(|(_, error)| for_error(error)).collect::<BTreeSet<_>>();
    for hint in hints {
        line(&format!("hint: {hint}"));
    }
    Ok(ExitCode::FAILURE)
}

/// From standard input to standard output or a file.
fn pipe(args: &TranslateArgs, translator: &Translator, options: &TranslateOptions) -> Result<ExitCode> {
    if args.inputs.len() > 1 {
        bail!("standard input comes alone, found {} inputs", args.inputs.len());
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
    let origin = Path::new("standard input");
    let instances = args.instances.as_deref().map(read).transpose()?;
    let source = translator.decode(&bytes, origin, instances.as_deref(), options)?;
    let target = args.target.as_deref().filter(|path| path.is_file());
    let how = How::new(args, translator, options, 1);
    let decoded = Decoded { input: Input::Source(source), place: Georeference::default() };
    let (picture, _) = finish_picture(origin, &decoded, target, &how, &|_, _| ())?;
    let text = text_of(translator, options);
    if args.output == Path::new("-") {
        std::io::stdout().lock().write_all(&png_bytes(&picture, &text)?).context("cannot write standard output")?;
    } else {
        write_whole(&args.output, &encode(&picture, &args.output, &text)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Which file becomes which; refuses whatever would be lost.
fn plan(args: &TranslateArgs) -> Result<Vec<Job>> {
    if args.output == Path::new("-") {
        bail!("standard output takes the picture of standard input only: p2p translate - -o -");
    }
    let one = matches!(args.inputs.as_slice(), [only] if only.is_file());
    let into_folder = !one || args.output.is_dir();
    let mut jobs = Vec::new();
    for input in &args.inputs {
        if input.is_dir() {
            for entry in WalkDir::new(input).follow_links(true).sort_by_file_name() {
                let entry = entry.with_context(|| format!("cannot list {}", input.display()))?;
                if entry.file_type().is_file() && is_picture_path(entry.path()) {
                    let relative = entry.path().strip_prefix(input).unwrap_or(entry.path());
                    jobs.push((entry.path().to_owned(), relative.to_owned()));
                }
            }
        } else {
            // What is not there is listed with the other failures.
            jobs.push((input.clone(), input.file_name().map(PathBuf::from).unwrap_or_default()));
        }
    }
    if jobs.is_empty() {
        bail!(
            "no pictures in {}",
            args.inputs.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
        );
    }
    let partner = |side: &Option<PathBuf>, relative: &Path| -> Option<PathBuf> {
        let side = side.as_ref()?;
        if side.is_file() { Some(side.clone()) } else { same_stem(&side.join(relative)) }
    };
    let mut taken = BTreeMap::<PathBuf, PathBuf>::new();
    let mut planned = Vec::with_capacity(jobs.len());
    for (input, relative) in jobs {
        let output =
            if into_folder { args.output.join(&relative).with_extension(&args.format) } else { args.output.clone() };
        if let (Ok(from), Ok(to)) = (input.canonicalize(), output.canonicalize())
            && from == to
        {
            bail!("{} would be written over itself; choose another output", input.display());
        }
        if let Some(other) = taken.insert(output.clone(), input.clone()) {
            bail!("{} and {} would both become {}", other.display(), input.display(), output.display());
        }
        let (target, instances) = (partner(&args.target, &relative), partner(&args.instances, &relative));
        planned.push(Job { input, output, target, instances });
    }
    Ok(planned)
}

/// A file of the same stem, whatever its ending.
fn same_stem(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        return Some(path.to_owned());
    }
    let stem = path.file_stem()?;
    let entries = fs::read_dir(path.parent()?).ok()?;
    entries.flatten().map(|entry| entry.path()).find(|path| path.file_stem() == Some(stem) && is_picture_path(path))
}

/// What is the same for all pictures.
#[derive(Clone, Copy)]
struct How<'a> {
    args: &'a TranslateArgs,
    translator: &'a Translator,
    options: &'a TranslateOptions,
    large: LargeOptions,
    at_a_time: usize,
}

impl<'a> How<'a> {
    fn new(
        args: &'a TranslateArgs,
        translator: &'a Translator,
        options: &'a TranslateOptions,
        at_a_time: usize,
    ) -> Self {
        Self { args, translator, options, large: windows::options(&args.windows, at_a_time), at_a_time }
    }

    fn run<'b>(&'b self, progress: &'b dyn Fn(usize, usize)) -> Run<'b> {
        let report_seams = self.args.windows.report_seams;
        Run { translator: self.translator, options: self.options, large: self.large, report_seams, progress }
    }
}

/// A picture, in memory or open, and where it lies.
struct Decoded {
    input: Input,
    place: Georeference,
}

/// What is left to do for a picture that the network is done with.
enum Finished {
    /// To be encoded.
    Picture(Picture, Georeference),
    /// Nothing: it was written part by part.
    Written,
}

/// Decodes, translates and encodes, each on threads of its own; what fails is listed and does not stop the rest.
fn work<'a>(
    jobs: &'a [Job],
    how: &How<'_>,
    done: &(dyn Fn() + Sync),
    windows_done: &(dyn Fn(usize, usize) + Sync),
) -> Vec<(&'a Path, anyhow::Error)> {
    let How { translator, options, at_a_time, .. } = *how;
    let (to_network, decoded) = sync_channel::<(&Job, Result<Decoded>)>(IN_BETWEEN + at_a_time);
    let (to_encoder, translated) = sync_channel::<(&Job, Result<Finished>)>(IN_BETWEEN + at_a_time);
    let decoded = Mutex::new(decoded);
    thread::scope(|scope| {
        scope.spawn(move || {
            for job in jobs {
                if to_network.send((job, decode(job, how))).is_err() {
                    break;
                }
            }
        });
        let encoder = scope.spawn(move || {
            let text = text_of(translator, options);
            let mut failed = Vec::new();
            for (job, finished) in translated {
                let written = finished.and_then(|finished| match finished {
                    Finished::Picture(picture, place) => write(&picture, &place, &job.output, &text),
                    Finished::Written => Ok(()),
                });
                if let Err(error) = written {
                    failed.push((job.input.as_path(), error));
                }
                done();
            }
            failed
        });
        let decoded = &decoded;
        for _ in 0..at_a_time {
            let to_encoder = to_encoder.clone();
            scope.spawn(move || {
                loop {
                    let next = decoded.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((job, source)) = next else {
                        break;
                    };
                    let finish = |decoded: Decoded| {
                        let finish = || finish(job, &decoded, how, windows_done);
                        if at_a_time == 1 { finish() } else { alone(finish) }
                    };
                    let finished = source.and_then(finish);
                    if to_encoder.send((job, finished)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(to_encoder);
        let mut failed = encoder.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // They finish in any order.
        failed.sort_by_key(|(input, _)| *input);
        failed
    })
}

/// How many pictures are translated at the same time: small ones side by side, one on each core, because threads wait for each
/// other inside a small picture.
fn at_a_time(jobs: &[Job], args: &TranslateArgs) -> usize {
    if let Some(count) = args.jobs {
        return count.get();
    }
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let small = args.resize.map(|size| (size.width, size.height)).or_else(|| {
        // The first picture stands for all.
        jobs.first().and_then(|job| probe(&job.input).ok()).map(|info| (info.width, info.height))
    });
    let small = small.is_some_and(|(width, height)| width * height <= MOST_SIDE_BY_SIDE);
    if args.model.device.is_cpu() && small && jobs.len() >= 2 * threads { threads } else { 1 }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn decode(job: &Job, how: &How<'_>) -> Result<Decoded> {
    let How { args, translator, options, .. } = *how;
    let by_parts = imagery::is_tiff(&job.input) && args.resize.is_none() && !args.side_by_side;
    let imagery = if by_parts { imagery::open(&job.input, translator, &args.geo)? } else { None };
    let input = match imagery {
        Some(imagery) => Input::Imagery(Box::new(imagery)),
        None => {
            let bytes = read(&job.input)?;
            let instances = job.instances.as_deref().map(read).transpose()?;
            Input::Source(translator.decode(&bytes, &job.input, instances.as_deref(), options)?)
        }
    };
    // A picture of another size does not lie where its source does.
    let keeps_place = args.resize.is_none() && !args.side_by_side;
    let place = if keeps_place { imagery::place(&job.input, &input, &args.geo)? } else { Georeference::default() };
    Ok(Decoded { input, place })
}

/// Runs the network; GeoTIFF is written on the way.
fn finish(
    job: &Job,
    decoded: &Decoded,
    how: &How<'_>,
    windows_done: &(dyn Fn(usize, usize) + Sync),
) -> Result<Finished> {
    if imagery::is_tiff(&job.output) && !how.args.side_by_side {
        make_parent(&job.output)?;
        let progress = |done, total| windows_done(done, total);
        let (run, text) = (how.run(&progress), text_of(how.translator, how.options));
        let seams = imagery::translate_to_tiff(&decoded.input, &decoded.place, &job.output, &run, text)?;
        report_seams(&job.input, how, seams);
        return Ok(Finished::Written);
    }
    let (picture, place) =
        finish_picture(&job.input, decoded, job.target.as_deref(), how, &|done, total| windows_done(done, total))?;
    Ok(Finished::Picture(picture, place))
}

fn report_seams(input: &Path, how: &How<'_>, seams: Option<Seen>) {
    if how.args.windows.report_seams {
        match seams {
            Some(seen) => line(&format!("{}: {seen}", input.display())),
            None => line(&format!("{}: no seams, one window", input.display())),
        }
    }
}

/// The same into memory, beside its source when that is wanted.
fn finish_picture(
    input: &Path,
    decoded: &Decoded,
    target: Option<&Path>,
    how: &How<'_>,
    windows_done: &dyn Fn(usize, usize),
) -> Result<(Picture, Georeference)> {
    let (fake, seams) = how.run(windows_done).picture(decoded.input.canvas())?;
    report_seams(input, how, seams);
    let Input::Source(source) = &decoded.input else {
        return Ok((fake, decoded.place.clone()));
    };
    if !how.args.side_by_side {
        return Ok((fake, decoded.place.clone()));
    }
    let (width, height) = (fake.width(), fake.height());
    let mut parts = vec![source.shown(), fake];
    if let Some(path) = target {
        let picture = decode_picture(&read(path)?, path, &DecodeOptions::default())?;
        parts.push(bicubic(&picture, width, height));
    }
    Ok((beside(&parts), Georeference::default()))
}

/// Pictures of one size beside each other, in RGB.
pub fn beside(parts: &[Picture]) -> Picture {
    let (width, height) = parts.first().map_or((1, 1), |first| (first.width(), first.height()));
    let mut all = Picture::filled(parts.len().max(1) * (width + GAP) - GAP, height, &[255; 3]);
    for (index, part) in parts.iter().enumerate() {
        all.paste(&part.to_u8().to_channels(3), index * (width + GAP), 0);
    }
    all
}

/// With a world file where it has a place.
fn write(picture: &Picture, place: &Georeference, output: &Path, text: &[(String, String)]) -> Result<()> {
    make_parent(output)?;
    write_whole(output, &encode(picture, output, text)?)?;
    if let Some(transform) = place.transform() {
        write_world_file(output, transform)?;
    }
    Ok(())
}

fn make_parent(output: &Path) -> Result<()> {
    if let Some(parent) = output.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    Ok(())
}

/// What PNG files say of how they came about.
fn text_of(translator: &Translator, options: &TranslateOptions) -> Vec<(String, String)> {
    let description = translator.description();
    let mut text = vec![
        ("Software".to_owned(), format!("p2p {}", env!("CARGO_PKG_VERSION"))),
        ("p2p:model".to_owned(), translator.path().display().to_string()),
        ("p2p:step".to_owned(), description.step.to_string()),
        ("p2p:direction".to_owned(), description.preprocessing.direction.clone()),
        ("p2p:test-mode".to_owned(), options.test_mode.name().to_owned()),
    ];
    if options.precision == Precision::Bf16 {
        text.push(("p2p:precision".to_owned(), "bf16".to_owned()));
    }
    if options.test_mode == TestMode::Paper {
        text.push(("p2p:seed".to_owned(), options.seed.to_string()));
    }
    if let Some((width, height)) = options.resize {
        text.push(("p2p:resize".to_owned(), format!("{width}x{height}")));
    }
    text
}
