//! GeoTIFF read part by part: strips and tiles, 8 and 16 bits, any number of bands, alpha, masks and nodata.

use std::{
    collections::VecDeque,
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tiff::{
    ColorType,
    decoder::{ChunkType, Decoder, DecodingResult, Limits},
    tags::Tag,
};

use super::{
    GeoError, Georeference,
    mask::{self, Bitmap},
};
use crate::pixel::{Canvas, PixelError, Planes, Rect};

/// Bytes of decoded strips and tiles that are held.
const HELD: usize = 192 << 20;
/// Most bytes of one strip or tile.
const MOST_CHUNK: usize = 1 << 30;
/// Sides of the grid of places that percentiles are taken from, and pixels of each.
const SAMPLED: (usize, usize) = (8, 128);
/// What is read, for people.
const EXPECTED: &str = "read are 8 or 16 bits without sign, gray, colour or more bands";

/// An open GeoTIFF.
pub struct Raster {
    path: PathBuf,
    width: usize,
    height: usize,
    /// Bands, without alpha.
    bands: usize,
    has_alpha: bool,
    nodata: Option<f64>,
    georeference: Georeference,
    bits: u8,
    /// Bands are brightness and two differences of colour (JPEG), to be made RGB.
    is_ycbcr: bool,
    image: Mutex<Chunks>,
    mask: Option<Bitmap>,
}

/// One sub-picture and what of it is decoded.
struct Chunks {
    decoder: Decoder<BufReader<File>>,
    /// Width and height of a strip or tile.
    size: (usize, usize),
    /// Strips or tiles beside each other, and of one plane.
    across: usize,
    per_plane: usize,
    /// Values of a pixel in one chunk.
    interleaved: usize,
    held: VecDeque<(u32, Arc<Chunk>)>,
    bytes: usize,
}

struct Chunk {
    width: usize,
    values: Values,
}

enum Values {
    U8(Vec<u8>),
    U16(Vec<u16>),
}

impl Chunk {
    fn num_values(&self) -> usize {
        match &self.values {
            Values::U8(values) => values.len(),
            Values::U16(values) => values.len(),
        }
    }

    fn bytes(&self) -> usize {
        match &self.values {
            Values::U8(values) => values.len(),
            Values::U16(values) => 2 * values.len(),
        }
    }

    fn get(&self, x: usize, y: usize, at: usize, interleaved: usize) -> u16 {
        let place = (y * self.width + x) * interleaved + at;
        match &self.values {
            Values::U8(values) => u16::from(values[place]),
            Values::U16(values) => values[place],
        }
    }
}

impl Chunks {
    /// Calls `each` with every chunk that a part touches, in one plane, and the part of the picture that it covers there.
    fn visit(
        &mut self,
        part: Rect,
        plane: usize,
        mut each: impl FnMut(&Chunk, Rect, (usize, usize)),
    ) -> Result<(), String> {
        let (width, height) = self.size;
        for row in part.y / height..(part.y + part.height).div_ceil(height) {
            for column in part.x / width..(part.x + part.width).div_ceil(width) {
                let chunk = self.chunk((plane * self.per_plane + row * self.across + column) as u32)?;
                let (x, y) = (part.x.max(column * width), part.y.max(row * height));
                let right = (part.x + part.width).min((column + 1) * width);
                let bottom = (part.y + part.height).min((row + 1) * height);
                let covered = Rect { x, y, width: right - x, height: bottom - y };
                each(&chunk, covered, (column * width, row * height));
            }
        }
        Ok(())
    }

    fn chunk(&mut self, number: u32) -> Result<Arc<Chunk>, String> {
        if let Some(at) = self.held.iter().position(|(held, _)| *held == number) {
            let found = self.held.remove(at).expect("it was found there");
            let chunk = Arc::clone(&found.1);
            self.held.push_back(found);
            return Ok(chunk);
        }
        let (width, height) = self.decoder.chunk_data_dimensions(number);
        let values = match self.decoder.read_chunk(number).map_err(|error| error.to_string())? {
            DecodingResult::U8(values) => Values::U8(values),
            DecodingResult::U16(values) => Values::U16(values),
            _ => return Err("its values are not of 8 or 16 bits".into()),
        };
        let (width, height) = (width as usize, height as usize);
        let wanted = width * height * self.interleaved;
        let chunk = Arc::new(Chunk { width, values });
        let found = chunk.num_values();
        if found < wanted {
            return Err(format!("strip or tile {number} has {found} values instead of {wanted}"));
        }
        self.bytes += chunk.bytes();
        self.held.push_back((number, Arc::clone(&chunk)));
        while self.bytes > HELD && self.held.len() > 1 {
            let (_, oldest) = self.held.pop_front().expect("more than one");
            self.bytes -= oldest.bytes();
        }
        Ok(chunk)
    }
}

impl Raster {
    /// Opens a file and reads its tags.
    ///
    /// # Errors
    /// A file that cannot be read, is no TIFF, is damaged, or holds what is not read here.
    pub fn open(path: &Path) -> Result<Self, GeoError> {
        let damaged = |reason: String| PixelError::Decode { path: path.to_owned(), reason };
        let unsupported = |found: String| GeoError::Unsupported { path: path.to_owned(), found, expected: EXPECTED };
        let begin = || -> Result<Decoder<BufReader<File>>, GeoError> {
            let file = File::open(path).map_err(|source| PixelError::Read { path: path.to_owned(), source })?;
            let mut limits = Limits::default();
            limits.decoding_buffer_size = MOST_CHUNK;
            limits.intermediate_buffer_size = MOST_CHUNK;
            limits.ifd_value_size = MOST_CHUNK / 8;
            let decoder = Decoder::new(BufReader::new(file)).map_err(|error| damaged(error.to_string()))?;
            Ok(decoder.with_limits(limits))
        };
        let mut decoder = begin()?;
        let failed = |error: tiff::TiffError| GeoError::from(damaged(error.to_string()));
        let (width, height) = decoder.dimensions().map_err(failed)?;
        let color = decoder.colortype().map_err(|error| unsupported(error.to_string()))?;
        let samples = decoder.find_tag_unsigned::<u16>(Tag::SamplesPerPixel).map_err(failed)?.unwrap_or(1).into();
        let extra = decoder.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples).map_err(failed)?.unwrap_or_default();
        let (bits, has_alpha) = match color {
            ColorType::Gray(bits) | ColorType::RGB(bits) | ColorType::YCbCr(bits) => (bits, false),
            ColorType::GrayA(bits) | ColorType::RGBA(bits) => (bits, true),
            ColorType::Multiband { bit_depth, .. } => {
                (bit_depth, extra.last().is_some_and(|&kind| kind == 1 || kind == 2))
            }
            other => return Err(unsupported(format!("{other:?}"))),
        };
        let format = decoder.find_tag_unsigned_vec::<u16>(Tag::SampleFormat).map_err(failed)?.unwrap_or_default();
        if !matches!(bits, 8 | 16) || format.iter().any(|&format| format != 1) {
            return Err(unsupported(format!("{bits} bits of sample format {format:?}")));
        }
        let numbers = |decoder: &mut Decoder<_>, tag| decoder.get_tag_f64_vec(Tag::Unknown(tag)).unwrap_or_default();
        let georeference = Georeference {
            pixel_scale: decoder.get_tag_f64_vec(Tag::ModelPixelScaleTag).unwrap_or_default(),
            tie_points: decoder.get_tag_f64_vec(Tag::ModelTiepointTag).unwrap_or_default(),
            matrix: numbers(&mut decoder, 34_264),
            keys: decoder.get_tag_u16_vec(Tag::GeoKeyDirectoryTag).unwrap_or_default(),
            doubles: numbers(&mut decoder, 34_736),
            text: decoder.get_tag_ascii_string(Tag::Unknown(34_737)).unwrap_or_default(),
        };
        let nodata = decoder.get_tag_ascii_string(Tag::GdalNodata).ok();
        let nodata = nodata.and_then(|text| text.trim_matches(['\0', ' ']).parse().ok());
        let (width, height) = (width as usize, height as usize);
        let image = Chunks::new(decoder, (width, height), samples, bits).map_err(damaged)?;
        let mask = mask::find(&mut begin()?, (width, height)).map_err(damaged)?;
        Ok(Self {
            path: path.to_owned(),
            width,
            height,
            bands: samples - usize::from(has_alpha),
            has_alpha,
            nodata,
            georeference,
            bits,
            is_ycbcr: matches!(color, ColorType::YCbCr(_)),
            image: Mutex::new(image),
            mask,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Width and height.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Number of bands, without alpha.
    pub fn bands(&self) -> usize {
        self.bands
    }

    /// Bits of a value: 8 or 16.
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// The value that stands for none, when there is one.
    pub fn nodata(&self) -> Option<f64> {
        self.nodata
    }

    /// Where it lies.
    pub fn georeference(&self) -> &Georeference {
        &self.georeference
    }

    /// Whether it has a band of alpha or a mask.
    pub fn has_alpha(&self) -> bool {
        self.has_alpha || self.mask.is_some()
    }

    /// Whether pixels may be transparent, masked or without data.
    pub fn has_gaps(&self) -> bool {
        self.has_alpha || self.mask.is_some() || self.nodata.is_some_and(|value| self.can_be(value))
    }

    /// Whether a pixel can have this value.
    fn can_be(&self, value: f64) -> bool {
        value.fract() == 0.0 && value >= 0.0 && value < f64::from(1_u32 << self.bits)
    }

    fn damaged(&self, reason: String) -> PixelError {
        PixelError::Decode { path: self.path.clone(), reason }
    }

    /// The values of some bands, counted from 0, plane after plane; alpha is the band behind the last.
    fn values(&self, part: Rect, bands: &[usize]) -> Result<Vec<Vec<u16>>, PixelError> {
        if !self.is_ycbcr {
            return self.stored(part, bands);
        }
        let mut stored = self.stored(part, &[0, 1, 2])?;
        to_rgb(&mut stored);
        Ok(bands.iter().map(|&band| stored[band].clone()).collect())
    }

    fn stored(&self, part: Rect, bands: &[usize]) -> Result<Vec<Vec<u16>>, PixelError> {
        assert!(part.x + part.width <= self.width && part.y + part.height <= self.height, "the part lies inside");
        let mut image = lock(&self.image);
        let interleaved = image.interleaved;
        let mut planes = vec![vec![0; part.width * part.height]; bands.len()];
        if interleaved > 1 || self.bands + usize::from(self.has_alpha) == 1 {
            let copy = |chunk: &Chunk, covered: Rect, (left, top): (usize, usize)| {
                for (plane, &band) in planes.iter_mut().zip(bands) {
                    fill(plane, part, covered, |x, y| chunk.get(x - left, y - top, band, interleaved));
                }
            };
            image.visit(part, 0, copy).map_err(|reason| self.damaged(reason))?;
        } else {
            for (plane, &band) in planes.iter_mut().zip(bands) {
                let copy = |chunk: &Chunk, covered: Rect, (left, top): (usize, usize)| {
                    fill(plane, part, covered, |x, y| chunk.get(x - left, y - top, 0, 1));
                };
                image.visit(part, band, copy).map_err(|reason| self.damaged(reason))?;
            }
        }
        Ok(planes)
    }

    /// How opaque pixels are, 0 to 255; `planes` are the values of the bands in use.
    fn opacity(&self, part: Rect, planes: &[Vec<u16>]) -> Result<Option<Vec<u8>>, PixelError> {
        if !self.has_gaps() {
            return Ok(None);
        }
        let mut opacity = vec![255; part.width * part.height];
        if self.has_alpha {
            let alpha = self.values(part, &[self.bands])?.pop().expect("one band");
            let shift = self.bits - 8;
            opacity.iter_mut().zip(alpha).for_each(|(to, alpha)| *to = (alpha >> shift) as u8);
        }
        if let Some(mask) = &self.mask {
            for (at, to) in opacity.iter_mut().enumerate() {
                if !mask.get(part.x + at % part.width, part.y + at / part.width) {
                    *to = 0;
                }
            }
        }
        if let Some(nodata) = self.nodata.filter(|&value| self.can_be(value)) {
            for (at, to) in opacity.iter_mut().enumerate() {
                if planes.iter().all(|plane| f64::from(plane[at]) == nodata) {
                    *to = 0;
                }
            }
        }
        Ok(Some(opacity))
    }
}

impl Chunks {
    fn new(
        mut decoder: Decoder<BufReader<File>>,
        size: (usize, usize),
        samples: usize,
        bits: u8,
    ) -> Result<Self, String> {
        let planar = decoder.find_tag_unsigned::<u16>(Tag::PlanarConfiguration).map_err(|error| error.to_string())?;
        let interleaved = if planar == Some(2) { 1 } else { samples };
        let (width, height) = match decoder.get_chunk_type() {
            ChunkType::Strip => (size.0, decoder.chunk_dimensions().1.min(size.1 as u32) as usize),
            ChunkType::Tile => {
                let (width, height) = decoder.chunk_dimensions();
                (width as usize, height as usize)
            }
        };
        if width == 0 || height == 0 {
            return Err("its strips or tiles are empty".into());
        }
        let bytes = width.saturating_mul(height).saturating_mul(interleaved * usize::from(bits)) / 8;
        if bytes > MOST_CHUNK {
            return Err(format!("one strip or tile has {bytes} bytes, at most {MOST_CHUNK} are read"));
        }
        let across = size.0.div_ceil(width);
        let per_plane = across * size.1.div_ceil(height);
        // What the header claims has to be in the file.
        let count = match decoder.get_chunk_type() {
            ChunkType::Strip => decoder.strip_count(),
            ChunkType::Tile => decoder.tile_count(),
        };
        let count = count.map_err(|error| error.to_string())? as usize;
        let planes = samples / interleaved;
        if count < per_plane * planes {
            return Err(format!("it has {count} strips or tiles instead of {}", per_plane * planes));
        }
        Ok(Self { decoder, size: (width, height), across, per_plane, interleaved, held: VecDeque::new(), bytes: 0 })
    }
}

/// From YCbCr as JPEG has it (JFIF: full range, ITU-R BT.601).
fn to_rgb(planes: &mut [Vec<u16>]) {
    let [luma, blue, red] = planes else { panic!("three bands make a colour") };
    for ((luma, blue), red) in luma.iter_mut().zip(blue).zip(red) {
        let (y, cb, cr) = (f32::from(*luma), f32::from(*blue) - 128.0, f32::from(*red) - 128.0);
        let whole = |value: f32| value.round().clamp(0.0, 255.0) as u16;
        *luma = whole(y + 1.402 * cr);
        *red = whole(y + 1.772 * cb);
        *blue = whole(y - 0.344_136 * cb - 0.714_136 * cr);
    }
}

fn lock(chunks: &Mutex<Chunks>) -> MutexGuard<'_, Chunks> {
    chunks.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Copies what a chunk covers into a plane of a part.
fn fill(plane: &mut [u16], part: Rect, covered: Rect, value: impl Fn(usize, usize) -> u16) {
    for y in covered.y..covered.y + covered.height {
        let row = &mut plane[(y - part.y) * part.width + covered.x - part.x..][..covered.width];
        row.iter_mut().enumerate().for_each(|(at, to)| *to = value(covered.x + at, y));
    }
}

/// How a raster becomes what a network takes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImageryOptions {
    /// Bands in the order of the network's channels, from 1; without it the first ones.
    pub bands: Option<Vec<usize>>,
    /// The colour that gaps are filled with.
    pub background: [u8; 3],
    /// Least and largest value of each band in use, which become -1 and 1; without it, 16-bit bands take the percentiles 2 and 98.
    pub range: Option<Vec<(u16, u16)>>,
}

/// A raster as a canvas.
pub struct Imagery {
    raster: Raster,
    bands: Vec<usize>,
    range: Vec<(u16, u16)>,
    background: [f32; 3],
}

impl Imagery {
    /// For a network of so many channels. Reads some of the picture when percentiles are needed.
    ///
    /// # Errors
    /// Bands that do not fit, and files that cannot be read.
    pub fn new(raster: Raster, channels: usize, options: &ImageryOptions) -> Result<Self, GeoError> {
        let available = raster.bands();
        let bands = match &options.bands {
            Some(bands) => bands.clone(),
            // Gray fills all channels.
            None if available == 1 => vec![1; channels],
            None => (1..=channels).collect(),
        };
        let fits = bands.len() == channels && bands.iter().all(|&band| band >= 1 && band <= available);
        // A gray model and a colour picture: which band is meant has to be said.
        if !fits || (options.bands.is_none() && channels == 1 && available > 1) {
            let asked = match &options.bands {
                Some(bands) => bands.iter().map(usize::to_string).collect::<Vec<_>>().join(","),
                None => "none".into(),
            };
            return Err(GeoError::Bands { path: raster.path().to_owned(), available, wanted: channels, asked });
        }
        let bands = bands.into_iter().map(|band| band - 1).collect::<Vec<_>>();
        let background = options.background.map(|value| f32::from(value) / 127.5 - 1.0);
        let range = match (&options.range, raster.bits()) {
            (Some(range), _) => range.clone(),
            (None, 8) => vec![(0, 255); channels],
            (None, _) => percentiles(&raster, &bands, [0.02, 0.98])?,
        };
        assert_eq!(range.len(), channels, "a range for each channel");
        Ok(Self { raster, bands, range, background })
    }

    /// The file.
    pub fn raster(&self) -> &Raster {
        &self.raster
    }

    /// Least and largest value of each channel.
    pub fn range(&self) -> &[(u16, u16)] {
        &self.range
    }

    /// Values in `[-1, 1]` and how opaque they are, 0 to 255; `None` where all are opaque by the file's nature.
    ///
    /// # Errors
    /// A damaged file.
    pub(super) fn values(&self, part: Rect) -> Result<(Planes, Option<Vec<u8>>), PixelError> {
        let planes = self.raster.values(part, &self.bands)?;
        let opacity = self.raster.opacity(part, &planes)?;
        let mut values = Vec::with_capacity(planes.len() * part.width * part.height);
        for (plane, (least, largest)) in planes.iter().zip(&self.range) {
            let scale = 2.0 / (f32::from(*largest) - f32::from(*least)).max(1.0);
            let value = |raw: u16| ((f32::from(raw) - f32::from(*least)) * scale - 1.0).clamp(-1.0, 1.0);
            values.extend(plane.iter().map(|&raw| value(raw)));
        }
        Ok((Planes { channels: planes.len(), height: part.height, width: part.width, values }, opacity))
    }

    /// How opaque the pixels of a part are, 0 to 255; `None` where all are opaque by the file's nature.
    ///
    /// # Errors
    /// A damaged file.
    pub fn opacity(&self, part: Rect) -> Result<Option<Vec<u8>>, PixelError> {
        if !self.raster.has_gaps() {
            return Ok(None);
        }
        let planes = self.raster.values(part, &self.bands)?;
        self.raster.opacity(part, &planes)
    }
}

impl Canvas for Imagery {
    fn size(&self) -> (usize, usize) {
        self.raster.size()
    }

    fn read(&self, part: Rect) -> Result<Planes, PixelError> {
        let (mut planes, opacity) = self.values(part)?;
        let area = part.width * part.height;
        for (channel, plane) in planes.values.chunks_exact_mut(area).enumerate() {
            let background = self.background[channel.min(2)];
            for (value, opacity) in plane.iter_mut().zip(opacity.iter().flatten()) {
                let opacity = f32::from(*opacity) / 255.0;
                *value = *value * opacity + background * (1.0 - opacity);
            }
        }
        Ok(planes)
    }
}

/// Percentiles of the values of each band, gaps left out, from a grid of places.
fn percentiles(raster: &Raster, bands: &[usize], fractions: [f64; 2]) -> Result<Vec<(u16, u16)>, PixelError> {
    let (width, height) = raster.size();
    let (grid, side) = SAMPLED;
    let mut counts = vec![vec![0_u64; 1 << 16]; bands.len()];
    for place in 0..grid * grid {
        let at = |index: usize, length: usize| {
            let start = length.saturating_sub(side) * index / (grid - 1);
            (start, side.min(length))
        };
        let ((x, width), (y, height)) = (at(place % grid, width), at(place / grid, height));
        let part = Rect { x, y, width, height };
        let planes = raster.values(part, bands)?;
        let opacity = raster.opacity(part, &planes)?;
        for (counts, plane) in counts.iter_mut().zip(&planes) {
            for (at, &value) in plane.iter().enumerate() {
                if opacity.as_ref().is_none_or(|opacity| opacity[at] > 0) {
                    counts[usize::from(value)] += 1;
                }
            }
        }
    }
    let percentile = |counts: &[u64], fraction: f64| {
        let total = counts.iter().sum::<u64>();
        let wanted = (fraction * total as f64) as u64;
        let mut seen = 0;
        let found = counts.iter().position(|count| {
            seen += count;
            seen > wanted
        });
        found.unwrap_or(0) as u16
    };
    Ok(counts.iter().map(|counts| (percentile(counts, fractions[0]), percentile(counts, fractions[1]))).collect())
}
