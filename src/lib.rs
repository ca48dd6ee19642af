//! netdiag reads the wire and says in one sentence what is wrong.
pub mod value;
pub mod wire;
