//! Tiles in an SQLite file (MBTiles 1.3): one connection, one transaction, the index last.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use super::{
    super::{Metadata, TileCoord, TileError},
    TileWriter, publish,
};

/// `application_id` of MBTiles.
const APPLICATION: i64 = 0x4d50_4258;

/// An archive that grows.
pub(super) struct MbTiles {
    path: PathBuf,
    temporary: PathBuf,
    connection: Connection,
}

impl MbTiles {
    pub fn create(path: &Path, temporary: PathBuf, metadata: &Metadata) -> Result<Self, TileError> {
        let failed = |error| refused(path, error);
        let connection = Connection::open(&temporary).map_err(failed)?;
        // Until it has its name, a broken file is as good as none.
        connection
            .execute_batch(&format!(
                "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA application_id = {APPLICATION}; BEGIN;
                 CREATE TABLE metadata (name TEXT, value TEXT);
                 CREATE TABLE tiles (zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER, tile_data BLOB);"
            ))
            .map_err(failed)?;
        let bounds = metadata.bounds.map(|number| number.to_string()).join(",");
        let ([longitude, latitude], zoom) = metadata.center();
        let rows = [
            ("name", metadata.name.clone()),
            ("format", metadata.format.ending().to_owned()),
            ("bounds", bounds),
            ("center", format!("{longitude},{latitude},{zoom}")),
            ("minzoom", metadata.min_zoom.to_string()),
            ("maxzoom", metadata.max_zoom.to_string()),
            ("attribution", metadata.attribution.clone()),
            ("description", metadata.description.clone()),
            ("type", "baselayer".to_owned()),
            ("version", "1".to_owned()),
            ("tile_size", metadata.tile_size.to_string()),
            ("fingerprint", metadata.fingerprint.clone()),
        ];
        for (name, value) in rows {
            connection.execute("INSERT INTO metadata VALUES (?1, ?2)", (name, value)).map_err(failed)?;
        }
        Ok(Self { path: path.to_owned(), temporary, connection })
    }
}

fn refused(path: &Path, error: rusqlite::Error) -> TileError {
    TileError::write(path)(std::io::Error::other(error))
}

impl TileWriter for MbTiles {
    fn put(&mut self, coord: TileCoord, bytes: &[u8]) -> Result<(), TileError> {
        let mut statement = self
            .connection
            .prepare_cached("INSERT INTO tiles VALUES (?1, ?2, ?3, ?4)")
            .map_err(|error| refused(&self.path, error))?;
        let put = statement.execute((coord.z, coord.x, coord.tms_row(), bytes));
        put.map(|_| ()).map_err(|error| refused(&self.path, error))
    }

    fn finish(self: Box<Self>) -> Result<(), TileError> {
        let failed = |error| refused(&self.path, error);
        self.connection
            .execute_batch(
                "CREATE UNIQUE INDEX tile_index ON tiles (zoom_level, tile_column, tile_row);
                 CREATE UNIQUE INDEX name ON metadata (name);
                 COMMIT;",
            )
            .map_err(failed)?;
        self.connection.close().map_err(|(_, error)| failed(error))?;
        let written = File::open(&self.temporary).and_then(|file| file.sync_all());
        written.map_err(TileError::write(&self.path))?;
        publish(&self.temporary, &self.path)
    }
}
