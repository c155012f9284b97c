//! GeoTIFF written row by row, under a temporary name until it is whole.

use std::{
    fs::{self, File},
    io::BufWriter,
    path::{Path, PathBuf},
};

use tiff::{
    encoder::{
        Compression, DeflateLevel, ImageEncoder, Predictor, TiffEncoder, TiffKind, TiffKindBig, TiffKindStandard,
        colortype::{ColorType, Gray8, RGB8, RGBA8},
    },
    tags::Tag,
};

use super::Georeference;
use crate::pixel::PixelError;

/// Rows that are compressed together.
const ROWS_PER_STRIP: u32 = 64;
/// Files of more bytes before compression need offsets of 64 bits.
const CLASSIC: u64 = 3 << 30;

/// What is written.
#[derive(Clone, Debug)]
pub struct RasterSpec<'a> {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 1 (gray), 3 (colour) or 4 (colour and alpha).
    pub channels: usize,
    /// Where it lies.
    pub georeference: &'a Georeference,
    /// The value that stands for none.
    pub nodata: Option<f64>,
    /// What the file says of itself: names and values.
    pub text: &'a [(String, String)],
}

/// Takes the rows of a picture, from the first to the last.
pub trait Rows {
    /// Takes some whole rows, interleaved.
    ///
    /// # Errors
    /// Whatever the system refuses.
    fn rows(&mut self, values: &[u8]) -> Result<(), PixelError>;
}

/// Writes a GeoTIFF (deflate, strips); `work` gives the rows. The file stands under its name once all is written.
///
/// # Errors
/// Those of `work`, and whatever the system refuses; nothing is left behind then.
///
/// # Panics
/// When the number of channels is none of 1, 3 and 4.
pub fn write_raster<T, E: From<PixelError>>(
    path: &Path,
    spec: &RasterSpec<'_>,
    work: impl FnOnce(&mut dyn Rows) -> Result<T, E>,
) -> Result<T, E> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let bytes = (spec.width * spec.height * spec.channels) as u64;
    let done = match (spec.channels, bytes > CLASSIC) {
        (1, false) => write::<Gray8, TiffKindStandard, _, _>(&temporary, path, spec, work),
        (3, false) => write::<RGB8, TiffKindStandard, _, _>(&temporary, path, spec, work),
        (4, false) => write::<RGBA8, TiffKindStandard, _, _>(&temporary, path, spec, work),
        (1, true) => write::<Gray8, TiffKindBig, _, _>(&temporary, path, spec, work),
        (3, true) => write::<RGB8, TiffKindBig, _, _>(&temporary, path, spec, work),
        (4, true) => write::<RGBA8, TiffKindBig, _, _>(&temporary, path, spec, work),
        (channels, _) => panic!("a raster has 1, 3 or 4 channels, not {channels}"),
    };
    if done.is_err() {
        // The first error counts; what is left of the temporary file is removed if it can be.
        drop(fs::remove_file(&temporary));
    }
    done
}

fn write<C: ColorType<Inner = u8>, K: TiffKind, T, E: From<PixelError>>(
    temporary: &Path,
    path: &Path,
    spec: &RasterSpec<'_>,
    work: impl FnOnce(&mut dyn Rows) -> Result<T, E>,
) -> Result<T, E> {
    let refused = |source| PixelError::Write { path: path.to_owned(), source };
    let file = File::create(temporary).map_err(refused)?;
    let mut buffered = BufWriter::new(file);
    let result = fill::<C, K, T, E>(&mut buffered, path, spec, work)?;
    let file = buffered.into_inner().map_err(|error| refused(error.into_error()))?;
    file.sync_all().and_then(|()| fs::rename(temporary, path)).map_err(refused)?;
    Ok(result)
}

