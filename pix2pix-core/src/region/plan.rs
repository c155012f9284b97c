//! What there is to do, and everything that the result depends on.

use std::path::{Path, PathBuf};

use blake3::Hasher;
use serde::{Deserialize, Serialize};

use super::{Input, Inputs, Mosaic, RegionError, input::hash_file};
use crate::{
    checkpoint::SourceKind,
    kernels::Precision,
    pixel::{Canvas, PixelError, Rect},
    tiles::{TileCoord, TileFormat, World, coord::MOST_ZOOM},
    translate::{PartOptions, Parts, Progress, Statistics, TestMode, TranslateOptions, Translator},
};

/// Raised when a plan or a block would be misunderstood by earlier versions.
pub(super) const FORMAT: u32 = 1;
/// Pictures of at most so many pixels give statistics everywhere.
const SMALL: usize = 4608 * 4608;
/// Larger ones in so many squares of this side.
const SAMPLED: (usize, usize) = (9, 1024);

/// What is made of a region, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegionOptions {
    /// Smallest and largest zoom; without it the largest is the one that comes nearest to the inputs' pixels, and the smallest the
    /// one at which all fits into the size of a tile.
    pub zooms: Option<(u8, u8)>,
    /// Side of a tile in pixels, 256 or 512.
    pub tile_size: usize,
    /// Format of tiles.
    pub format: TileFormat,
    /// Quality of JPEG tiles, 1 to 100.
    pub quality: u8,
    /// Bands of GeoTIFF files in the order of the model's channels, from 1.
    pub bands: Option<Vec<usize>>,
    /// Coordinate system of inputs that do not say theirs.
    pub src_crs: Option<u16>,
    /// Least and largest value of each channel of inputs of 16 bits; without it, percentiles.
    pub range: Option<Vec<(u16, u16)>>,
    /// Whose statistics the norms use.
    pub test_mode: TestMode,
    /// In what convolutions multiply.
    pub precision: Precision,
    /// Statistics from all windows, and context as far as the network reaches.
    pub exact: bool,
    /// Leave the network out: tiles of the inputs as they are, for comparing.
    pub untranslated: bool,
    /// Longest side of a window, in pixels.
    pub window: usize,
    /// Side of a block, in pixels: a power of two.
    pub block: usize,
}

impl Default for RegionOptions {
    fn default() -> Self {
        Self {
            zooms: None,
            tile_size: 256,
            format: TileFormat::Png,
            quality: 85,
            bands: None,
            src_crs: None,
            range: None,
            test_mode: TestMode::Image,
            precision: Precision::F32,
            exact: false,
            untranslated: false,
            window: 1024,
            block: 4096,
        }
    }
}

impl RegionOptions {
    /// How the network works on it.
    pub fn parts(&self) -> PartOptions {
        let translate = TranslateOptions { test_mode: self.test_mode, precision: self.precision, ..Default::default() };
        PartOptions { translate, window: self.window, exact: self.exact }
    }

    fn check(&self, translator: &Translator) -> Result<(), RegionError> {
        let refuse = |reason: String| Err(RegionError::Options { reason });
        if let Some((least, most)) = self.zooms
            && (least > most || most > MOST_ZOOM)
        {
            return Err(RegionError::Zooms { least, most });
        }
        if !matches!(self.tile_size, 256 | 512) {
            return refuse(format!("tiles have 256 or 512 pixels a side, not {}", self.tile_size));
        }
        if !(1..=100).contains(&self.quality) {
            return refuse(format!("quality goes from 1 to 100, found {}", self.quality));
        }
        let least = translator.multiple().max(self.tile_size);
        if !self.block.is_power_of_two() || self.block < least {
            return refuse(format!(
                "a block has a power of two of pixels a side, at least {least}, not {}",
                self.block
            ));
        }
        Ok(())
    }
}

/// A square of the world, counted in squares of its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Column.
    pub x: u32,
    /// Row.
    pub y: u32,
    /// Its tiles at the largest zoom that may hold something.
    pub tiles: u32,
}

