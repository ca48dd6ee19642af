//! netdiag reads the wire and says in one sentence what is wrong.
pub mod cli;
pub mod detect;
pub mod engine;
pub mod event;
pub mod finding;
pub mod render;
pub mod settings;
pub mod source;
pub mod value;
pub mod wire;
pub mod world;
