//! Fused operations of the forward pass.
