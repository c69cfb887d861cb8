//! Middleware for every request: request id, API key and CORS.

use super::Shared;
use super::api::decoding::random;
use super::error::ApiError;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// The id of a request, in its response and its header.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Checks the key, assigns a request id, and lets pages of any origin read the response.
pub async fn guard(
    State(shared): State<Arc<Shared>>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = format!("{:016x}{:016x}", random(), random());
    request.extensions_mut().insert(RequestId(id.clone()));
    let wanted = request
        .headers()
        .get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let wanted = wanted.cloned();
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else if may_enter(&shared, &request) {
        next.run(request).await
    } else {
        ApiError::wrong_key().into_response()
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
        (
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            "x-request-id, x-skiplens-ignored",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let usual = HeaderValue::from_static("authorization, content-type");
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        wanted.unwrap_or(usual),
    );
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    response
}

/// Whether the server needs no key, the request has it, or is a health check.
fn may_enter(shared: &Shared, request: &Request) -> bool {
    let Some(key) = &shared.options.api_key else {
        return true;
    };
    request.uri().path() == "/health" || has_key(request.headers(), key)
}

fn has_key(headers: &HeaderMap, key: &str) -> bool {
    let given = headers.get(header::AUTHORIZATION);
    let bearer = given.and_then(|value| {
        let (scheme, given) = value.as_bytes().split_at_checked("Bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then_some(given)
    });
    bearer.is_some_and(|given| same(given.trim_ascii(), key.as_bytes()))
}

/// Compares in constant time, which does not reveal where the texts differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    let differences = a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b));
    a.len() == b.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_key_opens() {
        let opens = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            has_key(&headers, "secret")
        };
        assert!(opens("Bearer secret") && opens("bearer secret "));
        for value in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer secre",
            "Bearer secrets",
            "Basic secret",
        ] {
            assert!(!opens(value), "{value:?}");
        }
        assert!(!has_key(&HeaderMap::new(), "secret"));
    }
}
