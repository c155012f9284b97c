//! Archives and vectors: whole, in part, and without being read into memory.

use std::{
    fs::{self, File},
    io::{Seek, SeekFrom, Write},
};

use tempfile::TempDir;

use super::*;

/// Some pieces and a bit.
const LENGTH: usize = (1 << 20) + 17;

fn bytes() -> Vec<u8> {
    (0..LENGTH).map(|index| u8::try_from(index * 31 % 251).expect("a byte")).collect()
}

/// A server of an archive under this name.
fn archive(name: &str, bytes: &[u8]) -> (TempDir, Server) {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("an archive");
    let server = Server::start(Site { map: Arc::new(Memory { archive: Some(path), ..memory("png") }), ..site() });
    (folder, server)
}

#[test]
fn an_archive_is_there_under_its_own_name_and_that_of_its_layer() {
    for (name, kind) in [("zürich & co.pmtiles", "vnd.pmtiles"), ("zürich & co.mbtiles", "vnd.sqlite3")] {
        let (_folder, server) = archive(name, b"archive");
        let layer = format!("/map.{}", name.rsplit_once('.').expect("an ending").1);
        let own = format!("/archive/{}", name.replace('ü', "%C3%BC").replace(' ', "%20").replace('&', "%26"));
        for path in [&own, &layer] {
            let answer = server.get(path);
            assert_eq!((answer.status, answer.text()), (200, "archive"), "{path}");
            assert_eq!(answer.header("content-type"), Some(format!("application/{kind}").as_str()));
            assert_eq!(answer.header("accept-ranges"), Some("bytes"));
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
            assert_eq!(answer.header("cache-control"), Some("no-cache"));
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        }
        assert_eq!(server.get("/source.pmtiles").status, 404);
        assert_eq!(server.get("/archive/other.pmtiles").status, 404);
    }
}

#[test]
fn archives_of_one_name_are_told_apart_by_their_layers() {
    let (one, other) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let layer = |folder: &TempDir, text: &str| {
        let path = folder.path().join("tiles.pmtiles");
        fs::write(&path, text).expect("an archive");
        Arc::new(Memory { archive: Some(path), ..memory("png") })
    };
    let server =
        Server::start(Site { map: layer(&one, "the map"), source: Some(layer(&other, "the source")), ..site() });
    assert_eq!(server.get("/map.pmtiles").text(), "the map");
    assert_eq!(server.get("/source.pmtiles").text(), "the source");
    assert_eq!(server.get("/archive/tiles.pmtiles").text(), "the map");
}

#[test]
fn files_that_are_no_archives_are_not_served_as_such() {
    let (_folder, server) = archive("secret.txt", b"secret");
    for path in ["/archive/secret.txt", "/map.txt", "/map.json.txt"] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
}

