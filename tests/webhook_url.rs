//! Where webhooks may lead: no local or private host in any form that some reader of URLs takes for one.

use asset_uploads::domain::webhook_url::UrlError::{Host, Malformed, Port, Scheme};
use asset_uploads::domain::webhook_url::{UrlError, check_url, is_host_and_port};

const REFUSED: &[(&str, UrlError)] = &[
    // IPv4 addresses, in every form that `inet_aton` and WHATWG read.
    ("https://127.0.0.1/", Host),
    ("https://127.1/", Host),
    ("https://127.0.1/", Host),
    ("https://2130706433/", Host),
    ("https://0x7f000001/", Host),
    ("https://0X7F000001/", Host),
    ("https://0x7f.0.0.1/", Host),
    ("https://0x7f.0x0.0x0.0x1/", Host),
    ("https://0177.0.0.1/", Host),
    ("https://017700000001/", Host),
    ("https://0/", Host),
    ("https://0.0.0.0/", Host),
    ("https://0x/", Host),
    ("https://a.0x/", Host),
    ("https://example.0x7f/", Host),
    ("https://example.1/", Host),
    ("https://1.1.1.1/", Host),
    ("https://8.8.8.8:8443/", Host),
    ("https://10.0.0.1/", Host),
    ("https://10.1/", Host),
    ("https://172.16.0.1/", Host),
    ("https://192.168.0.1/", Host),
    ("https://192.168.257/", Host),
    ("https://169.254.169.254/latest/meta-data/", Host),
    ("https://100.64.0.1/", Host),
    ("https://255.255.255.255/", Host),
    ("https://256.256.256.256/", Host),
    ("https://127.0.0.1.:443/", Host),
    // IPv6 addresses.
    ("https://[::1]/", Host),
    ("https://[::]/", Host),
    ("https://[::1]:8443/", Host),
    ("https://[::ffff:127.0.0.1]/", Host),
    ("https://[::ffff:7f00:1]/", Host),
    ("https://[64:ff9b::7f00:1]/", Host),
    ("https://[fe80::1]/", Host),
    ("https://[fe80::1%25eth0]/", Host),
    ("https://[fd00::1]/", Host),
    ("https://[2606:4700::1111]/", Host),
    ("https://::1/", Host),
    // Local names.
    ("https://localhost/", Host),
    ("https://LOCALHOST/", Host),
    ("https://localhost./", Host),
    ("https://localhost..", Host),
    ("https://foo.localhost/", Host),
    ("https://localhost.localdomain/", Host),
    ("https://foo.local/", Host),
    ("https://foo.LOCAL/", Host),
    ("https://foo.local./", Host),
    ("https://foo.internal/", Host),
    ("https://metadata.google.internal/", Host),
    ("https://foo.intranet/", Host),
    ("https://foo.private/", Host),
    ("https://foo.corp/", Host),
    ("https://foo.home/", Host),
    ("https://foo.lan/", Host),
    ("https://foo.workgroup/", Host),
    ("https://router.home.arpa/", Host),
    ("https://1.0.0.127.in-addr.arpa/", Host),
    ("https://printer/", Host),
    ("https://com/", Host),
    // Names that are none.
    ("https://example.com./", Host),
    ("https://.example.com/", Host),
    ("https://example..com/", Host),
    ("https://-example.com/", Host),
    ("https://example-.com/", Host),
    ("https://exa_mple.com/", Host),
    ("https://*.example.com/", Host),
    ("https://exa%6dple.com/", Host),
    ("https://%6c%6f%63alhost/", Host),
    ("https://127%2e0.0.1/", Host),
    ("https://example.com%00.evil.example/", Host),
    ("https://example.com%2f@localhost/", Malformed),
    ("https://exam$ple.com/", Host),
    ("https://example.com;a/", Host),
    ("https://example.com,localhost/", Host),
    // Other alphabets, and full-width and circled forms of ours.
    ("https://bücher.example/", Malformed),
    ("https://ｌｏｃａｌｈｏｓｔ/", Malformed),
    ("https://１２７.０.０.１/", Malformed),
    ("https://①②⑦.0.0.1/", Malformed),
    ("https://127。0。0。1/", Malformed),
    ("https://example\u{3002}com/", Malformed),
    ("https://local\u{ad}host/", Malformed),
    ("https://loc\u{200b}alhost/", Malformed),
    // What a reader of URLs takes away before it reads.
    (" https://example.com/", Malformed),
    ("https://example.com/ ", Malformed),
    ("https://exam\tple.com/", Malformed),
    ("https://exam\nple.com/", Malformed),
    ("ht\ntps://example.com/", Malformed),
    ("https://example.com/\r\nHost: localhost", Malformed),
    ("https://example.com/\0", Malformed),
    ("https://example.com\\@localhost/", Malformed),
    ("https:\\\\example.com/", Malformed),
    ("https://example.com/a\\b", Malformed),
    ("https://example.com/\"", Malformed),
    ("https://example.com/<>", Malformed),
    ("https://example.com/{a}|b^`", Malformed),
    // Credentials and fragments.
    ("https://user:pass@example.com/", Malformed),
    ("https://user@example.com/", Malformed),
    ("https://@example.com/", Malformed),
    ("https://example.com@localhost/", Malformed),
    ("https://localhost:443@example.com/", Malformed),
    ("https://example.com/#", Malformed),
    ("https://example.com#@localhost/", Malformed),
    // Other schemes.
    ("http://example.com/", Scheme),
    ("http://example.com:8080/", Scheme),
    ("HTTP://example.com/", Scheme),
    ("ftp://example.com/", Scheme),
    ("file:///etc/passwd", Scheme),
    ("gopher://example.com/", Scheme),
    ("ws://example.com/", Scheme),
    ("data://example.com/", Scheme),
    ("httpss://example.com/", Scheme),
    ("://example.com/", Scheme),
    ("javascript:alert(1)//", Malformed),
    ("https:/example.com/", Malformed),
    ("https:example.com/", Malformed),
    ("https:///example.com/", Malformed),
    ("https://", Malformed),
    ("https://:443/", Malformed),
    ("//example.com/", Malformed),
    ("example.com", Malformed),
    ("/v1/webhooks", Malformed),
    ("", Malformed),
    // Ports.
    ("https://example.com:22/", Port),
    ("https://example.com:80/", Port),
    ("https://example.com:25/", Port),
    ("https://example.com:442/", Port),
    ("https://example.com:444/", Port),
    ("https://example.com:1023/", Port),
    ("https://example.com:1/", Port),
    ("https://example.com:0/", Malformed),
    ("https://example.com:65536/", Malformed),
    ("https://example.com:4294967739/", Malformed),
    ("https://example.com:0443/", Malformed),
    ("https://example.com:+443/", Malformed),
    ("https://example.com:-1/", Malformed),
    ("https://example.com:/", Malformed),
    ("https://example.com:https/", Malformed),
    ("https://example.com:443:443/", Host),
];

