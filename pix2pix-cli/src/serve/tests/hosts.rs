//! Who may ask, and under which name.

use super::*;

#[test]
fn a_server_of_this_machine_answers_to_names_of_this_machine() {
    let server = Server::start(site());
    let port = server.address.port();
    for name in ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"] {
        for host in [name.to_owned(), format!("{name}:{port}"), format!("{name}:1")] {
            assert_eq!(server.ask("GET", "/map/0/0/0.png", &[("Host", &host)]).status, 200, "{host}");
        }
    }
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "0.0.0.0", "[::]"] {
        for path in ["/", "/map/0/0/0.png", "/map.json", "/nowhere"] {
            let answer = server.ask("GET", path, &[("Host", host)]);
            assert_eq!(answer.status, 421, "{host} {path}");
            assert_eq!(answer.json()["error"], format!("this server does not answer to the name {host}"));
        }
    }
}

#[test]
fn a_server_on_another_loopback_address_answers_to_it() {
    let Some(server) = Server::start_at("127.0.0.7:0", site(), Waits::default()) else {
        // Some systems have one loopback address only.
        return;
    };
    assert_eq!(server.get("/").status, 200);
    assert_eq!(server.ask("GET", "/", &[("Host", "127.0.0.8")]).status, 421);
}

#[test]
fn a_server_on_the_loopback_of_ipv6_answers_to_it() {
    let Some(server) = Server::start_at("[::1]:0", site(), Waits::default()) else {
        // Some systems have no such address.
        return;
    };
    let expected = format!("http://[::1]:{}/map/{{z}}/{{x}}/{{y}}.png", server.address.port());
    assert_eq!(server.get("/map.json").json()["tiles"], json!([expected]));
    assert_eq!(server.ask("GET", "/", &[("Host", "evil.example")]).status, 421);
}

#[test]
fn a_server_of_the_network_answers_to_any_name() {
    let server = Server::start_at("0.0.0.0:0", site(), Waits::default()).expect("a port");
    let answer = server.ask("GET", "/map.json", &[("Host", "Maps.Example.org:81")]);
    assert_eq!(answer.json()["tiles"], json!(["http://maps.example.org:81/map/{z}/{x}/{y}.png"]));
    assert_eq!(server.ask("GET", "/map.json", &[("Host", "a\"b")]).status, 400);
}

#[test]
fn a_request_names_one_valid_host() {
    let server = Server::start(site());
    let answer = |head: &str| {
        let mut connection = server.connect();
        connection.send(head.as_bytes());
        connection.answer(false).expect("an answer").status
    };
    for host in [
        "",
        "a b",
        "a/b",
        "user@localhost",
        "localhost:",
        "localhost:99999",
        "localhost:0",
        "localhost:80:80",
        "a..b",
        "[::1",
        "localhost,evil",
        "{z}",
        "localhost/%2e",
        "localhost\t.",
        "l\u{f6}calhost",
    ] {
        assert_eq!(answer(&format!("GET /map.json HTTP/1.1\r\nHost: {host}\r\n\r\n")), 400, "{host}");
    }
    assert_eq!(answer("GET / HTTP/1.1\r\n\r\n"), 400);
    assert_eq!(answer("GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"), 400);
    assert_eq!(answer("GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"), 400);
}

#[test]
fn a_whole_address_in_the_request_names_the_same_host() {
    let server = Server::start(site());
    let answer = |address: &str, host: &str| {
        let mut connection = server.connect();
        connection.send(format!("GET {address} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        connection.answer(false).expect("an answer").status
    };
    assert_eq!(answer("http://localhost:80/map/0/0/0.png", "localhost:80"), 200);
    assert_eq!(answer("http://evil.example/map/0/0/0.png", "localhost"), 400);
    assert_eq!(answer("http://localhost/map/0/0/0.png", "evil.example"), 400);
    assert_eq!(answer("http://evil.example/map/0/0/0.png", "evil.example"), 421);
    assert_eq!(answer("http://user@localhost/map/0/0/0.png", "localhost"), 400);
}
