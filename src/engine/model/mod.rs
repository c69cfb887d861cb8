//! The Llama: embed, layers by range, head.
