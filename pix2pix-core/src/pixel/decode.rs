//! Files become pictures and label maps.
//!
//! The content tells the format, not the name. Orientation tags are not applied: aligned pairs are aligned as they are stored.

use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
};

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::{LabelMap, Picture, PixelError, Samples};

/// Endings of files that are taken for pictures, in lower case.
pub const EXTENSIONS: &[&str] = &["png", "jpg", "jpeg", "webp", "bmp", "ppm", "pgm", "pbm", "pnm", "tif", "tiff"];
/// Most pixels of a picture that is taken: 1 gigapixel.
const MOST_PIXELS: u64 = 1 << 30;
/// Most bytes that a decoder may ask for.
const MOST_BYTES: u64 = 16 << 30;

/// How pictures are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeOptions {
    /// 1 or 3; without it, gray pictures stay gray and all others become RGB.
    pub channels: Option<usize>,
    /// The colour that transparent pixels are laid on.
    pub alpha_background: [u8; 3],
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { channels: None, alpha_background: [255; 3] }
    }
}

/// What a file says of its picture before it is decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureInfo {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 1 (gray) or 3 (colour), without alpha.
    pub channels: usize,
    /// Bits of a value as they are decoded: 8 or 16.
    pub bits: u8,
    /// Whether it has transparency.
    pub has_alpha: bool,
    /// Whether its pixels are indices into a palette.
    pub palette: bool,
    /// Format, in lower case.
    pub format: &'static str,
}

/// Whether the name ends like a picture's.
pub fn is_picture_path(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    ending.is_some_and(|ending| EXTENSIONS.contains(&ending.as_str()))
}

/// Reads a file as a picture.
///
/// # Errors
/// A file that cannot be read, is empty, cut off, damaged, of an unknown format or beyond 1 gigapixel.
pub fn read_picture(path: &Path, options: &DecodeOptions) -> Result<Picture, PixelError> {
    decode_picture(&read(path)?, path, options)
}

/// Decodes bytes as a picture; `origin` names them in errors.
///
/// # Errors
/// As [`read_picture`].
pub fn decode_picture(bytes: &[u8], origin: &Path, options: &DecodeOptions) -> Result<Picture, PixelError> {
    let picture = flatten(decode(bytes, origin)?, origin, options.alpha_background)?;
    Ok(match options.channels {
        Some(channels) if channels != picture.channels() => picture.to_channels(channels),
        _ => picture,
    })
}

/// Reads a file as a map of ids: palette indices or gray values, as they are stored.
///
/// # Errors
/// As [`read_picture`], and pictures in colour.
pub fn read_labels(path: &Path) -> Result<LabelMap, PixelError> {
    decode_labels(&read(path)?, path)
}

/// Decodes bytes as a map of ids; `origin` names them in errors.
///
/// # Errors
/// As [`read_labels`].
pub fn decode_labels(bytes: &[u8], origin: &Path) -> Result<LabelMap, PixelError> {
    if image::guess_format(bytes).ok() == Some(ImageFormat::Png) {
        return decode_png_labels(bytes, origin);
    }
    let image = decode(bytes, origin)?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    let ids = match image {
        DynamicImage::ImageLuma8(gray) => gray.into_raw().into_iter().map(u32::from).collect(),
        DynamicImage::ImageLuma16(gray) => gray.into_raw().into_iter().map(u32::from).collect(),
        other => {
            return Err(PixelError::NotLabels { path: origin.to_owned(), found: format!("{:?}", other.color()) });
        }
    };
    LabelMap::new(width, height, ids)
}

/// Reads only the head of a file.
///
/// # Errors
/// As [`read_picture`], as far as the head tells.
pub fn probe(path: &Path) -> Result<PictureInfo, PixelError> {
    let opened = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    let reader = opened.map_err(|source| PixelError::Read { path: path.to_owned(), source })?;
    let format = reader.format();
    let decoder = reader.into_decoder().map_err(|error| damaged(path, error))?;
    let (width, height) = decoder.dimensions();
    let color = decoder.color_type();
    let palette = matches!(
        decoder.original_color_type(),
        image::ExtendedColorType::Rgb1 | image::ExtendedColorType::Rgb2 | image::ExtendedColorType::Rgb4
    );
    Ok(PictureInfo {
        width: width as usize,
        height: height as usize,
        channels: if color.has_color() { 3 } else { 1 },
        bits: if color.bytes_per_pixel() / color.channel_count() > 1 { 16 } else { 8 },
        has_alpha: color.has_alpha(),
        palette: palette || is_palette(path, format),
        format: format.and_then(|format| format.extensions_str().first().copied()).unwrap_or("unknown"),
    })
}

