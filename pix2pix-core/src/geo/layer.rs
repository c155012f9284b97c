//! Pictures with a place, drawn into the pixels of a web map.
//!
//! Where a pixel of the map lies in the picture is computed exactly at every sixteenth pixel and in between by straight lines, as
//! GDAL's approximating transformer does. Values are weighted by a triangle, as wide as the coarser of the two pixels.

use rayon::prelude::*;

use super::{Crs, GeoError, Imagery};
use crate::{
    pixel::{Canvas, PixelError, Rect},
    tiles::coord::World,
};

/// Pixels between places that are computed exactly.
const STEP: usize = 16;
/// Most pixels of a picture that are read at once.
const MOST_READ: usize = 32 << 20;

/// Pixels with values in `[-1, 1]` (gray three times) and opacity 0 to 1; under nothing, values mean nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    /// Pixels in a row.
    pub width: usize,
    /// Rows, from the top.
    pub pixels: Vec<[f32; 4]>,
}

impl Patch {
    /// Nothing.
    pub fn empty(width: usize, height: usize) -> Self {
        Self { width, pixels: vec![[0.0; 4]; width * height] }
    }
}

/// What a layer draws: a picture in its own pixels.
pub trait Pixels: Send + Sync {
    /// Width and height.
    fn size(&self) -> (usize, usize);

    /// The values of a part that lies inside.
    ///
    /// # Errors
    /// What the files behind it have.
    fn patch(&self, part: Rect) -> Result<Patch, PixelError>;

    /// Whether there may be anything in a part that lies inside.
    fn holds(&self, _part: Rect) -> bool {
        true
    }
}

impl Pixels for Imagery {
    fn size(&self) -> (usize, usize) {
        Canvas::size(self)
    }

    fn patch(&self, part: Rect) -> Result<Patch, PixelError> {
        let (planes, opacity) = self.values(part)?;
        let area = part.width * part.height;
        let pixel = |at: usize| {
            let value = |channel: usize| planes.values[channel.min(planes.channels - 1) * area + at];
            let opacity = opacity.as_ref().map_or(1.0, |opacity| f32::from(opacity[at]) / 255.0);
            [value(0), value(1), value(2), opacity]
        };
        Ok(Patch { width: part.width, pixels: (0..area).map(pixel).collect() })
    }
}

/// A picture and its place.
pub struct Layer {
    pixels: Box<dyn Pixels>,
    /// From the corner of the first pixel, as in [`super::Georeference::transform`].
    transform: [f64; 6],
    crs: Crs,
}

impl Layer {
    /// Puts a picture into its place.
    ///
    /// # Errors
    /// A transform that cannot be turned round.
    pub fn new(pixels: Box<dyn Pixels>, transform: [f64; 6], crs: Crs) -> Result<Self, GeoError> {
        let [_, a, b, _, c, d] = transform;
        let area = a * d - b * c;
        if area == 0.0 || !transform.iter().all(|number| number.is_finite()) || !area.is_finite() {
            return Err(GeoError::Place { reason: "its pixels have no area".into() });
        }
        let layer = Self { pixels, transform, crs };
        if layer.corners().is_none() {
            let reason = format!("it lies where EPSG:{} does not reach", layer.crs.epsg());
            return Err(GeoError::Place { reason });
        }
        Ok(layer)
    }

    /// Web Mercator of some places on the edge.
    fn corners(&self) -> Option<Vec<[f64; 2]>> {
        let (width, height) = self.pixels.size();
        let mut places = Vec::new();
        for at in 0..=STEP {
            let along = |side: usize| side as f64 * at as f64 / STEP as f64;
            let (x, y) = (along(width), along(height));
            places.extend([[x, 0.0], [x, height as f64], [0.0, y], [width as f64, y]]);
        }
        places.into_iter().map(|place| self.crs.to_mercator(self.to_place(place))).collect()
    }

    fn to_place(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let [left, a, b, top, c, d] = self.transform;
        [left + x * a + y * b, top + x * c + y * d]
    }

    fn to_pixel(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let [left, a, b, top, c, d] = self.transform;
        let (x, y, area) = (x - left, y - top, a * d - b * c);
        [(x * d - y * b) / area, (y * a - x * c) / area]
    }