/// A plan: what is translated, how, and in which blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// See the room's constant of this name.
    pub format: u32,
    /// Version of this toolkit that made the plan.
    pub version: String,
    /// Of model, options and inputs.
    pub fingerprint: String,
    /// The checkpoint.
    pub model: PathBuf,
    /// Its hash.
    pub model_hash: String,
    /// The inputs.
    pub inputs: Vec<Input>,
    /// The options, with zooms and ranges as they came out.
    pub options: RegionOptions,
    /// The largest zoom.
    pub world: World,
    /// Where there is data: first column and row, and numbers of them, in the world's pixels.
    pub data: [usize; 4],
    /// Blocks with something in them, along the Hilbert curve.
    pub blocks: Vec<Block>,
    /// Moments of the norms.
    pub statistics: Statistics,
}

impl Plan {
    /// The smallest zoom.
    pub fn min_zoom(&self) -> u8 {
        self.options.zooms.map_or(0, |(least, _)| least)
    }

    /// West, south, east and north in degrees.
    pub fn bounds(&self) -> [f64; 4] {
        let [x, y, width, height] = self.data;
        self.world.bounds(Rect { x, y, width, height })
    }

    /// Number of tiles at the largest zoom that may hold something, of some blocks.
    pub fn num_tiles(&self, blocks: std::ops::Range<usize>) -> usize {
        self.blocks[blocks].iter().map(|block| block.tiles as usize).sum()
    }

    /// How many zooms below the largest a block is one tile.
    pub fn levels(&self) -> u8 {
        levels(&self.options, self.world)
    }

    /// The pixels of a block.
    pub fn of_block(&self, block: Block) -> Rect {
        of_block(&self.options, self.world, block)
    }

    /// The tile that a block is, some zooms below the largest.
    pub fn tile_of(&self, block: Block) -> TileCoord {
        TileCoord { z: self.world.zoom - self.levels(), x: block.x, y: block.y }
    }

    /// The inputs as one picture, opened again.
    ///
    /// # Errors
    /// Inputs that cannot be read or have changed; a model that is not the plan's.
    pub fn open(&self, translator: &Translator) -> Result<Mosaic, RegionError> {
        let found = hash_model(translator.path())?;
        if found != self.model_hash {
            let (path, expected) = (translator.path().to_owned(), self.model_hash.clone());
            return Err(RegionError::Fingerprint { path, found, expected });
        }
        let inputs = Inputs::again(&self.inputs, translator, &self.options)?;
        Ok(mosaic(inputs, self.world, translator))
    }
}

fn levels(options: &RegionOptions, world: World) -> u8 {
    ((options.block / options.tile_size).ilog2() as u8).min(world.zoom)
}

fn of_block(options: &RegionOptions, world: World, block: Block) -> Rect {
    let side = world.tile << levels(options, world);
    Rect { x: block.x as usize * side, y: block.y as usize * side, width: side, height: side }
}

fn mosaic(inputs: Inputs, world: World, translator: &Translator) -> Mosaic {
    let preprocessing = &translator.description().preprocessing;
    let channels = match preprocessing.source {
        SourceKind::Picture { channels } => channels,
        SourceKind::Labels { .. } => unreachable!("inputs are opened for models that take pictures"),
    };
    let align = translator.multiple().max(world.tile);
    Mosaic::new(inputs.layers, world, align, (channels, preprocessing.alpha_background))
}

