//! A client that can also misbehave.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// A server that says nothing for so long has failed the test.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(own, _)| own == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} comes once");
        value
    }

    pub fn tag(&self) -> &str {
        self.header("etag").expect("a tag")
    }

    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("text")
    }

    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

pub struct Connection {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        stream.set_write_timeout(Some(PATIENCE)).expect("a limit");
        stream.set_nodelay(true).expect("no delay");
        Self { address, stream: BufReader::new(stream) }
    }

    pub fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            head += &format!("Host: {}\r\n", self.address);
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if method == "POST" {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        self.send(format!("{head}\r\n").as_bytes());
        self.send(body);
        self.answer(method == "HEAD").expect("an answer")
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("sent");
    }

    /// The next answer, or none when the server closed the connection.
    pub fn answer(&mut self, is_head: bool) -> Option<Answer> {
        let mut answer = self.head()?;
        let has_body = !is_head && !matches!(answer.status, 100 | 304);
        if has_body {
            let length = answer.header("content-length").expect("a length").parse().expect("a number");
            answer.body = self.read(length);
        }
        Some(answer)
    }

    /// Status and headers of the next answer.
    pub fn head(&mut self) -> Option<Answer> {
        let first = self.line()?;
        let status = first.strip_prefix("HTTP/1.1 ").expect("HTTP")[..3].parse().expect("a status");
        let mut headers = Vec::new();
        while let Some(line) = self.line().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").expect("a header");
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        Some(Answer { status, headers, body: Vec::new() })
    }

    pub fn read(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).expect("the whole body");
        bytes
    }

    /// Whether nothing more comes.
    pub fn is_closed(&mut self) -> bool {
        // An abrupt end is one as well.
        let read = self.stream.read(&mut [0; 1]);
        read.map_or_else(|error| error.kind() == std::io::ErrorKind::ConnectionReset, |count| count == 0)
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let count = self.stream.read_line(&mut line).expect("a line");
        (count > 0).then(|| line.trim_end().to_owned())
    }
}