    /// The map's pixels that the picture touches.
    pub fn extent(&self, world: World) -> Rect {
        let corners = self.corners().expect("it was seen to lie within reach");
        let side = world.side() as f64;
        let range = |axis: usize| {
            let along = corners.iter().map(|place| world.from_mercator(*place)[axis].clamp(0.0, side));
            let (least, largest) =
                along.fold((f64::INFINITY, 0.0_f64), |(least, largest), at| (least.min(at), largest.max(at)));
            // A pixel that is touched by rounding alone is none.
            let least = ((least + 1e-6).floor() as usize).min(world.side() - 1);
            let largest = (((largest - 1e-6).ceil() as usize).min(world.side())).max(least + 1);
            (least, largest - least)
        };
        let ((x, width), (y, height)) = (range(0), range(1));
        Rect { x, y, width, height }
    }

    /// Metres of Web Mercator that a pixel is wide, in the middle.
    pub fn resolution(&self) -> f64 {
        let (width, height) = self.pixels.size();
        let middle = [width as f64 / 2.0, height as f64 / 2.0];
        let at = |x: f64, y: f64| self.crs.to_mercator(self.to_place([middle[0] + x, middle[1] + y]));
        let length = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
        match (at(-0.5, 0.0), at(0.5, 0.0), at(0.0, -0.5), at(0.0, 0.5)) {
            (Some(a), Some(b), Some(c), Some(d)) => (length(a, b) * length(c, d)).sqrt(),
            _ => f64::INFINITY,
        }
    }

    /// Whether there may be anything in some of the map's pixels.
    pub fn holds(&self, world: World, part: Rect) -> bool {
        let along = |start: usize, length: usize, at: usize| start as f64 + (length * at) as f64 / STEP as f64;
        let outline = (0..=STEP).flat_map(|row| (0..=STEP).map(move |column| (column, row)));
        let outline = outline.filter_map(|(column, row)| {
            let place = [along(part.x, part.width, column), along(part.y, part.height, row)];
            self.crs.from_mercator(world.to_mercator(place)).map(|place| self.to_pixel(place))
        });
        // What is touched by rounding alone is not.
        self.needed(outline, -1e-6).is_some_and(|needed| self.pixels.holds(needed))
    }

    /// Draws some of the map's pixels.
    ///
    /// # Errors
    /// What the files behind it have.
    pub fn read(&self, world: World, part: Rect) -> Result<Patch, PixelError> {
        let mut drawn = Patch::empty(part.width, part.height);
        // Halves until what is read fits.
        let mut pending = vec![part];
        while let Some(piece) = pending.pop() {
            let places = self.places(world, piece);
            let reach = places.scale.max(1.0);
            let Some(needed) = self.needed(places.nodes.iter().copied(), reach) else {
                continue;
            };
            if needed.width * needed.height > MOST_READ && piece.width.max(piece.height) > 1 {
                let (wide, half) = (piece.width >= piece.height, piece.width.max(piece.height) / 2);
                let first = if wide { Rect { width: half, ..piece } } else { Rect { height: half, ..piece } };
                let second = if wide {
                    Rect { x: piece.x + half, width: piece.width - half, ..piece }
                } else {
                    Rect { y: piece.y + half, height: piece.height - half, ..piece }
                };
                pending.extend([first, second]);
            } else if self.pixels.holds(needed) {
                let found = self.pixels.patch(needed)?;
                draw(&mut drawn, part, (piece, &places), (needed, &found));
            }
        }
        Ok(drawn)
    }

    /// Where the map's pixels lie in the picture.
    fn places(&self, world: World, part: Rect) -> Places {
        let (columns, rows) = (part.width.div_ceil(STEP) + 1, part.height.div_ceil(STEP) + 1);
        let node = |column: usize, row: usize| {
            let place = [(part.x + column * STEP) as f64 + 0.5, (part.y + row * STEP) as f64 + 0.5];
            let place = self.crs.from_mercator(world.to_mercator(place));
            place.map_or([f64::NAN; 2], |place| self.to_pixel(place))
        };
        let nodes = (0..rows).flat_map(|row| (0..columns).map(move |column| node(column, row))).collect::<Vec<_>>();
        let scale = {
            let middle = (rows / 2).min(rows - 2) * columns + (columns / 2).min(columns - 2);
            let (from, right, below) = (nodes[middle], nodes[middle + 1], nodes[middle + columns]);
            let length = |to: [f64; 2]| (to[0] - from[0]).hypot(to[1] - from[1]) / STEP as f64;
            let scale = length(right).max(length(below));
            if scale.is_finite() { scale } else { 1.0 }
        };
        Places { columns, nodes, scale }
    }

