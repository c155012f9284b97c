//! Digitising: a map picture, as a network draws it, becomes polygons of classes.
//!
//! Every pixel gets the class whose colour looks nearest (`classify`), specks go (`smooth`, `sieve`), borders between
//! regions are traced once (`trace`) and simplified once (`simplify`), and polygons are put together from them
//! (`rings`), so that neighbours share their borders point by point. Knows nothing of file formats, networks or
//! projections: pictures come in memory, and the caller says where pixel corners lie.

mod classify;
mod error;
mod geojson;
mod labels;
mod palette;
mod polygons;
mod rings;
mod sieve;
mod simplify;
mod smooth;
mod trace;
mod validate;

pub use error::VectorError;
pub use geojson::{GeoJsonOptions, affine, write_geojson};
pub use labels::{Labels, NO_CLASS};
pub use palette::{Class, Color, MOST_CLASSES, Palette};
pub use polygons::{Point, Polygons, Region};

use serde::{Deserialize, Serialize};

use crate::pixel::Picture;
use labels::Regions;

#[cfg(test)]
mod tests;

/// How a map picture is made into polygons.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DigitizeOptions {
    /// Every pixel gets the class that most pixels have that are at most so many columns and rows away; 0 leaves them
    /// as they are. A line of `radius + 1` pixels stays, a thinner one goes.
    pub mode_radius: usize,
    /// Regions of fewer pixels go to their neighbours; classes of the palette may say otherwise.
    pub min_area: u32,
    /// How far borders may be moved to have fewer corners, in pixels; 0 leaves them along the sides of pixels.
    pub tolerance: f64,
}

impl Default for DigitizeOptions {
    /// For noisy pictures of towns whose roads are 4 to 20 pixels wide and whose smallest houses are 8 pixels wide.
    fn default() -> Self {
        Self { mode_radius: 2, min_area: 64, tolerance: 1.5 }
    }
}

/// The polygons of a map picture. Pixels whose opacity is 0 belong to none.
///
/// # Errors
/// A picture that is not gray or RGB with 8 bits, opacity of another size, or a tolerance that is no distance.
pub fn digitize(
    picture: &Picture,
    opacity: Option<&[u8]>,
    palette: &Palette,
    options: &DigitizeOptions,
) -> Result<Polygons, VectorError> {
    check_tolerance(options.tolerance)?;
    let labels = label(picture, opacity, palette, options)?;
    outline(&labels, palette, options.tolerance)
}

/// The class of every pixel of a map picture, specks taken away: the raster that [`digitize`] makes polygons of.
///
/// # Errors
/// As [`digitize`].
pub fn label(
    picture: &Picture,
    opacity: Option<&[u8]>,
    palette: &Palette,
    options: &DigitizeOptions,
) -> Result<Labels, VectorError> {
    let classes = palette.classes();
    let labels = classify::classify(picture, opacity, palette)?;
    let labels = smooth::smooth(&labels, options.mode_radius, classes.len());
    let min_area = |class: u8| classes.get(usize::from(class)).and_then(|class| class.min_area);
    Ok(sieve::sieve(&labels, |class| min_area(class).unwrap_or(options.min_area)))
}

/// The polygons of labels, simplified by a tolerance in pixels.
///
/// # Errors
/// A label that stands for no class of the palette, or a tolerance that is no distance.
pub fn outline(labels: &Labels, palette: &Palette, tolerance: f64) -> Result<Polygons, VectorError> {
    check_tolerance(tolerance)?;
    let (width, height, num_classes) = (labels.width(), labels.height(), palette.classes().len());
    let stray = labels.classes().iter().position(|&class| class != NO_CLASS && usize::from(class) >= num_classes);
    if let Some(at) = stray {
        let (x, y, found) = (at % width, at / width, labels.classes()[at]);
        return Err(VectorError::Label { found, x, y, classes: num_classes });
    }
    let Regions { ids, classes, areas } = Regions::find(labels);
    let mut arcs = trace::trace(&ids, width);
    drop(ids);
    let rings = rings::assemble(&arcs, areas.len());
    simplify::simplify(&mut arcs, (width, height), tolerance);
    Ok(Polygons { width, height, palette: palette.clone(), tolerance, arcs, rings, classes, areas })
}

fn check_tolerance(found: f64) -> Result<(), VectorError> {
    if found >= 0.0 && found.is_finite() { Ok(()) } else { Err(VectorError::Tolerance { found }) }
}
