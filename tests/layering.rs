//! The house holds its rules: who names whom, how long a file may be, what every file begins with, which words are no names.

mod support;

use std::collections::{BTreeMap, BTreeSet};
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

/// Where a module stands below `src`, part by part.
type Place = Vec<String>;

/// All that the imports of a file name, its tests left aside; `own` is where it stands.
fn imports(text: &str, own: &Place) -> Vec<Place> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or("");
    let uses = code.split(';').filter_map(|statement| statement.split("use ").nth(1));
    let mut all = Vec::new();
    for tree in uses {
        let tree: String = tree.chars().filter(|c| !c.is_whitespace()).collect();
        if tree.starts_with("crate::") || tree.starts_with("super::") {
            spread(Vec::new(), &tree, &mut all);
        }
    }
    let absolute = |mut path: Place| {
        let mut base = if path[0] == "crate" {
            path.remove(0);
            Vec::new()
        } else {
            own.clone()
        };
        while path.first().is_some_and(|part| part == "super") {
            base.pop();
            path.remove(0);
        }
        [base, path].concat()
    };
    all.into_iter().map(absolute).collect()
}

/// Each path of an import: `a::{b, c::d}` names `a::b` and `a::c::d`.
fn spread(before: Place, tree: &str, all: &mut Vec<Place>) {
    let Some((start, group)) = tree.split_once('{') else {
        all.push(before.into_iter().chain(tree.split("::").map(str::to_owned)).collect());
        return;
    };
    let base: Place =
        before.into_iter().chain(start.split("::").filter(|s| !s.is_empty()).map(str::to_owned)).collect();
    let (mut depth, mut part) = (0, String::new());
    for c in group.strip_suffix('}').unwrap_or(group).chars().chain([',']) {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if c == ',' && depth == 0 {
            spread(base.clone(), &std::mem::take(&mut part), all);
        } else {
            part.push(c);
        }
    }
}

#[test]
fn no_file_imports_what_imports_it() {
    let source = root().join("src");
    let place = |file: &Path| -> Place {
        let inside = file.strip_prefix(&source).unwrap().with_extension("");
        let parts = inside.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
        parts.filter(|part| part != "mod").collect()
    };
    let files: BTreeMap<Place, String> =
        sources(&source).iter().map(|file| (place(file), fs::read_to_string(file).unwrap())).collect();
    let module_of = |path: &Place| (1..=path.len()).rev().map(|n| path[..n].to_vec()).find(|m| files.contains_key(m));
    let mut named: BTreeMap<Place, BTreeSet<Place>> = BTreeMap::new();
    for (own, text) in files.iter().filter(|(own, _)| own.last().is_none_or(|name| name != "tests")) {
        let modules = imports(text, own).into_iter().filter_map(|path| module_of(&path));
        // Whoever stands above only hands things on.
        named.insert(own.clone(), modules.filter(|module| !own.starts_with(module)).collect());
    }
    assert!(named.values().map(BTreeSet::len).sum::<usize>() > 500, "imports are not understood any more");
    // Who names nobody that is left is in no circle.
    loop {
        let left: BTreeSet<Place> = named.keys().cloned().collect();
        named.retain(|_, names| names.iter().any(|name| left.contains(name)));
        if named.len() == left.len() {
            break;
        }
    }
    let circle: Vec<String> = named.keys().map(|module| module.join("::")).collect();
    assert!(circle.is_empty(), "these import each other, or what does: {}", circle.join(", "));
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