/// Palette pictures of 8 bits look like RGB to the decoder; the PNG header tells.
fn is_palette(path: &Path, format: Option<ImageFormat>) -> bool {
    let header = || {
        let file = std::io::BufReader::new(fs::File::open(path).ok()?);
        let reader = png::Decoder::new(file).read_info().ok()?;
        Some(reader.info().color_type == png::ColorType::Indexed)
    };
    format == Some(ImageFormat::Png) && header().unwrap_or(false)
}

fn read(path: &Path) -> Result<Vec<u8>, PixelError> {
    fs::read(path).map_err(|source| PixelError::Read { path: path.to_owned(), source })
}

fn damaged(path: &Path, error: impl std::fmt::Display) -> PixelError {
    PixelError::Decode { path: path.to_owned(), reason: error.to_string() }
}

fn decode(bytes: &[u8], origin: &Path) -> Result<DynamicImage, PixelError> {
    if bytes.is_empty() {
        return Err(damaged(origin, "the file is empty"));
    }
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|source| PixelError::Read { path: origin.to_owned(), source })?;
    if reader.format().is_none() {
        return Err(damaged(origin, "its content is of no known picture format"));
    }
    if reader.format() == Some(ImageFormat::Jpeg) && !jpeg_is_complete(bytes) {
        return Err(damaged(origin, "the JPEG ends before its end marker"));
    }
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|error| damaged(origin, error))?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        let (width, height) = (width as usize, height as usize);
        return Err(PixelError::TooLarge { path: origin.to_owned(), width, height, limit: MOST_PIXELS });
    }
    DynamicImage::from_decoder(decoder).map_err(|error| damaged(origin, error))
}

/// Whether the entropy-coded data reaches the end marker. Decoders fill a missing rest with gray; training must not see that.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xda;
    const END: u8 = 0xd9;
    let mut at = 2;
    loop {
        // In front of a segment: skip fill bytes.
        while bytes.get(at) == Some(&0xff) && bytes.get(at + 1) == Some(&0xff) {
            at += 1;
        }
        let (Some(&0xff), Some(&marker)) = (bytes.get(at), bytes.get(at + 1)) else {
            return false;
        };
        if marker == END {
            return true;
        }
        let (Some(&high), Some(&low)) = (bytes.get(at + 2), bytes.get(at + 3)) else {
            return false;
        };
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
        if marker == START_OF_SCAN {
            // Through the scan: stuffed zeros and restart markers belong to it.
            loop {
                let Some(step) = bytes.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xff)) else {
                    return false;
                };
                at += step;
                match bytes.get(at + 1) {
                    None => return false,
                    Some(0 | 0xd0..=0xd7) => at += 2,
                    Some(0xff) => at += 1,
                    Some(_) => break,
                }
            }
        }
    }
}

/// Takes alpha off and brings every kind of picture to gray or RGB with 8 or 16 bits.
fn flatten(image: DynamicImage, origin: &Path, background: [u8; 3]) -> Result<Picture, PixelError> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let deep_background = background.map(|value| u16::from(value) * 257);
    let (channels, samples) = match image {
        DynamicImage::ImageLuma8(picture) => (1, Samples::U8(picture.into_raw())),
        DynamicImage::ImageRgb8(picture) => (3, Samples::U8(picture.into_raw())),
        DynamicImage::ImageLuma16(picture) => (1, Samples::U16(picture.into_raw())),
        DynamicImage::ImageRgb16(picture) => (3, Samples::U16(picture.into_raw())),
        DynamicImage::ImageLumaA8(picture) => {
            let under = [gray_of(background)];
            (1, Samples::U8(composite(&picture.into_raw(), under, 255)))
        }
        DynamicImage::ImageRgba8(picture) => (3, Samples::U8(composite(&picture.into_raw(), background, 255))),
        DynamicImage::ImageLumaA16(picture) => {
            let under = [u16::from(gray_of(background)) * 257];
            (1, Samples::U16(composite(&picture.into_raw(), under, 65_535)))
        }
        DynamicImage::ImageRgba16(picture) => {
            (3, Samples::U16(composite(&picture.into_raw(), deep_background, 65_535)))
        }
        other => {
            let reason = format!("values of kind {:?} are not taken, only 8 and 16 bit integers", other.color());
            return Err(PixelError::Decode { path: origin.to_owned(), reason });
        }
    };
    Picture::new(width, height, channels, samples)
}

