//! The routes.

use super::access::{self, RequestId};
use super::answer::{self, Progress};
use super::api::fields::{self, Supported};
use super::api::models::{ModelEntry, ModelList};
use super::api::parse;
use super::api::tokens::{
    DetokenizeRequest, DetokenizeResponse, TokenizeRequest, TokenizeResponse, TokenizerInfo,
};
use super::error::{ApiError, Result};
use super::plan::Plan;
use super::{Shared, openapi, remote, stream};
use axum::body::Body;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use futures::StreamExt;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use utoipa::PartialSchema;

/// Max bytes of a body.
const MAX_BODY: usize = 16 << 20;
/// Max time for a body to arrive.
const BODY_TIME: Duration = Duration::from_secs(60);

type App = State<Arc<Shared>>;

/// All routes.
pub fn router(shared: Arc<Shared>) -> Router {
    let both = |router: Router<_>, path: &str, method: MethodRouter<_>| {
        let under = format!("/v1{path}");
        router.route(path, method.clone()).route(&under, method)
    };
    let mut router = Router::new()
        .route("/v1/chat/completions", post(chat_completions))
        .route("/v1/completions", post(completions))
        .route("/metrics", get(metrics))
        .route(crate::remote::PATH, get(remote::open))
        .route("/openapi.json", get(openapi::document));
    for (path, method) in [
        ("/models", get(models)),
        ("/models/{*id}", get(model)),
        ("/tokenize", post(tokenize)),
        ("/detokenize", post(detokenize)),
        ("/tokenizer_info", get(tokenizer_info)),
        ("/health", get(health)),
    ] {
        router = both(router, path, method);
    }
    router
        .fallback(|request: Request| async move { ApiError::no_such_path(request.uri().path()) })
        .method_not_allowed_fallback(|request: Request| async move {
            ApiError::wrong_method(request.method().as_str(), request.uri().path())
        })
        .layer(from_fn_with_state(shared.clone(), access::guard))
        .with_state(shared)
}

/// Answers a conversation.
#[utoipa::path(post, path = "/v1/chat/completions", request_body = super::api::chat::ChatRequest,
    responses((status = 200, body = super::api::response::Answer), (status = "4XX", body = super::error::ErrorBody)))]
pub async fn chat_completions(
    State(shared): App,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Result<Response> {
    let plan = plan(&shared, request, move |body, shared| {
        Plan::chat(body, &id.0, shared)
    });
    let plan = plan.await?;
    answer(shared, plan).await
}

/// Continues texts.
#[utoipa::path(post, path = "/v1/completions", request_body = super::api::completions::CompletionRequest,
    responses((status = 200, body = super::api::response::Answer), (status = "4XX", body = super::error::ErrorBody)))]
pub async fn completions(
    State(shared): App,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Result<Response> {
    let plan = plan(&shared, request, move |body, shared| {
        Plan::completion(body, &id.0, shared)
    });
    let plan = plan.await?;
    answer(shared, plan).await
}

/// Lists the one model.
#[utoipa::path(get, path = "/v1/models", responses((status = 200, body = ModelList)))]
pub async fn models(State(shared): App) -> Json<ModelList> {
    Json(ModelList {
        object: "list",
        data: vec![shared.entry.clone()],
    })
}

/// The model with this name.
#[utoipa::path(get, path = "/v1/models/{id}", params(("id" = String, Path)),
    responses((status = 200, body = ModelEntry), (status = 404, body = super::error::ErrorBody)))]
pub async fn model(State(shared): App, Path(id): Path<String>) -> Result<Json<ModelEntry>> {
    match id == shared.entry.id {
        true => Ok(Json(shared.entry.clone())),
        false => Err(ApiError::no_such_model(&id, &shared.entry.id)),
    }
}

/// Token ids of a text.
#[utoipa::path(post, path = "/tokenize", request_body = TokenizeRequest,
    responses((status = 200, body = TokenizeResponse), (status = "4XX", body = super::error::ErrorBody)))]
