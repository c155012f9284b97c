//! Passes over the windows of a picture: what the encoder gives for a region, the moments of its norms, the translation.

use std::ops::ControlFlow;

use burn::tensor::{Device, Tensor};

use super::{
    Progress, TranslateError, crop as crop_planes,
    levels::{Levels, Map, Pool, at_level, crop},
    windows::{Grid, read_mirrored},
};
use crate::{
    batch::{stack, unstack},
    kernels::tanh,
    networks::Place,
    pixel::{Canvas, PixelError, Rect, Sink},
};

/// The least number of windows that statistics are taken from.
const FEWEST_SAMPLED: usize = 9;
/// A number of windows that tells enough of a picture of any size.
const ENOUGH_SAMPLED: usize = 64;

/// Counts windows and tells.
pub(super) struct Count<'a> {
    done: usize,
    total: usize,
    tell: Progress<'a>,
}

impl<'a> Count<'a> {
    pub fn new(tell: Progress<'a>) -> Self {
        Self { done: 0, total: 0, tell }
    }

    pub fn begin(&mut self, total: usize) -> Result<(), TranslateError> {
        self.total = total;
        self.tell()
    }

    pub fn one(&mut self) -> Result<(), TranslateError> {
        self.done += 1;
        self.tell()
    }

    fn tell(&mut self) -> Result<(), TranslateError> {
        match (self.tell)(self.done, self.total) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(TranslateError::Stopped),
        }
    }
}

/// A picture on its way through a network.
pub(super) struct Work<'a> {
    pub levels: Levels<'a>,
    pub canvas: &'a dyn Canvas,
    pub device: &'a Device,
    /// How many levels run over windows.
    pub split: usize,
    pub grid: Grid,
    pub progress: Count<'a>,
}

/// A part of the picture whose deep levels run at once, in multiples of the network's multiple.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    /// What the deep levels see.
    pub seen: Rect,
    /// What counts of it.
    pub inner: Rect,
}

/// What the deep levels take and give, for one region.
pub(super) struct Deep {
    seen: Rect,
    before: Tensor<4>,
    after: Tensor<4>,
}

impl Deep {
    /// What it holds of a window.
    fn of(&self, window: Rect, split: usize) -> (Tensor<4>, Tensor<4>) {
        let part = at_level(within(window, self.seen), split);
        (crop(&self.before, part), crop(&self.after, part))
    }
}

/// Norms whose moments are found window by window, and the cores that they are found over.
struct Surveys {
    cores: Vec<Rect>,
    some: Vec<Rect>,
    down: Vec<Place>,
    /// In the decoder, over `cores`, then over `some`.
    up: [Vec<Place>; 2],
}

impl Surveys {
    /// Statistics differ most from place to place where a value stands for many pixels, and there a pass costs least: without
    /// `exact`, only the innermost of the decoder's is found everywhere.
    fn new(work: &Work<'_>, regions: &[Region], exact: bool) -> Self {
        let lacking = |places: &mut dyn Iterator<Item = Place>| {
            places.filter(|&place| work.levels.lacks(place)).collect::<Vec<_>>()
        };
        let down = lacking(&mut (1..work.split - 1).map(Place::Down));
        let mut up = lacking(&mut (1..work.split).rev().map(Place::Up));
        let sampled = up.split_off(if exact { up.len() } else { up.len().min(1) });
        let cores = regions.iter().flat_map(|region| work.grid.cores(region.inner)).collect::<Vec<_>>();
        let some = work.grid.some(&cores, FEWEST_SAMPLED, ENOUGH_SAMPLED);
        // So many windows tell enough of all norms.
        let cores = if exact || some.len() < ENOUGH_SAMPLED { cores } else { some.clone() };
        Self { cores, some, down, up: [up, sampled] }
    }

    fn num_windows(&self) -> usize {
        (self.down.len() + self.up[0].len()) * self.cores.len() + self.up[1].len() * self.some.len()
    }
}

