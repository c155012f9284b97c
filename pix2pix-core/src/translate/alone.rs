//! Windows by themselves: one pass, statistics of samples, overlaps feathered.

use super::{TranslateError, passes::Work, windows::samples};
use crate::{
    batch::unstack,
    kernels::tanh,
    networks::Place,
    pixel::{PixelError, Planes, Rect, Sink},
};

/// The number of samples that statistics are taken from.
const NUM_SAMPLES: usize = 4;
/// Pixels that windows overlap with each neighbour; half of them are feathered.
pub(super) const HALO: usize = 64;

impl Work<'_> {
    /// Windows by themselves, feathered where they overlap.
    pub fn alone(&mut self, sink: &mut dyn Sink) -> Result<(), TranslateError> {
        let (width, height) = self.canvas.size();
        let step = self.grid.core;
        let side = step + 2 * self.grid.halo;
        let starts = |length: usize| {
            let count = length.saturating_sub(side).div_ceil(step) + 1;
            (0..count).map(move |at| at * step)
        };
        let (columns, rows) = (starts(width).collect::<Vec<_>>(), starts(height).collect::<Vec<_>>());
        self.progress.begin(columns.len() * rows.len())?;
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
                self.progress.one()?;
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
        let places = (0..depth).map(Place::Down).chain((0..depth).map(Place::Up));
        if !places.into_iter().any(|place| self.levels.lacks(place)) {
            return Ok(());
        }
        let part = (side / 2).next_multiple_of(1 << depth).min(side);
        let parts = samples(self.grid.padded, part, 1 << depth, NUM_SAMPLES).into_iter().map(|part| {
            let whole = Rect { x: 0, y: 0, width: part.width, height: part.height };
            Ok((self.read(part)?, whole))
        });
        let parts = parts.collect::<Result<Vec<_>, PixelError>>()?;
        self.levels.walk(parts, 0);
        Ok(())
    }
}

/// Weights along a side: where there is a neighbour, nothing in the outer half of the halo, then rising over twice that.
fn feather(side: usize, before: bool, after: bool) -> Vec<f32> {
    let rise = |at: usize| {
        let above = (at as f32 + 0.5 - HALO as f32 / 2.0) / HALO as f32;
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
