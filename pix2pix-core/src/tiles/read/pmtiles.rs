//! Tiles in one file with directories (PMTiles, version 3).

use std::{
    collections::HashMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use flate2::read::GzDecoder;
use pmtiles::{Compression, TileId, TileType};
use serde_json::Value;

use super::{
    super::{Metadata, Scheme, TileCoord, TileError, TileFormat},
    TileReader,
};

/// Bytes of the header.
const HEADER: usize = 127;
/// Most bytes of a directory or of the metadata, unpacked.
const MOST: u64 = 256 << 20;
/// Directories that are held.
const HELD: usize = 256;

/// One line of a directory. Run length 0: another directory.
#[derive(Clone, Copy, Debug)]
struct Entry {
    id: u64,
    offset: u64,
    length: u32,
    run: u32,
}

/// Where the parts of the file lie.
#[derive(Clone, Copy)]
struct Layout {
    leaves: u64,
    tiles: u64,
    end: u64,
    internal: Compression,
    of_tiles: Compression,
}

/// A PMTiles archive.
pub(super) struct PmTiles {
    path: PathBuf,
    metadata: Metadata,
    layout: Layout,
    file: Mutex<File>,
    root: Arc<Vec<Entry>>,
    leaves: Mutex<HashMap<u64, Arc<Vec<Entry>>>>,
}

impl PmTiles {
    pub fn open(path: &Path) -> Result<Self, TileError> {
        let mut file = File::open(path).map_err(TileError::read(path))?;
        let damaged = |reason: String| TileError::Archive { path: path.to_owned(), kind: "PMTiles", reason };
        let end = file.metadata().map_err(TileError::read(path))?.len();
        let mut bytes = [0; HEADER];
        file.read_exact(&mut bytes).map_err(|_| damaged(format!("it has {end} bytes, fewer than a header")))?;
        let header = pmtiles::Header::try_from_bytes(Bytes::copy_from_slice(&bytes));
        let header = header.map_err(|error| damaged(error.to_string()))?;
        let at = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        let [root, root_length, metadata, metadata_length, leaves, _, tiles] = [8, 16, 24, 32, 40, 48, 56].map(at);
        let layout =
            Layout { leaves, tiles, end, internal: header.internal_compression(), of_tiles: header.tile_compression };
        let packed =
            |file: &mut File, offset, length| unpacked(&section(file, layout, offset, length)?, layout.internal);
        let root = packed(&mut file, root, root_length).and_then(|bytes| directory(&bytes)).map_err(damaged)?;
        let text = packed(&mut file, metadata, metadata_length).map_err(damaged)?;
        let json = serde_json::from_slice::<Value>(&text).map_err(|error| damaged(error.to_string()))?;
        let format = match header.tile_type {
            TileType::Png => TileFormat::Png,
            TileType::Jpeg => TileFormat::Jpeg,
            TileType::Webp => TileFormat::Webp,
            other => return Err(damaged(format!("it holds {other:?} tiles; png, jpg and webp are read"))),
        };
        let described = Metadata::from_tile_json(&json).map_err(damaged)?;
        let metadata = Metadata {
            format,
            scheme: Scheme::Xyz,
            min_zoom: header.min_zoom,
            max_zoom: header.max_zoom,
            bounds: [header.min_longitude, header.min_latitude, header.max_longitude, header.max_latitude],
            ..described
        };
        Ok(Self {
            path: path.to_owned(),
            metadata,
            layout,
            file: Mutex::new(file),
            root: Arc::new(root),
            leaves: Mutex::default(),
        })
    }

    fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>, String> {
        section(&mut self.file.lock().unwrap_or_else(PoisonError::into_inner), self.layout, offset, length)
    }

    fn leaf(&self, entry: Entry) -> Result<Arc<Vec<Entry>>, String> {
        let mut held = self.leaves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = held.get(&entry.offset) {
            return Ok(Arc::clone(found));
        }
        let offset = self.layout.leaves.checked_add(entry.offset).ok_or("a directory lies nowhere")?;
        let bytes = unpacked(&self.read(offset, entry.length.into())?, self.layout.internal)?;
        let found = Arc::new(directory(&bytes)?);
        if held.len() >= HELD {
            held.clear();
        }
        held.insert(entry.offset, Arc::clone(&found));
        Ok(found)
    }

    fn find(&self, id: u64) -> Result<Option<Vec<u8>>, String> {
        let mut directory = Arc::clone(&self.root);
        // A root and leaves; more levels than these are a circle.
        for _ in 0..4 {
            let after = directory.partition_point(|entry| entry.id <= id);
            let Some(entry) = after.checked_sub(1).map(|at| directory[at]) else {
                return Ok(None);
            };
            if entry.run == 0 {
                directory = self.leaf(entry)?;
            } else if id - entry.id < u64::from(entry.run) {
                let offset = self.layout.tiles.checked_add(entry.offset).ok_or("a tile lies nowhere")?;
                let bytes = self.read(offset, entry.length.into())?;
                return unpacked(&bytes, self.layout.of_tiles).map(Some);
            } else {
                return Ok(None);
            }
        }
        Err("its directories go in circles".into())
    }

    fn list(&self, directory: &[Entry], zoom: u8, level: usize, to: &mut Vec<TileCoord>) -> Result<(), String> {
        for entry in directory {
            if entry.run == 0 {
                if level == 4 {
                    return Err("its directories go in circles".into());
                }
                self.list(&self.leaf(*entry)?, zoom, level + 1, to)?;
                continue;
            }
            for id in entry.id..entry.id.saturating_add(entry.run.into()) {
                let coord = TileId::new(id).map(pmtiles::TileCoord::from).map_err(|error| error.to_string())?;
                if coord.z() == zoom {
                    to.extend(TileCoord::new(zoom, coord.x(), coord.y()));
                } else if coord.z() > zoom {
                    break;
                }
            }
        }
        Ok(())
    }

    fn damaged(&self, reason: String) -> TileError {
        TileError::Archive { path: self.path.clone(), kind: "PMTiles", reason }
    }
}

impl TileReader for PmTiles {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn tile(&self, coord: TileCoord) -> Result<Option<Vec<u8>>, TileError> {
        self.find(coord.hilbert()).map_err(|reason| self.damaged(reason))
    }

    fn coords(&self, zoom: u8) -> Result<Vec<TileCoord>, TileError> {
        let mut coords = Vec::new();
        self.list(&self.root, zoom, 0, &mut coords).map_err(|reason| self.damaged(reason))?;
        Ok(coords)
    }

    fn archive(&self) -> Option<&Path> {
        Some(&self.path)
    }
}

/// Some bytes of the file.
fn section(file: &mut File, layout: Layout, offset: u64, length: u64) -> Result<Vec<u8>, String> {
    if length > MOST || offset.checked_add(length).is_none_or(|end| end > layout.end) {
        return Err(format!("{length} bytes from {offset} on lie beyond its end"));
    }
    let mut bytes = vec![0; length as usize];
    file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(&mut bytes)).map_err(|error| error.to_string())?;
    Ok(bytes)
}

