//! Pictures become files: whole or not at all.

use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
};

use image::{DynamicImage, ExtendedColorType, ImageBuffer, ImageEncoder, ImageFormat, codecs::jpeg::JpegEncoder};

use super::{LabelMap, Picture, PixelError, Samples};

const KNOWN: &str = "png, jpg, jpeg, webp, bmp, tif, tiff, ppm and pgm";
/// Quality of JPEG files that users ask for by name.
const JPEG_QUALITY: u8 = 95;

/// Writes a picture in the format that the name's ending tells; `text` goes into the text chunks of PNG files.
///
/// # Errors
/// An unknown ending, a format that cannot hold the picture, or whatever the system refuses. A file that stood there before stays
/// whole then.
pub fn write_picture(path: &Path, picture: &Picture, text: &[(String, String)]) -> Result<(), PixelError> {
    write_whole(path, &encode(picture, path, text)?)
}

/// Writes ids as a gray PNG, 8 bits when they all fit, else 16.
///
/// # Errors
/// Ids beyond 65535, or whatever the system refuses.
pub fn write_labels(path: &Path, labels: &LabelMap) -> Result<(), PixelError> {
    let largest = labels.ids().iter().copied().max().unwrap_or(0);
    if largest > u32::from(u16::MAX) {
        let reason = format!("id {largest} does not fit 16 bits");
        return Err(PixelError::Encode { path: path.to_owned(), reason });
    }
    let samples = if largest < 256 {
        Samples::U8(labels.ids().iter().map(|&id| id as u8).collect())
    } else {
        Samples::U16(labels.ids().iter().map(|&id| id as u16).collect())
    };
    let picture = Picture::new(labels.width(), labels.height(), 1, samples)?;
    write_whole(path, &png_bytes(&picture, &[])?)
}

/// The bytes of a file in the format that the ending of `path` tells.
///
/// # Errors
/// An unknown ending, or a format that cannot hold the picture.
pub fn encode(picture: &Picture, path: &Path, text: &[(String, String)]) -> Result<Vec<u8>, PixelError> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let format = match ending.as_str() {
        "png" => return png_bytes(picture, text),
        "jpg" | "jpeg" => return jpeg_bytes(picture, JPEG_QUALITY),
        "webp" => ImageFormat::WebP,
        "bmp" => ImageFormat::Bmp,
        "tif" | "tiff" => ImageFormat::Tiff,
        "ppm" | "pgm" | "pnm" => ImageFormat::Pnm,
        _ => {
            return Err(PixelError::UnknownFormat { path: path.to_owned(), known: KNOWN });
        }
    };
    // These hold 8 bits only.
    let shallow = matches!(format, ImageFormat::WebP | ImageFormat::Bmp | ImageFormat::Pnm);
    let image = dynamic(&if shallow { picture.to_u8() } else { picture.clone() }, path)?;
    let mut bytes = Cursor::new(Vec::new());
    image
        .write_to(&mut bytes, format)
        .map_err(|error| PixelError::Encode { path: path.to_owned(), reason: error.to_string() })?;
    Ok(bytes.into_inner())
}

/// The bytes of a PNG file with text chunks, 8 or 16 bits as the picture has.
///
/// # Errors
/// Text that PNG cannot hold.
pub fn png_bytes(picture: &Picture, text: &[(String, String)]) -> Result<Vec<u8>, PixelError> {
    let failed = |error: png::EncodingError| PixelError::Encode { path: "PNG".into(), reason: error.to_string() };
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, picture.width() as u32, picture.height() as u32);
    encoder.set_color(if picture.channels() == 1 { png::ColorType::Grayscale } else { png::ColorType::Rgb });
    encoder.set_compression(png::Compression::Balanced);
    for (key, value) in text {
        encoder.add_itxt_chunk(key.clone(), value.clone()).map_err(failed)?;
    }
    let data = match picture.samples() {
        Samples::U8(values) => {
            encoder.set_depth(png::BitDepth::Eight);
            std::borrow::Cow::Borrowed(values.as_slice())
        }
        Samples::U16(values) => {
            encoder.set_depth(png::BitDepth::Sixteen);
            values.iter().flat_map(|value| value.to_be_bytes()).collect::<Vec<_>>().into()
        }
    };
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&data).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(bytes)
}

/// The bytes of a JPEG file; `quality` from 1 to 100. 16-bit values are rounded to 8 bits.
///
/// # Errors
/// A picture larger than JPEG can hold.
pub fn jpeg_bytes(picture: &Picture, quality: u8) -> Result<Vec<u8>, PixelError> {
    let picture = picture.to_u8();
    let Samples::U8(values) = picture.samples() else { unreachable!("to_u8 gives 8 bits") };
    let color = if picture.channels() == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .write_image(values, picture.width() as u32, picture.height() as u32, color)
        .map_err(|error| PixelError::Encode { path: "JPEG".into(), reason: error.to_string() })?;
    Ok(bytes)
}

