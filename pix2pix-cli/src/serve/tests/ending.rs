//! Beginning and ending.

use std::{
    env,
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
};

use super::{desk::slow_desk, *};
use crate::serve::run;

/// Says to [`a_process_that_serves`] that it is one.
const IS_CHILD: &str = "P2P_TEST_SERVES";

#[test]
fn a_port_in_use_is_named() {
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("an address");
    let error = run(site(), address, |_| panic!("the port is taken")).expect_err("an error");
    assert_eq!(error.to_string(), format!("cannot listen on {address}"));
    let cause = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>()).expect("a cause");
    assert_eq!(cause.kind(), std::io::ErrorKind::AddrInUse);
}

#[test]
fn an_answer_under_way_is_finished_before_the_end() {
    let (site, begins, ends) = slow_desk();
    let server = Server::start(site);
    let (mut busy, mut idle, fresh) = (server.connect(), server.connect(), server.connect());
    assert_eq!(idle.ask("GET", "/", &[], b"").status, 200);
    busy.send(b"POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc");
    begins.recv().expect("the work begins");
    server.wish_for_the_end();
    // Those who wait for nothing are sent home, and nobody new is let in.
    let mut fresh = fresh;
    assert!(idle.is_closed() && fresh.is_closed());
    while TcpStream::connect(server.address).is_ok() {
        thread::yield_now();
    }
    ends.send(()).expect("the work waits");
    let answer = busy.answer(false).expect("an answer");
    assert_eq!((answer.status, answer.text()), (200, "abc"));
    assert!(busy.is_closed());
    server.has_ended();
}

#[test]
fn the_second_wish_ends_the_server_at_once() {
    let (site, begins, ends) = slow_desk();
    let server = Server::start(site);
    let mut busy = server.connect();
    busy.send(b"POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc");
    begins.recv().expect("the work begins");
    server.wish_for_the_end();
    server.wish_for_the_end();
    server.has_ended();
    assert!(busy.is_closed());
    ends.send(()).expect("the work waits");
}

#[test]
fn a_client_that_never_finishes_its_request_is_sent_home() {
    let server = Server::start_at("127.0.0.1:0", site(), impatient()).expect("a port");
    let mut slow = server.connect();
    slow.send(b"GET / HTTP/1.1\r\nHost: loc");
    assert!(slow.answer(false).is_none_or(|answer| answer.status == 408));
    let mut silent = server.connect();
    assert!(silent.answer(false).is_none_or(|answer| answer.status == 408));
    assert_eq!(server.get("/").status, 200);
}

#[test]
#[ignore = "other tests run it as a process of its own"]
fn a_process_that_serves() {
    if env::var_os(IS_CHILD).is_some() {
        let address = "127.0.0.1:0".parse().expect("an address");
        run(site(), address, |address| println!("listens on {address}.")).expect("served");
        println!("ended well.");
    }
}

/// The process, the rest of what it says, and where it listens.
fn process() -> (Child, BufReader<std::process::ChildStdout>, SocketAddr) {
    let (_, module) = module_path!().split_once("::").expect("a module");
    let mut child = Command::new(env::current_exe().expect("a program"))
        .args(["--exact", "--ignored", "--nocapture", &format!("{module}::a_process_that_serves")])
        .env(IS_CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut said = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    while !line.contains("listens on ") {
        line.clear();
        assert_ne!(said.read_line(&mut line).expect("a line"), 0, "the process listens");
    }
    let (_, address) = line.split_once("listens on ").expect("an address");
    let address = address.trim_end().trim_end_matches('.').parse().expect("an address");
    (child, said, address)
}

#[cfg(unix)]
#[test]
fn signals_end_the_server_well() {
    for signal in ["-INT", "-TERM"] {
        let (mut child, said, address) = process();
        assert_ne!(address.port(), 0);
        assert_eq!(Connection::open(address).ask("GET", "/", &[], b"").status, 200);
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("sent");
        assert!(sent.success());
        assert!(child.wait().expect("an end").success(), "{signal}");
        assert!(said.lines().any(|line| line.expect("a line").contains("ended well.")), "{signal}");
    }
}
