//! A picture without bounds, translated part by part on whatever machines there are.
//!
//! A part depends on the picture around it and on the statistics of norms, which are found once from some regions and then stand
//! still. So parts come out the same in whatever order and wherever they are translated, and meet without a seam.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{
    Progress, TestMode, TranslateError, TranslateOptions, Translator,
    levels::Found,
    passes::{Count, Region, Work},
    windows::Grid,
};
use crate::{
    networks::{Place, UnetConfig},
    pixel::{Canvas, Rect, Sink},
};

/// Context around a part, in pixels, where the network's reach asks for more.
const MOST_CONTEXT: usize = 512;

/// How parts are translated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartOptions {
    /// Statistics, dropout, precision.
    pub translate: TranslateOptions,
    /// Longest side of a window, in pixels.
    pub window: usize,
    /// Statistics from all windows of their regions, and context as far as the network reaches.
    pub exact: bool,
}

/// Moments of the norms of one network over one picture, as text for files: bits of 32-bit floats, little-endian, in base 64.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Statistics(BTreeMap<String, [String; 2]>);

impl Statistics {
    fn new(moments: &BTreeMap<Place, Found>) -> Self {
        let text = |values: &[f32]| STANDARD.encode(bytemuck::cast_slice::<f32, u8>(values));
        let named = moments.iter().map(|(place, found)| (name(*place), [text(&found.mean), text(&found.variance)]));
        Self(named.collect())
    }

    fn moments(&self, unet: &UnetConfig) -> Result<BTreeMap<Place, Found>, String> {
        let named = places(unet).map(|place| (name(place), place)).collect::<BTreeMap<_, _>>();
        let values = |text: &String| -> Result<Vec<f32>, String> {
            let bytes = STANDARD.decode(text).map_err(|error| error.to_string())?;
            let (fours, rest) = bytes.as_chunks::<4>();
            if !rest.is_empty() {
                return Err(format!("{} bytes do not make floats", bytes.len()));
            }
            Ok(fours.iter().map(|four| f32::from_le_bytes(*four)).collect())
        };
        let found = self.0.iter().map(|(name, [mean, variance])| {
            let place = *named.get(name).ok_or_else(|| format!("there is no block {name}"))?;
            let (mean, variance) = (values(mean)?, values(variance)?);
            let channels = unet.channels(place);
            if mean.len() != channels || variance.len() != channels {
                return Err(format!("{name} has {channels} channels, found {} and {}", mean.len(), variance.len()));
            }
            Ok((place, Found { mean, variance }))
        });
        found.collect()
    }
}

fn name(place: Place) -> String {
    match place {
        Place::Down(level) => format!("down.{level}"),
        Place::Up(level) => format!("up.{level}"),
    }
}

impl Translator {
    /// What parts begin at multiples of, in pixels.
    pub fn multiple(&self) -> usize {
        self.description.generator.multiple()
    }
}

/// A picture to be translated in parts, which begin at multiples of [`Translator::multiple`] and end there or at its edge.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// The model.
    pub translator: &'a Translator,
    /// The picture.
    pub canvas: &'a dyn Canvas,
    /// How.
    pub options: &'a PartOptions,
}

impl<'a> Parts<'a> {
    /// Finds the statistics of the picture in some of its parts. Nothing is read, and nothing is in the result, when the test mode
    /// needs none.
    ///
    /// # Errors
    /// Those of the canvas; the paper's test mode, whose dropout is one draw for the whole picture; windows too small for the
    /// network; [`TranslateError::Stopped`].
    pub fn statistics(self, parts: &[Rect], progress: Progress<'_>) -> Result<Statistics, TranslateError> {
        let regions = parts.iter().map(|&part| self.region(part)).collect::<Vec<_>>();
        let mut work = self.work(&regions, progress)?;
        if self.lacking(&work).is_some() {
            work.survey(&regions, self.options.exact, 0)?;
        }
        Ok(Statistics::new(&work.levels.moments))
    }