#[test]
fn parts_of_an_archive_are_cut_exactly() {
    let bytes = bytes();
    let (_folder, server) = archive("map.pmtiles", &bytes);
    let mut connection = server.connect();
    let (last, piece) = (LENGTH - 1, 256 << 10);
    let cases = [
        ("bytes=0-0".to_owned(), 0, 0),
        ("bytes=0-126".to_owned(), 0, 126),
        (format!("bytes={}-{}", piece - 1, piece), piece - 1, piece),
        (format!("bytes={}-{}", piece, 2 * piece - 1), piece, 2 * piece - 1),
        (format!("bytes=1-{}", last - 1), 1, last - 1),
        (format!("bytes={last}-{last}"), last, last),
        (format!("bytes={last}-"), last, last),
        ("bytes=0-".to_owned(), 0, last),
        (format!("bytes=5-{}", u64::MAX), 5, last),
        ("bytes=7-99999999999999999999999999".to_owned(), 7, last),
        ("bytes=-1".to_owned(), last, last),
        ("bytes=-1000".to_owned(), LENGTH - 1000, last),
        (format!("bytes=-{LENGTH}"), 0, last),
        (format!("bytes=-{}", u64::MAX), 0, last),
    ];
    for (range, from, to) in cases {
        let answer = connection.ask("GET", "/map.pmtiles", &[("Range", &range)], b"");
        assert_eq!(answer.status, 206, "{range}");
        assert_eq!(answer.header("content-range"), Some(format!("bytes {from}-{to}/{LENGTH}").as_str()), "{range}");
        assert!(answer.body == bytes[from..=to], "{range}");
        assert_eq!(answer.header("content-type"), Some("application/vnd.pmtiles"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
}

#[test]
fn parts_that_are_not_there_are_refused_with_the_length() {
    let (_folder, server) = archive("map.pmtiles", &bytes());
    for range in [format!("bytes={LENGTH}-"), format!("bytes={LENGTH}-{}", LENGTH + 5), "bytes=-0".into()] {
        let answer = server.ask("GET", "/map.pmtiles", &[("Range", &range)]);
        assert_eq!((answer.status, answer.text()), (416, ""), "{range}");
        assert_eq!(answer.header("content-range"), Some(format!("bytes */{LENGTH}").as_str()));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
    let (_folder, empty) = archive("map.pmtiles", b"");
    assert_eq!(empty.get("/map.pmtiles").status, 200);
    let answer = empty.ask("GET", "/map.pmtiles", &[("Range", "bytes=0-")]);
    assert_eq!((answer.status, answer.header("content-range")), (416, Some("bytes */0")));
}

#[test]
fn several_parts_and_nonsense_are_answered_with_the_whole() {
    let bytes = bytes();
    let (_folder, server) = archive("map.pmtiles", &bytes);
    let ranges = ["bytes=0-1,5-6", "bytes=0-1,99999999-", "bytes=5-2", "bytes=x", "bytes=", "lines=0-1", "bytes 0-1"];
    for range in ranges {
        let answer = server.ask("GET", "/map.pmtiles", &[("Range", range)]);
        assert_eq!((answer.status, answer.header("content-range")), (200, None), "{range}");
        assert!(answer.body == bytes, "{range}");
    }
    let twice = server.ask("GET", "/map.pmtiles", &[("Range", "bytes=0-1"), ("Range", "bytes=0-1")]);
    assert_eq!(twice.status, 200);
    let none = server.ask("GET", "/map.pmtiles", &[("Range", "bytes=99999999-,99999999-")]);
    assert_eq!(none.status, 416);
}

#[test]
fn a_part_belongs_to_the_file_that_the_client_knows() {
    let (_folder, server) = archive("map.pmtiles", &bytes());
    let tag = server.get("/map.pmtiles").tag().to_owned();
    let status = |seen: &str| server.ask("GET", "/map.pmtiles", &[("Range", "bytes=0-9"), ("If-Range", seen)]).status;
    assert_eq!(status(&tag), 206);
    assert_eq!(status(&format!("W/{tag}")), 200);
    assert_eq!(status("\"other\""), 200);
    assert_eq!(status("Wed, 21 Oct 2015 07:28:00 GMT"), 200);
}

#[test]
fn an_archive_that_the_client_has_is_not_sent_again_until_it_changes() {
    let (folder, server) = archive("map.pmtiles", &bytes());
    let tag = server.get("/map.pmtiles").tag().to_owned();
    let again = |held: &str| server.ask("GET", "/map.pmtiles", &[("If-None-Match", held), ("Range", "bytes=0-9")]);
    assert_eq!((again(&tag).status, again(&tag).header("content-length")), (304, None));
    fs::write(folder.path().join("map.pmtiles"), b"another archive").expect("an archive");
    let answer = again(&tag);
    assert_eq!((answer.status, answer.text()), (206, "another ar"));
    assert_ne!(answer.tag(), tag);
}

#[test]
fn the_head_of_an_archive_tells_its_length_and_ignores_ranges() {
    let (_folder, server) = archive("map.pmtiles", &bytes());
    let mut connection = server.connect();
    for range in ["bytes=0-9", "bytes=99999999-"] {
        let head = connection.ask("HEAD", "/map.pmtiles", &[("Range", range)], b"");
        assert_eq!((head.status, head.header("content-length")), (200, Some(LENGTH.to_string().as_str())));
        assert_eq!(head.header("accept-ranges"), Some("bytes"));
        assert!(!head.tag().is_empty());
    }
    assert_eq!(connection.ask("GET", "/map.pmtiles", &[("Range", "bytes=0-9")], b"").body.len(), 10);
}

#[test]
fn an_archive_larger_than_memory_is_served() {
    // A file of holes: what is not written takes no room.
    const HUGE: u64 = 256 << 30;
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("map.pmtiles");
    let mut file = File::create(&path).expect("a file");
    file.set_len(HUGE).expect("a length");
    file.seek(SeekFrom::End(-7)).and_then(|_| file.write_all(b"the end")).expect("an end");
    let server = Server::start(Site { map: Arc::new(Memory { archive: Some(path), ..memory("png") }), ..site() });
    let end = server.ask("GET", "/map.pmtiles", &[("Range", "bytes=-7")]);
    assert_eq!((end.status, end.text()), (206, "the end"));
    let mut connection = server.connect();
    connection.send(b"GET /map.pmtiles HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let head = connection.head().expect("a head");
    assert_eq!((head.status, head.header("content-length")), (200, Some(HUGE.to_string().as_str())));
    assert_eq!(connection.read(1 << 20), vec![0; 1 << 20]);
    // The client has had enough; others are served.
    drop(connection);
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn clients_that_read_nothing_do_not_hold_up_others() {
    let (_folder, server) = archive("map.pmtiles", &vec![7; 64 << 20]);
    let lazy = (0..40).map(|_| {
        let mut connection = server.connect();
        connection.send(b"GET /map.pmtiles HTTP/1.1\r\nHost: localhost\r\n\r\n");
        connection.head().expect("a head");
        connection
    });
    let lazy = lazy.collect::<Vec<_>>();
    assert_eq!(server.get("/map/0/0/0.png").status, 200);
    assert_eq!(server.ask("GET", "/map.pmtiles", &[("Range", "bytes=-3")]).body, [7; 3]);
    drop(lazy);
}

#[test]
fn a_file_that_is_gone_is_not_there() {
    let (folder, server) = archive("map.pmtiles", b"archive");
    fs::remove_file(folder.path().join("map.pmtiles")).expect("removed");
    let answer = server.get("/map.pmtiles");
    assert_eq!((answer.status, answer.text()), (404, ""));
    fs::create_dir(folder.path().join("map.pmtiles")).expect("a folder");
    let answer = server.get("/map.pmtiles");
    assert_eq!((answer.status, answer.json()), (500, json!({"error": "the file cannot be read"})));
}

#[test]
fn vectors_are_served_like_archives() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("roads.geojson");
    fs::write(&path, r#"{"type": "FeatureCollection", "features": []}"#).expect("a file");
    let server = Server::start(Site { vector: Some(path.clone()), ..site() });
    let answer = server.get("/map.geojson");
    assert_eq!((answer.status, answer.text()), (200, r#"{"type": "FeatureCollection", "features": []}"#));
    assert_eq!(answer.header("content-type"), Some("application/geo+json"));
    assert_eq!(server.ask("GET", "/map.geojson", &[("If-None-Match", answer.tag())]).status, 304);
    assert_eq!(server.ask("GET", "/map.geojson", &[("Range", "bytes=0-5")]).text(), r#"{"type"#);
    assert_eq!(server.ask("HEAD", "/map.geojson", &[]).header("content-length"), Some("45"));
    fs::write(&path, "{}").expect("a file");
    let answer = server.ask("GET", "/map.geojson", &[("If-None-Match", answer.tag())]);
    assert_eq!((answer.status, answer.text()), (200, "{}"));
}
