//! One block: from sources to its tiles of all zooms that lie within it, in one file.

use rayon::prelude::*;

use super::{
    Block, Mosaic, Plan, RegionError,
    mosaic::Drawn,
    plan::tiles_of,
    work::{BlockTiles, Work},
};
use crate::{
    pixel::{Picture, PixelError, Planes, Rect, Samples, Sink},
    tiles::{TileCoord, TilePicture, encode},
    translate::{Parts, Translator},
};

pub use crate::translate::Progress;

/// What became of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Translated {
    /// Tiles of all zooms.
    pub tiles: usize,
    /// Tiles of the largest zoom.
    pub base_tiles: usize,
}

/// Translates the block of a number and puts it into the folder of the work.
///
/// # Errors
/// Sources that cannot be read, what the network refuses, and whatever the system refuses.
pub fn translate(
    plan: &Plan,
    number: usize,
    (translator, mosaic): (&Translator, &Mosaic),
    work: &Work,
    progress: Progress<'_>,
) -> Result<Translated, RegionError> {
    let block = plan.blocks[number];
    let picture = picture(plan, block, (translator, mosaic), progress)?;
    let tiles = match picture {
        Some(picture) => cut(plan, block, picture)?,
        None => BlockTiles::default(),
    };
    let base_tiles = tiles.files.iter().filter(|(coord, _)| coord.z == plan.world.zoom).count();
    work.put(plan, number, &tiles)?;
    Ok(Translated { tiles: tiles.files.len(), base_tiles })
}

/// The translation of a block; `None` where there is nothing.
fn picture(
    plan: &Plan,
    block: Block,
    (translator, mosaic): (&Translator, &Mosaic),
    progress: Progress<'_>,
) -> Result<Option<TilePicture>, RegionError> {
    let all = plan.of_block(block);
    let Some(part) = mosaic.within(all) else {
        return Ok(None);
    };
    let options = plan.options.parts();
    let parts = Parts { translator, canvas: mosaic, options: &options };
    let reach = parts.reach(part);
    let drawn = Drawn { mosaic, part: reach, picture: mosaic.draw(reach)? };
    let source = drawn.picture.part(part.x - reach.x, part.y - reach.y, part.width, part.height);
    let Some(part) = filled(part, &source, plan.world.tile.max(translator.multiple())) else {
        return Ok(None);
    };
    let source = drawn.picture.part(part.x - reach.x, part.y - reach.y, part.width, part.height);
    let mut picture = if plan.options.untranslated {
        source.clone()
    } else {
        let mut sink = Colors { part, picture: TilePicture::empty(part.width, part.height) };
        Parts { canvas: &drawn, ..parts }.translate(part, &plan.statistics, &mut sink, progress)?;
        sink.picture
    };
    // Nothing stays nothing.
    let data = mosaic.within(mosaic.data()).expect("a mosaic holds its data");
    for y in 0..part.height {
        let row = source.pixels()[y * part.width..][..part.width].iter();
        let inside_rows = (data.y..data.y + data.height).contains(&(part.y + y));
        for (x, (to, from)) in picture.row_mut(y).iter_mut().zip(row).enumerate() {
            let inside = inside_rows && (data.x..data.x + data.width).contains(&(part.x + x));
            *to = if inside && from[3] > 0 { [to[0], to[1], to[2], from[3]] } else { [0; 4] };
        }
    }
    let mut whole = TilePicture::empty(all.width, all.height);
    let left = mosaic.to_world(part);
    whole.paste(&picture, (left.x - all.x, left.y - all.y), (0, 0));
    Ok(Some(whole))
}

/// The smallest part in multiples of `align` that holds all that is there.
fn filled(part: Rect, source: &TilePicture, align: usize) -> Option<Rect> {
    let holds = |tile: &Rect| {
        let (right, bottom) = ((tile.x + align).min(part.width), (tile.y + align).min(part.height));
        (tile.y..bottom).any(|y| source.pixels()[y * part.width..][tile.x..right].iter().any(|pixel| pixel[3] > 0))
    };
    let all = Rect { x: 0, y: 0, width: part.width, height: part.height };
    let held = tiles_of(all, align).filter(holds).collect::<Vec<_>>();
    let (x, y) = (held.iter().map(|tile| tile.x).min()?, held.iter().map(|tile| tile.y).min()?);
    let right = held.iter().map(|tile| tile.x + align).max()?.min(part.width);
    let bottom = held.iter().map(|tile| tile.y + align).max()?.min(part.height);
    Some(Rect { x: part.x + x, y: part.y + y, width: right - x, height: bottom - y })
}

/// Colours of a translation.
struct Colors {
    part: Rect,
    picture: TilePicture,
}

impl Sink for Colors {
    fn take(&mut self, part: Rect, values: &Planes) -> Result<(), PixelError> {
        let picture = Picture::from_planes(values);
        let Samples::U8(samples) = picture.samples() else { unreachable!("planes become 8 bits") };
        let channels = values.channels;
        let (x, y) = (part.x - self.part.x, part.y - self.part.y);
        for (row, samples) in samples.chunks_exact(part.width * channels).enumerate() {
            let to = &mut self.picture.row_mut(y + row)[x..][..part.width];
            for (to, pixel) in to.iter_mut().zip(samples.chunks_exact(channels)) {
                *to = [pixel[0], pixel[1.min(channels - 1)], pixel[2.min(channels - 1)], 255];
            }
        }
        Ok(())
    }
}

/// The tiles of a block, from the largest zoom to the one at which it is a tile or that is the smallest.
fn cut(plan: &Plan, block: Block, mut picture: TilePicture) -> Result<BlockTiles, RegionError> {
    let (tile, options) = (plan.world.tile, &plan.options);
    let mut files = Vec::new();
    let mut zoom = plan.world.zoom;
    let last = plan.tile_of(block).z;
    loop {
        let count = (picture.width() / tile) as u32;
        let places = (0..count * count).map(|at| (at % count, at / count)).collect::<Vec<_>>();
        let encoded = places.into_par_iter().map(|(x, y)| {
            let part = picture.part(x as usize * tile, y as usize * tile, tile, tile);
            if part.is_empty() {
                return Ok(None);
            }
            let coord = TileCoord { z: zoom, x: block.x * count + x, y: block.y * count + y };
            encode(&part, options.format, options.quality).map(|bytes| Some((coord, bytes)))
        });
        files.extend(encoded.collect::<Result<Vec<_>, _>>()?.into_iter().flatten());
        if zoom == plan.min_zoom() || zoom == last {
            break;
        }
        picture = picture.halved();
        zoom -= 1;
    }
    // What smaller zooms are made of.
    let top = (zoom == last && zoom > plan.min_zoom()).then_some(picture);
    files.sort_by_key(|(coord, _)| coord.hilbert());
    Ok(BlockTiles { files, top })
}