impl Work<'_> {
    /// Refuses windows that hold nothing but their halo.
    pub fn check(&self, window: usize) -> Result<(), TranslateError> {
        let least = 2 * self.grid.halo + (1 << self.split);
        if window < least { Err(TranslateError::SmallWindow { window, least }) } else { Ok(()) }
    }

    pub fn read(&self, part: Rect) -> Result<Tensor<4>, PixelError> {
        Ok(stack(vec![read_mirrored(self.canvas, part)?], self.device))
    }

    /// Gives all norms that lack them the moments of these regions. `more`: windows that come after.
    pub fn survey(&mut self, regions: &[Region], exact: bool, more: usize) -> Result<Vec<Deep>, TranslateError> {
        let surveys = Surveys::new(self, regions, exact);
        let encoded = regions.iter().map(|region| self.grid.cores(region.seen).count()).sum::<usize>();
        self.progress.begin(surveys.num_windows() + encoded + more)?;
        for &place in &surveys.down {
            self.collect(place, &surveys.cores, regions, &[])?;
        }
        let deep = self.deep(regions)?;
        for &place in &surveys.up[0] {
            self.collect(place, &surveys.cores, regions, &deep)?;
        }
        for &place in &surveys.up[1] {
            self.collect(place, &surveys.some, regions, &deep)?;
        }
        Ok(deep)
    }

    /// Runs the encoder over windows and the deep levels over regions.
    pub fn deep(&mut self, regions: &[Region]) -> Result<Vec<Deep>, TranslateError> {
        let last = Place::Down(self.split - 1);
        let maps = regions.iter().map(|region| self.encode(region.seen)).collect::<Result<Vec<_>, _>>()?;
        let inner = |region: &Region| within(region.inner, region.seen);
        if self.levels.lacks(last) {
            let parts = maps.iter().zip(regions).map(|(map, region)| crop(map, at_level(inner(region), self.split)));
            self.levels.settle(last, parts);
        }
        let before = maps.into_iter().map(|map| self.levels.normalise(last, map)).collect::<Vec<_>>();
        let after = self.levels.walk(before.iter().cloned().zip(regions.iter().map(inner)).collect(), self.split);
        let deep = regions.iter().zip(before).zip(after);
        Ok(deep.map(|((region, before), after)| Deep { seen: region.seen, before, after }).collect())
    }

    /// Translates the windows of a part.
    pub fn decode(&mut self, part: Rect, deep: &Deep, sink: &mut dyn Sink) -> Result<(), TranslateError> {
        for core in self.grid.cores(part) {
            let window = self.grid.window(core);
            let (x, mut skips) = self.begin_up(window, deep)?;
            let x = tanh(self.levels.up(x, 0..self.split, &mut skips));
            let values = crop(&x, within(core, window));
            self.give(core, values, sink)?;
            self.progress.one()?;
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
        let (before, after) = deep.of(window, self.split);
        skips.push(before);
        Ok((after, skips))
    }

    /// What the encoder's outer levels give for a part, up to the norm of the last.
    fn encode(&mut self, part: Rect) -> Result<Tensor<4>, TranslateError> {
        let (split, last) = (self.split, Place::Down(self.split - 1));
        let mut map = None;
        for core in self.grid.cores(part) {
            let window = self.grid.window(core);
            let source = self.read(window)?;
            let x = self.levels.down(source.clone(), split - 1).pop().unwrap_or(source);
            let x = self.levels.convolve(last, x, None);
            let x = crop(&x, at_level(within(core, window), split));
            let [_, channels, _, _] = x.dims();
            let map = map.get_or_insert_with(|| Map::new(part.width >> split, part.height >> split, channels));
            let core = within(core, part);
            map.put(core.x >> split, core.y >> split, x);
            self.progress.one()?;
        }
        Ok(map.expect("a part has windows").into_tensor(self.device))
    }

    /// The moments of one block over windows of regions, whose deep levels are there for blocks of the decoder.
    fn collect(
        &mut self,
        place: Place,
        cores: &[Rect],
        regions: &[Region],
        deep: &[Deep],
    ) -> Result<(), TranslateError> {
        let mut pool = Pool::default();
        for &core in cores {
            let window = self.grid.window(core);
            let (x, level) = match place {
                Place::Down(level) => {
                    let x = self.levels.down(self.read(window)?, level).pop().expect("there is a level before");
                    (self.levels.convolve(place, x, None), level + 1)
                }
                Place::Up(level) => {
                    let holds = |region: &Region| {
                        let Rect { x, y, width, height } = region.inner;
                        (x..x + width).contains(&core.x) && (y..y + height).contains(&core.y)
                    };
                    let deep = &deep[regions.iter().position(holds).expect("a core lies in a region")];
                    (self.before_norm(level, window, deep)?, level)
                }
            };
            pool.add(crop(&x, at_level(within(core, window), level)));
            self.progress.one()?;
        }
        self.levels.moments.insert(place, pool.moments());
        Ok(())
    }

    /// What the norm of one of the decoder's outer levels reads.
    fn before_norm(&self, level: usize, window: Rect, deep: &Deep) -> Result<Tensor<4>, PixelError> {
        if level + 1 == self.split {
            let (before, after) = deep.of(window, self.split);
            return Ok(self.levels.convolve(Place::Up(level), after, Some(before)));
        }
        let (x, mut skips) = self.begin_up(window, deep)?;
        let x = self.levels.up(x, level + 1..self.split, &mut skips);
        let skip = self.levels.skip(level, &mut skips);
        Ok(self.levels.convolve(Place::Up(level), x, skip))
    }
}

/// Where a part lies within another.
pub(super) const fn within(part: Rect, outer: Rect) -> Rect {
    Rect { x: part.x - outer.x, y: part.y - outer.y, ..part }
}
