//! The `netdiag` command: parse, run, exit code. All of it lives in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    netdiag::cli::run()
}
