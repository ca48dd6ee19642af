//! The house holds its rules: who names whom, how long a file may be, what every file begins with, which words are no names.

mod support;

use std::fs;
use std::path::Path;

use netdiag::LAYERS;
use support::sources;

/// Lines past which a file is a room that too many things live in.
const LONGEST: usize = 600;
/// Words that say nothing about what a thing is.
const NO_NAMES: &[&str] =
    &["util", "utils", "helper", "helpers", "common", "misc", "manager", "handler", "processor", "data", "info"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The module below `src` that a file belongs to.
fn layer(file: &Path) -> String {
    let inside = file.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// Every module that a line names as `crate::module`.
fn named(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or("");
    code.match_indices("crate::")
        .filter(|(at, _)| !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
        .map(|(at, path)| code[at + path.len()..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
        .collect()
}

#[test]
fn every_module_names_only_those_below_it() {
    let mut wrong = Vec::new();
    for file in sources(&root().join("src")) {
        let own = layer(&file);
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == own) else {
            assert!(["lib", "main"].contains(&own.as_str()), "{own} stands in no layer");
            continue;
        };
        for (number, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
            // Tests may drive the whole house.
            if line.contains("cfg(test)]") {
                break;
            }
            for module in named(line) {
                let is_module = LAYERS.iter().any(|(name, _)| *name == module);
                if is_module && module != own && !allowed.contains(&module.as_str()) {
                    wrong.push(format!("{}:{}: {own} names {module}", file.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn siblings_do_not_name_each_other() {
    let mut wrong = Vec::new();
    for folder in ["world", "detect"] {
        for file in sources(&root().join("src").join(folder)) {
            if file.ends_with("mod.rs") {
                continue;
            }
            let inside = file.strip_prefix(root().join("src").join(folder)).unwrap();
            let own =
                inside.components().next().unwrap().as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
            for line in fs::read_to_string(&file).unwrap().lines() {
                let Some(rest) = line.trim().strip_prefix(&format!("use crate::{folder}::")) else { continue };
                let sibling: String = rest.chars().take_while(|c| c.is_lowercase() || *c == '_').collect();
                if !sibling.is_empty() && sibling != own {
                    wrong.push(format!("{}: {line}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_and_stays_a_room() {
    let mut wrong = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for file in sources(&root().join(folder)) {
            let text = fs::read_to_string(&file).unwrap();
            if !text.starts_with("//!") {
                wrong.push(format!("{}: does not begin with //!", file.display()));
            }
            if text.lines().count() > LONGEST {
                wrong.push(format!("{}: {} lines, and {LONGEST} is the most", file.display(), text.lines().count()));
            }
            let name = file.file_stem().unwrap().to_string_lossy().into_owned();
            if name.split('_').any(|word| NO_NAMES.contains(&word)) {
                wrong.push(format!("{}: its name says nothing", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
