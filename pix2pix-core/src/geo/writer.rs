//! GeoTIFF written row by row, under a temporary name until it is whole.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
};

use flate2::{Compression, write::ZlibEncoder};
use rayon::prelude::*;
use tiff::{
    encoder::{DirectoryEncoder, TiffEncoder, TiffKind, TiffKindBig, TiffKindStandard},
    tags::Tag,
};

use super::Georeference;
use crate::pixel::{PixelError, encode::temporary_beside};

/// Side of a tile.
const TILE: usize = 256;
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

/// Writes a GeoTIFF (tiles of 256 pixels, deflate with a predictor); `work` gives the rows. The file stands under its name once all is written.
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
    let temporary = temporary_beside(path);
    assert!(matches!(spec.channels, 1 | 3 | 4), "a raster has 1, 3 or 4 channels, not {}", spec.channels);
    let bytes = (spec.width * spec.height * spec.channels) as u64;
    let done = if bytes > CLASSIC {
        write::<TiffKindBig, _, _>(&temporary, path, spec, work)
    } else {
        write::<TiffKindStandard, _, _>(&temporary, path, spec, work)
    };
    if done.is_err() {
        // The first error counts; what is left of the temporary file is removed if it can be.
        drop(fs::remove_file(&temporary));
    }
    done
}

fn write<K: TiffKind, T, E: From<PixelError>>(
    temporary: &Path,
    path: &Path,
    spec: &RasterSpec<'_>,
    work: impl FnOnce(&mut dyn Rows) -> Result<T, E>,
) -> Result<T, E>
where
    [K::OffsetType]: tiff::encoder::TiffValue,
{
    let refused = |source| PixelError::Write { path: path.to_owned(), source };
    let file = File::create(temporary).map_err(refused)?;
    let mut buffered = BufWriter::new(file);
    let result = fill::<K, T, E>(&mut buffered, path, spec, work)?;
    let file = buffered.into_inner().map_err(|error| refused(error.into_error()))?;
    file.sync_all().and_then(|()| fs::rename(temporary, path)).map_err(refused)?;
    Ok(result)
}

fn fill<K: TiffKind, T, E: From<PixelError>>(
    to: Buffered<'_>,
    path: &Path,
    spec: &RasterSpec<'_>,
    work: impl FnOnce(&mut dyn Rows) -> Result<T, E>,
) -> Result<T, E> {
    let failed = |error| failure(path, error);
    let mut encoder = TiffEncoder::<_, K>::new_generic(to).map_err(failed)?;
    let directory = encoder.image_directory().map_err(failed)?;
    let mut tiles = Tiles {
        directory,
        width: spec.width,
        channels: spec.channels,
        pending: Vec::new(),
        num_rows: 0,
        offsets: Vec::new(),
        lengths: Vec::new(),
        path,
    };
    let result = work(&mut tiles)?;
    tiles.row_of_tiles(true).map_err(failed)?;
    assert_eq!(tiles.num_rows, spec.height, "all rows were given");
    tiles.finish(spec).map_err(failed)?;
    Ok(result)
}

fn failure(path: &Path, error: tiff::TiffError) -> PixelError {
    match error {
        tiff::TiffError::IoError(source) => PixelError::Write { path: path.to_owned(), source },
        other => PixelError::Encode { path: path.to_owned(), reason: other.to_string() },
    }
}

type Buffered<'a> = &'a mut BufWriter<File>;

/// Rows that are cut into tiles.
struct Tiles<'a, K: TiffKind> {
    directory: DirectoryEncoder<'a, Buffered<'a>, K>,
    width: usize,
    channels: usize,
    /// Rows that do not make a row of tiles yet.
    pending: Vec<u8>,
    /// Rows that were given.
    num_rows: usize,
    offsets: Vec<u64>,
    lengths: Vec<u64>,
    path: &'a Path,
}

impl<K: TiffKind> Rows for Tiles<'_, K> {
    fn rows(&mut self, mut values: &[u8]) -> Result<(), PixelError> {
        let row = self.width * self.channels;
        assert!(values.len().is_multiple_of(row), "rows are whole");
        self.num_rows += values.len() / row;
        while !values.is_empty() {
            let wanted = TILE * row - self.pending.len();
            let (now, later) = values.split_at(wanted.min(values.len()));
            self.pending.extend_from_slice(now);
            values = later;
            self.row_of_tiles(false).map_err(|error| failure(self.path, error))?;
        }
        Ok(())
    }
}

