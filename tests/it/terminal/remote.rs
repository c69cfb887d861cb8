//! The playground on the engine of a server, both real programs.

use super::session::{Session, binary};
use crate::support::tiny;
use portable_pty::CommandBuilder;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tokio::io::copy_bidirectional;
use tokio_rustls::TlsAcceptor;

/// A running `skiplens serve`, killed when the test ends.
struct Serve {
    child: Child,
    /// Host and port.
    address: String,
}

impl Serve {
    fn start(model: &Path, port: &str) -> Self {
        let mut child = Command::new(binary())
            .args(["serve", "--port", port, "--threads", "1", "--model"])
            .arg(model)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a server");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("its address");
        let url = line.trim().strip_prefix("http://").expect("a URL");
        let address = url.trim_end_matches("/v1").to_owned();
        Self { child, address }
    }

    fn kill(&mut self) {
        self.child.kill().expect("a signal");
        self.child.wait().expect("an end");
    }

    /// Answers a text over HTTP.
    fn complete(&self, prompt: &str) {
        let body = format!("{{\"prompt\": {prompt:?}, \"max_tokens\": 12}}");
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        let length = body.len();
        write!(
            stream,
            "POST /v1/completions HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.contains("200 OK"), "{answer}");
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(address: &str, more: &[&str]) -> Session {
    let mut args: Vec<&OsStr> = vec![OsStr::new("--connect"), OsStr::new(address)];
    args.extend(more.iter().map(OsStr::new));
    Session::with(&args, tempfile::tempdir().expect("a home"), (120, 34))
}

#[test]
fn a_chat_survives_the_death_of_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = folder.path().join("tiny.gguf");
    tiny::gguf().write(&model);
    let mut serve = Serve::start(&model, "0");
    let address = serve.address.clone();
    let mut session = connect(&address, &["-n", "20"]);
    session.wait("the model of the server", |screen| {
        screen.contains("2 layers") && screen.contains("skiplens  tiny")
    });
    session.type_("hello\r");
    session.wait("an answer", |screen| screen.contains("max tokens reached"));
    serve.kill();
    session.wait("the loss", |screen| screen.contains("no connection"));
    session.type_("the hello\r");
    let port = address.rsplit(':').next().expect("a port");
    let serve = Serve::start(&model, port);
    session.wait("both answers", |screen| {
        screen.matches("max tokens reached").count() == 2
    });
    drop(serve);
    session.type_("/bye\r");
    assert_eq!(session.assert_restored(), 0);
}

#[test]
fn requests_of_others_appear_on_the_screen_of_a_watcher() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = folder.path().join("tiny.gguf");
    tiny::gguf().write(&model);
    let serve = Serve::start(&model, "0");
    let mut session = connect(&serve.address, &["--watch"]);
    session.wait("the screen", |screen| screen.contains("watching"));
    serve.complete("hello");
    session.wait("the request", |screen| screen.contains("hello"));
    session.type_("\x03");
    assert_eq!(session.assert_restored(), 0);
}

#[test]
fn a_server_that_cannot_be_used_is_explained_before_the_screen_opens() {
    let told = |address: &str| {
        let output = Command::new(binary())
            .args(["--connect", address])
            .output()
            .expect("the program");
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for (address, expected) in [
        ("ftp://a", "ws://HOST:8080"),
        ("ws://127.0.0.1:1", "127.0.0.1:1 cannot be reached"),
    ] {
        let told = told(address);
        assert!(told.contains(expected), "{told}");
    }
}

/// TLS in front of a server, by a certificate of an authority that nobody knows. Returns the port.
fn tls(to: &str, authority: &Path) -> u16 {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("an authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
    std::fs::write(authority, issuer.pem()).expect("its certificate");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a server");
    let certificate = params.signed_by(&key, &issuer).expect("its certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the protocol's versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .expect("a configuration");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = std::net::TcpListener::bind("localhost:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let to = to.to_owned();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async move {
            listener.set_nonblocking(true).expect("a listener");
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, to) = (acceptor.clone(), to.clone());
                tokio::spawn(async move {
                    // Clients that refuse the certificate leave.
                    let mut client = acceptor.accept(client).await.ok()?;
                    let mut server = tokio::net::TcpStream::connect(to).await.ok()?;
                    copy_bidirectional(&mut client, &mut server).await.ok()
                });
            }
        });
    });
    port
}

#[test]
fn a_server_behind_tls_is_trusted_if_its_authority_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = folder.path().join("tiny.gguf");
    tiny::gguf().write(&model);
    let serve = Serve::start(&model, "0");
    let authority = folder.path().join("authority.pem");
    let port = tls(&serve.address, &authority);
    let address = format!("wss://localhost:{port}");
    let refused = |variable: Option<&Path>| {
        let mut command = Command::new(binary());
        command.args(["--connect", &address]);
        command
            .env_remove("SSL_CERT_FILE")
            .env_remove("SSL_CERT_DIR");
        command.envs(variable.map(|path| ("SSL_CERT_FILE", path)));
        let output = command.output().expect("the program");
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let unknown = refused(None);
    assert!(unknown.contains("is not accepted"), "{unknown}");
    assert!(unknown.contains("SSL_CERT_FILE"), "{unknown}");
    let missing = refused(Some(Path::new("/nowhere/authority.pem")));
    assert!(
        missing.contains("SSL_CERT_FILE names no certificates"),
        "{missing}"
    );
    let mut command = CommandBuilder::new(binary());
    command.args(["--connect", &address, "-n", "20"]);
    let vars = [("SSL_CERT_FILE", authority.display().to_string())];
    let mut session = Session::with_vars(command, &vars);
    session.wait("the model of the server", |screen| {
        screen.contains("2 layers")
    });
    session.type_("hello\r");
    session.wait("an answer", |screen| screen.contains("max tokens reached"));
    session.type_("\x03\x03");
    assert_eq!(session.assert_restored(), 0);
}

#[test]
fn a_session_that_does_not_exist_is_reported_without_a_terminal() {
    let home = tempfile::tempdir().expect("a home");
    let output = Command::new(binary())
        .args(["--resume", "nosuch"])
        .env("SKIPLENS_DATA_DIR", home.path())
        .output()
        .expect("the program");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        told.contains("nosuch") && !told.contains("terminal"),
        "{told}"
    );
}
