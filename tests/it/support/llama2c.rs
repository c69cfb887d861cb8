//! Converts checkpoints of llama2.c (its old format) to GGUF files.

use super::gguf::GgufBuilder;

/// The header of a checkpoint.
struct Header {
    dim: usize,
    hidden_dim: usize,
    layers: usize,
    heads: usize,
    kv_heads: usize,
    vocab: usize,
    /// Whether the LM head is tied to the embedding.
    shared: bool,
    context: usize,
}

/// A reader of bytes.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn word(&mut self) -> [u8; 4] {
        let (word, rest) = self
            .0
            .split_first_chunk::<4>()
            .expect("the file is complete");
        self.0 = rest;
        *word
    }

    fn i32(&mut self) -> i32 {
        i32::from_le_bytes(self.word())
    }

    fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count)
            .map(|_| f32::from_le_bytes(self.word()))
            .collect()
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let (bytes, rest) = self.0.split_at(count);
        self.0 = rest;
        bytes.to_vec()
    }
}

/// A GGUF with the weights of `model` (`stories260K.bin`) and the vocabulary of `tokenizer` (`tok512.bin`).
pub fn to_gguf(model: &[u8], tokenizer: &[u8]) -> GgufBuilder {
    let mut reader = Reader(model);
    let header = read_header(&mut reader);
    let file = add_config(GgufBuilder::default(), &header);
    let file = add_vocabulary(file, tokenizer, header.vocab);
    add_tensors(file, &mut reader, &header)
}

fn read_header(reader: &mut Reader) -> Header {
    let [dim, hidden_dim, layers, heads, kv_heads] = [(); 5].map(|()| reader.i32() as usize);
    let (vocab, context) = (reader.i32(), reader.i32() as usize);
    let (shared, vocab) = (vocab > 0, vocab.unsigned_abs() as usize);
    Header {
        dim,
        hidden_dim,
        layers,
        heads,
        kv_heads,
        vocab,
        shared,
        context,
    }
}

fn add_config(file: GgufBuilder, header: &Header) -> GgufBuilder {
    file.string("general.architecture", "llama")
        .string("general.name", "stories")
        .u32("llama.embedding_length", header.dim as u32)
        .u32("llama.feed_forward_length", header.hidden_dim as u32)
        .u32("llama.block_count", header.layers as u32)
        .u32("llama.attention.head_count", header.heads as u32)
        .u32("llama.attention.head_count_kv", header.kv_heads as u32)
        .u32("llama.context_length", header.context as u32)
        .f32("llama.attention.layer_norm_rms_epsilon", 1e-5)
        .f32("llama.rope.freq_base", 10_000.0)
}

/// Scores and texts of tokens. The file has the max length, then score, length and bytes of each token. Spaces are
/// plain there and `▁` in GGUF files. The first three tokens are unknown, BOS and EOS.
fn add_vocabulary(file: GgufBuilder, tokenizer: &[u8], count: usize) -> GgufBuilder {
    let mut reader = Reader(tokenizer);
    reader.i32();
    let (mut tokens, mut scores, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
    for id in 0..count {
        scores.extend(reader.floats(1));
        let length = reader.i32() as usize;
        let token = String::from_utf8(reader.bytes(length))
            .unwrap()
            .replace(' ', "▁");
        let is_byte = token.starts_with("<0x") && token.len() == 6;
        kinds.push(match id {
            0 => 2,
            1 | 2 => 3,
            _ if is_byte => 6,
            _ => 1,
        });
        tokens.push(if id < 3 {
            token.trim().to_owned()
        } else {
            token
        });
    }
    file.string("tokenizer.ggml.model", "llama")
        .strings("tokenizer.ggml.tokens", &tokens)
        .f32s("tokenizer.ggml.scores", &scores)
        .i32s("tokenizer.ggml.token_type", &kinds)
        .u32("tokenizer.ggml.bos_token_id", 1)
        .u32("tokenizer.ggml.eos_token_id", 2)
}

/// The tensors in the order of the old format: each kind for all layers at once.
fn add_tensors(mut file: GgufBuilder, reader: &mut Reader, header: &Header) -> GgufBuilder {
    let Header {
        dim,
        hidden_dim: width,
        layers,
        vocab,
        context,
        ..
    } = *header;
    let kv = dim / header.heads * header.kv_heads;
    let embedding = reader.floats(vocab * dim);
    let kinds: [(&str, &[usize]); 9] = [
        ("attn_norm", &[dim]),
        ("attn_q", &[dim, dim]),
        ("attn_k", &[kv, dim]),
        ("attn_v", &[kv, dim]),
        ("attn_output", &[dim, dim]),
        ("ffn_norm", &[dim]),
        ("ffn_gate", &[width, dim]),
        ("ffn_down", &[dim, width]),
        ("ffn_up", &[width, dim]),
    ];
    for (kind, shape) in kinds {
        for layer in 0..layers {
            let values = reader.floats(shape.iter().product());
            file = file.tensor_f32(&format!("blk.{layer}.{kind}.weight"), shape, &values);
        }
    }
    file = file.tensor_f32("output_norm.weight", &[dim], &reader.floats(dim));
    reader.floats(context * dim / header.heads); // tables of cosines and sines, which every program recomputes
    if !header.shared {
        file = file.tensor_f32("output.weight", &[vocab, dim], &reader.floats(vocab * dim));
    }
    assert!(reader.0.is_empty(), "the checkpoint is read to its end");
    file.tensor_f32("token_embd.weight", &[vocab, dim], &embedding)
}
