//! Under which names the server answers. A web page whose own name was made to point at this machine sends that name along as
//! `Host`, and is refused.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use axum::{
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::Response,
};

use super::answer::{failure, with};

/// The port of an address that names none.
const HTTP: u16 = 80;

/// Where the server listens, as an extension of requests.
#[derive(Clone, Copy, Debug)]
pub struct Bound(pub SocketAddr);

/// A valid `Host` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    name: Name,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Address(IpAddr),
    /// In lower case.
    Word(String),
}

/// Lets requests pass that name the server rightly, with their [`Host`] as an extension.
pub async fn guard(mut request: Request, next: Next) -> Response {
    let bound = request.extensions().get::<Bound>().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |bound| bound.0.ip());
    let response = match Host::of(&request) {
        None => failure(StatusCode::BAD_REQUEST, "the request does not name one host", None),
        Some(host) if bound.to_canonical().is_loopback() && !host.is_this_machine(bound) => failure(
            StatusCode::MISDIRECTED_REQUEST,
            &format!("this server does not answer to the name {host}"),
            Some("open it as localhost, or let it listen on an address of the network"),
        ),
        Some(host) => {
            request.extensions_mut().insert(host);
            next.run(request).await
        }
    };
    with([(header::X_CONTENT_TYPE_OPTIONS, "nosniff")], response)
}

impl Host {
    fn of(request: &Request) -> Option<Self> {
        let host = Self::parse(only(request.headers(), header::HOST)?)?;
        // A request may name its host a second time; it has to be the same.
        let again = request.uri().authority().map(|authority| Self::parse(authority.as_str()));
        again.is_none_or(|again| again.as_ref() == Some(&host)).then_some(host)
    }

    pub fn parse(text: &str) -> Option<Self> {
        let end = if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':').unwrap_or(text.len()) };
        let (name, port) = text.split_at(end);
        let port = match port.strip_prefix(':') {
            Some(digits) if (1..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok().filter(|port| *port > 0)?)
            }
            None if port.is_empty() => None,
            _ => return None,
        };
        Some(Self { name: Name::parse(name)?, port })
    }

    /// Whether a page of this `Origin` came from this host, over HTTP as all that comes from here.
    pub fn is_origin(&self, origin: &str) -> bool {
        origin
            .strip_prefix("http://")
            .and_then(Self::parse)
            .is_some_and(|origin| origin.name == self.name && origin.port.unwrap_or(HTTP) == self.port.unwrap_or(HTTP))
    }

    /// The port may be another one, where a tunnel leads here.
    fn is_this_machine(&self, bound: IpAddr) -> bool {
        match &self.name {
            Name::Word(word) => word == "localhost",
            Name::Address(address) => {
                [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST), bound].contains(address)
            }
        }
    }
}

impl Name {
    fn parse(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            let address = inner.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?;
            return Some(Self::Address(address.into()));
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Some(Self::Address(address.into()));
        }
        let valid = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        (text.len() <= 253 && text.split('.').all(valid)).then(|| Self::Word(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Name::Address(IpAddr::V6(address)) => write!(formatter, "[{address}]"),
            Name::Address(IpAddr::V4(address)) => write!(formatter, "{address}"),
            Name::Word(word) => formatter.write_str(word),
        }?;
        self.port.map_or(Ok(()), |port| write!(formatter, ":{port}"))
    }
}

/// The value of a header that may come only once.
fn only(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Host {
        Host::parse(text).expect("a host")
    }

    #[test]
    fn hosts_are_read_and_written_again() {
        let cases = [
            ("localhost", "localhost"),
            ("LocalHost:8080", "localhost:8080"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("[::1]", "[::1]"),
            ("[0:0:0:0:0:0:0:1]:65535", "[::1]:65535"),
            ("tiles.example.org", "tiles.example.org"),
            ("my_box-2:080", "my_box-2:80"),
            ("127.1", "127.1"),
        ];
        for (text, expected) in cases {
            assert_eq!(host(text).to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let label = "a".repeat(64);
        let name = vec!["abc"; 64].join(".");
        let texts = [
            "",
            ":",
            ":80",
            "a:",
            "a:0",
            "a:65536",
            "a:123456",
            "a:+80",
            "a:8 0",
            "a b",
            "a/b",
            "a@b",
            "u:p@b",
            "a?b",
            "a#b",
            "a\"b",
            "a<b",
            "a\\b",
            "a,b",
            "a%41",
            "{z}",
            "é",
            ".",
            "a.",
            ".a",
            "a..b",
            "-a",
            "a-",
            "::1",
            "[::1",
            "[::1]x",
            "[::1]:",
            "[::1%eth0]",
            "[127.0.0.1]",
            "[]",
            "[x]",
            "]",
            "a]b",
            "http://a",
            &label,
            &name,
        ];
        for text in texts {
            assert_eq!(Host::parse(text), None, "{text}");
        }
    }

    #[test]
    fn pages_of_the_same_host_and_port_are_of_the_same_origin() {
        for (own, origin) in [
            ("localhost:8080", "http://localhost:8080"),
            ("localhost:8080", "http://LOCALHOST:8080"),
            ("localhost", "http://localhost"),
            ("localhost", "http://localhost:80"),
            ("[::1]:80", "http://[::1]"),
        ] {
            assert!(host(own).is_origin(origin), "{own} {origin}");
        }
        for (own, origin) in [
            ("localhost:8080", "http://localhost:3000"),
            ("localhost:8080", "http://localhost"),
            ("localhost:8080", "https://localhost:8080"),
            ("localhost:8080", "http://127.0.0.1:8080"),
            ("localhost:8080", "http://localhost:8080.example.org"),
            ("localhost:8080", "http://localhost:8080/"),
            ("localhost:8080", "http://user@localhost:8080"),
            ("localhost:8080", "null"),
            ("localhost:8080", "localhost:8080"),
            ("localhost:8080", ""),
        ] {
            assert!(!host(own).is_origin(origin), "{own} {origin}");
        }
    }

    #[test]
    fn this_machine_has_few_names() {
        let bound = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 5));
        for text in ["localhost", "localhost:99", "127.0.0.1:8080", "[::1]:8080", "127.0.0.5"] {
            assert!(host(text).is_this_machine(bound), "{text}");
        }
        for text in ["example.org", "localhost.example.org", "127.0.0.2", "10.0.0.1", "0.0.0.0", "127.1", "2130706433"]
        {
            assert!(!host(text).is_this_machine(bound), "{text}");
        }
    }
}
