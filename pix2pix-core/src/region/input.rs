//! What users have: georeferenced pictures, trees and archives of tiles. Each becomes a layer, and a record that tells it from
//! what it was before.

use std::{
    collections::{HashMap, VecDeque},
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use blake3::Hasher;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{RegionError, RegionOptions};
use crate::{
    checkpoint::SourceKind,
    geo::{Crs, Imagery, ImageryOptions, Layer, Patch, Pixels, Raster, place_of},
    pixel::{
        Picture, PixelError, Rect, byte_to_value,
        decode::{DecodeOptions, read_picture},
    },
    tiles::{TileCoord, TileError, TilePicture, TileReader, World, decode, open},
    translate::Translator,
};

/// Decoded tiles that are held.
const HELD: usize = 192;
/// Pieces of a file that are looked at to see whether it is the same, and bytes of each.
const PIECES: (u64, u64) = (16, 64 << 10);
/// Web Mercator.
const MERCATOR: u16 = 3857;

/// One input as a plan knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Where it is.
    pub path: PathBuf,
    /// Of all that it holds, and of its place.
    pub hash: String,
    /// Of its size and of pieces of it, to see quickly whether it is still the same.
    pub pieces: String,
}

/// Opened inputs.
pub struct Inputs {
    /// What is known of them.
    pub records: Vec<Input>,
    /// What they draw.
    pub layers: Vec<Layer>,
    /// Least and largest value of each channel of inputs of 16 bits.
    pub range: Option<Vec<(u16, u16)>>,
}

impl Inputs {
    /// Opens inputs and reads all of them to know them again.
    ///
    /// # Errors
    /// What cannot be read, has no place or no known coordinate system.
    pub fn open(paths: &[PathBuf], translator: &Translator, options: &RegionOptions) -> Result<Self, RegionError> {
        Self::open_with(paths, translator, options, &[])
    }

    /// Opens the inputs of a plan and sees quickly whether they are still the same.
    ///
    /// # Errors
    /// As [`Self::open`], and an input that changed.
    pub fn again(records: &[Input], translator: &Translator, options: &RegionOptions) -> Result<Self, RegionError> {
        let paths = records.iter().map(|record| record.path.clone()).collect::<Vec<_>>();
        Self::open_with(&paths, translator, options, records)
    }

    fn open_with(
        paths: &[PathBuf],
        translator: &Translator,
        options: &RegionOptions,
        known: &[Input],
    ) -> Result<Self, RegionError> {
        let preprocessing = &translator.description().preprocessing;
        let SourceKind::Picture { channels } = preprocessing.source else {
            return Err(RegionError::Labels { path: translator.path().to_owned() });
        };
        let opened = paths.iter().map(|path| Opened::open(path, options)).collect::<Result<Vec<_>, _>>()?;
        let background = preprocessing.alpha_background;
        let how = |range| ImageryOptions { bands: options.bands.clone(), background, range };
        // Pictures beside each other are stretched alike.
        let mut range = options.range.clone();
        if range.is_none() {
            for opened in &opened {
                if let Source::Raster(raster) = &opened.source
                    && raster.bits() == 16
                {
                    let found = Imagery::new(Raster::open(raster.path())?, channels, &how(None))?.range().to_vec();
                    range = Some(match range {
                        None => found,
                        Some(range) => range
                            .iter()
                            .zip(&found)
                            .map(|(a, b): (&(u16, u16), _)| (a.0.min(b.0), a.1.max(b.1)))
                            .collect(),
                    });
                }
            }
        }
        let (mut records, mut layers) = (Vec::new(), Vec::new());
        for (at, opened) in opened.into_iter().enumerate() {
            let record = match known.get(at) {
                Some(known) => opened.same_as(known)?,
                None => opened.record()?,
            };
            records.push(record);
            let Opened { source, transform, crs, .. } = opened;
            let pixels: Box<dyn Pixels> = match source {
                Source::Raster(raster) => {
                    let range = range.clone().filter(|_| raster.bits() == 16);
                    Box::new(Imagery::new(*raster, channels, &how(range))?)
                }
                Source::Picture(picture) => Box::new(Whole(picture.to_u8().to_channels(3))),
                Source::Tiles(tiles) => tiles,
            };
            layers.push(Layer::new(pixels, transform, crs)?);
        }
        Ok(Self { records, layers, range })
    }
}

enum Source {
    Raster(Box<Raster>),
    Picture(Picture),
    Tiles(Box<TilePixels>),
}

/// One input and its place.
struct Opened {
    path: PathBuf,
    source: Source,
    transform: [f64; 6],
    crs: Crs,
}

