//! What the bridge family of nftables drops by its destination, as `nft -j list ruleset bridge` tells (libnftables-json(5)): read once, and nothing is changed.
//! Only what is certain counts: a rule that looks at nothing but the port and the destination, in a base chain on the way, with no other
//! verdict before it. What legacy ebtables, tc and other chains do is not read.

use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

use crate::event::{Drop, Fact};
use crate::value::{Mac, Outside};

/// Where the program lies: nothing is looked for along a path that somebody else may have set.
const PROGRAMS: [&str; 3] = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"];
/// It asks the kernel, and has an answer at once or not at all.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of its answer that are read.
const MOST: u64 = 16 << 20;
/// Hooks that a frame passes which a bridge forwards (linux/netfilter_bridge.h).
const ON_THE_WAY: [&str; 2] = ["prerouting", "forward"];

/// What is dropped at the ports of this host's bridges; or why that is not known.
pub fn filters() -> Fact {
    let drops = PROGRAMS.iter().find(|program| std::fs::exists(program).unwrap_or(false)).map_or_else(
        || Err("nft is not installed".to_owned()),
        |program| ask(program).map_err(|error| format!("nft does not tell: {error}")),
    );
    match drops {
        Ok(drops) => Fact::Filter { by: Outside::from("nft"), drops },
        Err(why) => Fact::Missing { what: Outside::from("filter"), why: Outside::from(why.as_str()) },
    }
}

fn ask(program: &str) -> io::Result<Vec<Drop>> {
    let mut child = Command::new(program)
        .args(["-j", "list", "ruleset", "bridge"])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let answer = child.stdout.take().map_or_else(|| Err(io::ErrorKind::BrokenPipe.into()), read);
    if answer.is_err() {
        let _ = child.kill();
    }
    let status = child.wait()?;
    let answer = answer?;
    if !status.success() {
        return Err(io::Error::other("it needs to be root (CAP_NET_ADMIN)"));
    }
    let rules: Value = serde_json::from_slice(&answer)?;
    Ok(drops(&rules))
}

/// All that it says, if each piece of it comes in time.
fn read(mut pipe: std::process::ChildStdout) -> io::Result<Vec<u8>> {
    let (mut answer, mut piece) = (Vec::new(), [0; 65_536]);
    let patience = Timespec::try_from(PATIENCE).map_err(|_| io::ErrorKind::InvalidInput)?;
    while (answer.len() as u64) < MOST {
        if poll(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(&patience))? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match pipe.read(&mut piece)? {
            0 => return Ok(answer),
            length => answer.extend_from_slice(piece.get(..length).unwrap_or_default()),
        }
    }
    Err(io::ErrorKind::FileTooLarge.into())
}

/// What the rules drop for certain.
fn drops(ruleset: &Value) -> Vec<Drop> {
    let all = ruleset.get("nftables").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(str::to_owned);
    let is_on_the_way = |chain: &&Value| {
        text(chain, "family").as_deref() == Some("bridge")
            && text(chain, "hook").is_some_and(|hook| ON_THE_WAY.contains(&hook.as_str()))
    };
    let mut found = Vec::new();
    for chain in all.iter().filter_map(|one| one.get("chain")).filter(is_on_the_way) {
        let place = |of: &Value, name: &str| (text(of, "table"), text(of, name));
        let ours = all.iter().filter_map(|one| one.get("rule"));
        for rule in ours.filter(|rule| place(rule, "chain") == place(chain, "name")) {
            let steps = rule.get("expr").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            match judged(steps) {
                Rule::Drops(drops) => found.extend(drops),
                Rule::Passes => {}
                // It may let pass what a later rule drops.
                Rule::Unknown => break,
            }
        }
    }
    found
}

/// What a rule does.
enum Rule {
    /// It drops these, and leaves others alone.
    Drops(Vec<Drop>),
    /// It ends nothing.
    Passes,
    /// It may end the way of a frame in this chain.
    Unknown,
}

