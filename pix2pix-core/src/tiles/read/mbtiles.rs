//! Tiles in an SQLite file (MBTiles 1.3).

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use serde_json::{Map, Value};

use super::{
    super::{Metadata, TileCoord, TileError},
    TileReader,
};

/// An MBTiles archive.
pub(super) struct MbTiles {
    path: PathBuf,
    metadata: Metadata,
    connection: Mutex<Connection>,
}

impl MbTiles {
    pub fn open(path: &Path) -> Result<Self, TileError> {
        std::fs::File::open(path).map_err(TileError::read(path))?;
        let failed = |error: rusqlite::Error| damaged(path, &error);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        let mut json = Map::new();
        {
            let mut rows = connection.prepare("SELECT name, value FROM metadata").map_err(failed)?;
            let rows = rows.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
            for row in rows.map_err(failed)? {
                let (name, value) = row.map_err(failed)?;
                json.insert(name, Value::String(value));
            }
        }
        // Not all say their zooms.
        let zoom = |which: &str| {
            let query = format!("SELECT {which}(zoom_level) FROM tiles");
            connection.query_row(&query, [], |row| row.get::<_, Option<u8>>(0))
        };
        for (key, which) in [("minzoom", "min"), ("maxzoom", "max")] {
            match zoom(which).map_err(failed)? {
                Some(zoom) => json.insert(key.into(), zoom.into()),
                None => return Err(TileError::NoTiles { path: path.to_owned(), expected: "its table has no rows" }),
            };
        }
        if let Some(side) = json.get("tile_size").and_then(Value::as_str).and_then(|side| side.parse::<u64>().ok()) {
            json.insert("tile_size".into(), side.into());
        }
        let metadata = Metadata::from_tile_json(&Value::Object(json));
        let metadata = metadata.map_err(|reason| TileError::Metadata { path: path.to_owned(), reason })?;
        Ok(Self { path: path.to_owned(), metadata, connection: Mutex::new(connection) })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn damaged(path: &Path, error: &rusqlite::Error) -> TileError {
    TileError::Archive { path: path.to_owned(), kind: "MBTiles", reason: error.to_string() }
}

impl TileReader for MbTiles {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn tile(&self, coord: TileCoord) -> Result<Option<Vec<u8>>, TileError> {
        let connection = self.connection();
        let query = "SELECT tile_data FROM tiles WHERE zoom_level = ?1 AND tile_column = ?2 AND tile_row = ?3";
        let row = connection.prepare_cached(query).and_then(|mut statement| {
            statement.query_row((coord.z, coord.x, coord.tms_row()), |row| row.get::<_, Vec<u8>>(0)).optional()
        });
        row.map_err(|error| damaged(&self.path, &error))
    }

    fn coords(&self, zoom: u8) -> Result<Vec<TileCoord>, TileError> {
        let connection = self.connection();
        let query = "SELECT tile_column, tile_row FROM tiles WHERE zoom_level = ?1";
        let mut statement = connection.prepare(query).map_err(|error| damaged(&self.path, &error))?;
        let rows = statement.query_map([zoom], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?)));
        let rows = rows.and_then(|rows| rows.collect::<Result<Vec<_>, _>>());
        let rows = rows.map_err(|error| damaged(&self.path, &error))?;
        let coords = rows.into_iter().filter_map(|(x, row)| TileCoord::new(zoom, x, row));
        Ok(coords.map(|coord| TileCoord { y: coord.tms_row(), ..coord }).collect())
    }

    fn archive(&self) -> Option<&Path> {
        Some(&self.path)
    }
}
