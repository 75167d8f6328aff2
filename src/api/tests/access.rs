//! Who is let in, and how much at a time.

use super::{
    super::{
        ApiConfig, App, ConfigError, MAX_BODY_BYTES, MAX_BODY_MEMORY, MAX_REQUESTS, Metrics, routes, serve,
    },
    node::{TestNode, node},
};
use conclave_ledger::pool::PoolLimits;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Names and values of a request's headers.
type Headers<'a> = &'a [(&'a str, &'a str)];

#[tokio::test]
async fn only_known_hosts_and_the_own_origin_are_let_in() {
    let node = TestNode::start_with(PoolLimits::default(), None, vec!["Node.Example".into()]).await;
    let address = node.address.to_string();
    let own_origin = format!("http://{address}");
    let allowed: &[Headers<'_>] = &[
        &[("Host", &address)],
        &[("Host", "localhost")],
        &[("Host", "LOCALHOST:1234")],
        &[("Host", "127.9.9.9:1")],
        &[("Host", "[::1]:80")],
        &[("Host", "node.example:8080")],
        &[("Host", &address), ("Origin", &own_origin)],
        &[("Host", &address), ("Origin", &own_origin), ("Sec-Fetch-Site", "same-origin")],
        &[("Host", &address), ("Sec-Fetch-Site", "none")],
        &[
            ("Host", &address),
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-Dest", "document"),
        ],
    ];
    for headers in allowed {
        let answer = node.raw("GET /v1/status", headers, b"").await;
        assert_eq!(answer.status, 200, "{headers:?}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let refused: &[(Headers<'_>, u16, Option<&str>)] = &[
        (&[("Host", "evil.example")], 403, Some("api/host")),
        (&[("Host", "localhost.evil.example")], 403, Some("api/host")),
        (&[("Host", "192.0.2.1")], 403, Some("api/host")),
        (&[("Host", "node.example.evil")], 403, Some("api/host")),
        (&[], 400, None),
        (&[("Host", "localhost"), ("Host", "localhost")], 400, None),
        (&[("Host", "a@localhost")], 400, None),
        (&[("Host", &address), ("Origin", "http://evil.example")], 403, Some("api/origin")),
        (&[("Host", &address), ("Origin", "null")], 403, Some("api/origin")),
        (&[("Host", &address), ("Origin", "http://127.0.0.1:1")], 403, Some("api/origin")),
        (&[("Host", &address), ("Origin", "https://localhost")], 403, Some("api/origin")),
        (&[("Host", &address), ("Sec-Fetch-Site", "cross-site")], 403, Some("api/origin")),
        (
            &[("Host", &address), ("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "no-cors")],
            403,
            Some("api/origin"),
        ),
    ];
    for (headers, status, rule) in refused {
        // The same for what exists, what does not, and what needs no token.
        for path in ["/v1/status", "/nothing", "/healthz"] {
            node.raw(&format!("GET {path}"), headers, b"").await.problem(*status, *rule);
        }
    }
    // An address in the request line counts as the host.
    let absolute = node.raw("GET http://evil.example/v1/status", &[("Host", "localhost")], b"").await;
    absolute.problem(403, Some("api/host"));
}

#[tokio::test]
async fn a_browser_cannot_post_without_asking_first() {
    let node = TestNode::start().await;
    for content_type in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/jsonx"]
    {
        let detail = node.post("/v1/transactions", content_type, b"{}").await.problem(415, None);
        assert!(detail.contains("application/json"), "{detail}");
    }
    // What a browser asks first is answered without any permission.
    let headers =
        [("Host", "localhost"), ("Origin", "http://localhost"), ("Access-Control-Request-Method", "POST")];
    let asked = node.raw("OPTIONS /v1/transactions", &headers, b"").await;
    asked.problem(405, None);
    assert!(!asked.head.contains("access-control-allow"));
}

#[tokio::test]
async fn with_a_token_everything_but_health_needs_it() {
    let token = "0123456789abcdef";
    let node = TestNode::start_with(PoolLimits::default(), Some(token), vec![]).await;
    node.client.status().await.unwrap();
    assert_eq!(node.get("/healthz").await.status, 200);
    let long = format!("{token}0");
    for authorization in
        [None, Some(""), Some("Bearer"), Some("Bearer 0123456789abcdeF"), Some(long.as_str()), Some(token)]
    {
        let authorization = authorization.map(|value| ("Authorization", value));
        let headers: Vec<_> = [("Host", "localhost")].into_iter().chain(authorization).collect();
        for path in ["/v1/status", "/", "/metrics", "/readyz", "/nothing"] {
            let answer = node.raw(&format!("GET {path}"), &headers, b"").await;
            answer.problem(401, Some("api/token"));
            assert_eq!(answer.header("www-authenticate"), Some("bearer"));
        }
    }
    let headers = [("Host", "localhost"), ("Authorization", "bearer 0123456789abcdef")];
    assert_eq!(node.raw("GET /v1/status", &headers, b"").await.status, 200);
}

#[tokio::test]
async fn beyond_loopback_a_token_is_needed() {
    let config = |listen: &str, token: Option<&str>| ApiConfig {
        listen: listen.parse().unwrap(),
        token: token.map(Into::into),
        hostnames: vec![],
    };
    let token = Some("0123456789abcdef");
    for (listen, token, expected) in [
        ("127.0.0.1:1", None, Ok(())),
        ("[::1]:1", None, Ok(())),
        ("0.0.0.0:1", token, Ok(())),
        ("0.0.0.0:1", None, Err(ConfigError::NeedsToken("0.0.0.0:1".parse().unwrap()))),
        ("192.0.2.1:1", None, Err(ConfigError::NeedsToken("192.0.2.1:1".parse().unwrap()))),
        ("127.0.0.1:1", Some("short"), Err(ConfigError::ShortToken(5))),
    ] {
        assert_eq!(config(listen, token).check(), expected, "{listen} {token:?}");
    }
    // The address that counts is the one that is listened on, whatever the configuration says.
    let (handle, _controls, _home) = node(PoolLimits::default());
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let refused = serve(listener, handle, config("127.0.0.1:1", None), Metrics::default()).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("token")));
}

#[tokio::test]
async fn large_bodies_are_refused_before_and_while_they_are_read() {
    let node = TestNode::start().await;
    let too_many = (MAX_BODY_BYTES + 1).to_string();
    let headers =
        [("Host", "localhost"), ("Content-Type", "application/json"), ("Content-Length", too_many.as_str())];
    let detail = node.raw("POST /v1/transactions", &headers, b"").await.problem(413, None);
    assert!(detail.contains(&MAX_BODY_BYTES.to_string()), "{detail}");
    // Of a length that is not said before.
    let (app, router, _home) = in_process();
    let chunks = (0..=MAX_BODY_BYTES >> 20).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1 << 20]));
    let request = axum::http::Request::post("/v1/transactions").header("Host", "localhost");
    let request = request.header("Content-Type", "application/json");
    let body = axum::body::Body::from_stream(futures::stream::iter(chunks));
    assert_eq!(router.call(request.body(body).unwrap()).await.unwrap().status(), 413);
    assert_eq!(app.body_memory.available_permits(), MAX_BODY_MEMORY >> 10);
}