fn judged(steps: &[Value]) -> Rule {
    let (mut ports, mut to, mut is_narrower, mut has_verdict) = (None, Vec::new(), false, false);
    for step in steps {
        let Some((kind, of)) = step.as_object().and_then(|step| step.iter().next()) else { return Rule::Unknown };
        match kind.as_str() {
            "counter" | "log" => {}
            "drop" => has_verdict = true,
            "match" => {
                let is_equal = matches!(of.get("op").and_then(Value::as_str), Some("==" | "in"));
                let key = of.pointer("/left/meta/key").and_then(Value::as_str);
                let field = |name: &str| of.pointer(&format!("/left/payload/{name}")).and_then(Value::as_str);
                let values = of.get("right").map(values).unwrap_or_default();
                match (key, field("protocol"), field("field")) {
                    (Some("iifname"), ..) if is_equal => ports = Some(values),
                    (_, Some("ether"), Some("daddr")) if is_equal => {
                        to = values.iter().filter_map(|value| value.parse::<Mac>().ok()).collect();
                    }
                    // It looks at more: what it drops is less than all.
                    _ => is_narrower = true,
                }
            }
            _ => return Rule::Unknown,
        }
    }
    if !has_verdict || is_narrower {
        return Rule::Passes;
    }
    let ports = ports.unwrap_or_else(|| vec!["*".to_owned()]);
    let drop = |port: &String| {
        let port = Outside::from(port.as_str());
        to.iter().map(move |to| Drop { port: port.clone(), to: *to }).collect::<Vec<_>>()
    };
    Rule::Drops(ports.iter().flat_map(drop).collect())
}

/// One value, or those of a set written in place.
fn values(right: &Value) -> Vec<String> {
    let set = right.get("set").and_then(Value::as_array);
    let one = || std::slice::from_ref(right);
    set.map_or_else(one, Vec::as_slice).iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What nft 1.0.6 says of a chain at the hook `forward` with the rules `rules`.
    fn told(rules: &[&str]) -> Vec<String> {
        let chain = r#"{"chain":{"family":"bridge","table":"filter","name":"stp","handle":1,"type":"filter","hook":"forward","prio":0,"policy":"accept"}}"#;
        let rule = |expr: &&str| {
            format!(r#"{{"rule":{{"family":"bridge","table":"filter","chain":"stp","handle":3,"expr":[{expr}]}}}}"#)
        };
        let all: Vec<String> = [chain.to_owned()].into_iter().chain(rules.iter().map(rule)).collect();
        let ruleset = serde_json::from_str(&format!(r#"{{"nftables":[{}]}}"#, all.join(","))).unwrap();
        drops(&ruleset).iter().map(|drop| format!("{} {}", drop.port, drop.to)).collect()
    }

    const PORT: &str = r#"{"match":{"op":"==","left":{"meta":{"key":"iifname"}},"right":"tap*"}}"#;
    const SET: &str = r#"{"match":{"op":"==","left":{"payload":{"protocol":"ether","field":"daddr"}},"right":{"set":["01:00:0c:cc:cc:cd","01:80:c2:00:00:00"]}}}"#;
    const ONE: &str =
        r#"{"match":{"op":"==","left":{"payload":{"protocol":"ether","field":"daddr"}},"right":"01:80:c2:00:00:00"}}"#;
    const DROP: &str = r#"{"counter":{"packets":0,"bytes":0}},{"drop":null}"#;

    #[test]
    fn the_rule_of_the_page_is_known_again() {
        let rule = [PORT, SET, DROP].join(",");
        assert_eq!(told(&[&rule]), ["tap* 01:00:0c:cc:cc:cd", "tap* 01:80:c2:00:00:00"]);
        assert_eq!(told(&[&[ONE, DROP].join(",")]), ["* 01:80:c2:00:00:00"]);
    }

    #[test]
    fn only_what_is_certain_counts() {
        let narrower = r#"{"match":{"op":"==","left":{"meta":{"key":"mark"}},"right":7}}"#;
        assert_eq!(told(&[&[PORT, narrower, ONE, DROP].join(",")]), Vec::<String>::new());
        let accept = [PORT, r#"{"accept":null}"#].join(",");
        assert_eq!(told(&[&accept, &[ONE, DROP].join(",")]), Vec::<String>::new());
        assert_eq!(told(&[&[PORT, ONE].join(",")]), Vec::<String>::new(), "it counts, and drops nothing");
        let different = ONE.replace("==", "!=");
        assert_eq!(told(&[&[&different, DROP].join(",")]), Vec::<String>::new());
    }

    #[test]
    fn a_port_is_named_or_begins_so() {
        let drop = |port: &str| Drop { port: Outside::from(port), to: Mac::ZERO };
        let holds = |port: &str, at: &str| drop(port).holds(at, Mac::ZERO);
        assert!(holds("tap*", "tap7") && holds("*", "vnet0") && holds("tap7", "tap7"));
        assert!(!holds("tap7", "tap77") && !holds("tap*", "vnet0") && !drop("*").holds("tap7", Mac::BROADCAST));
    }
}
