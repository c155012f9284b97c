//! One layer of tiles and its description. What a request names are numbers; nothing else of its path goes any further.

use std::{io, sync::Arc};

use axum::{
    Extension, Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
    routing::get,
};
use pix2pix_core::tiles::{TileCoord, TileFormat, TileReader};
use serde_json::json;
use tokio::task::spawn_blocking;

use super::{
    answer::{Content, bare, failure},
    host::Host,
};
use crate::printer::line;

/// Rows and columns of deeper levels do not fit the counting.
const DEEPEST: u8 = 30;

/// Tiles and their name in addresses.
#[derive(Clone)]
pub struct Layer {
    pub name: &'static str,
    pub tiles: Arc<dyn TileReader>,
}

impl Layer {
    pub fn router(self) -> Router {
        let name = self.name;
        Router::new()
            .route(&format!("/{name}/{{z}}/{{x}}/{{y}}"), get(tile))
            .route(&format!("/{name}.json"), get(description))
            .with_state(self)
    }

    /// Asks the tiles on a thread that may wait for a disk. What goes wrong is said here; others get to know no more than that.
    async fn ask<T: Send + 'static>(
        &self,
        what: &str,
        question: impl FnOnce(&dyn TileReader) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Response> {
        let tiles = Arc::clone(&self.tiles);
        let answer = spawn_blocking(move || question(tiles.as_ref())).await;
        let answer = answer.unwrap_or_else(|_| Err(io::Error::other("the reader failed unexpectedly")));
        answer.map_err(|error| {
            line(&format!("warning: cannot read {what} of the {}: {error}", self.name));
            failure(StatusCode::INTERNAL_SERVER_ERROR, &format!("{what} cannot be read"), None)
        })
    }
}

async fn tile(State(layer): State<Layer>, uri: Uri, headers: HeaderMap) -> Response {
    let format = layer.tiles.metadata().format;
    let Some(coord) = place(uri.path(), format.ending()) else {
        return bare(StatusCode::NOT_FOUND);
    };
    let kind = match format {
        TileFormat::Jpeg => "image/jpeg",
        TileFormat::Webp => "image/webp",
        TileFormat::Png => "image/png",
    };
    let what = format!("tile {}/{}/{}", coord.z, coord.x, coord.y);
    let content = layer.ask(&what, move |tiles| {
        let bytes = tiles.tile(coord).map_err(io::Error::other)?;
        Ok(bytes.map(|bytes| Content::new(bytes.into(), kind)))
    });
    match content.await {
        Ok(Some(content)) => content.answer(&headers),
        Ok(None) => bare(StatusCode::NOT_FOUND),
        Err(failure) => failure,
    }
}

async fn description(State(layer): State<Layer>, Extension(host): Extension<Host>, headers: HeaderMap) -> Response {
    let name = layer.name;
    let content = layer.ask("the description", move |tiles| {
        let metadata = tiles.metadata();
        let address = format!("http://{host}/{name}/{{z}}/{{x}}/{{y}}.{}", metadata.format.ending());
        let mut text = metadata.tile_json(Some(&address));
        // However they are kept.
        text["scheme"] = json!("xyz");
        Ok(Content::new(text.to_string().into(), "application/json"))
    });
    content.await.map_or_else(|failure| failure, |content| content.answer(&headers))
}

/// A tile from the last three parts of a path, which the router has counted.
fn place(path: &str, format: &str) -> Option<TileCoord> {
    let mut parts = path.rsplitn(4, '/');
    let (file, x, z) = (parts.next()?, parts.next()?, parts.next()?);
    let y = file.strip_suffix(format)?.strip_suffix('.')?;
    let z = u8::try_from(number(z)?).ok().filter(|z| *z <= DEEPEST)?;
    TileCoord::new(z, number(x)?, number(y)?)
}

/// A number as it is written: a tile has one address.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    digits.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_from_paths() {
        assert_eq!(place("/map/0/0/0.png", "png"), Some(TileCoord { z: 0, x: 0, y: 0 }));
        assert_eq!(place("/map/3/7/0.jpg", "jpg"), Some(TileCoord { z: 3, x: 7, y: 0 }));
        let last = (1 << 30) - 1;
        assert_eq!(place(&format!("/map/30/{last}/{last}.webp"), "webp"), Some(TileCoord { z: 30, x: last, y: last }));
    }

    #[test]
    fn what_is_no_place_is_none() {
        let paths = [
            "/map/0/0/0.jpg",
            "/map/0/0/0png",
            "/map/0/0/0",
            "/map/0/0/.png",
            "/map/0/0/0.png.png",
            "/map/0/0/0.PNG",
            "/map/1/2/0.png",
            "/map/1/0/2.png",
            "/map/31/0/0.png",
            "/map/256/0/0.png",
            "/map/32/0/0.png",
            "/map/+1/0/0.png",
            "/map/1/+0/0.png",
            "/map/1/-0/0.png",
            "/map/01/0/0.png",
            "/map/1/00/0.png",
            "/map/1/0/01.png",
            "/map/%31/0/0.png",
            "/map/1/0/ 0.png",
            "/map/1//0.png",
            "/map//0/0.png",
            "/map/../0/0.png",
            "/map/1/../0.png",
            "/map/1/0/...png",
            "/map/1/0/../0.png",
            "/map/3/4294967296/0.png",
            "/map/1/0/0x0.png",
            "/map/1/0/1e0.png",
            "/map/1/0/٣.png",
        ];
        for path in paths {
            assert_eq!(place(path, "png"), None, "{path}");
        }
    }
}
