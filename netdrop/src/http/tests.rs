//! The server over real connections to loopback; what it serves is made up.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use insta::assert_snapshot;
use rstest::rstest;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::export::{HubWriter, hub};
use crate::output::samples::{full, summary, udp, written};
use crate::output::{Json, Output as _};

const LONG: Duration = Duration::from_secs(20);

/// A server on loopback, and the loop's end of its hub.
struct Lab {
    address: String,
    secrets: Secrets,
    counters: Arc<Counters>,
    /// Readings that were asked for.
    readings: Arc<AtomicU64>,
    drops: HubWriterOf,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), HttpError>>,
}

/// Drops go to the task that has the writer.
type HubWriterOf = tokio::sync::mpsc::UnboundedSender<String>;

fn loopback() -> Settings {
    Settings { listen: vec!["127.0.0.1:0".parse().unwrap()], ..Settings::default() }
}

impl Lab {
    fn start(settings: &Settings) -> Self {
        Self::start_with(settings, Arc::new(|| Ok(())))
    }

    fn start_with(settings: &Settings, ready: Ready) -> Self {
        let bound = bind(settings).unwrap();
        let address = bound.addresses()[0].to_string();
        let (secrets, counters) = (bound.secrets(), bound.counters());
        let (hub, writer) = hub();
        let metrics: Metrics =
            Arc::new(|exposition| Box::pin(async move { Ok(format!("# {exposition:?}\n")) }));
        let features = [("rx_sk".to_owned(), true)].into();
        let build = Build {
            version: "0.1.0".into(),
            host: "a".into(),
            kernel: "6.18.0".into(),
            started: String::new(),
            features,
        };
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            let _ = stopped.await;
        };
        let server = tokio::spawn(run(
            bound,
            Served { hub, metrics, findings: Arc::new(|| None), ready, build },
            shutdown,
        ));
        let readings = Arc::default();
        let (drops, lines) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(answer(writer, lines, Arc::clone(&readings)));
        Self { address, secrets, counters, readings, drops, stop, server }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.unwrap()
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await
    }

    async fn ask(&self, request: &str) -> Answer {
        converse(self.connect().await, request).await.unwrap()
    }

    async fn end(self) {
        self.stop.send(()).unwrap();
        timeout(LONG, self.server).await.unwrap().unwrap().unwrap();
    }
}

/// The daemon's loop: each reading counts 10 drops more in each row.
async fn answer(
    mut writer: HubWriter,
    mut lines: tokio::sync::mpsc::UnboundedReceiver<String>,
    readings: Arc<AtomicU64>,
) {
    loop {
        tokio::select! {
            asked = writer.asked() => {
                let reading = readings.fetch_add(1, Ordering::SeqCst) + 1;
                writer.publish(read(reading), [asked]);
            }
            line = lines.recv() => match line {
                Some(line) => writer.drop(line.into()),
                None => return,
            },
        }
    }
}

fn read(reading: u64) -> crate::model::Summary {
    let mut summary = summary();
    summary.elapsed = Duration::from_secs(60 + reading);
    for row in &mut summary.rows {
        row.total.packets += 10 * reading;
        row.total.bytes += 1000 * reading;
    }
    summary.total.seen += 10 * reading;
    summary
}

/// Status, headers and body.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
        Self { status, head: head.to_ascii_lowercase(), body: body.into() }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Sends a request, and reads until the server closes.
async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> io::Result<Answer> {
    stream.write_all(request.as_bytes()).await?;
    let mut text = Vec::new();
    timeout(LONG, stream.read_to_end(&mut text)).await.expect("the server closes")?;
    Ok(Answer::read(&String::from_utf8_lossy(&text)))
}

/// Reads until `enough` of what came.
async fn read_until(stream: &mut (impl AsyncRead + Unpin), enough: impl Fn(&str) -> bool) -> String {
    let mut text = Vec::new();
    let reading = async {
        while !enough(&String::from_utf8_lossy(&text)) {
            assert_ne!(
                stream.read_buf(&mut text).await.unwrap(),
                0,
                "closed after {:?}",
                String::from_utf8_lossy(&text)
            );
        }
    };
    timeout(LONG, reading).await.expect("enough comes");
    String::from_utf8(text).unwrap()
}

