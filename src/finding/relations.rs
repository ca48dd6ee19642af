//! What explains what, as a table (findings.md, part K), in the order in which ties are decided. A code that does not exist explains
//! nothing and is never explained.
//!
//! R1 is turned round against the catalogue's table: the overflow is what an operator must hear of, and an exit code that counts roots
//! must count it; the stacked VLAN stands under it as its precondition and the overflow's causes name it.

/// One relation: a finding of code `root` explains those of the codes `symptoms` with which it shares what is named.
pub(super) struct Relation {
    pub root: &'static str,
    pub symptoms: &'static [&'static str],
    /// Names of the root's part and of the symptom's that must be equal, each part of a key or of what was measured.
    pub shared: Shared,
    pub when: When,
}

pub(super) type Shared = &'static [(&'static str, &'static str)];

/// When a symptom must have been seen to be the root's work.
pub(super) enum When {
    /// Whenever it was.
    Ever,
    /// Not before the root: what it made so cannot be older.
    Later,
    /// While the root held: nobody can say which began first.
    During,
    /// Behind the same uplink, at most so many seconds before the root began and after.
    Behind(i64, i64),
}

const fn ever(root: &'static str, symptoms: &'static [&'static str], shared: Shared) -> Relation {
    Relation { root, symptoms, shared, when: When::Ever }
}

const fn later(root: &'static str, symptoms: &'static [&'static str], shared: Shared) -> Relation {
    Relation { root, symptoms, shared, when: When::Later }
}

const fn during(root: &'static str, symptoms: &'static [&'static str], shared: Shared) -> Relation {
    Relation { root, symptoms, shared, when: When::During }
}

const fn behind(root: &'static str, symptoms: &'static [&'static str], before: i64, after: i64) -> Relation {
    Relation { root, symptoms, shared: &[], when: When::Behind(before, after) }
}

/// The same client, guest or station, by the names that it has in different keys.
const CLIENT: Shared = &[("client", "client")];
const MAC: Shared = &[("mac", "mac")];
const GUEST: Shared = &[("mac", "client")];
const HOP: Shared = &[("mac", "mac"), ("next_hop", "next_hop")];
const NEXT_HOP: Shared = &[("mac", "next_hop")];
/// The same server, and the same client of it.
const SERVER: Shared = &[("server", "server")];
const TALK: Shared = &[("server", "server"), ("client", "client")];
/// The same network, and a station or an address of it.
const DOMAIN: Shared = &[("domain", "domain")];
const STATION: Shared = &[("mac", "mac"), ("domain", "domain")];
const OUTER: Shared = &[("outer", "outer")];
const ON_LINK: Shared = &[("interface", "interface"), ("outer", "outer")];
const PREFIX: Shared = &[("prefix", "prefix")];
const ENDS: Shared = &[("src", "src"), ("dst", "dst")];

/// All relations.
pub(super) static RELATIONS: &[Relation] = &[
    ever("MTU001", &["VLAN001"], ON_LINK),
    // R2 and R3.
    ever("MTU001", &["MTU003", "MTU006"], OUTER),
    ever("MTU001", &["MTU008"], ON_LINK),
    ever("MTU002", &["MTU003"], &[("mac", "mac")]),
    ever("MTU007", &["MTU006"], ENDS),
    ever("MTU007", &["MTU006"], &[("src", "common_src")]),
    ever("MTU007", &["MTU006"], &[("dst", "common_dst")]),
    ever("MTU005", &["MTU003"], ENDS),
    // Seen on both sides of a router it is one loss: of the two links the later one, behind which it happens, tells it.
    ever("MTU003", &["MTU003"], ENDS),
    ever("MTU003", &["MTU009", "TCP001"], HOP),
    // Many pairs of hosts that are told as one name what all of them have in common.
    ever("MTU003", &["TCP001"], &[("mac", "common_mac")]),
    ever("MTU003", &["TCP001"], &[("next_hop", "common_next_hop")]),
    // What did not fit is sent again, all that was on its way with it.
    during("MTU004", &["TCP001"], &[("host", "host"), ("other_host", "other_host")]),
    during("MTU009", &["TCP001"], HOP),
    // R7: a guest that does not hear does not hear DHCP either; an answered renewal may be the first thing that it leaves unheard.
    later("HOST001", &["DHCP002"], GUEST),
    during("HOST001", &["DHCP005"], GUEST),
    later("HOST001", &["DHCP006", "DHCP007"], GUEST),
    later("HOST001", &["TCP001", "TCP002"], NEXT_HOP),
    later("HOST001", &["ARP002"], STATION),
    // Who does not hear may have nothing to say at first: who answered nothing and then spoke again, without hearing, was deaf from the beginning.
    during("HOST001", &["HOST002"], STATION),
    // R8: who is gone answers nothing.
    later("HOST002", &["ARP002"], STATION),
    later("HOST002", &["DHCP002"], GUEST),
    later("HOST002", &["TCP001", "TCP002"], NEXT_HOP),
    // R16: what goes out goes through the gateway.
    later("ARP003", &["IP002", "TCP002", "TCP001"], NEXT_HOP),
    // R23: a network that is not reached is reached at no port.
    ever("IP002", &["TCP002"], &[("source", "client"), ("prefix", "prefix")]),
    ever("ARP003", &["ARP002"], &[("domain", "domain"), ("ip", "ip")]),
    // Whoever gets its answers in another tag hears nothing, and asks again.
    ever("VLAN002", &["HOST001"], MAC),
    ever("VLAN002", &["ARP002"], &[("answerer", "ip")]),
    // What a router says of a network that is not reached.
    ever("IP002", &["IP001"], &[("prefix", "prefix"), ("source", "source")]),
    during("IP003", &["IP002", "IP001"], PREFIX),
    // Who takes no more is asked again and again whether it does.
    during("TCP004", &["TCP001"], &[("hosts", "hosts"), ("domain", "domain")]),
    during("TCP004", &["TCP001"], &[("common_host", "host"), ("domain", "domain")]),
    during("TCP004", &["TCP001"], &[("common_host", "other_host"), ("domain", "domain")]),
    // R19: a broker that holds one message of gigabytes takes no more, and is ended by its system.
    during("SVC002", &["TCP004"], &[("hosts", "hosts")]),
    during("SVC002", &["TCP004"], &[("broker_host", "common_host")]),
    during("SVC002", &["SVC004"], &[("broker_host", "broker_host"), ("broker_port", "broker_port")]),
    // R20: a broker that is away answers nobody.
    later("SVC004", &["TCP002", "TCP003"], &[("broker_host", "server"), ("broker_port", "port")]),
    later("SVC004", &["SVC006"], &[("broker_host", "broker_host"), ("broker_port", "broker_port")]),
    later("SVC002", &["TCP002", "TCP003"], &[("broker_host", "server"), ("broker_port", "port")]),
    // R20: a server that does not get what it needs itself fails in what it is asked for.
    during("TCP002", &["SVC008"], &[("client", "server_host")]),
    during("TCP003", &["SVC008"], &[("client", "server_host")]),
    // R13: an address that was given out again while somebody used it.
    during("DHCP007", &["ARP001"], &[("address", "ip")]),
    during("DHCP012", &["ARP001"], &[("address", "ip")]),
    during("DHCP007", &["DHCP010"], &[("address", "address")]),
    // R25: the other owner of the address refuses.
    during("ARP001", &["TCP001"], &[("ip", "host")]),
    during("ARP001", &["TCP001"], &[("ip", "other_host")]),
    during("ARP001", &["TCP003"], &[("ip", "server")]),
    ever("L2004", &["L2003"], STATION),
    // Whoever is believed now here and now there hears what is sent to it now and then, or never.
    during("L2003", &["DHCP002", "DHCP005"], GUEST),
    during("L2003", &["HOST001"], STATION),
    // What a guest's bridge does beside speaking at all.
    ever("STP001", &["STP008", "STP003", "STP010"], MAC),
    // Many guests that are told as one name their uplink.
    ever("STP001", &["STP002", "STP008"], &[("uplink", "interface")]),
    // R4: the silence names the sender of the BPDU before it.
    ever("STP001", &["STP002"], MAC),
    ever("STP011", &["STP002"], MAC),
    // A switch that goes on saying hello may have shut the port for all else (root guard): who is cut off falls silent with the BPDU.
    behind("STP001", &["HOST001", "HOST002"], 1, 5),
    // R17: what the switch does not carry nobody answers.
    ever("VLAN003", &["DHCP001", "ARP002", "ARP003"], DOMAIN),
    // R15: where two VLANs are joined, whoever serves the one is a stranger in the other.
    during("VLAN009", &["DHCP015", "ARP001"], DOMAIN),
    during("VLAN009", &["DHCP015", "ARP001"], &[("other", "domain")]),
    // R14: a loop; where two bridges take themselves for the root, nothing breaks it.
    during("STP004", &["L2001"], DOMAIN),
    during("L2001", &["L2002"], &[("interface", "interface")]),
    during("L2001", &["L2003", "L2004", "L2005", "STP005"], DOMAIN),
    during("L2001", &["STP012"], &[("interface", "interface")]),
    // A client asks everybody because its own server did not answer, or because it did not hear the answer.
    ever("DHCP004", &["DHCP006"], CLIENT),
    // Many clients of one server that are told as one name it.
    ever("DHCP004", &["DHCP006"], &[("renews_nobody", "server"), ("domain", "domain")]),
    ever("DHCP005", &["DHCP006"], CLIENT),
    // Who cannot renew asks anew, and is not answered either.
    ever("DHCP004", &["DHCP001"], CLIENT),
    // R10: no server runs.
    ever("DHCP022", &["DHCP004"], SERVER),
    ever("DHCP022", &["DHCP023", "DHCP001"], DOMAIN),
    // Who is not answered at all is not answered in its first words either.
    ever("DHCP001", &["DHCP023"], CLIENT),
    // R24: what it asked did not pass its port.
    ever("DHCP024", &["DHCP001"], CLIENT),
    // What a relay keeps back, or hands round, no client hears.
    ever("DHCP017", &["DHCP001", "DHCP002"], CLIENT),
    // R10: where nobody answers anybody, nobody renews. Only the finding about a whole network says that it is unserved.
    ever("DHCP001", &["DHCP004", "DHCP006", "DHCP023"], &[("unserved", "domain")]),
    // R11: what is wrong with the answers is why they are not heard.
    ever("DHCP019", &["DHCP002", "DHCP005"], TALK),
    ever("DHCP018", &["DHCP002", "DHCP005"], TALK),
    // Who does not hear that it is renewed does not hear either, later, that it is offered something.
    later("DHCP005", &["DHCP002"], TALK),
    // What a server offers that should not be there is well left alone.
    ever("DHCP015", &["DHCP002"], SERVER),
    // R12: the second server contradicts, refuses, and tells other things.
    ever("DHCP015", &["DHCP009", "DHCP008"], SERVER),
    ever("DHCP015", &["DHCP021"], DOMAIN),
    // A refusal against another server's grant is half of the contradiction.
    ever("DHCP009", &["DHCP008"], TALK),
    // A server without an address left offers nothing, and refuses.
    ever("DHCP016", &["DHCP001"], DOMAIN),
    ever("DHCP016", &["DHCP008"], SERVER),
    // R5: what a guard that shuts a port takes with it; 95 s is what slow LACP takes to time out, and a little.
    behind("STP002", &["HOST003", "HOST004", "HOST005", "LACP001", "LACP003"], 1, 95),
    behind("HOST005", &["HOST003"], 15, 15),
    // A member that has no carrier when it is said hears no LACPDU either.
    ever("HOST005", &["LACP001"], &[("interface", "dark_member_of")]),
    // What came through one member of a bond, and does not come any more; its end of LACP among it.
    ever("HOST004", &["LACP001"], &[("interface", "interface")]),
    behind("HOST004", &["HOST001", "HOST002", "STP013"], 3, 15),
    // R6: what a link that is silent makes unanswered is everything of hosts behind it.
    behind(
        "HOST003",
        &[
            "DHCP001", "DHCP003", "DHCP004", "DHCP006", "ARP002", "ARP003", "TCP001", "TCP002", "IP002", "HOST001",
            "HOST002", "SVC001", "SVC005", "DHCP601", "DHCP602", "DHCP603", "RA002", "STP013",
        ],
        1,
        i64::MAX,
    ),
];

/// What may explain what: the code of each root with that of each of its symptoms, in the order of the table.
pub fn relations() -> impl Iterator<Item = (&'static str, &'static str)> {
    RELATIONS.iter().flat_map(|relation| relation.symptoms.iter().map(|symptom| (relation.root, *symptom)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a table must not say (findings.md, part K): roots and symptoms by the beginning of their codes.
    const FORBIDDEN: &[(&str, &[&str])] = &[
        // A guest keeps its address through renewing and rebinding, and hears and speaks as before.
        ("DHCP", &["HOST", "ARP002", "ARP003", "TCP", "IP0", "L2"]),
        // What the switch says of its tree explains nothing.
        ("STP006", &[""]),
        ("LACP", &["STP", "HOST003"]),
        // Repeats follow from sizes, never sizes from repeats.
        ("TCP", &["MTU", "VLAN", "HOST"]),
        // Different exchanges.
        ("DHCP002", &["DHCP001"]),
        // What a capture cannot show, or shows wrong, makes nothing happen.
        ("CAP", &[""]),
    ];

    #[test]
    fn nothing_explains_what_only_looks_like_its_work() {
        for Relation { root, symptoms, .. } in RELATIONS {
            for (roots, never) in FORBIDDEN.iter().filter(|(roots, _)| root.starts_with(roots)) {
                let bad = symptoms.iter().find(|symptom| never.iter().any(|never| symptom.starts_with(never)));
                assert_eq!(bad, None, "{root}, one of {roots}*, explains it");
            }
        }
    }

    #[test]
    fn each_relation_shares_more_than_a_moment() {
        for Relation { root, shared, when, .. } in RELATIONS {
            assert!(!shared.is_empty() || matches!(when, When::Behind(..)), "{root} shares nothing");
        }
    }
}
