//! How large windows may be, and what is said of their seams.

use std::{fmt, fs, num::NonZero, ops::ControlFlow};

use anyhow::Result;
use pix2pix_core::{
    pixel::{Canvas, Picture, Sink},
    translate::{LargeOptions, SeamMeter, TranslateOptions, Translator},
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

/// How visible the borders of windows are.
pub struct Seen {
    ratio: f64,
    /// Along the longer side.
    borders: Vec<usize>,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seam ratio {:.4}", self.ratio)?;
        match self.borders.as_slice() {
            [first, second, ..] => write!(f, ", borders from {first} every {} pixels", second - first),
            [only] => write!(f, ", border at {only}"),
            [] => Ok(()),
        }
    }
}

/// One translation.
pub struct Run<'a> {
    pub translator: &'a Translator,
    pub options: &'a TranslateOptions,
    pub large: LargeOptions,
    /// Look at the borders of windows, which takes a moment for each pixel.
    pub report_seams: bool,
    /// Is told windows done and windows in all.
    pub progress: &'a dyn Fn(usize, usize),
}

impl Run<'_> {
    /// Translates part by part; gives how visible the borders of windows are, where that is asked for and there are any.
    pub fn translate(&self, canvas: &dyn Canvas, sink: &mut dyn Sink) -> Result<Option<Seen>> {
        let mut progress = |done, total| {
            (self.progress)(done, total);
            ControlFlow::Continue(())
        };
        let mut translate = |sink: &mut dyn Sink| {
            self.translator.translate_large(canvas, self.options, self.large, sink, &mut progress)
        };
        if !self.report_seams {
            translate(sink)?;
            return Ok(None);
        }
        let (width, height) = canvas.size();
        let borders = self.translator.borders((width, height), self.large);
        let of_long_side = borders.iter().max_by_key(|borders| borders.len()).cloned().unwrap_or_default();
        let mut meter = SeamMeter::new(sink, width, borders);
        translate(&mut meter)?;
        Ok(meter.ratio().map(|ratio| Seen { ratio, borders: of_long_side }))
    }

    /// The same into memory.
    pub fn picture(&self, canvas: &dyn Canvas) -> Result<(Picture, Option<Seen>)> {
        let (width, height) = canvas.size();
        let channels = self.translator.description().preprocessing.target_channels;
        let mut picture = Picture::filled(width, height, &vec![0; channels]);
        let seen = self.translate(canvas, &mut picture)?;
        Ok((picture, seen))
    }
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