impl Opened {
    fn open(path: &Path, options: &RegionOptions) -> Result<Self, RegionError> {
        let path = std::path::absolute(path).map_err(|source| PixelError::Read { path: path.to_owned(), source })?;
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        let ending = ending.unwrap_or_default();
        if path.is_dir() || ending == "mbtiles" || ending == "pmtiles" {
            let tiles = Box::new(TilePixels::open(&path, options)?);
            let (transform, crs) = (tiles.transform(), Crs::from_epsg(MERCATOR)?);
            return Ok(Self { path, source: Source::Tiles(tiles), transform, crs });
        }
        let raster = if ending == "tif" || ending == "tiff" { Some(Box::new(Raster::open(&path)?)) } else { None };
        let place = place_of(&path, raster.as_ref().map(|raster| raster.georeference()), options.src_crs)?;
        let Some(transform) = place.transform() else {
            return Err(RegionError::NoPlace { path });
        };
        let Some(epsg) = place.epsg() else {
            return Err(RegionError::NoSystem { path });
        };
        let source = match raster {
            Some(raster) => Source::Raster(raster),
            None => Source::Picture(read_picture(&path, &DecodeOptions::default())?),
        };
        Ok(Self { path, source, transform, crs: Crs::from_epsg(epsg)? })
    }

    fn place(&self, hasher: &mut Hasher) {
        for number in self.transform {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(&self.crs.epsg().to_le_bytes());
    }

    fn record(&self) -> Result<Input, RegionError> {
        let mut hasher = Hasher::new();
        self.place(&mut hasher);
        match &self.source {
            Source::Tiles(tiles) if tiles.reader.archive().is_none() => tiles.hash(&mut hasher)?,
            _ => hash_file(&self.path, &mut hasher)?,
        }
        let hash = hasher.finalize().to_hex().to_string();
        Ok(Input { path: self.path.clone(), hash, pieces: self.pieces()? })
    }

    fn pieces(&self) -> Result<String, RegionError> {
        let mut hasher = Hasher::new();
        self.place(&mut hasher);
        match &self.source {
            Source::Tiles(tiles) if tiles.reader.archive().is_none() => {
                tiles.coords.iter().for_each(|coord| {
                    hasher.update(&coord.hilbert().to_le_bytes());
                });
            }
            _ => hash_pieces(&self.path, &mut hasher).map_err(refused(&self.path))?,
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    fn same_as(&self, known: &Input) -> Result<Input, RegionError> {
        let found = self.pieces()?;
        if found == known.pieces {
            return Ok(known.clone());
        }
        Err(RegionError::Fingerprint { path: self.path.clone(), found, expected: known.pieces.clone() })
    }
}

fn refused(path: &Path) -> impl Fn(std::io::Error) -> PixelError + '_ {
    |source| PixelError::Read { path: path.to_owned(), source }
}

/// The hash of all of a file.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn hash_file(path: &Path, hasher: &mut Hasher) -> Result<(), PixelError> {
    let file = File::open(path).map_err(refused(path))?;
    hasher.update_reader(file).map(|_| ()).map_err(refused(path))
}

fn hash_pieces(path: &Path, hasher: &mut Hasher) -> std::io::Result<()> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    hasher.update(&length.to_le_bytes());
    let (count, bytes) = PIECES;
    let mut piece = Vec::new();
    for at in 0..count {
        file.seek(SeekFrom::Start(length.saturating_sub(bytes) * at / (count - 1)))?;
        piece.clear();
        (&mut file).take(bytes).read_to_end(&mut piece)?;
        hasher.update(&piece);
    }
    Ok(())
}

/// A picture in memory.
struct Whole(Picture);

impl Pixels for Whole {
    fn size(&self) -> (usize, usize) {
        (self.0.width(), self.0.height())
    }

    fn patch(&self, part: Rect) -> Result<Patch, PixelError> {
        let mut patch = Patch::empty(part.width, part.height);
        for (at, to) in patch.pixels.iter_mut().enumerate() {
            let pixel = self.0.pixel(part.x + at % part.width, part.y + at / part.width);
            *to = [byte_to_value(pixel[0]), byte_to_value(pixel[1]), byte_to_value(pixel[2]), 1.0];
        }
        Ok(patch)
    }
}

/// The tiles of one zoom as one picture.
struct TilePixels {
    path: PathBuf,
    reader: Box<dyn TileReader>,
    zoom: u8,
    /// Side of a tile.
    tile: usize,
    /// Sorted.
    coords: Vec<TileCoord>,
    /// First column and row, and numbers of them.
    first: (u32, u32),
    count: (usize, usize),
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    order: VecDeque<TileCoord>,
    tiles: HashMap<TileCoord, Arc<TilePicture>>,
}

