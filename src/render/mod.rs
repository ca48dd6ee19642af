//! I/O out: pure functions of a report. Knows nothing of bytes on a wire.

mod advice;
mod evidence;
mod exchange;
mod frame;
mod json;
mod lines;
mod paths;
mod text;

pub use evidence::evidence;
pub use exchange::{exchange_line, exchange_text};
pub use json::{change_line, report_json, reports_json};
pub use paths::{paths_json, paths_text};
pub use text::{change_text, report_text};
