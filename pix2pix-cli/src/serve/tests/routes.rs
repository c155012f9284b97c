//! The page, tiles and their descriptions.

use std::thread;

use super::*;

#[test]
fn the_page_comes_with_headers_that_keep_it_to_itself() {
    let server = Server::start(site());
    for path in ["/", "/index.html", "/?lat=1"] {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.text()), (200, "<!doctype html><title>ü</title>"), "{path}");
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("access-control-allow-origin"), None);
        let policy = answer.header("content-security-policy").expect("a policy");
        let rules = policy.split("; ").collect::<Vec<_>>();
        for rule in [
            "default-src 'none'",
            "script-src 'unsafe-inline'",
            "style-src 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "connect-src 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(rules.contains(&rule), "{rule} in {policy}");
        }
    }
    let tag = server.get("/").tag().to_owned();
    assert_eq!(server.ask("GET", "/", &[("If-None-Match", &tag)]).status, 304);
}

#[test]
fn tiles_come_with_the_type_of_their_format() {
    for (format, kind) in [("png", "image/png"), ("jpg", "image/jpeg"), ("webp", "image/webp")] {
        let server = Server::start(Site { map: Arc::new(memory(format)), ..site() });
        let answer = server.get(&format!("/map/3/7/5.{format}"));
        assert_eq!((answer.status, answer.text()), (200, format!("{format} (3, 7, 5)").as_str()));
        assert_eq!(answer.header("content-type"), Some(kind));
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let seen = answer.header("access-control-expose-headers").expect("names");
        assert!(["ETag", "Content-Range", "Accept-Ranges"].iter().all(|name| seen.contains(name)));
    }
}

#[test]
fn tiles_of_the_source_are_apart_from_those_of_the_map() {
    let server = Server::start(Site { source: Some(Arc::new(memory("jpg"))), ..site() });
    assert_eq!(server.get("/map/0/0/0.png").text(), "png (0, 0, 0)");
    assert_eq!(server.get("/source/0/0/0.jpg").text(), "jpg (0, 0, 0)");
    assert_eq!(server.get("/source/0/0/0.png").status, 404);
    assert_eq!(server.get("/source.json").json()["name"], "jpg");
    let alone = Server::start(site());
    assert_eq!(alone.get("/source/0/0/0.png").status, 404);
    assert_eq!(alone.get("/source.json").status, 404);
}

#[test]
fn tiles_that_are_not_there_are_answered_with_nothing() {
    let server = Server::start(site());
    for path in [
        "/map/1/0/0.png",
        "/map/3/7/5.jpg",
        "/map/3/7/5.webp",
        "/map/3/7/5.PNG",
        "/map/3/7/5",
        "/map/3/8/5.png",
        "/map/3/7/8.png",
        "/map/31/0/0.png",
        "/map/300/0/0.png",
        "/map/3/99999999999/0.png",
        "/map/3/-7/5.png",
        "/map/3/+7/5.png",
        "/map/03/7/5.png",
        "/map/3/7/%35.png",
        "/map/3/7/5.png/",
        "/map//7/5.png",
        "/map/3/7",
        "/map/a/b/c.png",
        "/Map/3/7/5.png",
        "/map3/7/5.png",
    ] {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.text()), (404, ""), "{path}");
    }
    let deepest = (1 << 30) - 1;
    assert_eq!(server.get(&format!("/map/30/{deepest}/{deepest}.png")).status, 200);
    assert_eq!(server.get(&format!("/map/30/{0}/{0}.png", deepest + 1)).status, 404);
}