impl<K: TiffKind> Tiles<'_, K> {
    /// Writes what is pending when it makes a row of tiles, or `at_end` in any case.
    fn row_of_tiles(&mut self, at_end: bool) -> tiff::TiffResult<()> {
        let row = self.width * self.channels;
        if self.pending.is_empty() || (self.pending.len() < TILE * row && !at_end) {
            return Ok(());
        }
        let (pending, width, channels) = (&self.pending, self.width, self.channels);
        let tiles =
            (0..width.div_ceil(TILE)).into_par_iter().map(|number| tile(pending, [width, channels], number * TILE));
        let tiles = tiles.collect::<std::io::Result<Vec<_>>>()?;
        for tile in tiles {
            self.offsets.push(self.directory.write_data(tile.as_slice())?);
            self.lengths.push(tile.len() as u64);
        }
        self.pending.clear();
        Ok(())
    }

    fn finish(mut self, spec: &RasterSpec<'_>) -> tiff::TiffResult<()> {
        let directory = &mut self.directory;
        directory.write_tag(Tag::ImageWidth, spec.width as u32)?;
        directory.write_tag(Tag::ImageLength, spec.height as u32)?;
        directory.write_tag(Tag::BitsPerSample, vec![8_u16; spec.channels].as_slice())?;
        // Deflate; horizontal predictor; gray or RGB; interleaved.
        directory.write_tag(Tag::Compression, 8_u16)?;
        directory.write_tag(Tag::Predictor, 2_u16)?;
        directory.write_tag(Tag::PhotometricInterpretation, if spec.channels == 1 { 1_u16 } else { 2 })?;
        directory.write_tag(Tag::SamplesPerPixel, spec.channels as u16)?;
        directory.write_tag(Tag::PlanarConfiguration, 1_u16)?;
        directory.write_tag(Tag::TileWidth, TILE as u32)?;
        directory.write_tag(Tag::TileLength, TILE as u32)?;
        if spec.channels == 4 {
            // Alpha that colours are not multiplied with.
            directory.write_tag(Tag::ExtraSamples, &[2_u16][..])?;
        }
        let offsets = self.offsets.iter().map(|&offset| K::convert_offset(offset));
        let offsets = offsets.collect::<tiff::TiffResult<Vec<_>>>()?;
        let lengths = self.lengths.iter().map(|&length| K::convert_offset(length));
        let lengths = lengths.collect::<tiff::TiffResult<Vec<_>>>()?;
        directory.write_tag(Tag::TileOffsets, K::convert_slice(&offsets))?;
        directory.write_tag(Tag::TileByteCounts, K::convert_slice(&lengths))?;
        place_tags(directory, spec)?;
        text_tags(directory, spec.text)?;
        self.directory.finish()
    }
}

/// The compressed bytes of the tile that begins at a column of some rows; beyond the picture it holds zeros.
fn tile(rows: &[u8], [width, channels]: [usize; 2], x: usize) -> std::io::Result<Vec<u8>> {
    let count = TILE.min(width - x) * channels;
    let mut values = vec![0; TILE * TILE * channels];
    for (to, from) in values.chunks_exact_mut(TILE * channels).zip(rows.chunks_exact(width * channels)) {
        to[..count].copy_from_slice(&from[x * channels..][..count]);
        // The horizontal predictor: differences of neighbours, from the right.
        for at in (channels..to.len()).rev() {
            to[at] = to[at].wrapping_sub(to[at - channels]);
        }
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&values)?;
    encoder.finish()
}

fn place_tags<K: TiffKind>(
    directory: &mut DirectoryEncoder<'_, Buffered<'_>, K>,
    spec: &RasterSpec<'_>,
) -> tiff::TiffResult<()> {
    let place = spec.georeference;
    let numbers = [
        (Tag::ModelPixelScaleTag, &place.pixel_scale),
        (Tag::ModelTiepointTag, &place.tie_points),
        (Tag::from_u16_exhaustive(34_264), &place.matrix),
        (Tag::from_u16_exhaustive(34_736), &place.doubles),
    ];
    for (tag, values) in numbers {
        if !values.is_empty() {
            directory.write_tag(tag, values.as_slice())?;
        }
    }
    if !place.keys.is_empty() {
        directory.write_tag(Tag::GeoKeyDirectoryTag, place.keys.as_slice())?;
    }
    if !place.text.is_empty() {
        directory.write_tag(Tag::from_u16_exhaustive(34_737), place.text.as_str())?;
    }
    match spec.nodata {
        Some(nodata) => directory.write_tag(Tag::GdalNodata, nodata.to_string().as_str()),
        None => Ok(()),
    }
}

/// The software's name, and the rest as GDAL's metadata.
fn text_tags<K: TiffKind>(
    directory: &mut DirectoryEncoder<'_, Buffered<'_>, K>,
    text: &[(String, String)],
) -> tiff::TiffResult<()> {
    if let Some((_, software)) = text.iter().find(|(name, _)| name == "Software") {
        directory.write_tag(Tag::Software, software.as_str())?;
    }
    let items = text.iter().filter(|(name, _)| name != "Software");
    // GDAL takes values for twice escaped.
    let item = |(name, value): &(String, String)| {
        format!("  <Item name=\"{}\">{}</Item>\n", escaped(name), escaped(&escaped(value)))
    };
    let items = items.map(item);
    let items = items.collect::<String>();
    if items.is_empty() {
        return Ok(());
    }
    let metadata = format!("<GDALMetadata>\n{items}</GDALMetadata>\n");
    directory.write_tag(Tag::from_u16_exhaustive(42_112), metadata.as_str())
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
