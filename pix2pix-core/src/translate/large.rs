//! Pictures of any size in bounded memory, window by window and without seams.
//!
//! The encoder's first levels run over windows; what they give for the whole picture is small, and the deep levels run on it
//! once. The decoder's last levels run over windows again. A window has as much of its neighbourhood around it as its convolutions
//! reach, and norms have the statistics of the picture, so windows agree to the last digits where they meet.

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{
    TestMode, TranslateError, TranslateOptions, Translator, crop as crop_planes,
    levels::{Levels, Map, Pool, at_level, crop},
    windows::{Grid, read_mirrored, samples},
};
use crate::{
    batch::{stack, unstack},
    kernels::tanh,
    networks::Place,
    pixel::{Canvas, PixelError, Planes, Rect, Sink},
};

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
/// The least number of windows that statistics are taken from.
const FEWEST_SAMPLED: usize = 9;
/// A number of windows that tells enough of a picture of any size.
const ENOUGH_SAMPLED: usize = 64;
/// The number of samples of [`Seams::Fast`].
const NUM_SAMPLES: usize = 4;
/// Pixels that windows overlap with each neighbour, with [`Seams::Fast`]; half of them are feathered.
const FAST_HALO: usize = 64;

/// Windows done and windows in all; every pass counts.
pub type Progress<'a> = &'a mut dyn FnMut(usize, usize);

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
        if width.max(height) <= large.max_window {
            progress(0, 1);
            sink.take(whole, &self.translate(&canvas.read(whole)?, options))?;
            progress(1, 1);
            return Ok(());
        }
        if options.test_mode == TestMode::Paper {
            return Err(TranslateError::PaperInWindows { width, height, window: large.max_window });
        }
        let (split, grid) = self.cut((width, height), large);
        let least = 2 * grid.halo + (1 << split);
        if large.max_window < least {
            return Err(TranslateError::SmallWindow { window: large.max_window, least });
        }
        let mode = self.mode(options);
        let levels = Levels { unet: &self.generator, mode, moments: Default::default() };
        let mut work = Work {
            levels,
            canvas,
            device: &self.device,
            split,
            grid,
            progress: Count { done: 0, total: 0, tell: progress },
        };
        match large.seams {
            Seams::Fast => work.fast(sink),
            Seams::Good | Seams::Exact => work.whole(large, sink),
        }
    }

    /// Columns and rows at which the windows of a picture begin to count, for [`super::SeamMeter`]; none where it goes as a whole.
    pub fn borders(&self, size: (usize, usize), large: LargeOptions) -> [Vec<usize>; 2] {
        let (width, height) = size;
        if width.max(height) <= large.max_window {
            return [Vec::new(), Vec::new()];
        }
        let (_, grid) = self.cut(size, large);
        // Feathered windows meet in the middle of what they overlap.
        let first = if large.seams == Seams::Fast { grid.core + FAST_HALO } else { grid.core };
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
            let core = side.saturating_sub(2 * FAST_HALO).max(1);
            return (depth, Grid { padded, core, halo: FAST_HALO });
        }
        let split = self.split(padded);
        // The reach of `split` levels.
        let halo = 1 << split;
        (split, Grid::new(padded, large.max_window, halo, 1 << split))
    }

    /// How many levels run over windows: as few as memory for the rest allows, because their reach is the windows' halo.
    fn split(&self, padded: (usize, usize)) -> usize {
        let config = &self.description.generator;
        let most = config.depth - 1;
        let bytes = |split: usize| {
            let channels = config.level_channels(split - 1);
            (padded.0 >> split) * (padded.1 >> split) * channels * size_of::<f32>()
        };
        (FEWEST_LEVELS.min(most)..most).find(|&split| bytes(split) <= MOST_MAP).unwrap_or(most)
    }
}

struct Count<'a> {
    done: usize,
    total: usize,
    tell: Progress<'a>,
}

impl Count<'_> {
    fn one(&mut self) {
        self.done += 1;
        (self.tell)(self.done, self.total);
    }
}

struct Work<'a> {
    levels: Levels<'a>,
    canvas: &'a dyn Canvas,
    device: &'a Device,
    split: usize,
    grid: Grid,
    progress: Count<'a>,
}

/// What the deep levels take and give, for the whole picture.
struct Deep {
    before: Tensor<4>,
    after: Tensor<4>,
}

