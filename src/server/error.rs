//! Errors in OpenAI's format.

use crate::engine::{Error, ErrorKind};
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// The body of every error response, and the last event of a failed stream.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ErrorBody {
    pub error: ErrorObject,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ErrorObject {
    pub message: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The invalid field of the request, if any.
    pub param: Option<String>,
    pub code: Option<Code>,
}

/// What went wrong, for programs. Errors without one are told apart by their status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    UnsupportedParameter,
    UnknownParameter,
    ContextLengthExceeded,
    InvalidApiKey,
    NotFound,
    ModelNotFound,
    QueueFull,
    TooManyClients,
}

/// An error with its HTTP status.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    status: StatusCode,
    object: ErrorObject,
}

/// Result of a request handler.
pub type Result<T, E = ApiError> = std::result::Result<T, E>;

impl ApiError {
    fn new(
        status: StatusCode,
        kind: &'static str,
        code: Option<Code>,
        message: impl Into<String>,
    ) -> Self {
        let object = ErrorObject {
            message: message.into(),
            kind,
            param: None,
            code,
        };
        Self { status, object }
    }

    fn refused(status: StatusCode, code: Option<Code>, message: impl Into<String>) -> Self {
        Self::new(status, "invalid_request_error", code, message)
    }

    /// An invalid request.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::BAD_REQUEST, None, message)
    }

    /// A field with a value that this server does not support.
    pub fn unsupported(param: &str, message: impl Into<String>) -> Self {
        let code = Some(Code::UnsupportedParameter);
        Self::refused(StatusCode::BAD_REQUEST, code, message).of(param)
    }

    /// A field that no request has; likely `meant` was.
    pub fn unknown_field(param: &str, meant: &str) -> Self {
        let name: String = param.chars().take(80).collect();
        let message = format!("there is no field {name:?}; did you mean {meant}?");
        let code = Some(Code::UnknownParameter);
        Self::refused(StatusCode::BAD_REQUEST, code, message).of(&name)
    }

    /// An object of the request has a field that no request has; `message` names those that it may have.
    pub fn unknown_nested_field(param: &str, message: impl Into<String>) -> Self {
        let code = Some(Code::UnknownParameter);
        Self::refused(StatusCode::BAD_REQUEST, code, message).of(param)
    }

    /// The request has more than `limit` unknown fields.
    pub fn too_many_unknown_fields(limit: usize) -> Self {
        let message = format!(
            "the request has more than {limit} unknown fields; /openapi.json lists the known ones"
        );
        Self::refused(
            StatusCode::BAD_REQUEST,
            Some(Code::UnknownParameter),
            message,
        )
    }

    pub fn wrong_key() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "authentication_error",
            Some(Code::InvalidApiKey),
            "this server requires an API key as a bearer token: Authorization: Bearer KEY",
        )
    }

    pub fn forbidden(message: &str) -> Self {
        Self::refused(StatusCode::FORBIDDEN, None, message)
    }

    pub fn too_many_clients(limit: usize) -> Self {
        let message = format!("{limit} clients are connected already; try again later");
        let code = Some(Code::TooManyClients);
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limit_error",
            code,
            message,
        )
    }

    pub fn no_such_path(path: &str) -> Self {
        let message = format!("there is no {path} here; /openapi.json lists all paths");
        Self::refused(StatusCode::NOT_FOUND, Some(Code::NotFound), message)
    }

    pub fn no_such_model(name: &str, served: &str) -> Self {
        let message = format!("there is no model {name:?} here; this server has {served:?}");
        Self::refused(StatusCode::NOT_FOUND, Some(Code::ModelNotFound), message).of("model")
    }

    pub fn wrong_method(method: &str, path: &str) -> Self {
        let message = format!("{path} does not take {method}");
        Self::refused(StatusCode::METHOD_NOT_ALLOWED, None, message)
    }

    pub fn too_large(limit: usize) -> Self {
        let message = format!("the body has more than {limit} bytes");
        Self::refused(StatusCode::PAYLOAD_TOO_LARGE, None, message)
    }

    pub fn too_slow() -> Self {
        let message = "the body did not arrive in time";
        Self::refused(StatusCode::REQUEST_TIMEOUT, None, message)
    }

    pub fn queue_full(limit: usize) -> Self {
        let message = format!("{limit} requests are waiting already; try again later");
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limit_error",
            Some(Code::QueueFull),
            message,
        )
    }

    pub fn ending() -> Self {
        let message = "the server is shutting down";
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "service_unavailable_error",
            None,
            message,
        )
    }

    /// An internal error.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            None,
            message,
        )
    }

    /// Names the invalid field.
    pub fn of(mut self, param: &str) -> Self {
        self.object.param = Some(param.to_owned());
        self
    }

    /// The body, also used as an event of a stream.
    pub fn body(&self) -> ErrorBody {
        ErrorBody {
            error: self.object.clone(),
        }
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::PromptTooLong { .. }
            | Error::TextTooLong { .. }
            | Error::ConversationTooLong { .. } => {
                let code = Some(Code::ContextLengthExceeded);
                Self::refused(StatusCode::BAD_REQUEST, code, message)
            }
            Error::OutOfRange { field, .. } => Self::invalid(message).of(field),
            // The template or tokenizer rejected the conversation or text.
            Error::Template(_) | Error::Tokenizer(_) => Self::invalid(message),
            _ if error.kind() == ErrorKind::Input => Self::invalid(message),
            _ if error.kind() == ErrorKind::Cancelled => Self::ending(),
            _ => Self::internal(message),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