fn unpacked(bytes: &[u8], compression: Compression) -> Result<Vec<u8>, String> {
    match compression {
        Compression::None | Compression::Unknown => Ok(bytes.to_vec()),
        Compression::Gzip => {
            let mut out = Vec::new();
            GzDecoder::new(bytes).take(MOST).read_to_end(&mut out).map_err(|error| error.to_string())?;
            Ok(out)
        }
        other => Err(format!("it is packed with {other:?}; gzip is read")),
    }
}

/// A directory: the number of entries, then all ids as differences, all runs, all lengths, all offsets (0: after the one before).
fn directory(mut bytes: &[u8]) -> Result<Vec<Entry>, String> {
    let mut number = || -> Result<u64, String> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = bytes.split_first().ok_or("a directory is cut off")?;
            bytes = rest;
            value |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Ok(value);
            }
        }
        Err("a number has no end".into())
    };
    let count = number()? as usize;
    let mut entries = Vec::new();
    let mut id = 0_u64;
    for _ in 0..count {
        id = id.checked_add(number()?).ok_or("a tile's number is too large")?;
        entries.push(Entry { id, offset: 0, length: 0, run: 0 });
    }
    let short = |value: u64| u32::try_from(value).map_err(|_| "a number is too large".to_owned());
    for entry in &mut entries {
        entry.run = short(number()?)?;
    }
    for entry in &mut entries {
        entry.length = short(number()?)?;
    }
    let mut next = 0_u64;
    for entry in &mut entries {
        entry.offset = match number()? {
            0 => next,
            offset => offset - 1,
        };
        next = entry.offset.saturating_add(entry.length.into());
    }
    Ok(entries)
}
