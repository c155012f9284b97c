//! No path of a request reaches the file system.

use std::{fs, path::Path};

use tempfile::TempDir;

use super::*;

/// An export with a neighbour that must not be read, and a server for it.
fn export() -> (TempDir, Server) {
    let folder = TempDir::new().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    };
    write("secret.png", "secret");
    write("0/0/0.png", "secret");
    write("out/tilejson.json", r#"{"tilejson": "3.0.0", "scheme": "tms", "tiles": ["{z}/{x}/{y}.png"]}"#);
    write("out/1/0/1.png", "north west");
    write("out/1/secret.png", "secret");
    let tiles = pix2pix_core::tiles::open(&folder.path().join("out")).expect("tiles");
    let server = Server::start(Site { map: tiles.into(), ..site() });
    (folder, server)
}

#[test]
fn paths_that_lead_elsewhere_lead_nowhere() {
    let (folder, server) = export();
    let absolute = folder.path().join("secret.png").display().to_string();
    let paths = [
        "/map/../secret.png",
        "/map/../../secret.png",
        "/map/1/../../secret.png",
        "/map/1/0/../secret.png",
        "/map/../../../../../../../../etc/passwd",
        "/../secret.png",
        "/..",
        "/map/..",
        "/map/1/0/..png",
        "/map/%2e%2e/0/0.png",
        "/map/%2e%2e/%2e%2e/secret.png",
        "/map/1/%2e%2e/secret.png",
        "/map/%2E%2E/0/0.png",
        "/map/1/0/%2e%2e%2fsecret.png",
        "/map/..%2f..%2fsecret.png",
        "/map/1%2f0%2f1.png",
        "/map/1/0%2f1.png",
        "/map/1/0/1%2epng",
        "/map/%252e%252e/0/0.png",
        "/map/..%5c..%5csecret.png",
        "/map/..\\0\\0.png",
        "/map/%c0%ae%c0%ae/0/0.png",
        "/map/1/0/%00.png",
        "/map/1/0/1.png%00",
        "/map/1/0/1%00.png",
        "/map//etc/passwd",
        "/map///etc/passwd",
        "/%2fetc%2fpasswd",
        "//etc/passwd",
        "/etc/passwd",
        "/archive/../secret.png",
        "/archive/%2e%2e%2fsecret.png",
        "/archive/..%2f..%2fetc%2fpasswd",
        "/archive/%2fetc%2fpasswd",
        "/archive/secret.png",
        "/archive/tilejson.json",
        "/archive/%ff",
        "/archive/%00",
        "/archive/.",
        "/archive/..",
        "/archive/out",
        "/tilejson.json",
        "/map/tilejson.json",
        "/map/1/secret.png",
        "/map/1/0/",
        "/map/1",
        "/map/./1/0/1.png",
        "/map/1/./1.png",
        "/map/1/0/./1.png",
        "/map/1/0/1.png/..",
    ];
    let absolute = [format!("/map/{absolute}"), format!("/map/1/0/{absolute}"), format!("/archive/{absolute}")];
    for path in paths.iter().map(ToString::to_string).chain(absolute) {
        let answer = server.get(&path);
        assert_eq!((answer.status, answer.text()), (404, ""), "{path}");
    }
    let tile = server.get("/map/1/0/0.png");
    assert_eq!((tile.status, tile.text()), (200, "north west"));
}

#[test]
fn bytes_that_are_no_path_are_refused() {
    let (_folder, server) = export();
    let requests: [&[u8]; 6] = [
        b"GET /map/1/0/0\0.png HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /map/1/0/\x01.png HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET map/1/0/0.png HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET ../secret.png HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /map/1/0/0.png /etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /map/1/0/0.png HTTP/9.9\r\nHost: localhost\r\n\r\n",
    ];
    for request in requests {
        let mut connection = server.connect();
        connection.send(request);
        let answer = connection.answer(false).expect("an answer");
        assert_eq!((answer.status, answer.text()), (400, ""), "{}", request.escape_ascii());
    }
    assert_eq!(server.get("/map/1/0/0.png").status, 200);
}

#[test]
fn very_long_paths_are_refused_and_the_server_goes_on() {
    let (_folder, server) = export();
    for length in [300, 5000, 60_000, 100_000, 300_000] {
        for path in [format!("/map/1/0/{}.png", "0".repeat(length)), "/..".repeat(length / 3)] {
            let mut connection = server.connect();
            connection.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
            let answer = connection.answer(false).expect("an answer");
            let expected = if length < 65_000 { 404 } else { 414 };
            assert_eq!((answer.status, answer.text()), (expected, ""), "{length}");
        }
    }
    assert_eq!(server.get("/map/1/0/0.png").status, 200);
}

#[cfg(unix)]
#[test]
fn links_out_of_the_export_are_not_followed() {
    use std::os::unix::fs::symlink;

    let (folder, server) = export();
    let link = |target: &Path, name: &str| symlink(target, folder.path().join("out").join(name)).expect("a link");
    link(Path::new("/etc/passwd"), "1/0/0.png");
    link(folder.path(), "2");
    link(&folder.path().join("0"), "0");
    link(&folder.path().join("0/0"), "1/1");
    for path in ["/map/1/0/1.png", "/map/0/0/0.png", "/map/1/1/1.png"] {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.text()), (404, ""), "{path}");
    }
    assert_eq!(server.get("/map/2/0/0.png").status, 404);
    assert_eq!(server.get("/map/1/0/0.png").text(), "north west");
}
