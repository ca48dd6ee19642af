//! Which finding explains which (findings.md, part K). Run once, over all findings, when the books are closed.

use super::{Finding, Number, State};
use crate::value::Span;

/// One relation: a finding of code `root` explains one of code `symptom` when the named parts of both agree, a part being one of the
/// key or of what was measured.
struct Relation {
    root: &'static str,
    symptom: &'static str,
    /// Names of the root's part and of the symptom's.
    shared: Shared,
    /// Whether both must lie behind the same uplink.
    is_behind: bool,
    /// Seconds that the symptom's first evidence may lie before and after the root's; any where it is not told.
    within: Option<(i64, i64)>,
    /// Whether the root must have held while the symptom was seen: nobody can say which began first.
    is_overlap: bool,
}

/// Parts of a root's key and of a symptom's that must be equal.
type Shared = &'static [(&'static str, &'static str)];

/// What a link that is silent makes unanswered (R6): everything of hosts behind it.
const UNANSWERED: &[&str] = &[
    "DHCP001", "DHCP003", "DHCP004", "DHCP006", "ARP002", "ARP003", "TCP001", "TCP002", "IP002", "HOST002", "SVC001",
    "SVC004", "SVC005", "DHCP601", "DHCP602", "DHCP603", "RA002", "STP013",
];
/// What a guard that shuts a port takes with it (R5).
const SHUT: &[&str] = &["HOST003", "HOST004", "HOST005", "LACP001", "LACP003"];

/// What explains what among clients and servers of DHCP, by what their keys share.
const DHCP: &[(&str, &str, Shared)] = &[
    // A client asks everybody because its own server did not answer, or because it did not hear the answer.
    ("DHCP004", "DHCP006", &[("client", "client")]),
    ("DHCP005", "DHCP006", &[("client", "client")]),
    // Who cannot renew asks anew, and is not answered either.
    ("DHCP004", "DHCP001", &[("client", "client")]),
    // R10: no server runs.
    ("DHCP022", "DHCP004", &[("server", "server")]),
    ("DHCP022", "DHCP023", &[("domain", "domain")]),
    ("DHCP022", "DHCP001", &[("domain", "domain")]),
    // Who is not answered at all is not answered in its first words either.
    ("DHCP001", "DHCP023", &[("client", "client")]),
    // R24: what it asked did not pass its port.
    ("DHCP024", "DHCP001", &[("client", "client")]),
    // What a relay keeps back, or hands round, no client hears.
    ("DHCP017", "DHCP001", &[("client", "client")]),
    ("DHCP017", "DHCP002", &[("client", "client")]),
    ("DHCP017", "DHCP003", &[("client", "client")]),
    // R10: where nobody answers anybody, nobody renews. Only the finding about a whole network says that it is unserved.
    ("DHCP001", "DHCP004", &[("unserved", "domain")]),
    ("DHCP001", "DHCP006", &[("unserved", "domain")]),
    ("DHCP001", "DHCP023", &[("unserved", "domain")]),
    // R11: what is wrong with the answers is why they are not heard.
    ("DHCP019", "DHCP002", &[("server", "server"), ("client", "client")]),
    ("DHCP018", "DHCP002", &[("server", "server"), ("client", "client")]),
    ("DHCP019", "DHCP003", &[("server", "server"), ("client", "client")]),
    ("DHCP018", "DHCP003", &[("server", "server"), ("client", "client")]),
    ("DHCP019", "DHCP005", &[("server", "server"), ("client", "client")]),
    ("DHCP018", "DHCP005", &[("server", "server"), ("client", "client")]),
    // R12: the second server contradicts, refuses, and tells other things.
    ("DHCP015", "DHCP009", &[("server", "server")]),
    ("DHCP015", "DHCP008", &[("server", "server")]),
    ("DHCP015", "DHCP021", &[("domain", "domain")]),
    // A refusal against another server's grant is half of the contradiction.
    ("DHCP009", "DHCP008", &[("client", "client"), ("server", "server")]),
    // A server without an address left offers nothing, and refuses.
    ("DHCP016", "DHCP001", &[("domain", "domain")]),
    ("DHCP016", "DHCP008", &[("server", "server")]),
];

