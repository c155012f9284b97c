//! Files of tiles become pictures.

use std::{io::Cursor, path::Path};

use image::{ImageReader, Limits};

use super::TilePicture;
use crate::pixel::PixelError;

/// Longest side of a tile.
const MOST_SIDE: u32 = 4096;

/// Decodes a tile of any format; `origin` names it in errors.
///
/// # Errors
/// Bytes that are no picture, or one that is too large for a tile.
pub fn decode(bytes: &[u8], origin: &Path) -> Result<TilePicture, PixelError> {
    let failed = |reason: String| PixelError::Decode { path: origin.to_owned(), reason };
    let mut reader =
        ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| failed(error.to_string()))?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MOST_SIDE), Some(MOST_SIDE));
    reader.limits(limits);
    let picture = reader.decode().map_err(|error| failed(error.to_string()))?.into_rgba8();
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    TilePicture::from_values(width, height, picture.into_raw()).ok_or_else(|| failed("it has no pixels".into()))
}