pub async fn tokenize(State(shared): App, request: Request) -> Result<Json<TokenizeResponse>> {
    plan(&shared, request, |body, shared| {
        parse::unknown_fields(body, &Supported::of(&[TokenizeRequest::schema()]))?;
        let request: TokenizeRequest = parse::fields(body)?;
        let tokenizer = shared.encoder.tokenizer()?;
        let special = request.add_special_tokens.unwrap_or(true);
        let tokens = tokenizer.encode(&request.prompt, true);
        let mut tokens = tokens.map_err(|error| ApiError::from(error).of("prompt"))?;
        if let Some(bos) = tokenizer
            .bos()
            .filter(|id| special && tokens.first() != Some(id))
        {
            tokens.insert(0, bos);
        }
        Ok(Json(TokenizeResponse {
            count: tokens.len(),
            tokens,
            max_model_len: shared.info.config.context_length,
        }))
    })
    .await
}

/// The text of token ids.
#[utoipa::path(post, path = "/detokenize", request_body = DetokenizeRequest,
    responses((status = 200, body = DetokenizeResponse), (status = "4XX", body = super::error::ErrorBody)))]
pub async fn detokenize(State(shared): App, request: Request) -> Result<Json<DetokenizeResponse>> {
    plan(&shared, request, |body, shared| {
        parse::unknown_fields(body, &Supported::of(&[DetokenizeRequest::schema()]))?;
        let request: DetokenizeRequest = parse::fields(body)?;
        let size = shared.info.config.vocab_size;
        if let Some(id) = request.tokens.iter().find(|&&id| id as usize >= size) {
            let message = format!("token {id} is not in this model's vocabulary of {size}");
            return Err(ApiError::invalid(message).of("tokens"));
        }
        let tokenizer = shared.encoder.tokenizer()?;
        Ok(Json(DetokenizeResponse {
            prompt: tokenizer.decode_whole(&request.tokens),
        }))
    })
    .await
}

/// Special tokens and the chat template.
#[utoipa::path(get, path = "/tokenizer_info", responses((status = 200, body = TokenizerInfo)))]
pub async fn tokenizer_info(State(shared): App) -> Json<TokenizerInfo> {
    Json(shared.tokenizer_info.clone())
}

/// Health check.
#[utoipa::path(get, path = "/health", responses((status = 200)))]
pub async fn health() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// Counts for Prometheus.
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = String, content_type = "text/plain")))]
pub async fn metrics(State(shared): App) -> Result<Response> {
    let (waiting, busy) = shared.queue.load();
    let clients = remote::MAX_CLIENTS - shared.clients.available_permits();
    let text = shared.metrics.text(waiting, busy, clients);
    let text = text.map_err(|fault| ApiError::internal(fault.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

/// Reads a body and processes it on a blocking thread, since tokenizing can take long.
async fn plan<T: Send + 'static>(
    shared: &Arc<Shared>,
    request: Request,
    work: impl FnOnce(&Value, &Shared) -> Result<T> + Send + 'static,
) -> Result<T> {
    let bytes = read(request.into_body()).await?;
    let shared = shared.clone();
    let turn = shared.planning.clone().acquire_owned().await;
    let done = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work(&parse::json(&bytes)?, &shared)
    });
    let fault = |fault| ApiError::internal(format!("an internal error: {fault}"));
    done.await.map_err(fault)?
}

/// Reads a body within the limits on size and time.
async fn read(body: Body) -> Result<Vec<u8>> {
    let whole = async {
        let (mut bytes, mut stream) = (Vec::new(), body.into_data_stream());
        while let Some(part) = stream.next().await {
            let part = part.map_err(|fault| ApiError::invalid(fault.to_string()))?;
            if bytes.len() + part.len() > MAX_BODY {
                return Err(ApiError::too_large(MAX_BODY));
            }
            bytes.extend_from_slice(&part);
        }
        Ok(bytes)
    };
    let in_time = tokio::time::timeout(BODY_TIME, whole).await;
    in_time.unwrap_or_else(|_| Err(ApiError::too_slow()))
}

async fn answer(shared: Arc<Shared>, plan: Plan) -> Result<Response> {
    let (job, updates) = plan.job();
    let ticket = shared.queue.push(job)?;
    let streams = plan.streams;
    let ignored = fields::listed(&plan.ignored);
    let progress = Progress::new(plan, shared);
    let mut response = match streams {
        true => stream::response(progress, updates, ticket),
        false => {
            let answer = answer::whole(progress, updates, ticket).await?;
            Json(answer).into_response()
        }
    };
    if let Some(names) = ignored {
        tracing::warn!(names, "fields of a request had no effect");
        if let Ok(names) = HeaderValue::from_str(&names) {
            response.headers_mut().insert(fields::HEADER, names);
        }
    }
    Ok(response)
}