impl TilePixels {
    /// The largest zoom up to the one that is wanted.
    fn open(path: &Path, options: &RegionOptions) -> Result<Self, RegionError> {
        let reader = open(path)?;
        let nothing = || TileError::NoTiles { path: path.to_owned(), expected: "there is none at its largest zoom" };
        let wanted = options.zooms.map_or(u8::MAX, |(_, most)| most + u8::from(options.tile_size == 512));
        let (least, most) = (reader.metadata().min_zoom, reader.metadata().max_zoom);
        let zoom = most.min(wanted).max(least);
        let mut coords = reader.coords(zoom)?;
        coords.sort_unstable();
        let first = *coords.first().ok_or_else(nothing)?;
        let bytes = reader.tile(first)?.ok_or_else(nothing)?;
        let picture = decode(&bytes, &origin(path, first))?;
        let (x, y) = coords.iter().fold((first.x, first.y), |(x, y), coord| (x.min(coord.x), y.min(coord.y)));
        let last = coords.iter().fold((first.x, first.y), |(x, y), coord| (x.max(coord.x), y.max(coord.y)));
        let count = ((last.0 - x + 1) as usize, (last.1 - y + 1) as usize);
        let tile = picture.width();
        Ok(Self { path: path.to_owned(), reader, zoom, tile, coords, first: (x, y), count, held: Mutex::default() })
    }

    fn transform(&self) -> [f64; 6] {
        let world = World { zoom: self.zoom, tile: self.tile };
        let corner = [self.first.0, self.first.1].map(|at| (at as usize * self.tile) as f64);
        let [x, y] = world.to_mercator(corner);
        [x, world.resolution(), 0.0, y, 0.0, -world.resolution()]
    }

    fn hash(&self, hasher: &mut Hasher) -> Result<(), TileError> {
        let hashes = self.coords.par_iter().map(|&coord| {
            let bytes = self.reader.tile(coord)?.unwrap_or_default();
            Ok((coord, blake3::hash(&bytes)))
        });
        for (coord, hash) in hashes.collect::<Result<Vec<_>, TileError>>()? {
            hasher.update(&coord.hilbert().to_le_bytes()).update(hash.as_bytes());
        }
        Ok(())
    }

    /// A tile; `None` where there is none.
    fn tile(&self, coord: TileCoord) -> Result<Option<Arc<TilePicture>>, PixelError> {
        if self.coords.binary_search(&coord).is_err() {
            return Ok(None);
        }
        let lock = || self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = lock().tiles.get(&coord) {
            return Ok(Some(Arc::clone(found)));
        }
        let origin = origin(&self.path, coord);
        let damaged = |reason: String| PixelError::Decode { path: origin.clone(), reason };
        let bytes = self.reader.tile(coord).map_err(|error| damaged(error.to_string()))?;
        let Some(bytes) = bytes else {
            return Err(damaged("it was listed and is gone".into()));
        };
        let picture = decode(&bytes, &origin)?;
        if (picture.width(), picture.height()) != (self.tile, self.tile) {
            let (width, height) = (picture.width(), picture.height());
            return Err(damaged(format!("it has {width}x{height} pixels, others have {0}x{0}", self.tile)));
        }
        let picture = Arc::new(picture);
        let mut held = lock();
        held.order.push_back(coord);
        held.tiles.insert(coord, Arc::clone(&picture));
        if held.order.len() > HELD {
            let oldest = held.order.pop_front().expect("there are more than none");
            held.tiles.remove(&oldest);
        }
        Ok(Some(picture))
    }

    /// The tiles that a part touches.
    fn touched(&self, part: Rect) -> impl Iterator<Item = (TileCoord, (usize, usize))> + use<> {
        let (tile, zoom, first) = (self.tile, self.zoom, self.first);
        let columns = part.x / tile..(part.x + part.width).div_ceil(tile);
        let rows = part.y / tile..(part.y + part.height).div_ceil(tile);
        rows.flat_map(move |row| columns.clone().map(move |column| (column, row))).map(move |(column, row)| {
            let coord = TileCoord { z: zoom, x: first.0 + column as u32, y: first.1 + row as u32 };
            (coord, (column * tile, row * tile))
        })
    }
}

fn origin(path: &Path, coord: TileCoord) -> PathBuf {
    path.join(format!("{}/{}/{}", coord.z, coord.x, coord.y))
}

impl Pixels for TilePixels {
    fn size(&self) -> (usize, usize) {
        (self.count.0 * self.tile, self.count.1 * self.tile)
    }

    fn patch(&self, part: Rect) -> Result<Patch, PixelError> {
        let mut patch = Patch::empty(part.width, part.height);
        for (coord, (left, top)) in self.touched(part) {
            let Some(tile) = self.tile(coord)? else { continue };
            let (x, y) = (part.x.max(left), part.y.max(top));
            let (right, bottom) =
                ((part.x + part.width).min(left + self.tile), (part.y + part.height).min(top + self.tile));
            for row in y..bottom {
                let from = &tile.pixels()[(row - top) * self.tile + x - left..][..right - x];
                let to = &mut patch.pixels[(row - part.y) * part.width + x - part.x..][..right - x];
                for (to, [red, green, blue, opacity]) in to.iter_mut().zip(from) {
                    let [red, green, blue] = [red, green, blue].map(|byte| byte_to_value(*byte));
                    *to = [red, green, blue, f32::from(*opacity) / 255.0];
                }
            }
        }
        Ok(patch)
    }

    fn holds(&self, part: Rect) -> bool {
        self.touched(part).any(|(coord, _)| self.coords.binary_search(&coord).is_ok())
    }
}
