//! The response of `/v1/models`.

use serde::Serialize;
use utoipa::ToSchema;

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ModelList {
    pub object: &'static str,
    pub data: Vec<ModelEntry>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ModelEntry {
    pub id: String,
    pub object: &'static str,
    pub created: u64,
    pub owned_by: &'static str,
    /// The same as `meta.n_ctx_train`, as vLLM calls it.
    pub max_model_len: usize,
    pub meta: ModelMeta,
}

/// llama.cpp's fields, and the layer count, which bounds the exit layer.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ModelMeta {
    pub n_vocab: usize,
    pub n_ctx_train: usize,
    pub n_embd: usize,
    pub n_layer: usize,
    pub n_params: usize,
    pub size: u64,
    /// The default exit layer of requests.
    pub exit_layer: usize,
    pub num_speculations: usize,
}
