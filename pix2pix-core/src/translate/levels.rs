//! A U-Net block by block, with moments of norms that come from the whole picture.

use std::{collections::BTreeMap, ops::Range};

use burn::tensor::{Device, Tensor, TensorData};

use crate::{
    networks::{Mode, Moments, Place, Unet},
    pixel::Rect,
};

/// The network and the moments that are known by now.
pub(super) struct Levels<'a> {
    pub unet: &'a Unet,
    pub mode: Mode<'a>,
    pub device: &'a Device,
    pub moments: BTreeMap<Place, Found>,
}

/// Mean and biased variance of each channel of what a norm reads.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub mean: Vec<f32>,
    pub variance: Vec<f32>,
}

impl Levels<'_> {
    /// Whether a block still lacks the picture's moments.
    pub fn lacks(&self, place: Place) -> bool {
        self.unet.reads_all(place, self.mode) && !self.moments.contains_key(&place)
    }

    pub fn convolve(&self, place: Place, x: Tensor<4>, skip: Option<Tensor<4>>) -> Tensor<4> {
        self.unet.convolve(place, x, skip, self.mode)
    }

    pub fn normalise(&self, place: Place, x: Tensor<4>) -> Tensor<4> {
        let moments = self.moments.get(&place).map(|found| {
            let [mean, variance] = [&found.mean, &found.variance]
                .map(|values| Tensor::from_data(TensorData::from(values.as_slice()), self.device));
            Moments { mean, variance }
        });
        self.unet.normalise(place, x, moments.as_ref(), self.mode)
    }

    pub fn block(&self, place: Place, x: Tensor<4>, skip: Option<Tensor<4>>) -> Tensor<4> {
        let x = self.convolve(place, x, skip);
        self.normalise(place, x)
    }

    /// What the first `count` levels of the encoder give.
    pub fn down(&self, source: Tensor<4>, count: usize) -> Vec<Tensor<4>> {
        let mut found = Vec::with_capacity(count);
        let mut x = source;
        for level in 0..count {
            x = self.block(Place::Down(level), x, None);
            found.push(x.clone());
        }
        found
    }

    /// The decoder's levels of a range, from the inner to the outer; takes the skips that it uses from the end of `skips`.
    pub fn up(&self, mut x: Tensor<4>, levels: Range<usize>, skips: &mut Vec<Tensor<4>>) -> Tensor<4> {
        for level in levels.rev() {
            x = self.block(Place::Up(level), x, self.skip(level, skips));
        }
        x
    }

    /// The skip that a level of the decoder takes: all but the innermost have one.
    pub fn skip(&self, level: usize, skips: &mut Vec<Tensor<4>>) -> Option<Tensor<4>> {
        if level + 1 == self.unet.depth() { None } else { skips.pop() }
    }

    /// From what level `from - 1` of the encoder gives, or the source, to what level `from` of the decoder gives, for several parts
    /// of the picture at once. Norms that lack moments get those of the inner parts, which are in the pixels of the picture.
    pub fn walk(&mut self, parts: Vec<(Tensor<4>, Rect)>, from: usize) -> Vec<Tensor<4>> {
        let depth = self.unet.depth();
        let (mut all, inner): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let mut skips = vec![Vec::new(); all.len()];
        for place in (from..depth).map(Place::Down).chain((from..depth).rev().map(Place::Up)) {
            let level = match place {
                Place::Down(level) => level + 1,
                Place::Up(level) => level,
            };
            let skipped = all.into_iter().zip(&mut skips).map(|(x, skips)| match place {
                Place::Up(level) => (x, self.skip(level, skips)),
                Place::Down(_) => (x, None),
            });
            let convolved = skipped.map(|(x, skip)| self.convolve(place, x, skip)).collect::<Vec<_>>();
            if self.lacks(place) {
                self.settle(place, convolved.iter().zip(&inner).map(|(x, inner)| crop(x, at_level(*inner, level))));
            }
            all = convolved.into_iter().map(|x| self.normalise(place, x)).collect();
            if matches!(place, Place::Down(level) if level + 1 < depth) {
                skips.iter_mut().zip(&all).for_each(|(skips, x)| skips.push(x.clone()));
            }
        }
        all
    }

    /// Gives a norm the moments of these values.
    pub fn settle(&mut self, place: Place, values: impl Iterator<Item = Tensor<4>>) {
        let mut pool = Pool::default();
        values.for_each(|values| pool.add(values));
        self.moments.insert(place, pool.moments());
    }
}

/// Moments of values that come part by part (Chan et al. 1979).
#[derive(Default)]
pub(super) struct Pool {
    count: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Pool {
    pub fn add(&mut self, x: Tensor<4>) {
        let [batch, _, height, width] = x.dims();
        let count = (batch * height * width) as f64;
        let Moments { mean, variance } = Moments::of(x);
        let [mean, variance] = [mean, variance].map(|values| {
            values.into_data().convert::<f32>().try_into_vec::<f32>().expect("the data was converted to f32")
        });
        self.mean.resize(mean.len(), 0.0);
        self.squares.resize(mean.len(), 0.0);
        let all = self.count + count;
        for (at, (mean, variance)) in mean.into_iter().zip(variance).enumerate() {
            let delta = f64::from(mean) - self.mean[at];
            self.squares[at] += f64::from(variance) * count + delta * delta * self.count * count / all;
            self.mean[at] += delta * count / all;
        }
        self.count = all;
    }

    pub fn moments(&self) -> Found {
        Found {
            mean: self.mean.iter().map(|mean| *mean as f32).collect(),
            variance: self.squares.iter().map(|squares| (squares / self.count) as f32).collect(),
        }
    }
}

/// Values of one level for the whole picture, put together from windows; channels last.
pub(super) struct Map {
    width: usize,
    height: usize,
    channels: usize,
    values: Vec<f32>,
}

impl Map {
    pub fn new(width: usize, height: usize, channels: usize) -> Self {
        Self { width, height, channels, values: vec![0.0; width * height * channels] }
    }

    /// Puts values into their place.
    pub fn put(&mut self, x: usize, y: usize, values: Tensor<4>) {
        let [_, channels, height, width] = values.dims();
        assert!(channels == self.channels && x + width <= self.width && y + height <= self.height);
        let values = values.permute([0, 2, 3, 1]).into_data().convert::<f32>();
        let values = values.as_slice::<f32>().expect("the data was converted to f32");
        for (row, values) in values.chunks_exact(width * channels).enumerate() {
            let start = ((y + row) * self.width + x) * channels;
            self.values[start..start + values.len()].copy_from_slice(values);
        }
    }

    pub fn into_tensor(self, device: &Device) -> Tensor<4> {
        let dims = [1, self.height, self.width, self.channels];
        Tensor::<4>::from_data(TensorData::new(self.values, dims), device).permute([0, 3, 1, 2])
    }
}

/// A part of a picture's values.
pub(super) fn crop(x: &Tensor<4>, part: Rect) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    if (part.x, part.y, part.width, part.height) == (0, 0, width, height) {
        return x.clone();
    }
    x.clone().narrow(2, part.y, part.height).narrow(3, part.x, part.width)
}

/// The same part at `1 / 2^level` of the size.
pub(super) const fn at_level(part: Rect, level: usize) -> Rect {
    Rect { x: part.x >> level, y: part.y >> level, width: part.width >> level, height: part.height >> level }
}