fn hash_model(path: &Path) -> Result<String, PixelError> {
    let mut hasher = Hasher::new();
    hash_file(path, &mut hasher)?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// Plans a region. `known` is an earlier plan of the same place: its statistics are used when nothing has changed.
///
/// # Errors
/// Inputs that cannot be used, options that do not fit, regions that hold nothing.
pub fn plan(
    paths: &[PathBuf],
    translator: &Translator,
    options: &RegionOptions,
    known: Option<Plan>,
    progress: Progress<'_>,
) -> Result<(Plan, Mosaic), RegionError> {
    options.check(translator)?;
    let model_hash = hash_model(translator.path())?;
    let inputs = Inputs::open(paths, translator, options)?;
    let world = match options.zooms {
        Some((_, most)) => World { zoom: most, tile: options.tile_size },
        None => {
            let finest = inputs.layers.iter().map(crate::geo::Layer::resolution).fold(f64::INFINITY, f64::min);
            World::nearest(finest, options.tile_size)
        }
    };
    let mut options = RegionOptions { range: inputs.range.clone(), ..options.clone() };
    let records = inputs.records.clone();
    let mosaic = mosaic(inputs, world, translator);
    let data = mosaic.data();
    let fits = data.width.max(data.height).div_ceil(world.tile).next_power_of_two().ilog2() as u8;
    options.zooms.get_or_insert((world.zoom.saturating_sub(fits), world.zoom));
    let fingerprint = fingerprint(&model_hash, &options, &records);
    if let Some(known) = known
        && known.fingerprint == fingerprint
    {
        return Ok((known, mosaic));
    }
    let blocks = blocks(&mosaic, &options, world);
    if blocks.is_empty() {
        return Err(RegionError::Nothing { zoom: world.zoom });
    }
    let part_options = options.parts();
    let parts = Parts { translator, canvas: &mosaic, options: &part_options };
    let statistics = if options.untranslated {
        Statistics::default()
    } else {
        parts.statistics(&sampled(&mosaic, &options, world, (&blocks, translator.multiple())), progress)?
    };
    let plan = Plan {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        fingerprint,
        model: std::path::absolute(translator.path())
            .map_err(|source| PixelError::Read { path: translator.path().to_owned(), source })?,
        model_hash,
        inputs: records,
        data: [data.x, data.y, data.width, data.height],
        options,
        world,
        blocks,
        statistics,
    };
    Ok((plan, mosaic))
}

fn fingerprint(model: &str, options: &RegionOptions, inputs: &[Input]) -> String {
    let inputs = inputs.iter().map(|input| &input.hash).collect::<Vec<_>>();
    let all = serde_json::json!({ "format": FORMAT, "model": model, "options": options, "inputs": inputs });
    blake3::hash(all.to_string().as_bytes()).to_hex().to_string()
}

/// Blocks that may hold something, along the Hilbert curve.
fn blocks(mosaic: &Mosaic, options: &RegionOptions, world: World) -> Vec<Block> {
    let (data, side) = (mosaic.data(), world.tile << levels(options, world));
    let mut blocks = Vec::new();
    for y in data.y / side..(data.y + data.height).div_ceil(side) {
        for x in data.x / side..(data.x + data.width).div_ceil(side) {
            let block = Block { x: x as u32, y: y as u32, tiles: 0 };
            let all = of_block(options, world, block);
            if !mosaic.holds(all) {
                continue;
            }
            let tiles = tiles_of(all, world.tile).filter(|tile| mosaic.within(*tile).is_some() && mosaic.holds(*tile));
            blocks.push(Block { tiles: tiles.count() as u32, ..block });
        }
    }
    let zoom = world.zoom - levels(options, world);
    blocks.sort_by_key(|block| TileCoord { z: zoom, x: block.x, y: block.y }.hilbert());
    blocks
}

/// The tiles of a part that begins and ends with tiles, row by row.
pub(super) fn tiles_of(part: Rect, tile: usize) -> impl Iterator<Item = Rect> {
    let rows = (part.y..part.y + part.height).step_by(tile);
    rows.flat_map(move |y| {
        (part.x..part.x + part.width).step_by(tile).map(move |x| Rect { x, y, width: tile, height: tile })
    })
}

/// Parts that statistics are taken from, in columns and rows of the mosaic.
fn sampled(mosaic: &Mosaic, options: &RegionOptions, world: World, (blocks, multiple): (&[Block], usize)) -> Vec<Rect> {
    let (width, height) = mosaic.size();
    if width * height <= SMALL {
        return vec![Rect { x: 0, y: 0, width, height }];
    }
    let (count, side) = SAMPLED;
    // Where much is nothing, little is to be learnt.
    let most = blocks.iter().map(|block| block.tiles).max().unwrap_or(0);
    let blocks = blocks.iter().filter(|block| 2 * block.tiles >= most).collect::<Vec<_>>();
    let count = count.min(blocks.len());
    let middle = |at: usize| {
        let block = blocks[(2 * at + 1) * blocks.len() / (2 * count)];
        let all = mosaic.within(of_block(options, world, *block)).expect("blocks hold something");
        let inner = |start: usize, length: usize| {
            let from = start + length.saturating_sub(side) / 2 / multiple * multiple;
            (from, side.min(start + length - from))
        };
        let ((x, width), (y, height)) = (inner(all.x, all.width), inner(all.y, all.height));
        Rect { x, y, width, height }
    };
    (0..count).map(middle).collect()
}
