//! Answers in the shapes that all routes share.

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::validator::Tag;

/// Whoever keeps an answer asks each time whether it is still the same, so that a new export is seen.
pub const ASK_AGAIN: &str = "no-cache";

/// Bytes in memory.
#[derive(Clone, Debug)]
pub struct Content {
    bytes: Bytes,
    kind: &'static str,
    tag: Tag,
}

impl Content {
    pub fn new(bytes: Bytes, kind: &'static str) -> Self {
        let tag = Tag::of(&bytes);
        Self { bytes, kind, tag }
    }

    /// The bytes, or that the client has them.
    pub fn answer(&self, headers: &HeaderMap) -> Response {
        let kept = [(header::ETAG, self.tag.as_str()), (header::CACHE_CONTROL, ASK_AGAIN)];
        if self.tag.is_held(headers) {
            return (StatusCode::NOT_MODIFIED, kept).into_response();
        }
        (kept, [(header::CONTENT_TYPE, self.kind)], Body::from(self.bytes.clone())).into_response()
    }
}

/// A status and nothing else.
pub fn bare(status: StatusCode) -> Response {
    status.into_response()
}

/// What went wrong, and what may help, as JSON.
pub fn failure(status: StatusCode, error: &str, hint: Option<&str>) -> Response {
    let mut text = json!({ "error": error });
    if let Some(hint) = hint {
        text["hint"] = hint.into();
    }
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, text.to_string()).into_response()
}

/// An answer with more headers.
pub fn with<const COUNT: usize>(headers: [(HeaderName, &'static str); COUNT], mut response: Response) -> Response {
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
