//! What legacy ebtables drops, as `ebtables-legacy -L` tells. It is asked only where its tables are loaded: asking loads them. What `ebtables` of newer
//! systems says is nft's bridge family, and read there.

use super::chain::{Chain, Filter, Rule, Verdict};
use super::program::{Program, ask};
use crate::event::Drop;
use crate::value::Mac;

/// Where the program lies: by its own name, or by the one that others have taken.
const PROGRAMS: [&str; 6] = [
    "/usr/sbin/ebtables-legacy",
    "/sbin/ebtables-legacy",
    "/usr/bin/ebtables-legacy",
    "/usr/sbin/ebtables",
    "/sbin/ebtables",
    "/usr/bin/ebtables",
];
/// What the kernel has loaded, a line each, by name.
const LOADED: &str = "/proc/modules";
/// Tables and their chains that a frame passes which a bridge forwards; a drop in `broute` only means that the host routes it.
const ON_THE_WAY: [(&str, &str); 2] = [("nat", "PREROUTING"), ("filter", "FORWARD")];

/// What is dropped, where any table is loaded.
///
/// # Errors
/// Why that is not known.
pub(super) fn drops() -> Result<Vec<Drop>, String> {
    let loaded = std::fs::read_to_string(LOADED).map_err(|error| format!("{LOADED}: {error}"))?;
    let is_loaded =
        |table: &str| loaded.lines().any(|line| line.split(' ').next() == Some(&format!("ebtable_{table}")));
    let tables: Vec<_> = ON_THE_WAY.iter().filter(|(table, _)| is_loaded(table)).collect();
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    let is_there = |program: &&&str| std::fs::exists(program).unwrap_or(false);
    let program =
        PROGRAMS.iter().find(is_there).ok_or("its tables are loaded, and it is not installed to tell them")?;
    let mut found = Vec::new();
    for (table, base) in tables {
        let told = ask(&Program { path: program, arguments: &["-t", table, "-L", "--Lmac2"] });
        let told = told.map_err(|error| format!("{program} does not tell: {error}"))?;
        let told = String::from_utf8_lossy(&told);
        if !told.starts_with("Bridge table:") {
            return Err(format!("its tables are loaded, and {program} is not the one to tell them"));
        }
        found.extend(read(&told, base).drops());
    }
    Ok(found)
}

/// The chains that it lists.
fn read(told: &str, base: &str) -> Filter {
    let mut filter = Filter::default();
    for line in told.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["Bridge", "chain:", name, .., "policy:", policy] => {
                let name = name.trim_end_matches(',').to_owned();
                let is_on_the_way = name == base;
                let policy = verdict(policy);
                filter.chains.push(Chain { name, is_on_the_way, ports: None, policy, rules: Vec::new() });
            }
            [first, ..] if first.starts_with('-') => {
                if let Some(chain) = filter.chains.last_mut() {
                    chain.rules.push(rule(&words));
                }
            }
            _ => {}
        }
    }
    filter
}

fn rule(words: &[&str]) -> Rule {
    let mut rule = Rule { ports: None, to: None, is_narrower: false, verdict: Verdict::Continue };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match (*word, words.clone().next()) {
            ("-i", Some(&port)) if port != "!" => {
                rule.ports =
                    Some(vec![port.strip_suffix('+').map_or_else(|| port.to_owned(), |start| format!("{start}*"))]);
            }
            ("-d", Some(&"BGA")) => rule.to = Some(vec![Mac::BRIDGES]),
            ("-d", Some(&to)) => match to.parse() {
                Ok(to) => rule.to = Some(vec![to]),
                Err(_) => rule.is_narrower = true,
            },
            ("-j", Some(&target)) => rule.verdict = verdict(target),
            // A BPDU is a frame with a length.
            ("-p", Some(&"Length")) => {}
            // What an option is about follows it; what it is not about, too.
            (option, _) if option.starts_with('-') => rule.is_narrower = true,
            _ => {}
        }
    }
    rule
}

fn verdict(word: &str) -> Verdict {
    match word {
        "DROP" => Verdict::Drop,
        "ACCEPT" => Verdict::Accept,
        "RETURN" => Verdict::Return,
        "CONTINUE" => Verdict::Continue,
        // Targets that are no chains decide by settings of their own.
        "mark" | "dnat" | "snat" | "redirect" | "arpreply" => Verdict::Unknown,
        chain => Verdict::Jump(chain.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(list: &str, base: &str) -> Vec<String> {
        read(list, base).drops().iter().map(|drop| format!("{} {}", drop.port, drop.to)).collect()
    }

    #[test]
    fn a_rule_and_a_chain_that_is_jumped_to_drop() {
        // ebtables-legacy 2.0.11 -L --Lmac2, of two tables.
        let list = "Bridge table: filter\n\nBridge chain: INPUT, entries: 0, policy: ACCEPT\n\nBridge chain: FORWARD, entries: 2, policy: ACCEPT\n\
                    -d 01:00:0c:cc:cc:cd -i tap+ -j DROP \n-d BGA -i tap+ -j DROP \n\nBridge chain: OUTPUT, entries: 0, policy: ACCEPT\n";
        assert_eq!(told(list, "FORWARD"), ["tap* 01:00:0c:cc:cc:cd", "tap* 01:80:c2:00:00:00"]);
        let list = "Bridge table: nat\n\nBridge chain: PREROUTING, entries: 1, policy: ACCEPT\n-i tap0 -j of-tap0\n\n\
                    Bridge chain: OUTPUT, entries: 0, policy: ACCEPT\n\nBridge chain: of-tap0, entries: 1, policy: ACCEPT\n-d BGA -j DROP \n";
        assert_eq!(told(list, "PREROUTING"), ["tap0 01:80:c2:00:00:00"]);
    }

    #[test]
    fn only_what_is_certain_counts() {
        let forward = |rules: &str| {
            format!("Bridge table: filter\n\nBridge chain: FORWARD, entries: 1, policy: ACCEPT\n{rules}\n")
        };
        assert_eq!(told(&forward("-p IPv4 -d 01:80:c2:00:00:00 -j DROP"), "FORWARD"), Vec::<String>::new());
        assert_eq!(told(&forward("-d 01:80:c2:00:00:00/ff:ff:ff:00:00:00 -j DROP"), "FORWARD"), Vec::<String>::new());
        assert_eq!(told(&forward("-i tap0 -j ACCEPT\n-d 01:80:c2:00:00:00 -j DROP"), "FORWARD"), Vec::<String>::new());
        assert_eq!(told(&forward("-p Length -d 01:80:c2:00:00:00 -j DROP"), "FORWARD"), ["* 01:80:c2:00:00:00"]);
    }
}
