//! What nftables drops, as `nft -j list ruleset` tells of the bridge family and of the netdev family's ingress (libnftables-json(5)). Named sets, maps and
//! expressions of iptables' modules are not followed: a rule with one may or may not hold.

use std::io;

use serde_json::Value;

use super::chain::{Chain, Filter, Rule, Verdict};
use super::program::{Program, ask};
use crate::event::Drop;
use crate::value::Mac;

/// Where the program lies.
const PROGRAMS: [&str; 3] = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"];
/// Hooks that a frame passes which a bridge forwards (linux/netfilter_bridge.h, linux/netfilter_netdev.h), by family.
const BRIDGED: (&str, &[&str]) = ("bridge", &["prerouting", "forward"]);
const INGRESS: (&str, &[&str]) = ("netdev", &["ingress"]);

/// What is dropped in the bridge family.
///
/// # Errors
/// Why that is not known.
pub(super) fn drops() -> Result<Vec<Drop>, String> {
    Ok(tables(BRIDGED)?.iter().flat_map(Filter::drops).collect())
}

/// What is dropped in the netdev family, where frames come in at a port.
///
/// # Errors
/// Why that is not known.
pub(super) fn drops_at_ingress() -> Result<Vec<Drop>, String> {
    let tables = tables(INGRESS)?;
    // nft 1.0.6 leaves out where a chain stands.
    if tables.iter().flat_map(|filter| &filter.chains).any(|chain| chain.is_on_the_way && chain.ports.is_none()) {
        return Err("nft does not tell at which ports its chains stand".to_owned());
    }
    Ok(tables.iter().flat_map(Filter::drops).collect())
}

fn tables((family, hooks): (&str, &[&str])) -> Result<Vec<Filter>, String> {
    let is_there = |program: &&&str| std::fs::exists(program).unwrap_or(false);
    let program = PROGRAMS.iter().find(is_there).ok_or("nft is not installed")?;
    let told = ask(&Program { path: program, arguments: &["-j", "list", "ruleset", family] });
    let rules = told.and_then(|told| serde_json::from_slice(&told).map_err(io::Error::from));
    Ok(read(&rules.map_err(|error| format!("nft does not tell: {error}"))?, hooks))
}

/// Its tables, each with its chains: a chain is jumped to from its own table only.
fn read(ruleset: &Value, hooks: &[&str]) -> Vec<Filter> {
    let all = ruleset.get("nftables").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut tables: Vec<(String, Filter)> = Vec::new();
    for chain in all.iter().filter_map(|one| one.get("chain")) {
        let (table, name) = (text(chain, "table"), text(chain, "name"));
        let hook = chain.get("hook").and_then(Value::as_str);
        let is_on_the_way = hook.is_some_and(|hook| hooks.contains(&hook));
        let policy = match (hook, chain.get("policy").and_then(Value::as_str)) {
            (_, Some("drop")) => Verdict::Drop,
            (Some(_), _) => Verdict::Accept,
            (None, _) => Verdict::Return,
        };
        let rules = all.iter().filter_map(|one| one.get("rule"));
        let ours = rules.filter(|rule| text(rule, "table") == table && text(rule, "chain") == name);
        let rules =
            ours.map(|rule| judged(rule.get("expr").and_then(Value::as_array).map_or(&[], Vec::as_slice))).collect();
        let ports = chain.get("dev").and_then(plain);
        let chain = Chain { name, is_on_the_way, ports, policy, rules };
        match tables.iter_mut().find(|(known, _)| *known == table) {
            Some((_, filter)) => filter.chains.push(chain),
            None => tables.push((table, Filter { chains: vec![chain] })),
        }
    }
    tables.into_iter().map(|(_, filter)| filter).collect()
}