impl Work<'_> {
    fn read(&self, part: Rect) -> Result<Tensor<4>, PixelError> {
        Ok(stack(vec![read_mirrored(self.canvas, part)?], self.device))
    }

    /// Good and exact.
    fn whole(&mut self, large: LargeOptions, sink: &mut dyn Sink) -> Result<(), TranslateError> {
        let cores = self.grid.cores().collect::<Vec<_>>();
        let outer_down = (1..self.split - 1).map(Place::Down).filter(|&place| self.levels.lacks(place));
        let outer_down = outer_down.collect::<Vec<_>>();
        let outer_up = (1..self.split).rev().map(Place::Up).filter(|&place| self.levels.lacks(place));
        let outer_up = outer_up.collect::<Vec<_>>();
        // Statistics differ most from place to place where a value stands for many pixels, and there a pass costs least.
        let exact = large.seams == Seams::Exact;
        let collected = if exact { outer_up.len() } else { outer_up.len().min(1) };
        let (collected, sampled) = outer_up.split_at(collected);
        let some = self.grid.some(FEWEST_SAMPLED, ENOUGH_SAMPLED);
        // So many windows tell enough of all norms.
        let most = if exact || some.len() < ENOUGH_SAMPLED { &cores } else { &some };
        self.progress.total =
            2 * cores.len() + (outer_down.len() + collected.len()) * most.len() + sampled.len() * some.len();
        (self.progress.tell)(0, self.progress.total);

        for place in outer_down {
            self.collect(place, most, None)?;
        }
        let before = self.encode(&cores)?;
        let after = self.levels.deep(before.clone(), self.split);
        let deep = Deep { before, after };
        for &place in collected {
            self.collect(place, most, Some(&deep))?;
        }
        for &place in sampled {
            self.collect(place, &some, Some(&deep))?;
        }
        for &core in &cores {
            let window = self.grid.window(core);
            let (x, mut skips) = self.begin_up(window, &deep)?;
            let x = tanh(self.levels.up(x, 0..self.split, &mut skips));
            let values = crop(&x, within(core, window));
            self.give(core, values, sink)?;
            self.progress.one();
        }
        Ok(())
    }

    /// Passes a part of the translation on, without what lies beyond the picture.
    fn give(&self, part: Rect, values: Tensor<4>, sink: &mut dyn Sink) -> Result<(), TranslateError> {
        let (width, height) = self.canvas.size();
        if part.x >= width || part.y >= height {
            return Ok(());
        }
        let values = unstack(values).pop().expect("one part");
        let inside = Rect { width: part.width.min(width - part.x), height: part.height.min(height - part.y), ..part };
        Ok(sink.take(inside, &crop_planes(&values, inside.width, inside.height))?)
    }

    /// What the decoder's outer levels begin with.
    fn begin_up(&self, window: Rect, deep: &Deep) -> Result<(Tensor<4>, Vec<Tensor<4>>), PixelError> {
        let mut skips = self.levels.down(self.read(window)?, self.split - 1);
        let part = at_level(window, self.split);
        skips.push(crop(&deep.before, part));
        Ok((crop(&deep.after, part), skips))
    }

    /// What the encoder's outer levels give for the whole picture, the norm of the last with its own moments.
    fn encode(&mut self, cores: &[Rect]) -> Result<Tensor<4>, TranslateError> {
        let (split, last) = (self.split, Place::Down(self.split - 1));
        let mut map = None;
        for &core in cores {
            let window = self.grid.window(core);
            let source = self.read(window)?;
            let x = self.levels.down(source.clone(), split - 1).pop().unwrap_or(source);
            let x = self.levels.convolve(last, x, None);
            let x = crop(&x, at_level(within(core, window), split));
            let [_, channels, _, _] = x.dims();
            let map =
                map.get_or_insert_with(|| Map::new(self.grid.padded.0 >> split, self.grid.padded.1 >> split, channels));
            map.put(core.x >> split, core.y >> split, x);
            self.progress.one();
        }
        let map = map.expect("a picture has windows");
        // All of it is here: its own moments are the picture's.
        Ok(self.levels.normalise(last, map.into_tensor(self.device)))
    }

    /// The moments of one block over all windows.
    fn collect(&mut self, place: Place, cores: &[Rect], deep: Option<&Deep>) -> Result<(), TranslateError> {
        let mut pool = Pool::default();
        for &core in cores {
            let window = self.grid.window(core);
            let (x, level) = match (place, deep) {
                (Place::Down(level), _) => {
                    let x = self.levels.down(self.read(window)?, level).pop().expect("there is a level before");
                    (self.levels.convolve(place, x, None), level + 1)
                }
                (Place::Up(level), Some(deep)) if level + 1 == self.split => {
                    let part = at_level(window, self.split);
                    let skip = crop(&deep.before, part);
                    (self.levels.convolve(place, crop(&deep.after, part), Some(skip)), level)
                }
                (Place::Up(level), Some(deep)) => {
                    let (x, mut skips) = self.begin_up(window, deep)?;
                    let x = self.levels.up(x, level + 1..self.split, &mut skips);
                    let skip = self.levels.skip(level, &mut skips);
                    (self.levels.convolve(place, x, skip), level)
                }
                (Place::Up(_), None) => unreachable!("the decoder comes after the deep levels"),
            };
            pool.add(crop(&x, at_level(within(core, window), level)));
            self.progress.one();
        }
        self.levels.moments.insert(place, pool.moments(self.device));
        Ok(())
    }

    /// Windows by themselves, feathered where they overlap.
    fn fast(&mut self, sink: &mut dyn Sink) -> Result<(), TranslateError> {
        let (width, height) = self.canvas.size();
        let step = self.grid.core;
        let side = step + 2 * self.grid.halo;
        let starts = |length: usize| {
            let count = length.saturating_sub(side).div_ceil(step) + 1;
            (0..count).map(move |at| at * step)
        };
        let (columns, rows) = (starts(width).collect::<Vec<_>>(), starts(height).collect::<Vec<_>>());
        self.progress.total = columns.len() * rows.len();
        (self.progress.tell)(0, self.progress.total);
        self.sample_alone(side)?;
        let depth = self.split;
        let mut band = Band::new(width, side);
        for (row, &y) in rows.iter().enumerate() {
            for (column, &x) in columns.iter().enumerate() {
                let source = self.read(Rect { x, y, width: side, height: side })?;
                let mut skips = self.levels.down(source, depth);
                let inner = skips.pop().expect("there are levels");
                let values = tanh(self.levels.up(inner, 0..depth, &mut skips));
                let across = feather(side, column > 0, column + 1 < columns.len());
                let down = feather(side, row > 0, row + 1 < rows.len());
                band.add(x, &unstack(values).pop().expect("one window"), &across, &down);
                self.progress.one();
            }
            let end = if row + 1 < rows.len() { y + step } else { height };
            let part = Rect { x: 0, y, width, height: end - y };
            sink.take(part, &band.shift(part.height))?;
        }
        Ok(())
    }

    /// The moments of all blocks over whole windows.
    fn sample_alone(&mut self, side: usize) -> Result<(), TranslateError> {
        let depth = self.split;
        let places = (0..depth).map(Place::Down).chain((0..depth).rev().map(Place::Up));
        if !places.clone().any(|place| self.levels.lacks(place)) {
            return Ok(());
        }
        let part = (side / 2).next_multiple_of(1 << depth).min(side);
        let parts = samples(self.grid.padded, part, 1 << depth, NUM_SAMPLES).into_iter();
        let parts = parts.map(|part| read_mirrored(self.canvas, part)).collect::<Result<Vec<_>, _>>()?;
        let mut x = stack(parts, self.device);
        let mut skips = Vec::new();
        for place in places {
            let skip = match place {
                Place::Up(level) => self.levels.skip(level, &mut skips),
                Place::Down(_) => None,
            };
            x = self.levels.convolve(place, x, skip);
            if self.levels.lacks(place) {
                let mut pool = Pool::default();
                pool.add(x.clone());
                self.levels.moments.insert(place, pool.moments(self.device));
            }
            x = self.levels.normalise(place, x);
            if let Place::Down(level) = place
                && level + 1 < depth
            {
                skips.push(x.clone());
            }
        }
        Ok(())
    }
}