    /// The part of the picture that some of its places need.
    fn needed(&self, places: impl Iterator<Item = [f64; 2]>, reach: f64) -> Option<Rect> {
        let (width, height) = self.pixels.size();
        let nothing = [f64::INFINITY, f64::NEG_INFINITY];
        let [x, y] =
            places.filter(|place| place.iter().all(|at| at.is_finite())).fold([nothing; 2], |ranges, place| {
                [0, 1].map(|axis| [ranges[axis][0].min(place[axis]), ranges[axis][1].max(place[axis])])
            });
        let range = |[least, largest]: [f64; 2], side: usize| {
            let (least, largest) = ((least - reach).floor().max(0.0), (largest + reach).ceil().min(side as f64));
            (least < largest).then_some((least as usize, (largest - least) as usize))
        };
        let ((x, width), (y, height)) = (range(x, width)?, range(y, height)?);
        Some(Rect { x, y, width, height })
    }
}

/// Where some of the map's pixels lie in a picture, at every sixteenth.
struct Places {
    columns: usize,
    nodes: Vec<[f64; 2]>,
    /// Pixels of the picture in one of the map's.
    scale: f64,
}

impl Places {
    fn at(&self, x: usize, y: usize) -> [f64; 2] {
        let (column, row) = (x / STEP, y / STEP);
        let (right, down) = ((x % STEP) as f64 / STEP as f64, (y % STEP) as f64 / STEP as f64);
        let node = |column: usize, row: usize| self.nodes[row * self.columns + column];
        let (a, b, c, d) = (node(column, row), node(column + 1, row), node(column, row + 1), node(column + 1, row + 1));
        [0, 1].map(|axis| {
            let (above, below) = (a[axis] + (b[axis] - a[axis]) * right, c[axis] + (d[axis] - c[axis]) * right);
            above + (below - above) * down
        })
    }
}

/// Draws a piece from a part of the picture.
fn draw(drawn: &mut Patch, part: Rect, (piece, places): (Rect, &Places), (needed, found): (Rect, &Patch)) {
    let rows = drawn.pixels.par_chunks_exact_mut(part.width).skip(piece.y - part.y).take(piece.height);
    rows.enumerate().for_each(|(y, row)| {
        let mut weights = [Weights::default(), Weights::default()];
        for (x, to) in row[piece.x - part.x..][..piece.width].iter_mut().enumerate() {
            let place = places.at(x, y);
            // Outside of the picture is nothing, up to its very edge.
            let inside = |axis: usize, start: usize, side: usize| {
                place[axis] >= start as f64 && place[axis] <= (start + side) as f64
            };
            if inside(0, needed.x, needed.width) && inside(1, needed.y, needed.height) {
                let [across, down] = &mut weights;
                across.set(place[0] - needed.x as f64, needed.width, places.scale);
                down.set(place[1] - needed.y as f64, needed.height, places.scale);
                *to = weighted(found, across, down);
            }
        }
    });
}

/// A triangle over the pixels of one axis.
#[derive(Default)]
struct Weights {
    first: usize,
    values: Vec<f32>,
}

impl Weights {
    /// Around a place, in pixels from the first's edge.
    fn set(&mut self, at: f64, side: usize, scale: f64) {
        let (centre, reach) = (at - 0.5, scale.max(1.0));
        let end = ((centre + reach).ceil().max(0.0) as usize).min(side);
        self.first = ((centre - reach).floor() + 1.0).max(0.0) as usize;
        self.values.clear();
        let weight = |pixel: usize| (1.0 - (pixel as f64 - centre).abs() / reach).max(0.0) as f32;
        self.values.extend((self.first..end).map(weight));
    }
}

/// The mean of some pixels, weighted by place and opacity.
fn weighted(found: &Patch, across: &Weights, down: &Weights) -> [f32; 4] {
    let (mut total, mut sums) = (0.0, [0.0_f32; 4]);
    for (row, down_weight) in down.values.iter().enumerate() {
        let start = (down.first + row) * found.width + across.first;
        for (pixel, across_weight) in found.pixels[start..].iter().zip(&across.values) {
            let weight = down_weight * across_weight;
            let opaque = weight * pixel[3];
            total += weight;
            sums[3] += opaque;
            for channel in 0..3 {
                sums[channel] += opaque * pixel[channel];
            }
        }
    }
    let [red, green, blue, opaque] = sums;
    if opaque > 0.0 { [red / opaque, green / opaque, blue / opaque, (opaque / total).min(1.0)] } else { [0.0; 4] }
}
