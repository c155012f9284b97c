//! Where a picture lies: GeoTIFF tags and world files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::GeoError;
use crate::pixel::{PixelError, encode::write_whole};

/// Keys of the GeoTIFF directory that are understood here.
mod key {
    pub const MODEL_TYPE: u16 = 1024;
    pub const RASTER_TYPE: u16 = 1025;
    pub const GEOGRAPHIC: u16 = 2048;
    pub const PROJECTED: u16 = 3072;
}
/// `RASTER_TYPE` of pictures whose coordinates refer to the centres of pixels.
const PIXEL_IS_POINT: u16 = 2;
/// A code that stands for none.
const USER_DEFINED: u16 = 32_767;

/// The tags of a GeoTIFF that say where it lies, as they are in the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Georeference {
    /// Tag 33550: sides of a pixel.
    pub pixel_scale: Vec<f64>,
    /// Tag 33922: pixels and their places, six numbers each.
    pub tie_points: Vec<f64>,
    /// Tag 34264: a 4x4 matrix from pixels to places.
    pub matrix: Vec<f64>,
    /// Tag 34735: the directory of keys.
    pub keys: Vec<u16>,
    /// Tag 34736: numbers that keys refer to.
    pub doubles: Vec<f64>,
    /// Tag 34737: text that keys refer to.
    pub text: String,
}

impl Georeference {
    /// Whether it says anything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// From the corner of the first pixel: `x = t[0] + column * t[1] + row * t[2]`, `y = t[3] + column * t[4] + row * t[5]`, in the
    /// units of the coordinate system, y upwards. `None` when the tags do not say, or only by more than one tie point.
    pub fn transform(&self) -> Option<[f64; 6]> {
        let corner = match (self.matrix.as_slice(), self.pixel_scale.as_slice(), self.tie_points.as_slice()) {
            ([a, b, _, c, d, e, _, f, ..], _, _) => [*c, *a, *b, *f, *d, *e],
            (_, [width, height, ..], [column, row, _, x, y, _]) => {
                [x - column * width, *width, 0.0, y + row * height, 0.0, -height]
            }
            _ => return None,
        };
        let [x, a, b, y, c, d] = corner;
        let is_point = self.key(key::RASTER_TYPE) == Some(PIXEL_IS_POINT);
        Some(if is_point { [x - (a + b) / 2.0, a, b, y - (c + d) / 2.0, c, d] } else { corner })
    }

    /// The code of the coordinate system in the EPSG's register, where the keys name one.
    pub fn epsg(&self) -> Option<u16> {
        let code = self.key(key::PROJECTED).or_else(|| self.key(key::GEOGRAPHIC));
        code.filter(|&code| code != 0 && code != USER_DEFINED)
    }

    /// A short key's value.
    fn key(&self, wanted: u16) -> Option<u16> {
        let entries = self.keys.get(4..)?.chunks_exact(4);
        entries.filter(|entry| entry[0] == wanted && entry[1] == 0).map(|entry| entry[3]).next()
    }

    /// From the numbers of a world file and the code of a coordinate system.
    pub fn from_transform(transform: [f64; 6], epsg: Option<u16>) -> Self {
        let [x, a, b, y, c, d] = transform;
        let north_up = b == 0.0 && c == 0.0 && a > 0.0 && d < 0.0;
        let mut made = Self::default();
        if north_up {
            made.pixel_scale = vec![a, -d, 0.0];
            made.tie_points = vec![0.0, 0.0, 0.0, x, y, 0.0];
        } else {
            made.matrix = vec![a, b, 0.0, x, c, d, 0.0, y, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];
        }
        if let Some(code) = epsg {
            // Geographic systems have codes from 4000 to 4999; all others that are used here are projected.
            let geographic = (4000..5000).contains(&code);
            let (model, which) = if geographic { (2, key::GEOGRAPHIC) } else { (1, key::PROJECTED) };
            made.keys = vec![1, 1, 0, 3, key::MODEL_TYPE, 0, 1, model, key::RASTER_TYPE, 0, 1, 1, which, 0, 1, code];
        }
        made
    }

    /// The same with another coordinate system.
    #[must_use]
    pub fn with_epsg(self, code: u16) -> Self {
        match self.transform() {
            Some(transform) => Self::from_transform(transform, Some(code)),
            None => self,
        }
    }
}

/// Where a picture lies: by its own tags, else by its world file; `epsg` says the coordinate system where nothing else does.
///
/// # Errors
/// A world file that cannot be read; two coordinate systems.
pub fn place_of(picture: &Path, own: Option<&Georeference>, epsg: Option<u16>) -> Result<Georeference, GeoError> {
    let own = match own {
        Some(own) if own.transform().is_some() => own.clone(),
        _ => match read_world_file(picture)? {
            Some(transform) => Georeference::from_transform(transform, None),
            None => own.cloned().unwrap_or_default(),
        },
    };
    match (epsg, own.epsg()) {
        (Some(given), Some(found)) if given != found => {
            Err(GeoError::TwoSystems { path: picture.to_owned(), found, given })
        }
        (Some(given), None) if own.transform().is_some() => Ok(own.with_epsg(given)),
        _ => Ok(own),
    }
}

