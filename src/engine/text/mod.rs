//! Text and tokens: tokenizer, incremental decoding, chat template.
