//! Pictures of any size in bounded memory, window by window and without seams.
//!
//! The encoder's first levels run over windows; what they give for the whole picture is small, and the deep levels run on it
//! once. The decoder's last levels run over windows again. A window has as much of its neighbourhood around it as its convolutions
//! reach, and norms have the statistics of the picture, so windows agree to the last digits where they meet.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::{
    TestMode, TranslateError, TranslateOptions, Translator, alone,
    levels::Levels,
    passes::{Count, Region, Work},
    windows::Grid,
};
use crate::pixel::{Canvas, Rect, Sink};

/// How windows are made to agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seams {
    /// One pass; norms have the statistics of samples, the deep levels see the window alone, overlaps are feathered.
    Fast,
    /// The deep levels see the whole picture; norms have its statistics, but for the decoder's outermost, which have those of
    /// half of the windows; of at least 64 windows where there are many, for all outer levels.
    #[default]
    Good,
    /// As `Good`, with the statistics of the whole picture for all norms: a pass for each of the outer levels.
    Exact,
}

/// How a large picture is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LargeOptions {
    /// Longest side of a window, in pixels; smaller pictures are translated as a whole.
    pub max_window: usize,
    /// How windows agree.
    pub seams: Seams,
}

/// Bytes of the values of one level for the whole picture; three such exist at a time.
const MOST_MAP: usize = 256 << 20;
/// The least number of levels that run over windows.
const FEWEST_LEVELS: usize = 4;
/// Is told windows done and windows in all; every pass counts. Says whether to go on.
pub type Progress<'a> = &'a mut dyn FnMut(usize, usize) -> ControlFlow<()>;

impl Translator {
    /// Translates a picture part by part. Pictures that fit into one window come out as from [`Self::translate`].
    ///
    /// # Errors
    /// Those of canvas and sink; the paper's test mode, whose dropout is one draw for the whole picture; windows too small for the
    /// network.
    pub fn translate_large(
        &self,
        canvas: &dyn Canvas,
        options: &TranslateOptions,
        large: LargeOptions,
        sink: &mut dyn Sink,
        progress: Progress<'_>,
    ) -> Result<(), TranslateError> {
        let (width, height) = canvas.size();
        let whole = Rect { x: 0, y: 0, width, height };
        let mut count = Count::new(progress);
        if width.max(height) <= large.max_window {
            count.begin(1)?;
            sink.take(whole, &self.translate(&canvas.read(whole)?, options))?;
            return count.one();
        }
        if options.test_mode == TestMode::Paper {
            return Err(TranslateError::PaperInWindows { width, height, window: large.max_window });
        }
        let (split, grid) = self.cut((width, height), large);
        let mut work = self.work(canvas, options, split, grid, count);
        work.check(large.max_window)?;
        match large.seams {
            Seams::Fast => work.alone(sink),
            Seams::Good | Seams::Exact => {
                let whole = Region { seen: grid.whole(), inner: grid.whole() };
                let exact = large.seams == Seams::Exact;
                let deep = work.survey(&[whole], exact, grid.cores(grid.whole()).count())?;
                work.decode(grid.whole(), &deep[0], sink)
            }
        }
    }

    pub(super) fn work<'a>(
        &'a self,
        canvas: &'a dyn Canvas,
        options: &TranslateOptions,
        split: usize,
        grid: Grid,
        progress: Count<'a>,
    ) -> Work<'a> {
        let mode = self.mode(options);
        let levels = Levels { unet: &self.generator, mode, device: &self.device, moments: Default::default() };
        Work { levels, canvas, device: &self.device, split, grid, progress }
    }

    /// Columns and rows at which the windows of a picture begin to count, for [`super::SeamMeter`]; none where it goes as a whole.
    pub fn borders(&self, size: (usize, usize), large: LargeOptions) -> [Vec<usize>; 2] {
        let (width, height) = size;
        if width.max(height) <= large.max_window {
            return [Vec::new(), Vec::new()];
        }
        let (_, grid) = self.cut(size, large);
        // Feathered windows meet in the middle of what they overlap.
        let first = if large.seams == Seams::Fast { grid.core + alone::HALO } else { grid.core };
        [width, height].map(|side| (first..side).step_by(grid.core).collect())
    }

    /// How many levels run over windows, and the windows.
    fn cut(&self, (width, height): (usize, usize), large: LargeOptions) -> (usize, Grid) {
        let depth = self.generator.depth();
        let multiple = 1 << depth;
        let padded = (width.next_multiple_of(multiple), height.next_multiple_of(multiple));
        if large.seams == Seams::Fast {
            // Windows, not cores, are multiples: each goes through all levels.
            let side = large.max_window / multiple * multiple;
            let core = side.saturating_sub(2 * alone::HALO).max(1);
            return (depth, Grid { padded, core, halo: alone::HALO });
        }
        let split = self.split(padded);
        // The reach of `split` levels.
        let halo = 1 << split;
        (split, Grid::new(padded, large.max_window, halo, 1 << split))
    }

    /// How many levels run over windows: as few as memory for the rest allows, because their reach is the windows' halo.
    pub(super) fn split(&self, padded: (usize, usize)) -> usize {
        let config = &self.description.generator;
        let most = config.depth - 1;
        let bytes = |split: usize| {
            let channels = config.level_channels(split - 1);
            (padded.0 >> split) * (padded.1 >> split) * channels * size_of::<f32>()
        };
        (FEWEST_LEVELS.min(most)..most).find(|&split| bytes(split) <= MOST_MAP).unwrap_or(most)
    }
}