fn gray_of([red, green, blue]: [u8; 3]) -> u8 {
    ((u32::from(red) * 19_595 + u32::from(green) * 38_470 + u32::from(blue) * 7_471 + 0x8000) >> 16) as u8
}

/// Lays pixels with alpha (the last of `C + 1` values) on a background, rounding to nearest.
fn composite<T: Copy + Into<u64> + TryFrom<u64>, const C: usize>(samples: &[T], under: [T; C], max: u64) -> Vec<T> {
    let pixels = samples.chunks_exact(C + 1);
    let mix = |over: T, under: T, alpha: u64| {
        let value = (over.into() * alpha + under.into() * (max - alpha) + max / 2) / max;
        // The mean of two samples fits a sample.
        T::try_from(value).unwrap_or(under)
    };
    pixels.flat_map(|pixel| std::array::from_fn::<T, C, _>(|c| mix(pixel[c], under[c], pixel[C].into()))).collect()
}

/// PNG values as they are stored: neither palettes nor small bit depths are expanded.
fn decode_png_labels(bytes: &[u8], origin: &Path) -> Result<LabelMap, PixelError> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(|error| damaged(origin, error))?;
    let info = reader.info();
    let (width, height) = (info.width as usize, info.height as usize);
    let (color, depth) = (info.color_type, info.bit_depth);
    if !matches!(color, png::ColorType::Grayscale | png::ColorType::Indexed) {
        return Err(PixelError::NotLabels { path: PathBuf::from(origin), found: format!("{color:?} pixels") });
    }
    if width as u64 * height as u64 > MOST_PIXELS {
        return Err(PixelError::TooLarge { path: origin.to_owned(), width, height, limit: MOST_PIXELS });
    }
    let size = reader.output_buffer_size().ok_or_else(|| damaged(origin, "its size overflows"))?;
    let mut buffer = vec![0; size];
    let frame = reader.next_frame(&mut buffer).map_err(|error| damaged(origin, error))?;
    let bits = depth as usize;
    let rows = buffer.chunks_exact(frame.line_size).take(height);
    let ids = rows.flat_map(|row| {
        (0..width).map(move |x| match bits {
            16 => u32::from(u16::from_be_bytes([row[2 * x], row[2 * x + 1]])),
            8 => u32::from(row[x]),
            // Smaller values are packed from the high bits of each byte.
            _ => {
                let from_high = x * bits % 8;
                u32::from((row[x * bits / 8] >> (8 - bits - from_high)) & ((1 << bits) - 1))
            }
        })
    });
    LabelMap::new(width, height, ids.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixel::encode::{jpeg_bytes, png_bytes};

    fn png(color: png::ColorType, depth: png::BitDepth, palette: Option<Vec<u8>>, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 4, 1);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if let Some(palette) = palette {
            encoder.set_palette(palette);
        }
        let mut writer = encoder.write_header().expect("a header");
        writer.write_image_data(data).expect("data");
        writer.finish().expect("an end");
        bytes
    }

    fn picture(bytes: &[u8]) -> Picture {
        decode_picture(bytes, Path::new("test"), &DecodeOptions::default()).expect("a picture")
    }

    fn labels(bytes: &[u8]) -> Result<LabelMap, PixelError> {
        decode_labels(bytes, Path::new("test"))
    }

    #[test]
    fn every_kind_of_png_is_read_with_its_channels_and_bits() {
        use png::{BitDepth as B, ColorType as C};
        let gray = picture(&png(C::Grayscale, B::One, None, &[0b1010_0000]));
        assert_eq!((gray.channels(), gray.samples()), (1, &Samples::U8(vec![255, 0, 255, 0])));
        let gray = picture(&png(C::Grayscale, B::Eight, None, &[1, 2, 3, 4]));
        assert_eq!((gray.channels(), gray.samples()), (1, &Samples::U8(vec![1, 2, 3, 4])));
        let deep = picture(&png(C::Grayscale, B::Sixteen, None, &[1, 2, 3, 4, 5, 6, 7, 8]));
        assert_eq!((deep.channels(), deep.samples()), (1, &Samples::U16(vec![258, 772, 1286, 1800])));
        let indexed = picture(&png(C::Indexed, B::Two, Some(vec![9, 8, 7, 0, 0, 255]), &[0b0001_0001]));
        assert_eq!(
            (indexed.channels(), indexed.pixel(0, 0), indexed.pixel(1, 0)),
            (3, &[9, 8, 7][..], &[0, 0, 255][..])
        );
        let half = picture(&png(C::GrayscaleAlpha, B::Eight, None, &[100, 255, 100, 0, 100, 51, 0, 128]));
        assert_eq!((half.channels(), half.samples()), (1, &Samples::U8(vec![100, 255, 224, 127])));
        let rgba = picture(&png(C::Rgba, B::Eight, None, &[10, 20, 30, 255, 10, 20, 30, 0, 0, 0, 0, 51, 1, 1, 1, 255]));
        assert_eq!(
            (rgba.pixel(0, 0), rgba.pixel(1, 0), rgba.pixel(2, 0)),
            (&[10, 20, 30][..], &[255; 3][..], &[204; 3][..])
        );
        let deep = picture(&png(C::Rgb, B::Sixteen, None, &[7; 24]));
        assert_eq!((deep.channels(), deep.bits()), (3, 16));
    }

    #[test]
    fn transparent_pixels_show_the_stated_colour() {
        let clear = png(png::ColorType::Rgba, png::BitDepth::Eight, None, &[0; 16]);
        let options = DecodeOptions { channels: None, alpha_background: [1, 2, 3] };
        let picture = decode_picture(&clear, Path::new("test"), &options).expect("a picture");
        assert_eq!(picture.pixel(3, 0), [1, 2, 3]);
    }

    #[test]
    fn labels_are_the_stored_values_and_not_colours() {
        use png::{BitDepth as B, ColorType as C};
        let ids = |bytes: &[u8]| labels(bytes).expect("labels").ids().to_vec();
        assert_eq!(ids(&png(C::Indexed, B::Eight, Some(vec![0; 9]), &[2, 1, 0, 2])), [2, 1, 0, 2]);
        assert_eq!(ids(&png(C::Indexed, B::Two, Some(vec![0; 12]), &[0b1101_1000])), [3, 1, 2, 0]);
        assert_eq!(ids(&png(C::Grayscale, B::One, None, &[0b0110_0000])), [0, 1, 1, 0]);
        assert_eq!(ids(&png(C::Grayscale, B::Four, None, &[0x5a, 0x0f])), [5, 10, 0, 15]);
        assert_eq!(ids(&png(C::Grayscale, B::Sixteen, None, &[0x65, 0x90, 0, 1, 0, 2, 0, 3])), [26_000, 1, 2, 3]);
        let error = labels(&png(C::Rgb, B::Eight, None, &[0; 12])).expect_err("colours are no labels");
        assert!(matches!(error, PixelError::NotLabels { .. }));
    }

    #[test]
    fn a_file_cut_off_anywhere_is_an_error_and_never_a_gray_rest() {
        let values = (0..64 * 64 * 3).map(|i| (i * 37 % 251) as u8).collect();
        let whole = Picture::from_u8(64, 64, 3, values).expect("a picture");
        for bytes in [jpeg_bytes(&whole, 90).expect("a jpeg"), png_bytes(&whole, &[]).expect("a png")] {
            assert!(decode(&bytes, Path::new("test")).is_ok());
            // The last 20 bytes of a PNG say nothing of the picture.
            for cut in [0, 1, 3, 20, 200, bytes.len() / 2, bytes.len() * 9 / 10, bytes.len() - 20] {
                let result = decode(&bytes[..cut], Path::new("test"));
                assert!(matches!(result, Err(PixelError::Decode { .. })), "{cut} of {} bytes", bytes.len());
            }
        }
        let error = decode_picture(b"GIF89a and some text", Path::new("x.png"), &DecodeOptions::default());
        assert!(error.expect_err("no picture").to_string().starts_with("x.png is not a whole picture"));
    }

    #[test]
    fn a_header_is_probed_without_decoding() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // The name lies: the content tells the format.
        let path = folder.path().join("x.jpg");
        let bytes = png(png::ColorType::Indexed, png::BitDepth::Eight, Some(vec![0; 9]), &[0, 1, 2, 0]);
        fs::write(&path, bytes).expect("written");
        let info = probe(&path).expect("a header");
        assert_eq!((info.width, info.height, info.palette, info.format), (4, 1, true, "png"));
        assert!(read_picture(&path, &DecodeOptions::default()).is_ok());
    }
}
