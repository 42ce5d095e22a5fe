//! The broker as a child process: it says when it is ready, says so when its port is taken, and does not outlive its parent.

use std::{
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

fn broker(directory: &Path, port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_embedded-broker"));
    command.args(["--exit-with-stdin", "--port", &port.to_string(), "--directory"]).arg(directory);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn ready(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("stdout is piped")).read_line(&mut line).expect("a line");
    line
}

#[test]
fn it_says_when_it_is_ready_and_ends_with_its_standard_input() {
    let (directory, port) = (tempfile::tempdir().expect("a directory"), free_port());
    let mut child = broker(directory.path(), port).spawn().expect("it starts");
    assert_eq!(ready(&mut child), format!("embedded broker ready on 127.0.0.1:{port}\n"));
    TcpStream::connect(("127.0.0.1", port)).expect("it takes connections");
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn a_port_in_use_is_said_in_one_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port();
    let output = broker(directory.path(), port).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.lines().count() == 1 && said.contains(&port.to_string()), "{said}");
}
