//! https, by real sockets of the loopback: a certificate that is trusted, one that is not.

use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rstest::rstest;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::super::stats::read;
use super::super::{Exporter, Protocol, Settings, Stats};
use super::daemon::Daemon;
use super::receiver::Receiver;
use crate::export::Resource;

#[rstest]
#[case(Protocol::Grpc, "localhost", true)]
#[case(Protocol::Http, "localhost", true)]
#[case(Protocol::Grpc, "elsewhere.example", false)]
#[case(Protocol::Http, "elsewhere.example", false)]
#[tokio::test]
async fn a_receiver_is_who_its_certificate_says(
    #[case] protocol: Protocol,
    #[case] name: &str,
    #[case] trusted: bool,
) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, cert.pem()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![cert.der().clone()],
            PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap(),
        )
        .unwrap();
    // As receivers do, it refuses who offers the other protocol.
    config.alpn_protocols =
        vec![if protocol == Protocol::Grpc { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let receiver = Receiver::new(protocol);
    let server = tokio::spawn({
        let (receiver, acceptor) = (receiver.clone(), TlsAcceptor::from(Arc::new(config)));
        async move {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                receiver.serve(stream).await;
            }
        }
    });

    let settings = Settings {
        endpoint: Some(format!("https://localhost:{port}")),
        protocol: Some(protocol),
        ca_file: Some(ca_file),
        logs_per_second: Some(0),
        ..Settings::default()
    };
    let stats = Arc::new(Stats::default());
    let exporter = Exporter::new(&settings, Resource::default(), Arc::clone(&stats)).unwrap().unwrap();
    let daemon = Daemon::start();
    let hub = daemon.hub.clone();
    // The run ends at once: one export is all that there is time for.
    drop(daemon);
    exporter.run(hub, std::future::pending()).await;
    assert_eq!(receiver.metrics().len(), usize::from(trusted));
    assert_eq!(
        (read(&stats.metrics_exports), read(&stats.metrics_failures)),
        if trusted { (1, 0) } else { (0, 1) }
    );
    server.abort();
}
