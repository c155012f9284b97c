//! How large windows may be, and what is said of their seams.

use std::{fs, num::NonZero};

use pix2pix_core::{
    pixel::{Canvas, Picture},
    translate::{LargeOptions, Progress, SeamMeter, Source, TranslateError, TranslateOptions, Translator},
};

use crate::args::{SeamsArg, WindowArgs};

/// Bytes that a pixel takes on its way through a U-Net of width 64, about.
const BYTES_PER_PIXEL: usize = 400;
/// The part of the free memory that one window may take.
const PART: usize = 4;
/// Sides between which the default lies.
const DEFAULTS: [usize; 2] = [512, 2048];
/// The default where nobody knows how much memory is free.
const UNKNOWN: usize = 1024;

/// The options of the core; `at_a_time` pictures share the memory.
pub fn options(args: &WindowArgs, at_a_time: usize) -> LargeOptions {
    let max_window = args.max_window.map_or_else(|| by_memory(at_a_time), NonZero::get);
    LargeOptions { max_window, seams: args.seams.into() }
}

fn by_memory(at_a_time: usize) -> usize {
    free_memory().map_or(UNKNOWN, |bytes| {
        let side = (bytes / PART / at_a_time / BYTES_PER_PIXEL).isqrt();
        // Whole blocks keep windows and tiled files in step.
        (side / DEFAULTS[0] * DEFAULTS[0]).clamp(DEFAULTS[0], DEFAULTS[1])
    })
}

/// What the system would give without swapping, in bytes.
fn free_memory() -> Option<usize> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()? << 10)
}

/// Translates a picture into memory; with it the ratio of its seams, where it has windows.
pub fn translate(
    translator: &Translator,
    source: &Source,
    options: &TranslateOptions,
    large: LargeOptions,
    progress: Progress<'_>,
) -> Result<(Picture, Option<f64>), TranslateError> {
    let (width, height) = source.size();
    let channels = translator.description().preprocessing.target_channels;
    let mut picture = Picture::filled(width, height, &vec![0; channels]);
    let borders = translator.borders((width, height), large);
    let mut meter = SeamMeter::new(&mut picture, width, borders);
    translator.translate_large(source, options, large, &mut meter, progress)?;
    let ratio = meter.ratio();
    Ok((picture, ratio))
}

impl From<SeamsArg> for pix2pix_core::translate::Seams {
    fn from(seams: SeamsArg) -> Self {
        match seams {
            SeamsArg::Fast => Self::Fast,
            SeamsArg::Good => Self::Good,
            SeamsArg::Exact => Self::Exact,
        }
    }
}
