//! Tiles that are files of their own. What a link leads to outside of the folder is not read.

use std::{
    collections::HashMap,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::{
    super::{Metadata, Scheme, TileCoord, TileError, TileFormat, World},
    TileReader,
};

/// The name of the file in which a folder says what it is.
pub const TILE_JSON: &str = "tilejson.json";
/// Endings of tiles.
const ENDINGS: [&str; 4] = ["png", "jpg", "jpeg", "webp"];
const EXPECTED: &str = "looked for are z/x/y.png, x-y-z.png (or jpg, webp), .mbtiles and .pmtiles";

/// A folder of tiles.
pub(super) struct FolderTiles {
    root: PathBuf,
    metadata: Metadata,
    names: Names,
}

enum Names {
    /// `z/x/y.ending`.
    Nested { ending: String },
    /// `x-y-z.ending`, all in one folder.
    Flat(HashMap<TileCoord, PathBuf>),
}

impl FolderTiles {
    pub fn open(path: &Path) -> Result<Self, TileError> {
        let root = path.canonicalize().map_err(TileError::read(path))?;
        let described = root.join(TILE_JSON);
        if described.is_file() {
            let text = fs::read_to_string(&described).map_err(TileError::read(&described))?;
            let refused = |reason: String| TileError::Metadata { path: described.clone(), reason };
            let json = serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
            let metadata = Metadata::from_tile_json(&json).map_err(refused)?;
            let ending = metadata.format.ending().to_owned();
            return Ok(Self { root, metadata, names: Names::Nested { ending } });
        }
        let (zooms, flat) = look(&root, path)?;
        let names = match zooms.first() {
            Some(zoom) => Names::Nested { ending: first_ending(&root.join(zoom.to_string()))?.unwrap_or_default() },
            None => Names::Flat(flat),
        };
        let mut tiles = Self { metadata: undescribed(path), root, names };
        let zooms = match &tiles.names {
            Names::Nested { .. } => zooms,
            Names::Flat(flat) => flat.keys().map(|coord| coord.z).collect(),
        };
        let (Some(&least), Some(&most)) = (zooms.iter().min(), zooms.iter().max()) else {
            return Err(TileError::NoTiles { path: path.to_owned(), expected: EXPECTED });
        };
        (tiles.metadata.min_zoom, tiles.metadata.max_zoom) = (least, most);
        let coords = tiles.coords(most)?;
        if coords.is_empty() {
            return Err(TileError::NoTiles { path: path.to_owned(), expected: EXPECTED });
        }
        tiles.metadata.bounds = bounds(&coords);
        if let Names::Nested { ending } = &tiles.names {
            tiles.metadata.format = format_of(ending);
        } else if let Names::Flat(flat) = &tiles.names {
            let ending = flat.get(&coords[0]).and_then(|path| ending_of(path));
            tiles.metadata.format = format_of(&ending.unwrap_or_default());
        }
        Ok(tiles)
    }

    fn place(&self, coord: TileCoord) -> Option<PathBuf> {
        match &self.names {
            Names::Nested { ending } => {
                let row = if self.metadata.scheme == Scheme::Tms { coord.tms_row() } else { coord.y };
                Some(self.root.join(format!("{}/{}/{row}.{ending}", coord.z, coord.x)))
            }
            Names::Flat(flat) => flat.get(&coord).cloned(),
        }
    }
}

impl TileReader for FolderTiles {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn tile(&self, coord: TileCoord) -> Result<Option<Vec<u8>>, TileError> {
        let Some(path) = self.place(coord) else {
            return Ok(None);
        };
        match path.canonicalize() {
            Ok(found) if found.starts_with(&self.root) && found.is_file() => {
                fs::read(&found).map(Some).map_err(TileError::read(&path))
            }
            Ok(_) => Ok(None),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(TileError::read(&path)(error)),
        }
    }

    fn coords(&self, zoom: u8) -> Result<Vec<TileCoord>, TileError> {
        let Names::Nested { ending } = &self.names else {
            let Names::Flat(flat) = &self.names else { unreachable!("there are two kinds") };
            return Ok(flat.keys().filter(|coord| coord.z == zoom).copied().collect());
        };
        let folder = self.root.join(zoom.to_string());
        let mut coords = Vec::new();
        for column in children(&folder)? {
            let Some(x) = number(&column) else { continue };
            for file in children(&column)? {
                if ending_of(&file).as_deref() != Some(ending) {
                    continue;
                }
                let coord = number(&file.with_extension("")).and_then(|y| TileCoord::new(zoom, x, y));
                coords.extend(coord.map(|coord| match self.metadata.scheme {
                    Scheme::Xyz => coord,
                    Scheme::Tms => TileCoord { y: coord.tms_row(), ..coord },
                }));
            }
        }
        Ok(coords)
    }
}

/// Folders that are zooms, and files that name their tile.
fn look(root: &Path, given: &Path) -> Result<(Vec<u8>, HashMap<TileCoord, PathBuf>), TileError> {
    let (mut zooms, mut flat) = (Vec::new(), HashMap::new());
    for entry in fs::read_dir(root).map_err(TileError::read(given))? {
        let path = entry.map_err(TileError::read(given))?.path();
        let zoom = number(&path).and_then(|zoom| u8::try_from(zoom).ok()).filter(|zoom| *zoom <= 31);
        if let Some(zoom) = zoom.filter(|_| path.is_dir()) {
            zooms.push(zoom);
        } else if ending_of(&path).is_some_and(|ending| ENDINGS.contains(&ending.as_str())) {
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let numbers = stem.split('-').map(|part| part.parse::<u32>().ok()).collect::<Option<Vec<_>>>();
            if let Some([x, y, z]) = numbers.as_deref()
                && let Some(coord) = u8::try_from(*z).ok().and_then(|z| TileCoord::new(z, *x, *y))
            {
                flat.insert(coord, path);
            }
        }
    }
    zooms.sort_unstable();
    Ok((zooms, flat))
}

/// The ending of some tile below a folder of one zoom.
fn first_ending(zoom: &Path) -> Result<Option<String>, TileError> {
    for column in children(zoom)? {
        for file in if column.is_dir() { children(&column)? } else { Vec::new() } {
            if let Some(ending) = ending_of(&file).filter(|ending| ENDINGS.contains(&ending.as_str())) {
                return Ok(Some(ending));
            }
        }
    }
    Ok(None)
}

fn children(folder: &Path) -> Result<Vec<PathBuf>, TileError> {
    match fs::read_dir(folder) {
        Ok(entries) => {
            let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
            paths.map_err(TileError::read(folder))
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(TileError::read(folder)(error)),
    }
}

/// The number that a name is, written as numbers are.
fn number(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    name.parse::<u32>().ok().filter(|number| number.to_string() == name)
}

fn ending_of(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}

fn format_of(ending: &str) -> TileFormat {
    match ending {
        "jpg" | "jpeg" => TileFormat::Jpeg,
        "webp" => TileFormat::Webp,
        _ => TileFormat::Png,
    }
}

/// What is known of tiles that do not say anything.
fn undescribed(path: &Path) -> Metadata {
    Metadata {
        name: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        description: String::new(),
        attribution: String::new(),
        format: TileFormat::Png,
        scheme: Scheme::Xyz,
        tile_size: 256,
        min_zoom: 0,
        max_zoom: 0,
        bounds: [0.0; 4],
        fingerprint: String::new(),
    }
}

/// West, south, east and north of tiles of one zoom in degrees.
fn bounds(coords: &[TileCoord]) -> [f64; 4] {
    let zoom = coords.first().map_or(0, |coord| coord.z);
    let world = World { zoom, tile: 1 };
    let all = coords.iter().map(|coord| world.bounds(world.of_tile(*coord)));
    all.fold([f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY], |all, one| {
        [all[0].min(one[0]), all[1].min(one[1]), all[2].max(one[2]), all[3].max(one[3])]
    })
}