/// What a rule looks at and decides.
fn judged(steps: &[Value]) -> Rule {
    let mut rule = Rule { ports: None, to: None, is_narrower: false, verdict: Verdict::Continue };
    for step in steps {
        let Some((kind, of)) = step.as_object().and_then(|step| step.iter().next()) else {
            return Rule { is_narrower: true, verdict: Verdict::Unknown, ..rule };
        };
        let target = || of.get("target").and_then(Value::as_str).unwrap_or_default().to_owned();
        match kind.as_str() {
            "counter" | "log" | "comment" => {}
            "drop" | "reject" => rule.verdict = Verdict::Drop,
            "accept" => rule.verdict = Verdict::Accept,
            "return" => rule.verdict = Verdict::Return,
            "continue" => rule.verdict = Verdict::Continue,
            "jump" => rule.verdict = Verdict::Jump(target()),
            "goto" => rule.verdict = Verdict::Goto(target()),
            "match" => matched(of, &mut rule),
            "limit" | "quota" => rule.is_narrower = true,
            _ => return Rule { is_narrower: true, verdict: Verdict::Unknown, ..rule },
        }
    }
    rule
}

/// One thing that a rule looks at.
fn matched(of: &Value, rule: &mut Rule) {
    let is_equal = matches!(of.get("op").and_then(Value::as_str), Some("==" | "in"));
    let key = of.pointer("/left/meta/key").and_then(Value::as_str);
    let field = |name: &str| of.pointer(&format!("/left/payload/{name}")).and_then(Value::as_str);
    let values = of.get("right").filter(|_| is_equal).and_then(plain);
    let macs = || values.as_ref()?.iter().map(|value| value.parse().ok()).collect::<Option<Vec<Mac>>>();
    match (key, field("protocol"), field("field")) {
        (Some("iifname"), ..) if values.is_some() && rule.ports.is_none() => rule.ports = values,
        (_, Some("ether"), Some("daddr")) if rule.to.is_none() => match macs() {
            Some(to) => rule.to = Some(to),
            None => rule.is_narrower = true,
        },
        _ => rule.is_narrower = true,
    }
}

/// One value, or those of a set written in place; `None` where any is no plain word, or the name of a set elsewhere.
fn plain(right: &Value) -> Option<Vec<String>> {
    let set = right.get("set").or_else(|| right.is_array().then_some(right)).and_then(Value::as_array);
    let all = set.map_or_else(|| std::slice::from_ref(right), Vec::as_slice);
    let word = |value: &Value| value.as_str().filter(|word| !word.starts_with('@')).map(str::to_owned);
    all.iter().map(word).collect()
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
        let drops: Vec<Drop> = read(&ruleset, &["forward"]).iter().flat_map(Filter::drops).collect();
        drops.iter().map(|drop| format!("{} {}", drop.port, drop.to)).collect()
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
        let elsewhere = PORT.replace("tap*", "@guests");
        assert_eq!(told(&[&[&elsewhere, ONE, DROP].join(",")]), Vec::<String>::new(), "a set that is not told");
        let different = ONE.replace("==", "!=");
        assert_eq!(told(&[&[&different, DROP].join(",")]), Vec::<String>::new());
    }

    #[test]
    fn a_chain_that_is_jumped_to_drops() {
        // As libvirt's filters are: a chain for each port.
        let chain = |name: &str, hook: &str| {
            format!(r#"{{"chain":{{"family":"bridge","table":"nat","name":"{name}","handle":1{hook}}}}}"#)
        };
        let rule = |chain: &str, expr: &str| {
            format!(r#"{{"rule":{{"family":"bridge","table":"nat","chain":"{chain}","handle":3,"expr":[{expr}]}}}}"#)
        };
        let port = PORT.replace("tap*", "vnet0");
        let all = [
            chain("PREROUTING", r#","type":"filter","hook":"prerouting","prio":-300,"policy":"accept""#),
            chain("libvirt-I-vnet0", ""),
            rule("PREROUTING", &format!(r#"{port},{{"jump":{{"target":"libvirt-I-vnet0"}}}}"#)),
            rule("libvirt-I-vnet0", &[ONE, DROP].join(",")),
        ];
        let ruleset = serde_json::from_str(&format!(r#"{{"nftables":[{}]}}"#, all.join(","))).unwrap();
        let drops: Vec<Drop> = read(&ruleset, &["prerouting"]).iter().flat_map(Filter::drops).collect();
        let told: Vec<String> = drops.iter().map(|drop| format!("{} {}", drop.port, drop.to)).collect();
        assert_eq!(told, ["vnet0 01:80:c2:00:00:00"]);
    }
}
