//! The server as a client sees it, over real sockets.

mod client;
mod desk;
mod ending;
mod files;
mod hosts;
mod paths;
mod routes;

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{JoinHandle, spawn},
    time::Duration,
};

use pix2pix_core::tiles::{Metadata, Scheme, TileCoord, TileError, TileFormat, TileReader};
use serde_json::json;
use tokio::sync::mpsc::{Sender, channel};

use self::client::{Answer, Connection};
use super::{Site, Waits, listen, patient_router};

/// A panic in a tile has these numbers, and an error those.
const PANICS: (u8, u32, u32) = (5, 1, 1);
const FAILS: (u8, u32, u32) = (5, 2, 2);

/// Tiles in memory.
struct Memory {
    metadata: Metadata,
    tiles: HashMap<(u8, u32, u32), Vec<u8>>,
    archive: Option<PathBuf>,
}

impl TileReader for Memory {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn tile(&self, TileCoord { z, x, y }: TileCoord) -> Result<Option<Vec<u8>>, TileError> {
        assert_ne!((z, x, y), PANICS, "a secret of the reader");
        if (z, x, y) == FAILS {
            return Err(TileError::Exists { path: "a secret of the disk".into() });
        }
        Ok(self.tiles.get(&(z, x, y)).cloned())
    }

    fn coords(&self, _zoom: u8) -> Result<Vec<TileCoord>, TileError> {
        unreachable!("a server asks for single tiles")
    }

    fn archive(&self) -> Option<&Path> {
        self.archive.as_deref()
    }
}

fn memory(ending: &str) -> Memory {
    let format = match ending {
        "jpg" => TileFormat::Jpeg,
        "webp" => TileFormat::Webp,
        _ => TileFormat::Png,
    };
    let deepest = (1 << 30) - 1;
    let places = [(0, 0, 0), (1, 0, 1), (3, 7, 5), (30, deepest, deepest)];
    let tiles = places.map(|place| (place, format!("{ending} {place:?}").into_bytes())).into();
    let metadata = Metadata {
        name: ending.to_owned(),
        description: String::new(),
        attribution: String::new(),
        format,
        scheme: Scheme::Tms,
        tile_size: 256,
        min_zoom: 0,
        max_zoom: 30,
        bounds: [0.0, 0.0, 1.0, 1.0],
        fingerprint: String::new(),
    };
    Memory { metadata, tiles, archive: None }
}

fn site() -> Site {
    Site {
        map: Arc::new(memory("png")),
        source: None,
        page: "<!doctype html><title>ü</title>".into(),
        vector: None,
        translate: None,
        max_bytes: 1000,
    }
}

/// A running server.
struct Server {
    address: SocketAddr,
    wish: Sender<()>,
    thread: JoinHandle<()>,
}

impl Server {
    fn start(site: Site) -> Self {
        Self::start_at("127.0.0.1:0", site, Waits::default()).expect("a port")
    }

    fn start_at(address: &str, site: Site, waits: Waits) -> Option<Self> {
        let listener = listen::bind(address.parse().expect("an address")).ok()?;
        let address = listener.local_addr().expect("an address");
        let (wish, wishes) = channel(1);
        let thread = spawn(move || {
            let runtime = listen::runtime().expect("a runtime");
            let served = runtime.block_on(listen::serve(listener, patient_router(site, waits), waits, wishes));
            runtime.shutdown_background();
            served.expect("served");
        });
        Some(Self { address, wish, thread })
    }

    fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.connect().ask(method, path, headers, b"")
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[])
    }

    fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.connect().ask("POST", path, headers, body)
    }

    fn wish_for_the_end(&self) {
        self.wish.blocking_send(()).expect("a server that listens");
    }

    /// Waits until the server has ended by itself.
    fn has_ended(self) {
        self.thread.join().expect("a server without a panic");
    }
}

/// Short waits for what never comes.
fn impatient() -> Waits {
    let short = Duration::from_millis(100);
    Waits { head: short, bytes: short, ..Waits::default() }
}
