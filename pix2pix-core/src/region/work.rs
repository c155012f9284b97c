//! The folder of a work: the plan, finished blocks, what shards say of themselves. What stands under a final name is whole.

use std::{
    fs,
    fs::{File, TryLockError},
    io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Plan, RegionError, plan::FORMAT};
use crate::{
    pixel::encode::write_whole,
    tiles::{TileCoord, TilePicture},
};

/// Longest header of a block.
const MOST_HEADER: u64 = 16 << 20;

/// Some of a plan's blocks: every `count`-th run of them, from `index` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// From 0.
    pub index: usize,
    /// How many there are.
    pub count: usize,
}

impl Shard {
    /// All blocks.
    pub const ALL: Self = Self { index: 0, count: 1 };

    /// The numbers of its blocks of so many: neighbours along the curve stay together, and sizes differ by at most one.
    pub const fn blocks(self, total: usize) -> std::ops::Range<usize> {
        total * self.index / self.count..total * (self.index + 1) / self.count
    }
}

/// What a finished shard says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardReport {
    /// The plan's.
    pub fingerprint: String,
    /// Which shard.
    pub shard: Shard,
    /// Numbers of its blocks, their tiles, and the hashes of their files.
    pub blocks: Vec<(usize, usize, String)>,
}

/// The tiles of one block.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct BlockTiles {
    /// Encoded, sorted by Hilbert number.
    pub files: Vec<(TileCoord, Vec<u8>)>,
    /// The block as one tile, where smaller zooms are to come.
    pub top: Option<TilePicture>,
}

/// The first line of a block's file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    fingerprint: String,
    number: usize,
    /// Tiles and the lengths of their bytes, one after the other.
    tiles: Vec<(TileCoord, u32)>,
    /// Side of the picture behind the tiles, and the length of its packed values.
    top: Option<(usize, u32)>,
    /// Hash of all that follows.
    hash: String,
}

/// A finished block, open to be read.
pub(super) struct BlockFile {
    path: PathBuf,
    file: File,
    start: u64,
    header: Header,
}

/// The folder of a work.
pub struct Work {
    root: PathBuf,
}

