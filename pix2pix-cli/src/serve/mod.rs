//! The server behind `p2p serve`: tiles, their description, the page, the files of an export, and a desk where one picture at a time
//! is translated. Knows neither networks nor formats of tiles: both come in with [`Site`].
//!
//! It listens where other web pages of the same browser can reach it. Tiles are anyone's to read; translating takes the page
//! itself; and the names under which it answers keep a foreign name that points here ("DNS rebinding") out.

mod answer;
mod file;
mod host;
mod layer;
mod listen;
mod range;
#[cfg(test)]
mod tests;
mod translate;
mod validator;

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, header},
    middleware::{from_fn, map_response},
    response::Response,
    routing::{get, post},
};

use self::{
    answer::Content,
    file::{Archives, Shelved},
    layer::Layer,
    translate::Desk,
};
pub use self::{
    listen::run,
    translate::{Translate, TranslateFailure},
};
use pix2pix_core::tiles::TileReader;

/// Scripts and styles of the page are within the page, pictures may be made by it, and it talks to this server alone.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                      img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// What is served.
pub struct Site {
    /// The translated map.
    pub map: Arc<dyn TileReader>,
    /// What it was translated from.
    pub source: Option<Arc<dyn TileReader>>,
    /// The whole `index.html`.
    pub page: String,
    /// A GeoJSON file.
    pub vector: Option<PathBuf>,
    /// Makes a PNG file of a picture's bytes; the name of the file comes along for messages.
    pub translate: Option<Arc<Translate>>,
    /// The longest picture that is taken, in bytes.
    pub max_bytes: u64,
}

/// How long the server waits for others.
#[derive(Clone, Copy, Debug)]
struct Waits {
    /// For the head of a request, and for the next request of a connection.
    head: Duration,
    /// For the next bytes of a picture.
    bytes: Duration,
    /// For all bytes of a picture.
    picture: Duration,
    /// For what a refused client still sends.
    rest: Duration,
    /// For answers under way when the server is to end.
    end: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(30),
            bytes: Duration::from_secs(20),
            picture: Duration::from_secs(300),
            rest: Duration::from_secs(5),
            end: Duration::from_secs(30),
        }
    }
}

/// All answers of a site, to requests that name a host of this machine, or of the address it listens on (see [`run`]).
pub fn router(site: Site) -> Router {
    patient_router(site, Waits::default())
}

fn patient_router(site: Site, waits: Waits) -> Router {
    let map = Layer { name: "map", tiles: site.map };
    let source = site.source.map(|tiles| Layer { name: "source", tiles });
    let archives = Archives::of([Some(&map), source.as_ref()].into_iter().flatten());
    let mut open = archives.router().merge(map.router());
    if let Some(source) = source {
        open = open.merge(source.router());
    }
    let page = Content::new(site.page.into_bytes().into(), "text/html; charset=utf-8");
    let mut own = Router::new().route("/", get(index)).route("/index.html", get(index)).with_state(page);
    if let Some(vector) = site.vector {
        own = own.merge(Shelved::new(&vector, "application/geo+json").router("/map.geojson"));
    }
    if let Some(translate) = site.translate {
        let desk = Desk::new(translate, site.max_bytes, waits);
        own = own.route("/translate", post(translate::translate).with_state(desk));
    }
    own.merge(open.route_layer(map_response(let_others_read))).layer(from_fn(host::guard))
}

async fn index(State(page): State<Content>, headers: HeaderMap) -> Response {
    let safety = [(header::CONTENT_SECURITY_POLICY, POLICY), (header::REFERRER_POLICY, "no-referrer")];
    answer::with(safety, page.answer(&headers))
}

/// Tiles are there for other pages and programs too.
async fn let_others_read(response: Response) -> Response {
    const SEEN: &str = "Accept-Ranges, Content-Length, Content-Range, ETag";
    answer::with([(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"), (header::ACCESS_CONTROL_EXPOSE_HEADERS, SEEN)], response)
}
