//! Serves the pages: each target its own next one, in the form that is asked for.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::page::{Form, Pages};

/// How often each path was asked for.
pub(crate) type Asked = Arc<Mutex<BTreeMap<String, usize>>>;

/// Serves until the process ends; where, and how often it was asked.
pub(crate) fn start(pages: &Arc<Pages>) -> (u16, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let (pages, asked) = (Arc::clone(pages), Asked::default());
    let told = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (pages, asked) = (Arc::clone(&pages), Arc::clone(&asked));
            // An end of the connection is no error.
            std::thread::spawn(move || serve(&stream, &pages, &asked));
        }
    });
    (port, told)
}

fn serve(stream: &TcpStream, pages: &Pages, asked: &Asked) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut path, mut form) = (String::new(), [false; 2]);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_ascii_lowercase();
            match line.split_once(": ") {
                _ if line.is_empty() => break,
                Some(("accept", wanted)) => form[0] = prefers_openmetrics(wanted),
                Some(("accept-encoding", wanted)) => form[1] = wanted.contains("gzip"),
                None => path = line.split(' ').nth(1).unwrap_or_default().to_owned(),
                _ => {}
            }
        }
        let [is_openmetrics, is_packed] = form;
        let scrape = {
            let mut asked = asked.lock().expect("unpoisoned");
            let next = asked.entry(path).or_default();
            *next += 1;
            *next - 1
        };
        let page = pages.page(scrape, Form { is_openmetrics, is_packed });
        let kind = match is_openmetrics {
            true => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            false => "text/plain; version=0.0.4; charset=utf-8",
        };
        let packing = if is_packed { "content-encoding: gzip\r\n" } else { "" };
        let len = page.body.len();
        let mut stream = stream;
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{packing}content-length: {len}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(&page.body).ok()?;
    }
}

/// Whether OpenMetrics is wanted more than plain text.
fn prefers_openmetrics(accept: &str) -> bool {
    let weight = |kind: &str| {
        let wanted = accept.split(',').filter(|one| one.trim_start().starts_with(kind));
        let weights = wanted.map(|one| {
            let q = one.split(';').find_map(|part| part.trim().strip_prefix("q="));
            q.map_or(1.0, |q| q.parse().unwrap_or(0.0))
        });
        weights.fold(0.0, f64::max)
    };
    weight("application/openmetrics-text") > weight("text/plain")
}
