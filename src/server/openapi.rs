//! The OpenAPI document of the server.

use super::router;
use axum::Json;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "skiplens",
        description = "OpenAI's interface to self-speculative decoding with early exit."
    ),
    paths(
        router::chat_completions,
        router::completions,
        router::models,
        router::model,
        router::tokenize,
        router::detokenize,
        router::tokenizer_info,
        router::health,
        router::metrics,
    )
)]
struct Document;

pub async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}