#[test]
fn a_tile_that_the_client_has_is_not_sent_again() {
    let server = Server::start(site());
    let path = "/map/3/7/5.png";
    let tag = server.get(path).tag().to_owned();
    assert!(tag.starts_with('"') && tag.len() > 20, "{tag} is strong");
    assert_ne!(server.get("/map/0/0/0.png").tag(), tag);
    for held in [&tag, &format!("W/{tag}"), &format!("\"a\", W/\"b,c\" ,{tag}"), "*"] {
        let answer = server.ask("GET", path, &[("If-None-Match", held)]);
        assert_eq!((answer.status, answer.tag(), answer.text()), (304, tag.as_str(), ""), "{held}");
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
    for other in ["\"a\"", "W/\"b\"", tag.trim_matches('"'), ""] {
        assert_eq!(server.ask("GET", path, &[("If-None-Match", other)]).status, 200, "{other}");
    }
    let two = server.ask("GET", path, &[("If-None-Match", "\"a\""), ("If-None-Match", &tag)]);
    assert_eq!(two.status, 304);
    assert_eq!(server.ask("GET", "/map/1/1/1.png", &[("If-None-Match", "*")]).status, 404);
}

#[test]
fn a_new_export_gets_new_tags() {
    let before = Server::start(site());
    let mut map = memory("png");
    map.tiles.insert((3, 7, 5), b"better".to_vec());
    let after = Server::start(Site { map: Arc::new(map), ..site() });
    let held = before.get("/map/3/7/5.png").tag().to_owned();
    let answer = after.ask("GET", "/map/3/7/5.png", &[("If-None-Match", &held)]);
    assert_eq!((answer.status, answer.text()), (200, "better"));
    let held = before.get("/map/0/0/0.png").tag().to_owned();
    assert_eq!(after.ask("GET", "/map/0/0/0.png", &[("If-None-Match", &held)]).status, 304);
}

#[test]
fn descriptions_have_addresses_under_the_name_that_was_asked() {
    let server = Server::start(Site { source: Some(Arc::new(memory("webp"))), ..site() });
    let answer = server.get("/map.json");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    let found = answer.json();
    assert_eq!(found["tiles"], json!([format!("http://{}/map/{{z}}/{{x}}/{{y}}.png", server.address)]));
    assert_eq!((&found["tilejson"], &found["name"], &found["maxzoom"]), (&json!("3.0.0"), &json!("png"), &json!(30)));
    // Addresses count from north, however the tiles are kept.
    assert_eq!(found["scheme"], json!("xyz"));
    let local = server.ask("GET", "/source.json", &[("Host", "LOCALHOST:9000")]);
    assert_eq!(local.json()["tiles"], json!(["http://localhost:9000/source/{z}/{x}/{y}.webp"]));
    let held = server.ask("GET", "/map.json", &[("If-None-Match", answer.tag())]);
    assert_eq!(held.status, 304);
}

#[test]
fn what_proxies_say_of_the_host_is_ignored() {
    let server = Server::start(site());
    let headers = [
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Prefix", "/evil"),
        ("Forwarded", "host=evil.example;proto=https"),
        ("X-Host", "evil.example"),
    ];
    let answer = server.ask("GET", "/map.json", &headers);
    assert_eq!(answer.json()["tiles"], json!([format!("http://{}/map/{{z}}/{{x}}/{{y}}.png", server.address)]));
}

#[test]
fn tiles_that_cannot_be_read_are_errors_without_details_and_the_server_goes_on() {
    let server = Server::start(site());
    for (path, tile) in [("/map/5/1/1.png", "5/1/1"), ("/map/5/2/2.png", "5/2/2")] {
        let answer = server.get(path);
        let error = format!("tile {tile} cannot be read");
        assert_eq!((answer.status, answer.json()), (500, json!({ "error": error })));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    assert_eq!(server.get("/map/0/0/0.png").status, 200);
}

#[test]
fn other_paths_are_not_there() {
    let server = Server::start(site());
    for path in [
        "/favicon.ico",
        "/index.htm",
        "//",
        "//index.html",
        "/map",
        "/map/",
        "/map.geojson",
        "/map.pmtiles",
        "/archive/",
        "/archive/map.pmtiles",
        "/translate",
        "/tilejson.json",
    ] {
        for method in ["GET", "POST"] {
            // An archive's name may be asked with GET alone, whether or not it is there.
            let status = if method == "POST" && path == "/archive/map.pmtiles" { 405 } else { 404 };
            let answer = server.ask(method, path, &[]);
            assert_eq!((answer.status, answer.text()), (status, ""), "{method} {path}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        }
    }
}

#[test]
fn other_methods_are_told_which_ones_there_are() {
    let server = Server::start(Site {
        source: Some(Arc::new(memory("png"))),
        vector: Some("nowhere".into()),
        translate: Some(Arc::new(|bytes, _| Ok(bytes))),
        ..site()
    });
    for path in ["/", "/index.html", "/map/0/0/0.png", "/source/0/0/0.png", "/map.json", "/map.geojson", "/archive/a"] {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
            let answer = server.ask(method, path, &[]);
            assert_eq!((answer.status, answer.header("allow")), (405, Some("GET,HEAD")), "{method} {path}");
        }
    }
    for method in ["GET", "HEAD", "PUT", "OPTIONS"] {
        let answer = server.ask(method, "/translate", &[]);
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method}");
    }
}

#[test]
fn heads_are_those_of_the_whole_answer() {
    let server = Server::start(site());
    for path in ["/", "/index.html", "/map/3/7/5.png", "/map.json", "/map/1/0/0.png"] {
        let (whole, mut connection) = (server.get(path), server.connect());
        let head = connection.ask("HEAD", path, &[], b"");
        let rest = |answer: &Answer| {
            let headers = answer.headers.iter().filter(|(name, _)| name != "date");
            headers.cloned().collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!((head.status, rest(&head)), (whole.status, rest(&whole)), "{path}");
        // Had bytes followed, they would be taken for the next answer.
        assert_eq!(connection.ask("GET", "/map/3/7/5.png", &[], b"").text(), "png (3, 7, 5)");
    }
    assert_eq!(server.ask("HEAD", "/nowhere", &[]).status, 404);
    let tag = server.get("/map/3/7/5.png").tag().to_owned();
    assert_eq!(server.ask("HEAD", "/map/3/7/5.png", &[("If-None-Match", &tag)]).status, 304);
}

#[test]
fn twenty_clients_at_the_same_time_each_get_their_own() {
    let mut map = memory("png");
    for x in 0..20 {
        for y in 0..20 {
            map.tiles.insert((5, x, y + 3), vec![u8::try_from(x * 8 + y).expect("a byte"); 1000 * (y as usize + 1)]);
        }
    }
    let server = Server::start(Site { map: Arc::new(map), ..site() });
    thread::scope(|scope| {
        for x in 0..20 {
            let mut connection = server.connect();
            scope.spawn(move || {
                for y in 0..20 {
                    let answer = connection.ask("GET", &format!("/map/5/{x}/{}.png", y + 3), &[], b"");
                    let expected = vec![u8::try_from(x * 8 + y).expect("a byte"); 1000 * (y as usize + 1)];
                    assert_eq!((answer.status, answer.body == expected), (200, true), "{x} {y}");
                    let held = connection.ask(
                        "GET",
                        &format!("/map/5/{x}/{}.png", y + 3),
                        &[("If-None-Match", answer.tag())],
                        b"",
                    );
                    assert_eq!(held.status, 304);
                }
            });
        }
    });
}

#[test]
fn requests_that_were_sent_ahead_are_answered_in_order() {
    let server = Server::start(site());
    let mut connection = server.connect();
    let request = |path| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    connection
        .send([request("/map/0/0/0.png"), request("/map/1/1/1.png"), request("/map/3/7/5.png")].concat().as_bytes());
    let mut next = || connection.answer(false).expect("an answer");
    assert_eq!(next().text(), "png (0, 0, 0)");
    assert_eq!(next().status, 404);
    assert_eq!(next().text(), "png (3, 7, 5)");
}
