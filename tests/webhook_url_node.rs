//! Whether the URLs of webhooks that pass are read the same by those who send to them.

use std::io::Write;
use std::process::{Command, Stdio};

use asset_uploads::domain::webhook_url::{check_url, split_port};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;

/// URLs out of pieces that readers of URLs disagree about.
fn urls() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "example", "com", "localhost", "local", "127", "0", "1", "0x7f", "0177", "2130706433", "xn--bcher-kva", "::1", "[::1]",
            "@", ":", "/", "\\", "?", "#", ".", "..", "-", "--", "%", "%2e", "%40", "%00", ";", "&", "=", "443", "8443", "22",
            "user", "\t", "\n", " ", "。", "ｅ", "\u{ad}", "ß", "//", "/../", "https:", "_", "~", "$", "'", "*", "+", ",", "!", "(", "|",
        ]).prop_map(str::to_owned),
        1 => "[ -~]",
    ];
    let scheme = prop::sample::select(vec!["https://", "HTTPS://", "https:/", "http://", ""]);
    let tail = prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat());
    let host = prop::sample::select(vec!["", "example.com", "a.b.example:8443", "Hooks.Example.COM:443"]);
    (scheme, host, tail).prop_map(|(scheme, host, tail)| format!("{scheme}{host}{tail}"))
}

/// What passes, Node reads the same: https, this host and this port, no credentials, no fragment. workerd has the same
/// reader, so that the host that was checked is the one that is sent to.
#[test]
fn node_reads_what_passes_the_same() {
    const SCRIPT: &str = "
        const urls = JSON.parse(require('fs').readFileSync(0, 'utf8'));
        console.log(JSON.stringify(urls.map((text) => {
          try {
            const { protocol, username, password, hostname, port, hash } = new URL(text);
            return [protocol, username, password, hostname, port, hash];
          } catch { return null; }
        })));";
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let strategy = urls();
    let generated = (0..60_000).map(|_| strategy.new_tree(&mut runner).unwrap().current());
    let passed: Vec<String> = generated.filter(|url| check_url(url, &[]).is_ok()).collect();
    assert!(passed.len() > 2_000, "{}", passed.len());
    let mut node = Command::new("node")
        .args(["-e", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Node.js is installed");
    let input = serde_json::to_vec(&passed).unwrap();
    node.stdin.take().unwrap().write_all(&input).unwrap();
    let output = node.wait_with_output().unwrap().stdout;
    let read: Vec<Value> = serde_json::from_slice(&output).unwrap();
    assert_eq!(read.len(), passed.len());
    for (url, read) in passed.iter().zip(read) {
        let authority = url["https://".len()..].split(['/', '?']).next().unwrap().to_lowercase();
        let (host, port) = split_port(&authority).unwrap();
        let port = port.filter(|port| *port != 443).map_or(String::new(), |port| port.to_string());
        assert_eq!(read, serde_json::json!(["https:", "", "", host, port, ""]), "{url:?}");
    }
}
