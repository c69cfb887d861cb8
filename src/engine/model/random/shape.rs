//! Shapes of published Llamas.

use crate::engine::config::{LlamaConfig, RopeScaling};

/// Names of the shapes, as accepted by `--random-weights`.
pub const NAMES: [&str; 8] = [
    "llama2-7b",
    "llama2-13b",
    "llama2-70b",
    "codellama-7b",
    "codellama-34b",
    "llama3-8b",
    "llama3.2-1b",
    "smollm2-135m",
];

/// The shape with this name, from the model's `config.json`.
pub fn shape(name: &str) -> Option<LlamaConfig> {
    let llama2 = |hidden, inner, layers, heads, kv_heads| LlamaConfig {
        vocab_size: 32_000,
        hidden_size: hidden,
        intermediate_size: inner,
        num_layers: layers,
        num_heads: heads,
        num_kv_heads: kv_heads,
        head_dim: hidden / heads,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::None,
        context_length: 4096,
        tie_word_embeddings: false,
    };
    let code = |config| LlamaConfig {
        rope_theta: 1e6,
        context_length: 16_384,
        ..config
    };
    let llama3 = |config| LlamaConfig {
        vocab_size: 128_256,
        rope_theta: 500_000.0,
        context_length: 8192,
        ..config
    };
    Some(match name {
        "llama2-7b" => llama2(4096, 11_008, 32, 32, 32),
        "llama2-13b" => llama2(5120, 13_824, 40, 40, 40),
        "llama2-70b" => llama2(8192, 28_672, 80, 64, 8),
        "codellama-7b" => LlamaConfig {
            vocab_size: 32_016,
            ..code(llama2(4096, 11_008, 32, 32, 32))
        },
        "codellama-34b" => code(llama2(8192, 22_016, 48, 64, 8)),
        "llama3-8b" => llama3(llama2(4096, 14_336, 32, 32, 8)),
        "llama3.2-1b" => LlamaConfig {
            context_length: 131_072,
            rope_scaling: RopeScaling::Llama3 {
                factor: 32.0,
                low_freq_factor: 1.0,
                high_freq_factor: 4.0,
                original_context: 8192.0,
            },
            tie_word_embeddings: true,
            ..llama3(llama2(2048, 8192, 16, 32, 8))
        },
        "smollm2-135m" => LlamaConfig {
            vocab_size: 49_152,
            context_length: 8192,
            rope_theta: 100_000.0,
            tie_word_embeddings: true,
            ..llama2(576, 1536, 30, 9, 3)
        },
        _ => return None,
    })
}