fn dynamic(picture: &Picture, path: &Path) -> Result<DynamicImage, PixelError> {
    let (width, height) = (picture.width() as u32, picture.height() as u32);
    let image = match (picture.samples().clone(), picture.channels()) {
        (Samples::U8(v), 1) => ImageBuffer::from_raw(width, height, v).map(DynamicImage::ImageLuma8),
        (Samples::U8(v), 3) => ImageBuffer::from_raw(width, height, v).map(DynamicImage::ImageRgb8),
        (Samples::U16(v), 1) => ImageBuffer::from_raw(width, height, v).map(DynamicImage::ImageLuma16),
        (Samples::U16(v), 3) => ImageBuffer::from_raw(width, height, v).map(DynamicImage::ImageRgb16),
        _ => None,
    };
    let reason = format!("pictures are gray or RGB, this one has {} channels", picture.channels());
    image.ok_or_else(|| PixelError::Encode { path: path.to_owned(), reason })
}

/// The temporary name in the same folder under which a file is written until it is whole.
pub(crate) fn temporary_beside(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

/// Writes a file under a temporary name in the same folder, then renames it.
///
/// # Errors
/// Whatever the system refuses; the temporary file is removed then.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), PixelError> {
    let temporary = temporary_beside(path);
    let written = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|source| {
        // The first error counts; what is left of the temporary file is removed if it can be.
        drop(fs::remove_file(&temporary));
        PixelError::Write { path: path.to_owned(), source }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixel::decode::{DecodeOptions, decode_picture, read_labels, read_picture};

    fn noise(channels: usize, deep: bool) -> Picture {
        let count = 7 * 5 * channels;
        let samples = if deep {
            Samples::U16((0..count).map(|i| (i * 7919 % 65_536) as u16).collect())
        } else {
            Samples::U8((0..count).map(|i| (i * 97 % 256) as u8).collect())
        };
        Picture::new(7, 5, channels, samples).expect("a picture")
    }

    #[test]
    fn lossless_formats_give_the_picture_back() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cases = [("png", true), ("tiff", true), ("webp", false), ("bmp", false), ("ppm", false)];
        for (ending, keeps_depth) in cases {
            for (channels, deep) in [(1, false), (3, false), (1, true), (3, true)] {
                let picture = noise(channels, deep);
                let path = folder.path().join(format!("x.{ending}"));
                write_picture(&path, &picture, &[]).expect("written");
                let options = DecodeOptions { channels: Some(channels), ..Default::default() };
                let expected = if keeps_depth { picture } else { picture.to_u8() };
                assert_eq!(read_picture(&path, &options).expect("read"), expected, "{ending} {channels} {deep}");
            }
        }
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), cases.len());
    }

    #[test]
    fn text_stands_in_the_png_and_unknown_endings_are_errors() {
        let text = [("Software".to_owned(), "p2p \u{e4}".to_owned())];
        let bytes = png_bytes(&noise(3, false), &text).expect("bytes");
        let reader = png::Decoder::new(Cursor::new(&bytes)).read_info().expect("a header");
        let chunk = &reader.info().utf8_text[0];
        assert_eq!((chunk.keyword.as_str(), chunk.get_text().expect("text").as_str()), ("Software", "p2p \u{e4}"));
        let error = write_picture(Path::new("x.gif"), &noise(3, false), &[]).expect_err("no such format");
        assert!(error.to_string().contains("png, jpg"));
    }

    #[test]
    fn jpeg_stays_near_the_picture() {
        let smooth = Picture::from_u8(16, 16, 1, (0..=255).collect()).expect("a picture");
        let bytes = jpeg_bytes(&smooth, 95).expect("bytes");
        let back = decode_picture(&bytes, Path::new("test"), &DecodeOptions::default()).expect("a picture");
        let far = (0..256).any(|i| back.pixel(i % 16, i / 16)[0].abs_diff(i as u8) > 6);
        assert!(!far && back.channels() == 1);
    }

    #[test]
    fn labels_come_back_with_eight_and_with_sixteen_bits() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for largest in [33, 26_003] {
            let labels = LabelMap::new(2, 2, vec![0, 7, largest, 1]).expect("four ids");
            let path = folder.path().join("labels.png");
            write_labels(&path, &labels).expect("written");
            assert_eq!(read_labels(&path).expect("read"), labels);
        }
        let beyond = LabelMap::new(1, 1, vec![70_000]).expect("one id");
        assert!(write_labels(&folder.path().join("x.png"), &beyond).is_err());
    }
}