fn drop_line(weight: u64) -> String {
    written(|out| Json::new().drop(&udp().drop(weight), out)).trim_end().to_owned()
}

#[tokio::test]
async fn a_summary_has_the_counts_since_the_start() {
    let lab = Lab::start(&loopback());
    let answer = lab.get("/api/v1/summary").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    crate::output::json::validate(&answer.body);
    assert_snapshot!("summary", serde_json::to_string_pretty(&answer.json()).unwrap());
    lab.end().await;
}

/// One object, whatever of TCP there is; the numbers are since the start, whoever has asked before.
#[tokio::test]
async fn a_summary_tells_of_tcp() {
    let (hub, mut writer) = hub();
    tokio::spawn(async move {
        let mut sum = None;
        loop {
            let asked = writer.asked().await;
            let tcp = crate::tcp::samples::counted().summed(&mut sum);
            writer.publish(crate::tcp::samples::summary(tcp), [asked]);
        }
    });
    let readings = super::readings::Readings::new(hub);
    let mut told = Vec::new();
    for _ in 0..2 {
        let summary = readings.fresh(Duration::ZERO).await.unwrap();
        let text = String::from_utf8(super::api::written(&super::window::since_start(&summary))).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        crate::output::json::validate(&text);
        told.push(serde_json::from_str::<Value>(&text).unwrap()["tcp"].clone());
    }
    assert_eq!([&told[0], &told[1]].map(|tcp| tcp["counts"][0]["count"].as_u64()), [Some(7), Some(14)]);
    assert_eq!(told[1]["rtt"][1]["count"], 6);
    assert_snapshot!("tcp", serde_json::to_string_pretty(&told[0]).unwrap());
}

#[tokio::test]
async fn who_asks_often_shares_readings() {
    let lab = Lab::start(&loopback());
    for _ in 0..20 {
        lab.get("/api/v1/summary").await;
        lab.get("/readyz").await;
    }
    assert!(lab.readings.load(Ordering::SeqCst) <= 20);
    lab.end().await;
}

#[tokio::test]
async fn the_last_drops_are_told_newest_first() {
    let lab = Lab::start(&loopback());
    assert_eq!(lab.get("/api/v1/drops").await.json(), serde_json::json!({"drops": []}));
    for weight in 1..=3 {
        lab.drops.send(drop_line(weight)).unwrap();
    }
    lab.drops.send(written(|out| Json::new().drop(&full().drop(9), out)).trim_end().to_owned()).unwrap();
    let weights = |answer: Answer| -> Vec<u64> {
        let json = answer.json();
        json["drops"].as_array().unwrap().iter().map(|drop| drop["weight"].as_u64().unwrap()).collect()
    };
    let mut all = weights(lab.get("/api/v1/drops").await);
    while all.len() < 4 {
        tokio::task::yield_now().await;
        all = weights(lab.get("/api/v1/drops").await);
    }
    assert_eq!(all, [9, 3, 2, 1]);
    assert_eq!(weights(lab.get("/api/v1/drops?reason=NO_SOCKET&limit=2").await), [3, 2]);
    let refused = lab.get("/api/v1/drops?raeson=NO_SOCKET").await;
    assert_snapshot!(format!("{} {}", refused.status, refused.body));
    lab.end().await;
}

#[rstest]
#[case::build("/api/v1/build")]
#[case::explanation("/api/v1/explain/TCP_LISTEN_OVERFLOW")]
#[case::misspelt("/api/v1/explain/TCP_LISTEN_OVERFLOV")]
#[case::a_number("/api/v1/explain/0x30005")]
#[case::nothing_there("/api/v2")]
#[case::alive("/healthz")]
#[case::ready("/readyz")]
#[tokio::test]
async fn the_api_answers(#[case] path: &str) {
    let lab = Lab::start(&loopback());
    let answer = lab.get(path).await;
    let name = path.trim_start_matches('/').replace('/', "_");
    assert_snapshot!(
        name,
        format!("{} {}\n{}", answer.status, answer.header("content-type").unwrap(), answer.body)
    );
    lab.end().await;
}

#[tokio::test]
async fn the_format_of_metrics_is_the_scrapers_choice() {
    let lab = Lab::start(&loopback());
    for (accept, kind, body) in [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8", "# Text\n"),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            "# OpenMetrics\n",
        ),
    ] {
        let request = format!(
            "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
        );
        let answer = lab.ask(&request).await;
        assert_eq!((answer.header("content-type"), answer.body.as_str()), (Some(kind), body));
    }
    lab.end().await;
}