/// The relations, in the order in which ties are decided; a code that does not exist explains nothing and is never explained.
///
/// R1 is turned round against the catalogue's table: the overflow is what an operator must hear of, and an exit code that
/// counts roots must count it; the stacked VLAN stands under it as its precondition and the overflow's causes name it.
fn relations() -> Vec<Relation> {
    let by_key =
        |root, symptom, shared| Relation { root, symptom, shared, is_behind: false, within: None, is_overlap: false };
    let behind =
        |root, symptom, within| Relation { is_behind: true, within: Some(within), ..by_key(root, symptom, &[]) };
    // What the root made so cannot be older than the root.
    let later = |root, symptom, shared| Relation { within: Some((0, i64::MAX)), ..by_key(root, symptom, shared) };
    let during = |root, symptom, shared| Relation { is_overlap: true, ..by_key(root, symptom, shared) };
    let mut relations = vec![
        by_key("MTU001", "VLAN001", &[("interface", "interface"), ("outer", "outer")]),
        // R2 and R3.
        by_key("MTU001", "MTU003", &[("outer", "outer")]),
        by_key("MTU001", "MTU006", &[("outer", "outer")]),
        by_key("MTU001", "MTU008", &[("interface", "interface"), ("outer", "outer")]),
        by_key("MTU007", "MTU006", &[("src", "src"), ("dst", "dst")]),
        by_key("MTU005", "MTU003", &[("src", "src"), ("dst", "dst")]),
        by_key("MTU003", "MTU009", &[("mac", "mac"), ("next_hop", "next_hop")]),
        by_key("MTU003", "TCP001", &[("mac", "mac"), ("next_hop", "next_hop")]),
        // R7: a guest that does not hear does not hear DHCP either; an answered renewal may be the first thing that it leaves unheard.
        later("HOST001", "DHCP002", &[("mac", "client")]),
        later("HOST001", "DHCP003", &[("mac", "client")]),
        during("HOST001", "DHCP005", &[("mac", "client")]),
        later("HOST001", "DHCP006", &[("mac", "client")]),
        later("HOST001", "DHCP007", &[("mac", "client")]),
        later("HOST001", "TCP001", &[("mac", "next_hop")]),
        later("HOST001", "ARP002", &[("mac", "mac"), ("domain", "domain")]),
        // R8: who is gone answers nothing.
        later("HOST002", "ARP002", &[("mac", "mac"), ("domain", "domain")]),
        later("HOST002", "DHCP002", &[("mac", "client")]),
        later("HOST002", "TCP001", &[("mac", "next_hop")]),
        later("HOST002", "TCP002", &[("mac", "next_hop")]),
        // R16: what goes out goes through the gateway.
        later("ARP003", "IP002", &[("mac", "next_hop")]),
        later("ARP003", "TCP002", &[("mac", "next_hop")]),
        // R23: a network that is not reached is reached at no port.
        by_key("IP002", "TCP002", &[("source", "client"), ("prefix", "prefix")]),
        by_key("ARP003", "ARP002", &[("domain", "domain"), ("ip", "ip")]),
        // Whoever gets its answers in another tag hears nothing, and asks again.
        by_key("VLAN002", "HOST001", &[("mac", "mac")]),
        by_key("VLAN002", "ARP002", &[("answerer", "ip")]),
        // What a router says of a network that is not reached.
        by_key("IP002", "IP001", &[("prefix", "prefix"), ("source", "source")]),
        during("IP003", "IP002", &[("prefix", "prefix")]),
        during("IP003", "IP001", &[("prefix", "prefix")]),
        // Who takes no more is asked again and again whether it does.
        during("TCP004", "TCP001", &[("hosts", "hosts"), ("domain", "domain")]),
        // R13: an address that was given out again while somebody used it.
        during("DHCP007", "ARP001", &[("address", "ip")]),
        during("DHCP012", "ARP001", &[("address", "ip")]),
        during("DHCP007", "DHCP010", &[("address", "address")]),
        // R25: the other owner of the address refuses, and does not hear what is meant for the first.
        during("ARP001", "TCP003", &[("ip", "server")]),
        during("ARP001", "HOST001", &[("ip", "address")]),
        by_key("L2004", "L2003", &[("mac", "mac"), ("domain", "domain")]),
        by_key("STP001", "STP008", &[("mac", "mac")]),
        // What a guest's bridge does beside speaking at all.
        by_key("STP001", "STP003", &[("mac", "mac")]),
        by_key("STP001", "STP010", &[("mac", "mac")]),
        // R4: the silence names the sender of the BPDU before it.
        by_key("STP001", "STP002", &[("mac", "mac")]),
        by_key("STP011", "STP002", &[("mac", "mac")]),
    ];
    // R17: what the switch does not carry nobody answers.
    for symptom in ["DHCP001", "ARP002", "ARP003"] {
        relations.push(by_key("VLAN003", symptom, &[("domain", "domain")]));
    }
    // R15: where two VLANs are joined, whoever serves the one is a stranger in the other.
    for symptom in ["DHCP015", "ARP001", "RA001"] {
        relations.push(during("VLAN009", symptom, &[("domain", "domain")]));
        relations.push(during("VLAN009", symptom, &[("other", "domain")]));
    }
    // R14: a loop.
    for symptom in ["L2002", "L2003", "STP005"] {
        let shared: &[(&str, &str)] =
            if symptom == "L2002" { &[("interface", "interface")] } else { &[("domain", "domain")] };
        relations.push(during("L2001", symptom, shared));
    }
    relations.extend(DHCP.iter().map(|(root, symptom, shared)| by_key(*root, *symptom, *shared)));
    // R5: 95 s is what slow LACP takes to time out, and a little.
    relations.extend(SHUT.iter().map(|symptom| behind("STP002", *symptom, (1, 95))));
    relations.push(behind("HOST005", "HOST003", (15, 15)));
    relations.extend(UNANSWERED.iter().map(|symptom| behind("HOST003", *symptom, (1, i64::MAX))));
    relations
}

