//! Tags that say whether a client already has what it asks for (RFC 9110, sections 8.8.3 and 13.1).

use std::{fs::Metadata, io, time::UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// Hexadecimal digits of a hash that make a tag.
const DIGITS: usize = 32;

/// A strong entity tag, with its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(String);

impl Tag {
    /// The same for the same bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("\"{}\"", &blake3::hash(bytes).to_hex()[..DIGITS]))
    }

    /// The same for a file that was not written to: hashing an archive of many gigabytes would take its time.
    pub fn of_file(metadata: &Metadata) -> io::Result<Self> {
        let modified = metadata.modified()?;
        let since = modified.duration_since(UNIX_EPOCH).unwrap_or_else(|before| before.duration());
        let text = format!("{} {} {}", metadata.len(), since.as_nanos(), identity(metadata));
        Ok(Self::of(text.as_bytes()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `If-None-Match` names this tag; weak tags count.
    pub fn is_held(&self, headers: &HeaderMap) -> bool {
        texts(headers, header::IF_NONE_MATCH)
            .any(|text| text.trim() == "*" || tags(text).any(|tag| tag.strip_prefix("W/").unwrap_or(tag) == self.0))
    }

    /// Whether a part may be sent: `If-Range` is not there, or names this tag. Weak tags and dates do not.
    pub fn allows_part(&self, headers: &HeaderMap) -> bool {
        headers.get_all(header::IF_RANGE).iter().all(|value| value.as_bytes() == self.0.as_bytes())
    }
}

/// What changes when another file takes the place, or the old one gets its time back.
#[cfg(unix)]
fn identity(metadata: &Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    format!("{} {} {} {}", metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> String {
    String::new()
}

/// The readable values of a header.
fn texts(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).iter().map(HeaderValue::to_str).filter_map(Result::ok)
}

/// The tags of a list, up to where it stops being one. Commas may stand within tags.
fn tags(mut list: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        list = list.trim_start_matches([' ', '\t', ',']);
        let start = if list.starts_with("W/\"") { 3 } else { usize::from(list.starts_with('"')) };
        let length = list.get(start..).filter(|_| start > 0)?.find('"')?;
        let (tag, rest) = list.split_at(start + length + 1);
        list = rest;
        Some(tag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn tags_are_strong_and_differ_with_the_bytes() {
        let tag = Tag::of(b"tile");
        assert_eq!(tag.as_str().len(), DIGITS + 2);
        assert!(tag.as_str().starts_with('"') && tag.as_str().ends_with('"'));
        assert_eq!(tag, Tag::of(b"tile"));
        assert_ne!(tag, Tag::of(b"Tile"));
    }

    #[test]
    fn a_list_is_read_tag_by_tag() {
        let read = |list| tags(list).collect::<Vec<_>>();
        assert_eq!(read(r#""a", W/"b,c" ,"","d""#), [r#""a""#, r#"W/"b,c""#, r#""""#, r#""d""#]);
        assert_eq!(read(r#""a", b, "c""#), [r#""a""#]);
        assert_eq!(read(r#""open"#), [""; 0]);
        assert_eq!(read(r#"W/"#), [""; 0]);
        assert_eq!(read(""), [""; 0]);
    }

    #[test]
    fn a_tag_is_held_when_any_entry_of_any_list_names_it() {
        let tag = Tag::of(b"tile");
        let own = tag.as_str();
        let held = |values: &[&str]| tag.is_held(&headers(header::IF_NONE_MATCH, values));
        assert!(held(&[own]));
        assert!(held(&[&format!("\"x\", {own}")]));
        assert!(held(&[&format!("W/{own}")]));
        assert!(held(&["\"x\"", own]));
        assert!(held(&["*"]));
        assert!(!held(&["\"x\""]));
        assert!(!held(&[own.trim_matches('"')]));
        assert!(!held(&[]));
    }

    #[test]
    fn a_part_is_sent_for_the_same_strong_tag_only() {
        let tag = Tag::of(b"tile");
        let own = tag.as_str();
        let allowed = |values: &[&str]| tag.allows_part(&headers(header::IF_RANGE, values));
        assert!(allowed(&[]));
        assert!(allowed(&[own]));
        assert!(!allowed(&[&format!("W/{own}")]));
        assert!(!allowed(&["\"x\""]));
        assert!(!allowed(&["Wed, 21 Oct 2015 07:28:00 GMT"]));
    }

    #[test]
    fn a_file_gets_another_tag_when_it_is_written_or_replaced() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("file");
        let tag = || Tag::of_file(&path.metadata().expect("a file")).expect("a tag");
        std::fs::write(&path, "one").expect("written");
        let first = tag();
        assert_eq!(first, tag());
        std::fs::write(&path, "three").expect("written");
        assert_ne!(first, tag());
        #[cfg(unix)]
        {
            // Same length, same time, another file.
            let modified = path.metadata().and_then(|metadata| metadata.modified()).expect("a time");
            let second = tag();
            let other = folder.path().join("other");
            std::fs::write(&other, "eight").expect("written");
            std::fs::File::options()
                .write(true)
                .open(&other)
                .and_then(|file| file.set_modified(modified))
                .expect("a time");
            std::fs::rename(&other, &path).expect("renamed");
            assert_ne!(second, tag());
        }
    }
}
