//! Pictures that are sent to be translated.

use std::{
    sync::{
        Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use super::*;
use crate::serve::TranslateFailure;

/// A desk that turns pictures around, refuses some and panics over others.
fn desk() -> Site {
    let translate = |bytes: Vec<u8>, name: String| match bytes.as_slice() {
        b"bad" => {
            Err(TranslateFailure { error: format!("{name} is no picture"), hint: Some("send a PNG file".into()) })
        }
        b"worse" => Err(TranslateFailure { error: format!("{name} is worse"), hint: None }),
        b"panic" => panic!("a secret of the network"),
        _ => Ok(bytes.into_iter().rev().collect()),
    };
    Site { translate: Some(Arc::new(translate)), ..site() }
}

/// A desk whose work begins and ends when the test says so.
pub fn slow_desk() -> (Site, Receiver<()>, SyncSender<()>) {
    let ((begun, begins), (ends, end)) = (sync_channel(10), sync_channel(10));
    let end = Mutex::new(end);
    let translate = move |bytes, _| {
        begun.send(()).expect("a test that waits");
        end.lock().expect("the only one").recv().expect("a test that goes on");
        Ok(bytes)
    };
    (Site { translate: Some(Arc::new(translate)), ..site() }, begins, ends)
}

#[test]
fn a_picture_is_translated() {
    let server = Server::start(desk());
    let answer = server.post("/translate?name=a.png", &[], b"abc");
    assert_eq!((answer.status, answer.text()), (200, "cba"));
    assert_eq!(answer.header("content-type"), Some("image/png"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let mut connection = server.connect();
    let chunked = "POST /translate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
    connection.send(chunked.as_bytes());
    assert_eq!(connection.answer(false).expect("an answer").text(), "cba");
}

#[test]
fn pictures_that_cannot_be_translated_are_named_with_a_hint() {
    let server = Server::start(desk());
    let answer = server.post("/translate?name=my%20map.png", &[], b"bad");
    assert_eq!(answer.status, 422);
    assert_eq!(answer.json(), json!({"error": "my map.png is no picture", "hint": "send a PNG file"}));
    let answer = server.post("/translate", &[], b"worse");
    assert_eq!((answer.status, answer.json()), (422, json!({"error": "picture is worse"})));
    let answer = server.post("/translate", &[], b"");
    assert_eq!((answer.status, answer.json()), (422, json!({"error": "there is no picture in the request"})));
    assert_eq!(server.post("/translate", &[], b"abc").status, 200);
}

#[test]
fn a_panic_is_an_error_without_details_and_the_server_goes_on() {
    let server = Server::start(desk());
    for _ in 0..3 {
        let answer = server.post("/translate?name=secret", &[], b"panic");
        let expected = json!({
            "error": "the translation failed unexpectedly", "hint": "the server goes on; try another picture",
        });
        assert_eq!((answer.status, answer.json()), (500, expected));
    }
    assert_eq!(server.post("/translate", &[], b"abc").text(), "cba");
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn a_picture_of_the_greatest_length_is_taken_and_none_longer() {
    let server = Server::start(desk());
    assert_eq!(server.post("/translate", &[], &[1; 1000]).body, [1; 1000]);
    let answer = server.post("/translate", &[], &[1; 1001]);
    assert_eq!(answer.status, 413);
    assert_eq!(answer.json()["error"], "the picture is longer than 1000 bytes, the most that are taken");
}

#[test]
fn a_length_that_is_too_great_is_refused_before_anything_is_sent() {
    let server = Server::start(desk());
    for length in ["1001", "99999999999999", "1000000000000000000"] {
        let mut connection = server.connect();
        let head = format!("POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
        connection.send(head.as_bytes());
        assert_eq!(connection.answer(false).expect("an answer").status, 413, "{length}");
    }
    assert_eq!(server.post("/translate", &[], b"abc").status, 200);
}

#[test]
fn a_picture_that_grows_too_long_on_the_way_is_refused() {
    let server = Server::start(desk());
    let mut connection = server.connect();
    connection.send(b"POST /translate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..3 {
        connection.send(format!("1f4\r\n{}\r\n", "a".repeat(500)).as_bytes());
    }
    // The end has not been sent.
    let answer = connection.answer(false).expect("an answer");
    assert_eq!(answer.status, 413);
    assert_eq!(answer.json()["error"], "the picture is longer than 1000 bytes, the most that are taken");
    assert_eq!(server.post("/translate", &[], b"abc").status, 200);
}

#[test]
fn a_refusal_reaches_clients_that_are_still_sending() {
    let server = Server::start(desk());
    let mut connection = server.connect();
    // More than the buffers between the two hold, so that the server has to read on.
    assert_eq!(connection.ask("POST", "/translate", &[], &vec![1; 32 << 20]).status, 413);
    let foreign = [("Origin", "http://evil.example")];
    assert_eq!(connection.ask("POST", "/translate", &foreign, &vec![1; 32 << 20]).status, 403);
    assert_eq!(connection.ask("POST", "/translate", &[], b"abc").text(), "cba");
}

#[test]
fn clients_that_ask_first_are_answered_first() {
    let server = Server::start(desk());
    let head = |length| {
        format!(
            "POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    let mut connection = server.connect();
    connection.send(head(3).as_bytes());
    assert_eq!(connection.answer(false).expect("go on").status, 100);
    connection.send(b"abc");
    assert_eq!(connection.answer(false).expect("an answer").text(), "cba");
    connection.send(head(1001).as_bytes());
    assert_eq!(connection.answer(false).expect("an answer").status, 413);
}

#[test]
fn one_picture_is_translated_at_a_time() {
    let (site, begins, ends) = slow_desk();
    let server = Server::start(site);
    thread::scope(|scope| {
        let first = scope.spawn(|| server.post("/translate", &[], b"first"));
        begins.recv().expect("the first begins");
        for _ in 0..3 {
            let second = server.post("/translate", &[], b"second");
            assert_eq!((second.status, second.header("retry-after")), (503, Some("2")));
            assert_eq!(second.json()["error"], "another picture is being translated");
        }
        // Tiles are served meanwhile.
        assert_eq!(server.get("/map/0/0/0.png").status, 200);
        ends.send(()).expect("the first waits");
        assert_eq!(first.join().expect("an answer").text(), "first");
        ends.send(()).expect("a place");
        assert_eq!(server.post("/translate", &[], b"third").text(), "third");
    });
}

#[test]
fn a_client_that_leaves_frees_the_place_when_the_work_is_done() {
    let (site, begins, ends) = slow_desk();
    let server = Server::start(site);
    let mut leaves = server.connect();
    leaves.send(b"POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc");
    begins.recv().expect("the work begins");
    drop(leaves);
    assert_eq!(server.post("/translate", &[], b"too early").status, 503);
    ends.send(()).expect("the work waits");
    ends.send(()).expect("a place");
    let answer = std::iter::repeat_with(|| server.post("/translate", &[], b"next"))
        .find(|answer| answer.status != 503)
        .expect("an answer");
    assert_eq!((answer.status, answer.text()), (200, "next"));
}

#[test]
fn a_client_that_leaves_while_sending_frees_the_place() {
    let server = Server::start(desk());
    let mut leaves = server.connect();
    leaves.send(b"POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30\r\n\r\nabc");
    drop(leaves);
    let answer = std::iter::repeat_with(|| server.post("/translate", &[], b"next"))
        .find(|answer| answer.status != 503)
        .expect("an answer");
    assert_eq!((answer.status, answer.text()), (200, "txen"));
}

#[test]
fn a_client_that_stops_sending_loses_the_place() {
    let server = Server::start_at("127.0.0.1:0", desk(), impatient()).expect("a port");
    let mut slow = server.connect();
    slow.send(b"POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30\r\n\r\nabc");
    let answer = slow.answer(false).expect("an answer");
    assert_eq!((answer.status, answer.json()["error"].as_str()), (408, Some("the picture did not arrive in time")));
    assert_eq!(server.post("/translate", &[], b"next").status, 200);
}

#[test]
fn pages_of_others_may_not_have_pictures_translated() {
    let server = Server::start(desk());
    let own = format!("http://{}", server.address);
    let post = |headers: &[(&str, &str)]| server.post("/translate", headers, b"abc");
    assert_eq!(post(&[("Origin", &own)]).status, 200);
    assert_eq!(post(&[("Origin", &own), ("Sec-Fetch-Site", "same-origin")]).status, 200);
    assert_eq!(post(&[("Sec-Fetch-Site", "none")]).status, 200);
    let port = server.address.port();
    for origin in [
        "http://evil.example",
        "null",
        "",
        &format!("http://localhost:{port}"),
        &format!("https://127.0.0.1:{port}"),
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        &format!("{own}.evil.example"),
        &format!("{own}/"),
    ] {
        let answer = post(&[("Origin", origin)]);
        assert_eq!(answer.status, 403, "{origin}");
        assert_eq!(answer.json()["error"], "pictures are translated for the page of this server only");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    assert_eq!(post(&[("Origin", &own), ("Origin", "http://evil.example")]).status, 403);
    for site in ["cross-site", "same-site"] {
        assert_eq!(post(&[("Sec-Fetch-Site", site)]).status, 403, "{site}");
    }
    // Under a foreign name that was made to point here, page and origin agree.
    let rebound = [("Host", "evil.example"), ("Origin", "http://evil.example")];
    assert_eq!(post(&rebound).status, 421);
}
