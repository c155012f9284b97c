//! The desk where pictures are translated: for the page of this server only, one at a time, and no longer than they may be.

use std::{future::poll_fn, pin::Pin, sync::Arc};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use super::{
    Waits,
    answer::{failure, with},
    host::Host,
};
use crate::printer::line;

/// Seconds after which a client that came too early may ask again.
const LATER: &str = "2";
/// Bytes that are still read from a client that was refused.
const MOST_REST: usize = 256 << 20;
/// Bytes of the name of a picture.
const LONGEST_NAME: usize = 200;
/// The name of a picture that has none.
const NAMELESS: &str = "picture";

/// Makes a PNG file of the bytes of a picture; its name comes along for messages.
pub type Translate = dyn Fn(Vec<u8>, String) -> Result<Vec<u8>, TranslateFailure> + Send + Sync;

/// Why a picture cannot be translated, in words for whoever sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranslateFailure {
    /// What is wrong.
    pub error: String,
    /// What may help.
    pub hint: Option<String>,
}

/// What requests share.
#[derive(Clone)]
pub struct Desk {
    translate: Arc<Translate>,
    max_bytes: u64,
    waits: Waits,
    /// One place.
    place: Arc<Semaphore>,
}

impl Desk {
    pub fn new(translate: Arc<Translate>, max_bytes: u64, waits: Waits) -> Self {
        Self { translate, max_bytes, waits, place: Arc::new(Semaphore::new(1)) }
    }

    fn too_long(&self) -> Response {
        let error = format!("the picture is longer than {} bytes, the most that are taken", self.max_bytes);
        failure(
            StatusCode::PAYLOAD_TOO_LARGE,
            &error,
            Some("send a smaller one, or translate the file with p2p translate"),
        )
    }

    /// All bytes of a picture, or why not.
    async fn receive(&self, body: &mut Body, announced: Option<u64>) -> Result<Vec<u8>, Response> {
        let late = || failure(StatusCode::REQUEST_TIMEOUT, "the picture did not arrive in time", None);
        let receive = async {
            let mut bytes = Vec::with_capacity(usize::try_from(announced.unwrap_or(0)).unwrap_or(0));
            while let Some(next) = timeout(self.waits.bytes, next(body)).await.map_err(|_| late())? {
                let next =
                    next.map_err(|_| failure(StatusCode::BAD_REQUEST, "the picture did not arrive whole", None))?;
                if (bytes.len() + next.len()) as u64 > self.max_bytes {
                    return Err(self.too_long());
                }
                bytes.extend_from_slice(&next);
            }
            Ok(bytes)
        };
        match timeout(self.waits.picture, receive).await {
            Ok(received) => received,
            Err(_) => Err(late()),
        }
    }
}

pub async fn translate(State(desk): State<Desk>, request: Request) -> Response {
    let (parts, mut body) = request.into_parts();
    match take(&desk, &parts, &mut body).await {
        Ok(png) => with(
            [(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, "no-store")],
            Body::from(png).into_response(),
        ),
        Err(refusal) => {
            hear_out(&parts.headers, body, desk.waits);
            refusal
        }
    }
}

async fn take(desk: &Desk, parts: &Parts, body: &mut Body) -> Result<Vec<u8>, Response> {
    if !is_own_page(parts) {
        let error = "pictures are translated for the page of this server only";
        return Err(failure(StatusCode::FORBIDDEN, error, None));
    }
    let announced = HttpBody::size_hint(body).exact();
    if announced.is_some_and(|length| length > desk.max_bytes) {
        return Err(desk.too_long());
    }
    let Ok(place) = Arc::clone(&desk.place).try_acquire_owned() else {
        let busy = failure(
            StatusCode::SERVICE_UNAVAILABLE,
            "another picture is being translated",
            Some("try again when it is done"),
        );
        return Err(with([(header::RETRY_AFTER, LATER)], busy));
    };
    let bytes = desk.receive(body, announced).await?;
    if bytes.is_empty() {
        return Err(failure(StatusCode::UNPROCESSABLE_ENTITY, "there is no picture in the request", None));
    }
    let (work, name) = (Arc::clone(&desk.translate), file_name(parts.uri.query().unwrap_or_default()));
    // The place goes with the work: a client that leaves does not stop it.
    let done = spawn_blocking(move || {
        let _place = place;
        work(bytes, name)
    });
    match done.await {
        Ok(Ok(png)) => Ok(png),
        Ok(Err(TranslateFailure { error, hint })) => {
            Err(failure(StatusCode::UNPROCESSABLE_ENTITY, &error, hint.as_deref()))
        }
        Err(_) => {
            line("warning: a picture made the translation fail unexpectedly; the server goes on");
            let error = "the translation failed unexpectedly";
            Err(failure(StatusCode::INTERNAL_SERVER_ERROR, error, Some("the server goes on; try another picture")))
        }
    }
}

