//! The playground tried as a whole: keys pressed, events reported by a fake engine, screens read.

mod chat;
mod support;
