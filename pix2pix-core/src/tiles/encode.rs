//! Tiles become files.

use std::{collections::HashMap, io::Cursor};

use image::{
    ExtendedColorType, ImageEncoder,
    codecs::{jpeg::JpegEncoder, webp::WebPEncoder},
};
use serde::{Deserialize, Serialize};

use super::TilePicture;
use crate::pixel::PixelError;

/// Colour of nothing in formats that know no opacity.
const BACKGROUND: u32 = 255;

/// The format of tiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TileFormat {
    /// Lossless; with a palette where there are at most 256 colours.
    #[default]
    Png,
    /// Lossy, without opacity: what is not there is white.
    Jpeg,
    /// Lossless.
    Webp,
}

impl TileFormat {
    /// The ending of files, and what MBTiles calls it.
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Webp => "webp",
        }
    }
}

/// The bytes of a tile; `quality` from 1 to 100 counts for JPEG.
///
/// # Errors
/// What the encoder refuses.
pub fn encode(picture: &TilePicture, format: TileFormat, quality: u8) -> Result<Vec<u8>, PixelError> {
    let failed = |reason: String| PixelError::Encode { path: format!("a {} tile", format.ending()).into(), reason };
    let (width, height) = (picture.width() as u32, picture.height() as u32);
    match format {
        TileFormat::Png => png(picture).map_err(|error| failed(error.to_string())),
        TileFormat::Jpeg => {
            let over = |channel: u8, opacity: u8| {
                let (channel, opacity) = (u32::from(channel), u32::from(opacity));
                ((channel * opacity + BACKGROUND * (255 - opacity) + 127) / 255) as u8
            };
            let pixels = picture.pixels().iter().flat_map(|pixel| [0, 1, 2].map(|at| over(pixel[at], pixel[3])));
            let mut bytes = Vec::new();
            let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
            let written = encoder.write_image(&pixels.collect::<Vec<_>>(), width, height, ExtendedColorType::Rgb8);
            written.map(|()| bytes).map_err(|error| failed(error.to_string()))
        }
        TileFormat::Webp => {
            let mut bytes = Cursor::new(Vec::new());
            let encoder = WebPEncoder::new_lossless(&mut bytes);
            let written = if picture.is_opaque() {
                encoder.write_image(&without_opacity(picture), width, height, ExtendedColorType::Rgb8)
            } else {
                encoder.write_image(picture.values(), width, height, ExtendedColorType::Rgba8)
            };
            written.map(|()| bytes.into_inner()).map_err(|error| failed(error.to_string()))
        }
    }
}

fn without_opacity(picture: &TilePicture) -> Vec<u8> {
    picture.pixels().iter().flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
}

fn png(picture: &TilePicture) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, picture.width() as u32, picture.height() as u32);
    encoder.set_depth(png::BitDepth::Eight);
    let data = if let Some((palette, indices)) = indexed(picture) {
        // Fewer bits where fewer do.
        let depth = match palette.len() {
            0..=2 => png::BitDepth::One,
            3..=4 => png::BitDepth::Two,
            5..=16 => png::BitDepth::Four,
            _ => png::BitDepth::Eight,
        };
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(depth);
        encoder.set_palette(palette.iter().flat_map(|color| [color[0], color[1], color[2]]).collect::<Vec<_>>());
        if palette.iter().any(|color| color[3] < 255) {
            encoder.set_trns(palette.iter().map(|color| color[3]).collect::<Vec<_>>());
        }
        encoder.set_compression(png::Compression::Balanced);
        encoder.set_filter(png::Filter::NoFilter);
        packed(&indices, picture.width(), depth as usize)
    } else {
        let opaque = picture.is_opaque();
        encoder.set_color(if opaque { png::ColorType::Rgb } else { png::ColorType::Rgba });
        encoder.set_compression(png::Compression::Balanced);
        if opaque { without_opacity(picture) } else { picture.values().to_vec() }
    };
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&data)?;
    writer.finish()?;
    Ok(bytes)
}

/// Colours in the order in which they come, and the index of each pixel; `None` when there are more than 256.
fn indexed(picture: &TilePicture) -> Option<(Vec<[u8; 4]>, Vec<u8>)> {
    let mut known = HashMap::with_capacity(256);
    let mut palette = Vec::new();
    let mut indices = Vec::with_capacity(picture.pixels().len());
    let mut last = None;
    for &pixel in picture.pixels() {
        if let Some((color, index)) = last
            && color == pixel
        {
            indices.push(index);
            continue;
        }
        let count = palette.len();
        let index = *known.entry(pixel).or_insert(count);
        if index == count {
            if count == 256 {
                return None;
            }
            palette.push(pixel);
        }
        indices.push(index as u8);
        last = Some((pixel, index as u8));
    }
    Some((palette, indices))
}

/// Several indices in a byte, rows beginning with a byte of their own.
fn packed(indices: &[u8], width: usize, bits: usize) -> Vec<u8> {
    if bits == 8 {
        return indices.to_vec();
    }
    let per_byte = 8 / bits;
    let byte = |some: &[u8]| some.iter().enumerate().fold(0, |byte, (at, index)| byte | index << (8 - bits * (at + 1)));
    indices.chunks_exact(width).flat_map(|row| row.chunks(per_byte).map(byte)).collect()
}
