//! TLS and sockets of a path: with certificates made here, by both transports.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::otlp_client::SERVICES;
use super::rig::until;
use super::served::{PROTOBUF, Served, exchange, request, spans};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).expect("params");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed")
}

/// Certificate and key, as PEM.
fn signed(by: &Authority) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("params");
    let certificate = params.signed_by(&key, by).expect("signed");
    (certificate.pem(), key.serialize_pem())
}

fn client(server: &Authority, identity: Option<&(String, String)>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(server.der().clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")];
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
            builder.with_client_auth_cert(chain, key).expect("an identity")
        }
    }
}

fn connect(served: &Served, config: &ClientConfig) -> StreamOwned<ClientConnection, TcpStream> {
    let name = "localhost".try_into().expect("a name");
    let connection = ClientConnection::new(Arc::new(config.clone()), name).expect("a client");
    StreamOwned::new(connection, served.connect())
}

/// The status of a request by HTTP/1.1; none when there is no connection.
fn status(served: &Served, config: &ClientConfig) -> Option<u16> {
    let mut stream = connect(served, config);
    let request = request("POST", "/v1/traces", &[PROTOBUF], &spans(&["a"]));
    std::io::Write::write_all(&mut stream, &request).ok()?;
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut answer).ok()?;
    (!answer.is_empty()).then(|| super::served::parsed(&answer).status)
}

/// The code of a gRPC call; none when there is no connection.
fn code(served: &Served, config: ClientConfig) -> Option<u32> {
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .no_proxy()
        .timeout(Duration::from_secs(20))
        .build()
        .expect("a client");
    let message = spans(&["a"]);
    let frame = [&[0][..], &(message.len() as u32).to_be_bytes(), &message].concat();
    let call = client
        .post(format!("https://localhost:{}{}", served.port, SERVICES[0]))
        .header("content-type", "application/grpc")
        .version(reqwest::Version::HTTP_2)
        .body(frame);
    served.runtime.block_on(async {
        let answer = call.send().await.ok()?;
        let mut body = reqwest::Body::from(answer);
        let mut trailers = None;
        while let Some(part) = http_body_util::BodyExt::frame(&mut body).await {
            trailers = part.ok()?.into_trailers().ok().or(trailers);
        }
        trailers?.get("grpc-status")?.to_str().ok()?.parse().ok()
    })
}

fn with_tls(
    identity: &(String, String),
    clients: Option<&Authority>,
) -> (Served, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("text").to_owned()
    };
    let (cert, key) = (write("tls.crt", &identity.0), write("tls.key", &identity.1));
    let clients = clients.map_or_else(String::new, |clients| {
        format!(", client_ca_file: \"{}\"", write("clients.crt", &clients.pem()))
    });
    let tls = format!(", tls: {{ cert_file: \"{cert}\", key_file: \"{key}\"{clients} }}");
    (Served::with(&tls, ""), folder)
}

#[test]
fn tls_by_both_transports() {
    let authority = authority();
    let (served, _folder) = with_tls(&signed(&authority), None);
    let config = client(&authority, None);
    assert_eq!(status(&served, &config), Some(200));
    let mut both = config.clone();
    both.alpn_protocols = vec![b"h2".to_vec()];
    assert_eq!(code(&served, both), Some(0));
    // What is not TLS has no answer, and does no harm.
    let mut clear = served.connect();
    let sent = request("POST", "/v1/traces", &[PROTOBUF], &spans(&["a"]));
    std::io::Write::write_all(&mut clear, &sent).expect("sent");
    let mut answer = Vec::new();
    let _ = std::io::Read::read_to_end(&mut clear, &mut answer);
    assert!(!answer.starts_with(b"HTTP"));
    assert_eq!(status(&served, &config), Some(200));
    until("three spans", || served.fake.spans().len() == 3);
}

#[test]
fn clients_need_a_certificate() {
    let (servers, clients, strangers) = (authority(), authority(), authority());
    let (served, _folder) = with_tls(&signed(&servers), Some(&clients));
    let [known, unknown] = [signed(&clients), signed(&strangers)];
    assert_eq!(status(&served, &client(&servers, None)), None, "without a certificate");
    assert_eq!(status(&served, &client(&servers, Some(&unknown))), None, "by another authority");
    assert_eq!(code(&served, client(&servers, None)), None);
    assert_eq!(status(&served, &client(&servers, Some(&known))), Some(200));
    until("one span", || served.fake.spans().len() == 1);
}

#[test]
fn sockets_of_a_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("otlp.sock");
    let mut served = Served::with(&format!(", http: \"unix:{}\"", path.display()), "");
    let post = |path: &Path| {
        let mut stream = UnixStream::connect(path).expect("connected");
        exchange(&mut stream, &request("POST", "/v1/traces", &[PROTOBUF], &spans(&["a"]))).status
    };
    assert_eq!(post(&path), 200);
    // What a kill leaves behind is taken away; what an end leaves behind is nothing.
    served.daemon.kill();
    assert!(path.exists());
    served.daemon = served.place.daemon(&[]);
    until("it listens", || UnixStream::connect(&path).is_ok());
    assert_eq!(post(&path), 200);
    served.daemon.stop();
    assert!(!path.exists());
}