#[rstest]
#[case("POST", "/metrics")]
#[case("DELETE", "/api/v1/drops")]
#[case("PUT", "/")]
#[tokio::test]
async fn other_methods_than_get_are_refused(#[case] method: &str, #[case] path: &str) {
    let lab = Lab::start(&loopback());
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\n"
    );
    let answer = lab.ask(&request).await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("get,head")));
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains(method));
    lab.end().await;
}

#[rstest]
#[case("/")]
#[case("/metrics")]
#[case("/api/v1/summary")]
#[case("/nowhere")]
#[tokio::test]
async fn every_response_is_safe_in_a_browser(#[case] path: &str) {
    let lab = Lab::start(&loopback());
    let answer = lab.get(path).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(answer.header("x-frame-options"), Some("deny"));
    let policy = answer.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    lab.end().await;
}

/// Another name than this machine's own in a browser is another's page (DNS rebinding).
#[tokio::test]
async fn without_a_token_only_local_names_are_answered() {
    let lab = Lab::start(&loopback());
    let called = |host| format!("GET /api/v1/summary HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    assert_eq!(lab.ask(&called("127.0.0.1:13767")).await.status, 200);
    assert_eq!(lab.ask(&called("example.net")).await.status, 421);
    lab.end().await;
}

#[tokio::test]
async fn the_token_opens_all_and_none_the_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "0123456789abcdef\n").unwrap();
    let settings = Settings { token_file: Some(file.clone()), ..loopback() };
    let lab = Lab::start(&settings);
    let with = |path: &str, token: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: example.net\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        )
    };
    for path in ["/metrics", "/api/v1/summary", "/api/v1/stream", "/nowhere"] {
        let refused = lab.get(path).await;
        assert_eq!(refused.status, 401, "{path}");
        assert!(refused.header("www-authenticate").unwrap().starts_with("bearer"));
        assert_eq!(lab.ask(&with(path, "0123456789abcdeX")).await.status, 401, "{path}");
    }
    assert_eq!(lab.counters.unauthorized(), 8);
    for path in ["/", "/healthz", "/readyz"] {
        assert_eq!(lab.get(path).await.status, 200, "{path}");
    }
    assert_eq!(lab.ask(&with("/metrics", "0123456789abcdef")).await.status, 200);
    std::fs::write(&file, "fedcba9876543210").unwrap();
    lab.secrets.reload(&settings).unwrap();
    assert_eq!(lab.ask(&with("/metrics", "0123456789abcdef")).await.status, 401);
    assert_eq!(lab.ask(&with("/metrics", "fedcba9876543210")).await.status, 200);
    lab.end().await;
}

/// A certificate for localhost, its key and its PEM.
fn certificate(folder: &std::path::Path) -> String {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    std::fs::write(folder.join("tls.crt"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    made.cert.pem()
}

async fn get_by_tls(lab: &Lab, trusted: &str) -> io::Result<Answer> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), lab.connect().await).await?;
    converse(stream, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await
}

#[tokio::test]
async fn a_certificate_is_used_and_its_successor_after_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let first = certificate(folder.path());
    let settings = Settings {
        tls_cert: Some(folder.path().join("tls.crt")),
        tls_key: Some(folder.path().join("tls.key")),
        header_timeout: Duration::from_millis(200),
        ..loopback()
    };
    let lab = Lab::start(&settings);
    assert_eq!(get_by_tls(&lab, &first).await.unwrap().status, 200);

    let second = certificate(folder.path());
    get_by_tls(&lab, &second).await.unwrap_err();
    lab.secrets.reload(&settings).unwrap();
    assert_eq!(get_by_tls(&lab, &second).await.unwrap().status, 200);

    // A key that isn't the certificate's is refused, and the old ones stay.
    let key = rcgen::KeyPair::generate().unwrap();
    std::fs::write(folder.path().join("tls.key"), key.serialize_pem()).unwrap();
    let error = lab.secrets.reload(&settings).unwrap_err().to_string();
    assert!(error.contains("tls.key"), "{error}");
    assert_eq!(get_by_tls(&lab, &second).await.unwrap().status, 200);

    // Nothing is answered without TLS, and who says nothing is not waited for.
    assert_eq!(lab.get("/healthz").await.status, 0);
    let failed = lab.counters.handshakes_failed();
    let mut silent = lab.connect().await;
    assert_eq!(timeout(LONG, silent.read(&mut [0])).await.unwrap().unwrap(), 0);
    assert_eq!(lab.counters.handshakes_failed(), failed + 1);
    lab.end().await;
}

