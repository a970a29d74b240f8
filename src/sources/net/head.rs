//! The head of an HTTP request, as every protocol here reads it: `POST`, a type, a packing. And
//! what a head is refused with, before each protocol writes that in its own form.

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
};
use hyper::{Method, Response, StatusCode};

use super::body::Packing;
use super::outcome::{Outcome, RETRY_AFTER_S};
use super::reply::Reply;

/// Why a request is refused by its head.
#[derive(Debug)]
pub(in crate::sources) struct Refusal {
    code: StatusCode,
    words: String,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// Nothing is at that path.
    pub(in crate::sources) fn not_found(words: &str) -> Self {
        Self { code: StatusCode::NOT_FOUND, words: words.to_owned(), header: None }
    }

    /// The body is of a type that is not read here.
    pub(in crate::sources) fn wrong_type(words: &str) -> Self {
        Self { code: StatusCode::UNSUPPORTED_MEDIA_TYPE, words: words.to_owned(), header: None }
    }

    /// The answer that says so, of which the protocol writes the body.
    pub(in crate::sources) fn answer(
        self,
        write: impl FnOnce(StatusCode, &str) -> Response<Reply>,
    ) -> Response<Reply> {
        let mut response = write(self.code, &self.words);
        response.headers_mut().extend(self.header);
        response
    }
}

/// Refuses whatever is no `POST`.
pub(in crate::sources) fn only_post(request: &Request<Incoming>) -> Result<(), Refusal> {
    if request.method() == Method::POST {
        return Ok(());
    }
    Err(Refusal {
        code: StatusCode::METHOD_NOT_ALLOWED,
        words: "only POST is taken".to_owned(),
        header: Some((ALLOW, HeaderValue::from_static("POST"))),
    })
}

/// The type that the body is said to be of, whatever parameters follow.
pub(in crate::sources) fn content_type(request: &Request<Incoming>) -> &[u8] {
    let value = value_of(request, CONTENT_TYPE);
    value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

/// How the body is packed.
pub(in crate::sources) fn packing(request: &Request<Incoming>) -> Result<Packing, Refusal> {
    Packing::parse(value_of(request, CONTENT_ENCODING)).ok_or_else(|| Refusal {
        code: StatusCode::UNSUPPORTED_MEDIA_TYPE,
        words: format!("Content-Encoding must be one of {}", Packing::ACCEPTED),
        header: Some((ACCEPT_ENCODING, HeaderValue::from_static(Packing::ACCEPTED))),
    })
}

fn value_of(request: &Request<Incoming>, name: HeaderName) -> &[u8] {
    request.headers().get(name).map_or(&b""[..], HeaderValue::as_bytes)
}

/// The status of an outcome. Never 500: clients must not send such a request again, and everything
/// that can pass is 503.
pub(in crate::sources) fn status_of(outcome: &Outcome) -> StatusCode {
    match outcome {
        Outcome::Taken { .. } => StatusCode::OK,
        Outcome::Malformed(_) => StatusCode::BAD_REQUEST,
        Outcome::NoTier(_) => StatusCode::NOT_FOUND,
        Outcome::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Outcome::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// An answer with `code`; one that asks to come again says when.
pub(in crate::sources) fn answer_with(
    code: StatusCode,
    content_type: HeaderValue,
    body: Vec<u8>,
) -> Response<Reply> {
    let mut response = Response::new(Reply::whole(body));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    if code == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
    }
    response
}
