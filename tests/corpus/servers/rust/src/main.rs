//! Handlers for axum, as tests/corpus/shapes.py names them; everything else about this server is its default.
//! Run by the corpus: axum PORT DOWNSTREAM_PORT. A handler that waits blocks the thread of the runtime that polls
//! it, as in code that was written for threads.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Duration;

use axum::extract::{Query, Request};
use axum::http::{header, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::Router;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;

const WORK: Duration = Duration::from_millis(20);
const SLOW: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const POLL_SECONDS: u64 = 20;
const DOWNLOAD_BYTES: usize = 64 * 1024 * 1024;

static NEVER: Mutex<()> = Mutex::new(());

fn argument(place: usize) -> String {
    std::env::args().nth(place).expect("usage: axum PORT DOWNSTREAM_PORT")
}

/// A connection to the downstream on which a line was sent and the whole answer was read.
fn ask() -> TcpStream {
    let mut stream = TcpStream::connect(format!("127.0.0.1:{}", argument(2))).expect("a downstream");
    stream.write_all(b"news?\n").expect("a downstream that reads");
    stream.read_to_end(&mut Vec::new()).expect("an answer");
    stream
}

/// Occupies a thread of the runtime.
fn block(time: Duration) -> &'static str {
    std::thread::sleep(time);
    "ok\n"
}

async fn lock() -> &'static str {
    let _held = NEVER.lock().expect("nobody panics");
    "ok\n"
}

async fn cpu() -> &'static str {
    loop {
        std::hint::spin_loop();
    }
}

async fn downstream() -> &'static str {
    drop(ask());
    "ok\n"
}

async fn fetch() -> &'static str {
    std::mem::forget(ask());
    "ok\n"
}

async fn hoard() -> &'static str {
    std::mem::forget(std::fs::File::open("/dev/null").expect("a file"));
    "ok\n"
}

/// A connection taken over, read to its end and closed never.
async fn leak(request: Request) -> impl IntoResponse {
    tokio::spawn(async move {
        let upgraded = hyper::upgrade::on(request).await.expect("an upgrade");
        let mut connection = TokioIo::new(upgraded);
        let _ = connection.read_to_end(&mut Vec::new()).await;
        std::mem::forget(connection);
    });
    (StatusCode::SWITCHING_PROTOCOLS, [(header::CONNECTION, "Upgrade"), (header::UPGRADE, "device")])
}

async fn long_poll(Query(asked): Query<Vec<(String, u64)>>) -> &'static str {
    let seconds = asked.iter().find(|(name, _)| name == "seconds").map_or(POLL_SECONDS, |(_, number)| *number);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    "ok\n"
}

#[tokio::main]
async fn main() {
    std::mem::forget(NEVER.lock());
    let app = Router::new()
        .route("/ok", get(|| async { "ok\n" }))
        .route("/work", get(|| async { block(WORK) }))
        .route("/slow", get(|| async { block(SLOW) }))
        .route("/sleep", get(|| async { block(HOUR) }))
        .route("/lock", get(lock))
        .route("/cpu", get(cpu))
        .route("/downstream", get(downstream))
        .route("/fetch", get(fetch))
        .route("/hoard", get(hoard))
        .route("/leak", get(leak))
        .route("/longpoll", get(long_poll))
        .route("/download", get(|| async { vec![0_u8; DOWNLOAD_BYTES] }));
    let listener = tokio::net::TcpListener::bind(format!("0.0.0.0:{}", argument(1))).await.expect("a free port");
    axum::serve(listener, app).await.expect("a server");
}
