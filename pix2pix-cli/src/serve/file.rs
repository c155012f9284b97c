//! Files as they are: whole or in part, piece by piece. Which files those are is settled before the first request; a request
//! chooses among them, and its path opens nothing.

use std::{
    fs::{File, Metadata},
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path as Parameter, State, rejection::PathRejection},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::body::{Frame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{
    answer::{ASK_AGAIN, bare, failure},
    layer::Layer,
    range::Wanted,
    validator::Tag,
};
use crate::printer::line;

/// Bytes that are read at once.
const PIECE: u64 = 256 << 10;
/// Endings of archives of tiles, and their types.
const ARCHIVES: [(&str, &str); 2] = [("pmtiles", "application/vnd.pmtiles"), ("mbtiles", "application/vnd.sqlite3")];

/// A file that is served, and its type.
#[derive(Clone, Debug)]
pub struct Shelved {
    path: Arc<Path>,
    kind: &'static str,
}

impl Shelved {
    pub fn new(path: &Path, kind: &'static str) -> Self {
        Self { path: path.into(), kind }
    }

    /// The file alone, at one address.
    pub fn router(self, address: &str) -> Router {
        Router::new().route(address, get(shelved)).with_state(self)
    }

    async fn answer(&self, method: &Method, headers: &HeaderMap) -> Response {
        let path = Arc::clone(&self.path);
        let opened = spawn_blocking(move || open(&path)).await.map_err(io::Error::other).flatten();
        match opened {
            Ok((file, metadata, tag)) => self.found(file, metadata.len(), &tag, method, headers),
            Err(error) => {
                line(&format!("warning: cannot read {}: {error}", self.path.display()));
                match error.kind() {
                    io::ErrorKind::NotFound => bare(StatusCode::NOT_FOUND),
                    _ => failure(StatusCode::INTERNAL_SERVER_ERROR, "the file cannot be read", None),
                }
            }
        }
    }

    fn found(&self, file: File, length: u64, tag: &Tag, method: &Method, headers: &HeaderMap) -> Response {
        let kept = [(header::ETAG, tag.as_str()), (header::CACHE_CONTROL, ASK_AGAIN), (header::ACCEPT_RANGES, "bytes")];
        if tag.is_held(headers) {
            return (StatusCode::NOT_MODIFIED, kept).into_response();
        }
        let mut asked = headers.get_all(header::RANGE).iter();
        let wanted = match (asked.next().map(|value| value.to_str()), asked.next()) {
            // Parts are defined for GET only.
            (Some(Ok(range)), None) if method == Method::GET && tag.allows_part(headers) => {
                Wanted::parse(range, length)
            }
            _ => Wanted::Whole,
        };
        let (status, first, count) = match wanted {
            Wanted::Whole => (StatusCode::OK, 0, length),
            Wanted::Part { first, last } => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
            Wanted::Nothing => {
                let size = [(header::CONTENT_RANGE, format!("bytes */{length}"))];
                return (StatusCode::RANGE_NOT_SATISFIABLE, kept, size).into_response();
            }
        };
        let own = [(header::CONTENT_TYPE, self.kind.to_owned()), (header::CONTENT_LENGTH, count.to_string())];
        let body = Body::new(Pieces { at: first, left: count, state: Reading::Rests(file) });
        let mut response = (status, kept, own, body).into_response();
        if let Wanted::Part { first, last } = wanted
            && let Ok(range) = format!("bytes {first}-{last}/{length}").try_into()
        {
            response.headers_mut().insert(header::CONTENT_RANGE, range);
        }
        response
    }
}

async fn shelved(State(file): State<Shelved>, method: Method, headers: HeaderMap) -> Response {
    file.answer(&method, &headers).await
}

/// The archives of all layers.
pub struct Archives(Vec<Archive>);

struct Archive {
    layer: &'static str,
    ending: &'static str,
    /// The name of the file.
    name: String,
    file: Shelved,
}

impl Archives {
    pub fn of<'a>(layers: impl Iterator<Item = &'a Layer>) -> Self {
        let archives = layers.filter_map(|layer| {
            let path = layer.tiles.archive()?;
            let name = path.file_name()?.to_str()?.to_owned();
            let found = path.extension()?.to_str()?;
            let (ending, kind) = ARCHIVES.into_iter().find(|(ending, _)| *ending == found)?;
            Some(Archive { layer: layer.name, ending, name, file: Shelved::new(path, kind) })
        });
        Self(archives.collect())
    }

    /// Each under its own name, and under that of its layer: both layers may have files of one name.
    pub fn router(self) -> Router {
        let mut router = Router::new();
        for Archive { layer, ending, file, .. } in &self.0 {
            router = router.merge(file.clone().router(&format!("/{layer}.{ending}")));
        }
        let named = self.0.into_iter().map(|archive| (archive.name, archive.file)).collect();
        router.merge(Router::new().route("/archive/{name}", get(archive)).with_state(Named(named)))
    }
}

#[derive(Clone)]
struct Named(Arc<[(String, Shelved)]>);

async fn archive(
    State(archives): State<Named>,
    name: Result<Parameter<String>, PathRejection>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    // A name that cannot be read names nothing.
    let found = name.ok().and_then(|Parameter(name)| archives.0.iter().find(|(own, _)| *own == name));
    match found {
        Some((_, file)) => file.answer(&method, &headers).await,
        None => bare(StatusCode::NOT_FOUND),
    }
}

fn open(path: &Path) -> io::Result<(File, Metadata, Tag)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let tag = Tag::of_file(&metadata)?;
    Ok((file, metadata, tag))
}

/// Reads a file as fast as the client takes it, on a thread that may wait for a disk.
struct Pieces {
    at: u64,
    left: u64,
    state: Reading,
}

enum Reading {
    Rests(File),
    Runs(JoinHandle<io::Result<(File, Bytes)>>),
    Over,
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        loop {
            match std::mem::replace(&mut this.state, Reading::Over) {
                Reading::Rests(file) if this.left > 0 => {
                    let (at, count) = (this.at, this.left.min(PIECE));
                    this.state = Reading::Runs(spawn_blocking(move || piece(file, at, count)));
                }
                Reading::Rests(_) | Reading::Over => return Poll::Ready(None),
                Reading::Runs(mut running) => {
                    let Poll::Ready(read) = Pin::new(&mut running).poll(context) else {
                        this.state = Reading::Runs(running);
                        return Poll::Pending;
                    };
                    let (file, bytes) = read.map_err(io::Error::other).flatten()?;
                    this.at += bytes.len() as u64;
                    this.left -= bytes.len() as u64;
                    this.state = Reading::Rests(file);
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A file that became shorter ends the answer with an error: the client was promised more.
fn piece(mut file: File, at: u64, count: u64) -> io::Result<(File, Bytes)> {
    let mut bytes = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    file.seek(SeekFrom::Start(at))?;
    (&mut file).take(count).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != count {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((file, bytes.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_read_whole_or_not_at_all() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, "0123456789").expect("a file");
        let read = |at, count| piece(File::open(&path).expect("a file"), at, count).map(|(_, bytes)| bytes);
        assert_eq!(read(0, 10).expect("all").as_ref(), b"0123456789");
        assert_eq!(read(3, 2).expect("a part").as_ref(), b"34");
        for (at, count) in [(0, 11), (9, 2), (10, 1), (99, 1)] {
            let error = read(at, count).expect_err("too short");
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{at} {count}");
        }
    }
}