const ACCEPTED: &[&str] = &[
    "https://example.com",
    "https://example.com/",
    "https://example.com:443/",
    "https://example.com:1024/",
    "https://example.com:8443/hooks",
    "https://example.com:65535/",
    "https://EXAMPLE.Com/Hooks",
    "HTTPS://example.com/",
    "https://xn--bcher-kva.example/",
    "https://example.xn--p1ai/",
    "https://example.com?a=b&c=%20d",
    "https://example.com/a?b=https://localhost/@",
    "https://example.com/@localhost",
    "https://example.com/a:b;c,d'e(f)*~!$+=[]",
    "https://a.b.c.d.e.example.co.uk/",
    "https://1e100.net/",
    "https://127.0.0.1.example.com/",
    "https://localhost.example.com/",
    "https://local.example/",
    "https://a-b--c.example/",
    "https://0x7f000001.example/",
];

#[test]
fn no_local_or_private_host_passes_in_any_form() {
    for (url, error) in REFUSED {
        assert_eq!(check_url(url, &[]), Err(*error), "{url:?}");
    }
}

#[test]
fn public_names_pass_with_permitted_ports() {
    for url in ACCEPTED {
        assert_eq!(check_url(url, &[]), Ok(()), "{url:?}");
    }
    let label = "a".repeat(63);
    let host = format!("{label}.{label}.{label}.{}.example", "b".repeat(53));
    assert_eq!(host.len(), 253);
    assert_eq!(check_url(&format!("https://{host}/"), &[]), Ok(()));
    assert_eq!(check_url(&format!("https://a{host}/"), &[]), Err(Host));
    assert_eq!(check_url(&format!("https://{label}a.example/"), &[]), Err(Host));
    let path = "p".repeat(2_000 - "https://example.com/".len());
    assert_eq!(check_url(&format!("https://example.com/{path}"), &[]), Ok(()));
    assert_eq!(check_url(&format!("https://example.com/{path}p"), &[]), Err(Malformed));
}

#[test]
fn a_listed_pair_may_be_local_and_plain_and_no_other_pair() {
    let listed = ["localhost:9000", "127.0.0.1:80", "[::1]:443"].map(str::to_owned);
    let check = |url| check_url(url, &listed);
    for url in [
        "http://localhost:9000/a?b",
        "https://LOCALHOST:9000/",
        "http://127.0.0.1/",
        "http://127.0.0.1:80",
        "https://[::1]/",
        "https://example.com/",
    ] {
        assert_eq!(check(url), Ok(()), "{url}");
    }
    for (url, error) in [
        ("http://localhost:9001/", Scheme),
        ("https://localhost:9001/", Host),
        ("http://localhost/", Scheme),
        ("https://127.0.0.1/", Host),
        ("http://127.1/", Scheme),
        ("http://[::1]/", Scheme),
        ("ftp://localhost:9000/", Scheme),
        ("http://user@localhost:9000/", Malformed),
        ("http://localhost:9000#a", Malformed),
        ("http://localhost.:9000/", Scheme),
        ("http://127.0.0.1:080/", Malformed),
    ] {
        assert_eq!(check(url), Err(error), "{url}");
    }
    for pair in ["localhost:9000", "127.0.0.1:1", "[::1]:65535", "a-b.example:443"] {
        assert!(is_host_and_port(pair), "{pair}");
    }
    for pair in
        ["", "localhost", "localhost:", ":80", "localhost:0", "localhost:65536", "LOCALHOST:80", "::1:80"]
    {
        assert!(!is_host_and_port(pair), "{pair}");
    }
    for pair in ["[::1]", "[x]:80", "a b:80", "http://a:80", "a/b:80", "*:80", "a:080", "a..b:80", "-a:80"] {
        assert!(!is_host_and_port(pair), "{pair}");
    }
}