impl Work {
    /// The folder of this name, which need not be there yet.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Its name.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn plan_path(&self) -> PathBuf {
        self.root.join("plan.json")
    }

    fn block_path(&self, number: usize) -> PathBuf {
        self.root.join(format!("blocks/{number:08}.block"))
    }

    fn shard_path(&self, shard: Shard) -> PathBuf {
        self.root.join(format!("shards/{}-of-{}.json", shard.index, shard.count))
    }

    /// Makes the folders.
    ///
    /// # Errors
    /// Whatever the system refuses.
    pub fn make(&self) -> Result<(), RegionError> {
        for folder in ["blocks", "shards"].map(|name| self.root.join(name)) {
            fs::create_dir_all(&folder).map_err(refused(&folder))?;
        }
        Ok(())
    }

    /// Keeps others out for as long as the result lives. `what` names the lock: shards have their own.
    ///
    /// # Errors
    /// [`RegionError::InUse`], and whatever the system refuses.
    pub fn lock(&self, what: &str) -> Result<File, RegionError> {
        let path = self.root.join(format!("{what}.lock"));
        let file = File::options().create(true).append(true).open(&path).map_err(refused(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(RegionError::InUse { path: self.root.clone() }),
            Err(TryLockError::Error(source)) => Err(RegionError::Work { path, source }),
        }
    }

    /// The plan; `None` where there is none yet.
    ///
    /// # Errors
    /// A plan that cannot be read or understood.
    pub fn plan(&self) -> Result<Option<Plan>, RegionError> {
        let path = self.plan_path();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(RegionError::Work { path, source }),
        };
        let damaged = |reason: String| RegionError::Damaged { path: path.clone(), reason };
        let plan = serde_json::from_str::<Plan>(&text).map_err(|error| damaged(error.to_string()))?;
        if plan.format != FORMAT {
            return Err(damaged(format!("it has format {}, this version reads {FORMAT}", plan.format)));
        }
        Ok(Some(plan))
    }

    /// Writes the plan.
    ///
    /// # Errors
    /// Whatever the system refuses.
    pub fn put_plan(&self, plan: &Plan) -> Result<(), RegionError> {
        let text = serde_json::to_string_pretty(plan).expect("plans are plain data");
        Ok(write_whole(&self.plan_path(), text.as_bytes())?)
    }

    /// Whether a block of this plan is done.
    ///
    /// # Errors
    /// A block of another plan.
    pub fn has(&self, plan: &Plan, number: usize) -> Result<bool, RegionError> {
        match self.open(plan, number) {
            Ok(_) => Ok(true),
            Err(RegionError::Work { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(false),
            // What is damaged is done again.
            Err(RegionError::Damaged { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn put(&self, plan: &Plan, number: usize, tiles: &BlockTiles) -> Result<(), RegionError> {
        let mut body = Vec::new();
        let mut listed = Vec::with_capacity(tiles.files.len());
        for (coord, bytes) in &tiles.files {
            body.extend_from_slice(bytes);
            listed.push((*coord, bytes.len() as u32));
        }
        let top = tiles.top.as_ref().map(|top| {
            let before = body.len();
            let mut packer = flate2::write::ZlibEncoder::new(&mut body, flate2::Compression::fast());
            std::io::Write::write_all(&mut packer, top.values())
                .and_then(|()| packer.finish().map(drop))
                .expect("memory takes all");
            (top.width(), (body.len() - before) as u32)
        });
        let header = Header {
            format: FORMAT,
            fingerprint: plan.fingerprint.clone(),
            number,
            tiles: listed,
            top,
            hash: blake3::hash(&body).to_hex().to_string(),
        };
        let mut bytes = serde_json::to_vec(&header).expect("headers are plain data");
        bytes.push(b'\n');
        bytes.extend_from_slice(&body);
        Ok(write_whole(&self.block_path(number), &bytes)?)
    }

    /// Opens a block.
    pub(super) fn open(&self, plan: &Plan, number: usize) -> Result<BlockFile, RegionError> {
        let path = self.block_path(number);
        let file = File::open(&path).map_err(refused(&path))?;
        let mut line = Vec::new();
        let mut reader = BufReader::new(&file);
        (&mut reader).take(MOST_HEADER).read_until(b'\n', &mut line).map_err(refused(&path))?;
        let damaged = |reason: String| RegionError::Damaged { path: path.clone(), reason };
        let header = serde_json::from_slice::<Header>(&line).map_err(|error| damaged(error.to_string()))?;
        if header.fingerprint != plan.fingerprint {
            let (found, expected) = (header.fingerprint, plan.fingerprint.clone());
            return Err(RegionError::Fingerprint { path, found, expected });
        }
        let tiles = header.tiles.iter().map(|(_, length)| u64::from(*length)).sum::<u64>();
        let expected = line.len() as u64 + tiles + header.top.map_or(0, |(_, length)| u64::from(length));
        let found = file.metadata().map_err(refused(&path))?.len();
        if found != expected || header.number != number {
            return Err(damaged(format!("it has {found} bytes instead of {expected}")));
        }
        Ok(BlockFile { path, file, start: line.len() as u64, header })
    }

    /// Says what a shard has done.
    ///
    /// # Errors
    /// Blocks that are not there, and whatever the system refuses.
    pub fn put_report(&self, plan: &Plan, shard: Shard) -> Result<ShardReport, RegionError> {
        let blocks = shard.blocks(plan.blocks.len()).map(|number| {
            let block = self.open(plan, number)?;
            Ok((number, block.header.tiles.len(), block.header.hash))
        });
        let blocks = blocks.collect::<Result<Vec<_>, RegionError>>()?;
        let report = ShardReport { fingerprint: plan.fingerprint.clone(), shard, blocks };
        let text = serde_json::to_string_pretty(&report).expect("reports are plain data");
        write_whole(&self.shard_path(shard), text.as_bytes())?;
        Ok(report)
    }

    /// What shards have said.
    ///
    /// # Errors
    /// Reports that cannot be read or understood.
    pub fn reports(&self) -> Result<Vec<ShardReport>, RegionError> {
        let folder = self.root.join("shards");
        let mut reports = Vec::new();
        for entry in fs::read_dir(&folder).map_err(refused(&folder))? {
            let path = entry.map_err(refused(&folder))?.path();
            if path.extension().is_some_and(|ending| ending == "json") {
                let text = fs::read_to_string(&path).map_err(refused(&path))?;
                let report = serde_json::from_str(&text);
                reports.push(report.map_err(|error| RegionError::Damaged { path, reason: error.to_string() })?);
            }
        }
        Ok(reports)
    }

    /// Removes what belongs to the work, and the folder when nothing else is in it.
    ///
    /// # Errors
    /// Whatever the system refuses.
    pub fn remove(self) -> Result<(), RegionError> {
        let gone = |path: &Path, removed: std::io::Result<()>| match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(refused(path)(error)),
            _ => Ok(()),
        };
        for folder in ["blocks", "shards"].map(|name| self.root.join(name)) {
            gone(&folder, fs::remove_dir_all(&folder))?;
        }
        for file in [self.plan_path(), self.root.join("work.lock")] {
            gone(&file, fs::remove_file(&file))?;
        }
        match fs::remove_dir(&self.root) {
            // Somebody keeps other things there.
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
            removed => gone(&self.root, removed),
        }
    }
}

impl BlockFile {
    /// Its tiles.
    pub fn tiles(&self) -> impl Iterator<Item = TileCoord> + '_ {
        self.header.tiles.iter().map(|(coord, _)| *coord)
    }

    /// The hash of its tiles.
    pub fn hash(&self) -> &str {
        &self.header.hash
    }

    /// Its tiles with their bytes, and its picture; all of it is checked.
    pub fn read(mut self) -> Result<BlockTiles, RegionError> {
        let mut body = Vec::new();
        self.file.seek(SeekFrom::Start(self.start)).map_err(refused(&self.path))?;
        self.file.read_to_end(&mut body).map_err(refused(&self.path))?;
        let damaged = |reason: &str| RegionError::Damaged { path: self.path.clone(), reason: reason.to_owned() };
        if blake3::hash(&body).to_hex().as_str() != self.header.hash {
            return Err(damaged("its tiles are not those that were written"));
        }
        let mut files = Vec::with_capacity(self.header.tiles.len());
        let mut rest = body.as_slice();
        for (coord, length) in &self.header.tiles {
            let (bytes, after) = rest.split_at(*length as usize);
            files.push((*coord, bytes.to_vec()));
            rest = after;
        }
        let top = match self.header.top {
            None => None,
            Some((side, _)) => {
                let mut values = Vec::new();
                let unpacked = flate2::read::ZlibDecoder::new(rest).take((4 * side * side) as u64 + 1);
                BufReader::new(unpacked).read_to_end(&mut values).map_err(refused(&self.path))?;
                let picture = TilePicture::from_values(side, side, values);
                Some(picture.ok_or_else(|| damaged("its picture has another size"))?)
            }
        };
        Ok(BlockTiles { files, top })
    }
}

fn refused(path: &Path) -> impl Fn(std::io::Error) -> RegionError + '_ {
    |source| RegionError::Work { path: path.to_owned(), source }
}
