//! Finished blocks become one export; the zooms at which a tile mixes several blocks are made here.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    path::Path,
};

use super::{Plan, Progress, RegionError, Work};
use crate::{
    tiles::{Metadata, Scheme, TileCoord, TilePicture, create, encode},
    translate::TranslateError,
};

/// What an export says of itself beside its plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Export {
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
    /// Whose pictures these are.
    pub attribution: String,
    /// How rows are numbered in a folder.
    pub scheme: Scheme,
}

impl Export {
    /// All that is known of the tiles of a plan.
    pub fn metadata(&self, plan: &Plan) -> Metadata {
        Metadata {
            name: self.name.clone(),
            description: self.description.clone(),
            attribution: self.attribution.clone(),
            format: plan.options.format,
            scheme: self.scheme,
            tile_size: plan.world.tile,
            min_zoom: plan.min_zoom(),
            max_zoom: plan.world.zoom,
            bounds: plan.bounds(),
            fingerprint: plan.fingerprint.clone(),
        }
    }
}

/// Writes all tiles of a finished work to a folder or an archive. Gives their number.
///
/// # Errors
/// Blocks that are missing, damaged or of another plan; reports of shards that overlap or tell of other blocks than there are;
/// whatever the system refuses.
pub fn merge(
    work: &Work,
    plan: &Plan,
    to: &Path,
    export: &Export,
    progress: Progress<'_>,
) -> Result<usize, RegionError> {
    check_reports(work, plan)?;
    // Which block a tile is in; small zooms are kept here.
    let mut places = BTreeMap::new();
    let mut missing = Vec::new();
    let mut filled = BTreeMap::new();
    for (number, block) in plan.blocks.iter().enumerate() {
        match work.open(plan, number) {
            Ok(file) => {
                let mut tiles = file.tiles().peekable();
                if tiles.peek().is_some() {
                    filled.insert(plan.tile_of(*block), number);
                }
                places.extend(tiles.map(|coord| (coord.hilbert(), (coord, number))));
            }
            Err(RegionError::Work { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                missing.push(number);
            }
            Err(error) => return Err(error),
        }
    }
    if !missing.is_empty() {
        return Err(RegionError::Incomplete { missing, total: plan.blocks.len() });
    }
    let small = Small::new(work, plan, filled).make()?;
    let total = places.len() + small.len();
    let mut writer = create(to, &export.metadata(plan))?;
    let mut done = 0;
    let mut held: Option<(usize, BTreeMap<TileCoord, Vec<u8>>)> = None;
    let mut tell = |done: usize| match progress(done, total) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(TranslateError::Stopped),
    };
    // The small zooms come first along the curve.
    for (coord, bytes) in small.into_values() {
        writer.put(coord, &bytes)?;
        done += 1;
    }
    for (coord, number) in places.into_values() {
        if held.as_ref().is_none_or(|(holds, _)| *holds != number) {
            held = Some((number, work.open(plan, number)?.read()?.files.into_iter().collect()));
        }
        let bytes = held.as_ref().and_then(|(_, files)| files.get(&coord)).expect("it was listed in this block");
        writer.put(coord, bytes)?;
        done += 1;
        tell(done)?;
    }
    writer.finish()?;
    Ok(total)
}

/// What shards say of themselves must agree with what is there.
fn check_reports(work: &Work, plan: &Plan) -> Result<(), RegionError> {
    let mut told = BTreeMap::new();
    for report in work.reports()? {
        let path = work.root().join("shards");
        if report.fingerprint != plan.fingerprint {
            let (found, expected) = (report.fingerprint, plan.fingerprint.clone());
            return Err(RegionError::Fingerprint { path, found, expected });
        }
        for (number, _, hash) in report.blocks {
            let damaged = |reason: String| RegionError::Damaged { path: path.clone(), reason };
            if number >= plan.blocks.len() {
                return Err(damaged(format!("block {number} is not in the plan")));
            }
            let found = work.open(plan, number)?.hash().to_owned();
            if found != hash {
                return Err(damaged(format!("block {number} is not the one that shard {:?} wrote", report.shard)));
            }
            if let Some(other) = told.insert(number, report.shard)
                && other.count == report.shard.count
            {
                return Err(damaged(format!(
                    "block {number} belongs to shards {} and {}",
                    other.index, report.shard.index
                )));
            }
        }
    }
    Ok(())
}

/// Zooms below those of blocks.
struct Small<'a> {
    work: &'a Work,
    plan: &'a Plan,
    /// Numbers of blocks that hold something, by the tiles that they are.
    filled: BTreeMap<TileCoord, usize>,
    /// All tiles of smaller zooms that hold one of these.
    above: BTreeSet<TileCoord>,
    done: BTreeMap<u64, (TileCoord, Vec<u8>)>,
}

impl<'a> Small<'a> {
    fn new(work: &'a Work, plan: &'a Plan, filled: BTreeMap<TileCoord, usize>) -> Self {
        let mut above = BTreeSet::new();
        for block in filled.keys() {
            let mut coord = *block;
            while coord.z > plan.min_zoom() && above.insert(coord.parent()) {
                coord = coord.parent();
            }
        }
        Self { work, plan, filled, above, done: BTreeMap::new() }
    }

    fn make(mut self) -> Result<BTreeMap<u64, (TileCoord, Vec<u8>)>, RegionError> {
        let tops = self.above.iter().filter(|coord| coord.z == self.plan.min_zoom()).copied().collect::<Vec<_>>();
        for top in tops {
            self.picture(top)?;
        }
        Ok(self.done)
    }

    /// The picture of a tile, from those of its children.
    fn picture(&mut self, coord: TileCoord) -> Result<Option<TilePicture>, RegionError> {
        if let Some(&number) = self.filled.get(&coord) {
            return Ok(self.work.open(self.plan, number)?.read()?.top);
        }
        if !self.above.contains(&coord) {
            return Ok(None);
        }
        let side = self.plan.world.tile;
        let mut four = TilePicture::empty(2 * side, 2 * side);
        for (at, child) in coord.children().into_iter().enumerate() {
            if let Some(picture) = self.picture(child)? {
                four.paste(&picture, (at % 2 * side, at / 2 * side), (0, 0));
            }
        }
        let picture = four.halved();
        let options = &self.plan.options;
        let bytes = encode(&picture, options.format, options.quality)?;
        self.done.insert(coord.hilbert(), (coord, bytes));
        Ok(Some(picture))
    }
}