    /// All that is read for a part: its context and the halo of windows there.
    pub fn reach(self, part: Rect) -> Rect {
        let Region { seen, .. } = self.region(part);
        let halo = 1 << self.translator.split((seen.width, seen.height));
        let (width, height) = self.canvas.size();
        let (x, y) = (seen.x.saturating_sub(halo), seen.y.saturating_sub(halo));
        // What is mirrored beyond the edge comes from as far before it.
        let (right, bottom) = (seen.x + seen.width + halo, seen.y + seen.height + halo);
        let first = |start: usize, end: usize, side: usize| start.min((2 * side).saturating_sub(end + 1));
        let (x, y) = (first(x, right, width), first(y, bottom, height));
        Rect { x, y, width: right.min(width) - x, height: bottom.min(height) - y }
    }

    /// Translates a part with given statistics.
    ///
    /// # Errors
    /// As [`Self::statistics`], those of the sink, and statistics of another network.
    ///
    /// # Panics
    /// When the part does not begin at multiples of [`Translator::multiple`], or ends neither there nor at the picture's edge.
    pub fn translate(
        self,
        part: Rect,
        statistics: &Statistics,
        sink: &mut dyn Sink,
        progress: Progress<'_>,
    ) -> Result<(), TranslateError> {
        let region = self.region(part);
        let mut work = self.work(&[region], progress)?;
        let foreign = |reason| TranslateError::Statistics { path: self.translator.path.clone(), reason };
        work.levels.moments = statistics.moments(&self.translator.description.generator).map_err(foreign)?;
        if let Some(place) = self.lacking(&work) {
            return Err(foreign(format!("{} is missing", name(place))));
        }
        work.progress.begin(work.grid.cores(region.seen).count() + work.grid.cores(region.inner).count())?;
        let deep = work.deep(&[region])?;
        work.decode(region.inner, &deep[0], sink)
    }

    /// A block whose norm waits for moments.
    fn lacking(self, work: &Work<'_>) -> Option<Place> {
        places(&self.translator.description.generator).find(|&place| work.levels.lacks(place))
    }

    fn work<'b>(self, regions: &[Region], progress: Progress<'b>) -> Result<Work<'b>, TranslateError>
    where
        'a: 'b,
    {
        let Self { translator, canvas, options } = self;
        if options.translate.test_mode == TestMode::Paper {
            let (width, height) = canvas.size();
            return Err(TranslateError::PaperInWindows { width, height, window: options.window });
        }
        let largest = regions.iter().map(|region| (region.seen.width, region.seen.height));
        let split = translator.split(largest.max_by_key(|(width, height)| width * height).expect("there is a region"));
        let grid = Grid::new(self.padded(), options.window, 1 << split, 1 << split);
        let work = translator.work(canvas, &options.translate, split, grid, Count::new(progress));
        work.check(options.window)?;
        Ok(work)
    }

    fn padded(self) -> (usize, usize) {
        let (width, height) = self.canvas.size();
        let multiple = self.translator.multiple();
        (width.next_multiple_of(multiple), height.next_multiple_of(multiple))
    }

    /// A part with its context. All levels together reach twice the multiple; what comes from beyond [`MOST_CONTEXT`] is faint.
    fn region(self, part: Rect) -> Region {
        let (multiple, (width, height)) = (self.translator.multiple(), self.padded());
        let right = (part.x + part.width).next_multiple_of(multiple);
        let bottom = (part.y + part.height).next_multiple_of(multiple);
        assert!(
            part.x.is_multiple_of(multiple) && part.y.is_multiple_of(multiple) && right <= width && bottom <= height,
            "{part:?} lies at multiples of {multiple} within {width}x{height}"
        );
        let reach = 2 * multiple;
        let context = if self.options.exact { reach } else { reach.min(MOST_CONTEXT.max(multiple)) };
        let (x, y) = (part.x.saturating_sub(context), part.y.saturating_sub(context));
        let seen = Rect { x, y, width: (right + context).min(width) - x, height: (bottom + context).min(height) - y };
        Region { seen, inner: Rect { x: part.x, y: part.y, width: right - part.x, height: bottom - part.y } }
    }
}

/// All blocks of a network.
fn places(unet: &UnetConfig) -> impl Iterator<Item = Place> + use<> {
    (0..unet.depth).flat_map(|level| [Place::Down(level), Place::Up(level)])
}
