//! The KV cache that draft and verify share.