fn fill<C: ColorType<Inner = u8>, K: TiffKind, T, E: From<PixelError>>(
    to: Buffered<'_>,
    path: &Path,
    spec: &RasterSpec<'_>,
    work: impl FnOnce(&mut dyn Rows) -> Result<T, E>,
) -> Result<T, E> {
    let failed = |error| failure(path, error);
    let mut encoder = TiffEncoder::<_, K>::new_generic(to)
        .map_err(failed)?
        .with_compression(Compression::Deflate(DeflateLevel::Fast))
        .with_predictor(Predictor::Horizontal);
    let mut image = encoder.new_image::<C>(spec.width as u32, spec.height as u32).map_err(failed)?;
    image.rows_per_strip(ROWS_PER_STRIP.min(spec.height as u32)).map_err(failed)?;
    tags(&mut image, spec).map_err(failed)?;
    let mut strips = Strips { image, pending: Vec::new(), path: path.to_owned() };
    let result = work(&mut strips)?;
    assert!(strips.pending.is_empty() && strips.image.next_strip_sample_count() == 0, "all rows were given");
    strips.image.finish().map_err(failed)?;
    Ok(result)
}

fn failure(path: &Path, error: tiff::TiffError) -> PixelError {
    match error {
        tiff::TiffError::IoError(source) => PixelError::Write { path: path.to_owned(), source },
        other => PixelError::Encode { path: path.to_owned(), reason: other.to_string() },
    }
}

fn tags<C: ColorType, K: TiffKind>(
    image: &mut ImageEncoder<'_, Buffered<'_>, C, K>,
    spec: &RasterSpec<'_>,
) -> tiff::TiffResult<()> {
    let place = spec.georeference;
    let numbers =
        [(33_550, &place.pixel_scale), (33_922, &place.tie_points), (34_264, &place.matrix), (34_736, &place.doubles)];
    let directory = image.encoder();
    for (tag, values) in numbers {
        if !values.is_empty() {
            directory.write_tag(Tag::from_u16_exhaustive(tag), values.as_slice())?;
        }
    }
    if !place.keys.is_empty() {
        directory.write_tag(Tag::GeoKeyDirectoryTag, place.keys.as_slice())?;
    }
    if !place.text.is_empty() {
        directory.write_tag(Tag::Unknown(34_737), place.text.as_str())?;
    }
    if let Some(nodata) = spec.nodata {
        directory.write_tag(Tag::GdalNodata, nodata.to_string().as_str())?;
    }
    if let Some((_, software)) = spec.text.iter().find(|(name, _)| name == "Software") {
        directory.write_tag(Tag::Software, software.as_str())?;
    }
    let items = spec.text.iter().filter(|(name, _)| name != "Software");
    let items = items.map(|(name, value)| format!("  <Item name=\"{}\">{}</Item>\n", escaped(name), escaped(value)));
    let items = items.collect::<String>();
    if !items.is_empty() {
        let metadata = format!("<GDALMetadata>\n{items}</GDALMetadata>\n");
        directory.write_tag(Tag::Unknown(42_112), metadata.as_str())?;
    }
    if spec.channels == 4 {
        // Alpha that colours are not multiplied with.
        directory.write_tag(Tag::ExtraSamples, &[2_u16][..])?;
    }
    Ok(())
}

/// Text within XML; what is not ASCII cannot stand in the tag.
fn escaped(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            '&' => "&amp;".into(),
            '<' => "&lt;".into(),
            '>' => "&gt;".into(),
            '"' => "&quot;".into(),
            letter if letter.is_ascii() => letter.to_string(),
            letter => format!("&#{};", u32::from(letter)),
        })
        .collect()
}

type Buffered<'a> = &'a mut BufWriter<File>;

struct Strips<'a, C: ColorType, K: TiffKind> {
    image: ImageEncoder<'a, Buffered<'a>, C, K>,
    pending: Vec<u8>,
    path: PathBuf,
}

impl<C: ColorType<Inner = u8>, K: TiffKind> Rows for Strips<'_, C, K> {
    fn rows(&mut self, values: &[u8]) -> Result<(), PixelError> {
        self.pending.extend_from_slice(values);
        let mut start = 0;
        loop {
            let count = self.image.next_strip_sample_count() as usize;
            if count == 0 || self.pending.len() - start < count {
                break;
            }
            let written = self.image.write_strip(&self.pending[start..start + count]);
            written.map_err(|error| failure(&self.path, error))?;
            start += count;
        }
        self.pending.drain(..start);
        Ok(())
    }
}