/// The API without sockets.
fn in_process() -> (Arc<App>, TowerToHyperService<axum::Router>, tempfile::TempDir) {
    let (handle, _, home) = node(PoolLimits::default());
    let config = ApiConfig { listen: "127.0.0.1:1".parse().unwrap(), token: None, hostnames: vec![] };
    let app = Arc::new(App::new(handle, &config, Metrics::default()));
    (app.clone(), TowerToHyperService::new(routes::router(app)), home)
}

#[tokio::test]
async fn more_requests_than_the_limit_are_refused_and_room_is_given_back() {
    let (app, router, _home) = in_process();
    let request = || {
        let request = axum::http::Request::get("/v1/status").header("Host", "localhost");
        request.body(axum::body::Body::empty()).unwrap()
    };
    assert_eq!(router.call(request()).await.unwrap().status(), 200);
    assert_eq!(app.requests.available_permits(), MAX_REQUESTS);
    let taken = app.requests.try_acquire_many(MAX_REQUESTS as u32).unwrap();
    assert_eq!(router.call(request()).await.unwrap().status(), 503);
    drop(taken);
    assert_eq!(router.call(request()).await.unwrap().status(), 200);
}

#[tokio::test]
async fn stopping_the_node_ends_the_api() {
    let node = TestNode::start().await;
    let idle = tokio::net::TcpStream::connect(node.address).await.unwrap();
    node.client.status().await.unwrap();
    node.handle.stop();
    node.served.await.unwrap().unwrap();
    drop(idle);
    let error = node.client.status().await.unwrap_err();
    assert!(
        error.to_string().contains("is a node running?") || error.to_string().contains("broke"),
        "{error}"
    );
}