/// The name of the world file beside a picture: the first and last letter of its ending and a `w`.
pub fn world_file_path(picture: &Path) -> Option<PathBuf> {
    let ending = picture.extension()?.to_str()?.to_ascii_lowercase();
    let (first, last) = (ending.chars().next()?, ending.chars().last()?);
    Some(picture.with_extension(format!("{first}{last}w")))
}

/// Reads the world file beside a picture, if there is one. Gives the numbers of [`Georeference::transform`]: world files refer to the
/// centre of the first pixel.
///
/// # Errors
/// A file that cannot be read or does not hold six numbers.
pub fn read_world_file(picture: &Path) -> Result<Option<[f64; 6]>, GeoError> {
    let named = world_file_path(picture).into_iter().chain([picture.with_extension("wld")]);
    let Some(path) = named.into_iter().find(|path| path.is_file()) else {
        return Ok(None);
    };
    let text = fs::read_to_string(&path).map_err(|source| PixelError::Read { path: path.clone(), source })?;
    let refused = |reason: String| GeoError::WorldFile { path: path.clone(), reason };
    let numbers = text.split_whitespace().map(|word| word.replace(',', ".").parse::<f64>());
    let numbers = numbers.collect::<Result<Vec<_>, _>>().map_err(|error| refused(error.to_string()))?;
    let [a, c, b, d, x, y] = numbers[..] else {
        return Err(refused(format!("it holds {} numbers", numbers.len())));
    };
    if a * d - b * c == 0.0 || numbers.iter().any(|number| !number.is_finite()) {
        return Err(refused("its pixels have no area".into()));
    }
    Ok(Some([x - (a + b) / 2.0, a, b, y - (c + d) / 2.0, c, d]))
}

/// Writes the world file beside a picture.
///
/// # Errors
/// Whatever the system refuses.
pub fn write_world_file(picture: &Path, transform: [f64; 6]) -> Result<(), PixelError> {
    let [x, a, b, y, c, d] = transform;
    let path = world_file_path(picture).unwrap_or_else(|| picture.with_extension("wld"));
    let numbers = [a, c, b, d, x + (a + b) / 2.0, y + (c + d) / 2.0];
    write_whole(&path, numbers.map(|number| format!("{number:.12}\n")).concat().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_and_a_tie_point_make_a_transform_and_points_are_half_a_pixel_away() {
        let mut place = Georeference {
            pixel_scale: vec![2.0, 3.0, 0.0],
            tie_points: vec![10.0, 20.0, 0.0, 500.0, 900.0, 0.0],
            ..Default::default()
        };
        assert_eq!(place.transform(), Some([480.0, 2.0, 0.0, 960.0, 0.0, -3.0]));
        place.keys = vec![1, 1, 0, 2, 1025, 0, 1, 2, 3072, 0, 1, 32_618];
        assert_eq!(place.transform(), Some([479.0, 2.0, 0.0, 961.5, 0.0, -3.0]));
        assert_eq!(place.epsg(), Some(32_618));
        assert_eq!(Georeference::default().transform(), None);
    }

    #[test]
    fn what_is_made_from_a_transform_says_the_same() {
        for transform in [[1.5, 0.25, 0.0, 80.0, 0.0, -0.25], [1.5, 0.2, 0.1, 80.0, 0.1, -0.2]] {
            let made = Georeference::from_transform(transform, Some(3857));
            assert_eq!((made.transform(), made.epsg()), (Some(transform), Some(3857)));
        }
        assert_eq!(Georeference::from_transform([0.0; 6], Some(4326)).epsg(), Some(4326));
    }

    #[test]
    fn world_files_are_read_as_they_are_written_and_broken_ones_are_errors() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let picture = folder.path().join("a.png");
        assert_eq!(read_world_file(&picture).expect("nothing there"), None);
        let transform = [480.0, 2.0, 0.0, 960.0, 0.0, -3.0];
        write_world_file(&picture, transform).expect("written");
        assert_eq!(world_file_path(&picture), Some(folder.path().join("a.pgw")));
        assert_eq!(read_world_file(&picture).expect("read"), Some(transform));
        fs::write(folder.path().join("a.pgw"), "1 2 3").expect("written");
        let error = read_world_file(&picture).expect_err("three numbers");
        assert!(error.to_string().contains("it holds 3 numbers"), "{error}");
    }
}