/// Links causes to effects, numbers the findings, and puts them in the order of the report: roots by severity and confidence,
/// then by first evidence; each followed by what it explains.
pub fn relate(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|a, b| (a.first, a.rule.code, &a.key).cmp(&(b.first, b.rule.code, &b.key)));
    for (id, finding) in (1..).zip(findings.iter_mut()) {
        finding.id = id;
    }
    for relation in relations() {
        let roots: Vec<_> = findings.iter().filter(|f| f.rule.code == relation.root).cloned().collect();
        for symptom in findings.iter_mut().filter(|f| f.rule.code == relation.symptom && f.explained_by.is_none()) {
            symptom.explained_by = roots.iter().find(|root| relation.holds(root, symptom)).map(|root| root.id);
        }
    }
    let links: Vec<_> = findings.iter().filter_map(|f| Some((f.explained_by?, f.id))).collect();
    for root in &mut findings {
        root.explains = links.iter().filter(|(by, _)| *by == root.id).map(|(_, id)| *id).collect();
    }
    in_order(findings)
}

impl Relation {
    fn holds(&self, root: &Finding, symptom: &Finding) -> bool {
        // A cause that is over does not explain what was seen after it.
        let is_after = root.resolved.is_some_and(|over| symptom.last > over);
        (root.state == State::Open || symptom.state == State::Resolved || !is_after)
            && self
                .shared
                .iter()
                .all(|(ours, theirs)| part(root, ours).is_some_and(|of_root| part(symptom, theirs) == Some(of_root)))
            && (!self.is_overlap
                || root.first <= symptom.last && root.resolved.is_none_or(|over| over >= symptom.first))
            && (!self.is_behind || root.uplink.is_some() && root.uplink == symptom.uplink)
            && self.within.is_none_or(|(before, after)| {
                symptom.first >= root.first.after(Span::secs(before).times(-1))
                    && symptom.first <= root.first.after(Span::secs(after))
            })
    }
}

/// What a finding says of itself under this name: in its key, or among what was measured.
fn part<'a>(finding: &'a Finding, name: &str) -> Option<&'a str> {
    let measured = || {
        finding.numbers.iter().find_map(|(n, number)| match number {
            Number::Words(words) if *n == name => Some(words.as_str()),
            _ => None,
        })
    };
    finding.key.part(name).or_else(measured)
}

/// Roots by rank, each followed by what it explains, and that by what it explains in turn.
fn in_order(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|a, b| {
        let rank = |f: &Finding| (std::cmp::Reverse((f.severity, f.confidence)), f.first, f.id);
        rank(a).cmp(&rank(b))
    });
    let (roots, mut symptoms): (Vec<_>, Vec<_>) = findings.into_iter().partition(|f| f.explained_by.is_none());
    let mut ordered = Vec::new();
    for root in roots {
        place(root, &mut symptoms, &mut ordered);
    }
    ordered.extend(symptoms);
    ordered
}

/// A finding, then each that it explains with those that these explain.
fn place(finding: Finding, symptoms: &mut Vec<Finding>, ordered: &mut Vec<Finding>) {
    let id = finding.id;
    ordered.push(finding);
    let (mine, rest): (Vec<_>, Vec<_>) = std::mem::take(symptoms).into_iter().partition(|s| s.explained_by == Some(id));
    *symptoms = rest;
    for symptom in mine {
        place(symptom, symptoms, ordered);
    }
}
