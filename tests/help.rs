//! What a person reads and types: help of every command and every output format are kept as snapshots, and the README's command
//! lines do what it says.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Runs netdiag where the project lies; help is as wide as it is on no terminal.
fn netdiag(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netdiag"));
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("COLUMNS").stdin(Stdio::null());
    command.output().unwrap()
}

fn case(name: &str) -> String {
    support::captures().join(name).to_string_lossy().into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The commands, as help lists them.
fn commands() -> Vec<String> {
    let help = stdout(&netdiag(&["-h"]));
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let names = list.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.strip_prefix("  "));
    // What stands further in goes on with the line above.
    names.filter(|line| !line.starts_with(' ')).map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

/// Holds `have` against the snapshot `name`; with `NETDIAG_BLESS=1` it becomes the snapshot.
#[expect(clippy::disallowed_methods, reason = "a person asks for new texts, not a capture")]
fn snapshot(name: &str, have: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(name);
    if std::env::var("NETDIAG_BLESS").is_ok() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        return std::fs::write(file, have).unwrap();
    }
    let want = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(have, want, "{name}: NETDIAG_BLESS=1 cargo test --test help writes it anew");
}

#[test]
fn help_is_as_it_was_read() {
    let commands = commands();
    assert!(commands.contains(&"review".to_owned()) && commands.contains(&"help".to_owned()), "{commands:?}");
    let mut texts = vec![("netdiag".to_owned(), vec![])];
    texts.extend(commands.into_iter().filter(|name| name != "help").map(|name| (name.clone(), vec![name])));
    for (name, command) in texts {
        let mut text = String::new();
        for flag in ["-h", "--help"] {
            let args: Vec<&str> = command.iter().map(String::as_str).chain([flag]).collect();
            text.push_str(&format!("$ netdiag {}\n{}\n", args.join(" "), stdout(&netdiag(&args))));
        }
        // Lines that are empty but for their indent are empty.
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        snapshot(&format!("help/{name}.txt"), &(lines.join("\n") + "\n"));
    }
}

#[test]
fn every_format_is_as_it_was_read() {
    let help = stdout(&netdiag(&["review", "-h"]));
    let (_, formats) = help.split_once("--format <FORMAT>").unwrap();
    let (_, formats) = formats.split_once("[possible values: ").unwrap();
    let (formats, _) = formats.split_once(']').unwrap();
    for format in formats.split(',').map(str::trim) {
        let output = netdiag(&["review", "--format", format, "captures/vlan/three-tags"]);
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
        // Which families there are is no matter of form.
        let text = stdout(&output);
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("checked: ")).collect();
        snapshot(&format!("format/{format}.txt"), &(lines.join("\n") + "\n"));
    }
}

#[test]
fn what_the_readme_tells_to_type_can_be_typed() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let typed: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("    netdiag ")).collect();
    assert!(typed.len() >= 5, "{typed:?}");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("readme");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink(support::captures(), folder.join("captures")).unwrap();
    let put = |name: &str, from: &str| assert!(std::fs::copy(case(from), folder.join(name)).is_ok(), "{from}");
    for name in typed.iter().flat_map(|line| line.split_whitespace()).filter(|word| word.ends_with(".pcap")) {
        put(name, "mtu/lab-overflow-everywhere/bond0.pcap");
    }
    put("tap3f.pcap", "mtu/lab-overflow-everywhere/tap3f2a91c0-5d.pcap");
    put("host.jsonl", "vlan/stacked-by-configuration/host.jsonl");
    let packed = zstd::encode_all(std::fs::File::open(case("cap/drops-in-statistics/bond0.pcapng")).unwrap(), 0);
    std::fs::write(folder.join("bond0.pcapng.zst"), packed.unwrap()).unwrap();
    let path = Path::new(env!("CARGO_BIN_EXE_netdiag")).parent().unwrap();
    for line in typed {
        let line = line.split_once(" #").map_or(line, |(command, _)| command).trim();
        let is_live = ["live ", "record "].iter().any(|command| line.starts_with(command));
        // What needs an interface and the right to listen on it is asked whether it would be understood.
        let line = if is_live { format!("{line} --help") } else { line.to_owned() };
        let script = format!("PATH={}:$PATH netdiag {line}", path.display());
        let output =
            Command::new("sh").args(["-c", &script]).current_dir(&folder).stdin(Stdio::null()).output().unwrap();
        let is_fine = output.status.code().is_some_and(|code| code <= 1) && output.stderr.is_empty();
        assert!(is_fine, "netdiag {line}: {:?}\n{}", output.status, stderr(&output));
    }
}