/// Whether a request comes from a page of this server, or from no page at all.
fn is_own_page(parts: &Parts) -> bool {
    let host = parts.extensions.get::<Host>();
    let is_own =
        |origin: &HeaderValue| origin.to_str().is_ok_and(|origin| host.is_some_and(|host| host.is_origin(origin)));
    let is_near = |site: &HeaderValue| site == "same-origin" || site == "none";
    parts.headers.get_all(header::ORIGIN).iter().all(is_own)
        && parts.headers.get_all("sec-fetch-site").iter().all(is_near)
}

/// Reads for a while what a refused client still sends. A connection that is closed over unread bytes takes the answer along.
fn hear_out(headers: &HeaderMap, mut body: Body, waits: Waits) {
    // Who asks first sends nothing after a refusal.
    if body.is_end_stream() || headers.contains_key(header::EXPECT) {
        return;
    }
    tokio::spawn(timeout(waits.rest, async move {
        let mut left = MOST_REST;
        while let Some(Ok(bytes)) = next(&mut body).await {
            match left.checked_sub(bytes.len()) {
                Some(less) => left = less,
                None => break,
            }
        }
    }));
}

/// The next bytes of a body.
async fn next(body: &mut Body) -> Option<Result<Bytes, axum::Error>> {
    let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await?;
    // What follows the bytes of a body is of no use here.
    Some(frame.map(|frame| frame.into_data().unwrap_or_default()))
}

/// The last part of `name=...`, for messages: nothing is opened by it.
fn file_name(query: &str) -> String {
    let name = query.split('&').find_map(|pair| pair.strip_prefix("name=")).map(decoded).unwrap_or_default();
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut name = last.chars().filter(|character| !character.is_control()).collect::<String>();
    name.truncate(name.floor_char_boundary(LONGEST_NAME));
    if name.trim().is_empty() { NAMELESS.to_owned() } else { name }
}

/// Text of a query, as forms and scripts write it.
fn decoded(text: &str) -> String {
    let digit = |byte: Option<&u8>| {
        byte.and_then(|byte| char::from(*byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok())
    };
    let (bytes, mut at) = (text.as_bytes(), 0);
    let mut out = Vec::with_capacity(bytes.len());
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        out.push(match byte {
            b'+' => b' ',
            b'%' => match (digit(bytes.get(at)), digit(bytes.get(at + 1))) {
                (Some(high), Some(low)) => {
                    at += 2;
                    high << 4 | low
                }
                _ => byte,
            },
            _ => byte,
        });
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_pictures_are_read_from_the_query() {
        let cases = [
            ("name=a.png", "a.png"),
            ("x=1&name=a%20b+c.png&y", "a b c.png"),
            ("name=%C3%BC.jpg", "ü.jpg"),
            ("name=../../etc/passwd", "passwd"),
            ("name=%2Fetc%2Fpasswd", "passwd"),
            ("name=C:%5Cpictures%5Ca.png", "a.png"),
            ("name=a%00%0D%0Ab", "ab"),
            ("name=100%", "100%"),
            ("name=%zz%4", "%zz%4"),
            ("name=%FF", "\u{fffd}"),
            ("name=", "picture"),
            ("name=%20", "picture"),
            ("names=a", "picture"),
            ("", "picture"),
        ];
        for (query, expected) in cases {
            assert_eq!(file_name(query), expected, "{query}");
        }
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!(file_name(&format!("name={}", "a".repeat(9999))).len(), LONGEST_NAME);
        assert_eq!(file_name(&format!("name=a{}", "%C3%BC".repeat(200))).len(), LONGEST_NAME - 1);
    }
}