#[tokio::test]
async fn a_unix_socket_answers_by_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("http.sock");
    let lab = Lab::start(&Settings { listen: vec![Address::Unix(path.clone())], ..Settings::default() });
    let stream = UnixStream::connect(&path).await.unwrap();
    let answer = converse(stream, "GET /metrics HTTP/1.1\r\nHost: netdrop\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(answer.status, 200);
    lab.end().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_connection_too_many_is_closed_at_once() {
    let lab = Lab::start(&Settings { max_connections: 2, max_streams: 1, ..loopback() });
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = lab.connect().await;
        stream.write_all(request).await.unwrap();
        read_until(&mut stream, |text| text.ends_with("ok\n")).await;
        held.push(stream);
    }
    let mut third = lab.connect().await;
    let ended = timeout(LONG, third.read(&mut [0])).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)));
    assert_eq!((lab.counters.refused(), lab.counters.connections()), (1, 2));

    // One that is held works on, and one that ends makes room.
    held[0].write_all(request).await.unwrap();
    read_until(&mut held[0], |text| text.ends_with("ok\n")).await;
    drop(held);
    let served = async {
        loop {
            match converse(lab.connect().await, "GET /healthz HTTP/1.0\r\n\r\n").await {
                Ok(answer) if answer.status == 200 => return,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    timeout(LONG, served).await.unwrap();
    lab.end().await;
}

#[rstest]
#[case::silent("")]
#[case::half_a_request("GET /metrics HTTP/1.1\r\nHost: local")]
#[case::idle_after_one("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")]
#[tokio::test]
async fn who_says_nothing_is_not_waited_for(#[case] beginning: &str) {
    let lab = Lab::start(&Settings { header_timeout: Duration::from_millis(200), ..loopback() });
    let answer = converse(lab.connect().await, beginning).await.unwrap();
    assert!(matches!(answer.status, 0 | 200 | 408), "{}", answer.head);
    lab.end().await;
}

#[tokio::test]
async fn a_letter_at_a_time_is_not_waited_for() {
    let lab = Lab::start(&Settings { header_timeout: Duration::from_millis(300), ..loopback() });
    let (mut reader, mut writer) = lab.connect().await.into_split();
    let drip = async {
        loop {
            if writer.write_all(b"a").await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let closed = timeout(LONG, async { reader.read_to_end(&mut Vec::new()).await });
    tokio::select! {
        () = drip => {}
        closed = closed => { let _ = closed.expect("the server closes"); }
    }
    lab.end().await;
}

#[tokio::test]
async fn a_head_too_large_is_refused() {
    let lab = Lab::start(&loopback());
    let padding = "a".repeat(20 << 10);
    let request = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: {padding}\r\n\r\n");
    // The server may close before all is written.
    if let Ok(answer) = converse(lab.connect().await, &request).await {
        assert_eq!(answer.status, 431);
    }
    let many = "X: a\r\n".repeat(100);
    let answer = lab.ask(&format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\n{many}\r\n")).await;
    assert_eq!(answer.status, 431);
    lab.end().await;
}

/// The events of a stream's text: kind and data.
fn events(text: &str) -> Vec<(String, Value)> {
    let event = |one: &str| {
        let kind = one.lines().find_map(|line| line.split_once("event: ")).map(|(_, kind)| kind.to_owned());
        let data = one.lines().find_map(|line| line.strip_prefix("data: "));
        Some((kind?, serde_json::from_str(data?).ok()?))
    };
    text.split("\n\n").filter_map(event).collect()
}

async fn watch_stream(lab: &Lab, query: &str, enough: impl Fn(&str) -> bool) -> (TcpStream, String) {
    let mut stream = lab.connect().await;
    let request = format!("GET /api/v1/stream{query} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let text = read_until(&mut stream, enough).await;
    (stream, text)
}

#[tokio::test]
async fn a_stream_starts_with_all_and_goes_on_with_what_is_added() {
    let lab = Lab::start(&loopback());
    let (_stream, text) =
        watch_stream(&lab, "", |text| events(text).iter().filter(|(kind, _)| kind == "summary").count() == 2)
            .await;
    assert!(text.to_ascii_lowercase().contains("content-type: text/event-stream"), "{text}");
    let events = events(&text);
    assert_eq!(events[0].0, "start");
    let (start, step) = (&events[0].1, &events[1].1);
    assert!(start["rows"][0]["count"].as_u64().unwrap() > 10);
    // Each reading adds 10 drops in each row and a second.
    let added: Vec<_> =
        step["rows"].as_array().unwrap().iter().map(|row| row["count"].as_u64().unwrap()).collect();
    assert!(!added.is_empty() && added.iter().all(|count| *count == 10), "{added:?}");
    assert_eq!((step["interval_ms"].as_u64(), step["accounts"]["seen"].as_u64()), (Some(1000), Some(10)));
    for (_, summary) in events {
        crate::output::json::validate(&summary.to_string());
    }
    lab.end().await;
}

#[tokio::test]
async fn a_stream_tells_the_newest_drops_and_how_many_it_leaves_out() {
    let lab = Lab::start(&Settings { recent_drops: 0, ..loopback() });
    let (mut stream, _) = watch_stream(&lab, "?drops=2", |text| text.contains("event: start")).await;
    for weight in 1..=5 {
        lab.drops.send(drop_line(weight)).unwrap();
    }
    let text = read_until(&mut stream, |text| text.contains("skipped") && text.ends_with("\r\n")).await;
    let told: Vec<_> = events(&text)
        .into_iter()
        .filter(|(kind, _)| kind != "summary")
        .map(|(kind, data)| (kind, data["weight"].as_u64().or(data["drops"].as_u64()).unwrap()))
        .collect();
    assert_eq!(told, [("drop".into(), 4), ("drop".into(), 5), ("skipped".into(), 3)]);
    lab.end().await;
}

#[tokio::test]
async fn streams_are_bounded_and_nobody_works_when_nobody_watches() {
    let lab = Lab::start(&Settings { max_streams: 1, ..loopback() });
    assert_eq!(lab.readings.load(Ordering::SeqCst), 0);
    let (first, _) = watch_stream(&lab, "", |text| text.contains("event: start")).await;
    let refused = lab.get("/api/v1/stream").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("10")));
    drop(first);
    // Its place is free again.
    let again = async {
        loop {
            let (_, text) = watch_stream(&lab, "", |text| text.contains("\r\n\r\n")).await;
            if Answer::read(&text).status == 200 {
                return;
            }
        }
    };
    timeout(LONG, again).await.unwrap();
    lab.end().await;
}

#[tokio::test]
async fn the_end_of_the_run_is_told_to_who_watches_and_who_asks() {
    let lab = Lab::start(&loopback());
    let (mut stream, _) = watch_stream(&lab, "", |text| text.contains("event: start")).await;
    let Lab { address, drops, stop, server, .. } = lab;
    // The loop ends.
    drop(drops);
    read_until(&mut stream, |text| text.contains("event: end")).await;
    let request = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let ready = converse(TcpStream::connect(&address).await.unwrap(), request).await.unwrap();
    assert_eq!((ready.status, ready.body.as_str()), (503, "not ready: the run has ended\n"));
    stop.send(()).unwrap();
    timeout(LONG, server).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn what_is_not_ready_says_why() {
    let lab = Lab::start_with(&loopback(), Arc::new(|| Err("the program is attached again".into())));
    let answer = lab.get("/readyz").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "not ready: the program is attached again\n"));
    assert_eq!(lab.get("/healthz").await.status, 200);
    lab.end().await;
}

#[tokio::test]
async fn the_end_of_the_server_ends_streams_and_idle_connections() {
    let lab = Lab::start(&loopback());
    let (mut stream, _) = watch_stream(&lab, "", |text| text.contains("event: start")).await;
    let mut idle = lab.connect().await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    read_until(&mut idle, |text| text.ends_with("ok\n")).await;
    lab.end().await;
    for stream in [&mut stream, &mut idle] {
        let _ = timeout(LONG, stream.read_to_end(&mut Vec::new())).await.expect("it is closed");
    }
}