/// Where a core lies within its window.
const fn within(core: Rect, window: Rect) -> Rect {
    Rect { x: core.x - window.x, y: core.y - window.y, ..core }
}

/// Weights along a side: where there is a neighbour, nothing in the outer half of the halo, then rising over twice that.
fn feather(side: usize, before: bool, after: bool) -> Vec<f32> {
    let rise = |at: usize| {
        let above = (at as f32 + 0.5 - FAST_HALO as f32 / 2.0) / FAST_HALO as f32;
        above.clamp(0.0, 1.0)
    };
    (0..side)
        .map(|at| {
            let first = if before { rise(at) } else { 1.0 };
            first * if after { rise(side - 1 - at) } else { 1.0 }
        })
        .collect()
}

/// Rows of the picture that windows are still added to.
struct Band {
    width: usize,
    side: usize,
    planes: Vec<Vec<f32>>,
}

impl Band {
    const fn new(width: usize, side: usize) -> Self {
        Self { width, side, planes: Vec::new() }
    }

    fn add(&mut self, x: usize, window: &Planes, across: &[f32], down: &[f32]) {
        let area = self.width * self.side;
        self.planes.resize_with(window.channels, || vec![0.0; area]);
        let count = self.side.min(self.width - x);
        for (plane, values) in self.planes.iter_mut().zip(window.values.chunks_exact(self.side * self.side)) {
            for (row, values) in values.chunks_exact(self.side).enumerate() {
                let to = &mut plane[row * self.width + x..][..count];
                for ((to, value), across) in to.iter_mut().zip(values).zip(across) {
                    *to += value * across * down[row];
                }
            }
        }
    }

    /// Takes the first rows off; the rest move up.
    fn shift(&mut self, rows: usize) -> Planes {
        let count = rows * self.width;
        let mut values = Vec::with_capacity(count * self.planes.len());
        for plane in &mut self.planes {
            values.extend_from_slice(&plane[..count]);
            plane.copy_within(count.., 0);
            let left = plane.len() - count;
            plane[left..].fill(0.0);
        }
        Planes { channels: self.planes.len(), height: rows, width: self.width, values }
    }
}
