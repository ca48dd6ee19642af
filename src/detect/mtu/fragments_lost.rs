//! MTU006: packets that travel in pieces lose some of them, and with these the whole packet (RFC 791 section 3.2, RFC 8900).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Cited, Place};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::{Deadlines, Span, Timestamp};
use crate::wire::{Kind, Quoted};
use crate::world::{Derived, DomainId, Observation, Pieces, Topic, Torn};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "MTU006",
        name: "fragments-lost",
        levels: &[(Confidence::Likely, Severity::Warning), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("fragments_lost.md"),
    },
    hears: &[Kind::IcmpError],
    follows: &[Topic::Fragment],
    needs: Needs::Frames,
    make: |_| Box::new(FragmentsLost::default()),
};

/// Packets that must lack something, and from how many on, with half of all, it is certain (findings.md, MTU006).
const TORN: u32 = 3;
const CERTAIN: u32 = 10;
/// The span in which, of a hundred packets, so many are whole: it is over.
const WHOLE_FOR: Span = Span::secs(60);
const WHOLE: u32 = 95;
/// Pairs that are remembered; further ones are not judged.
const MOST: usize = 1_024;
/// Frames that are cited.
const CITED: usize = 4;

#[derive(Default)]
struct FragmentsLost {
    pairs: BTreeMap<PairKey, Loss>,
    /// Pairs of which the receiver itself has said that it waited in vain.
    told: BTreeSet<(IpAddr, IpAddr)>,
    deadlines: Deadlines<PairKey>,
}

/// Sender, receiver, protocol.
type PairKey = (IpAddr, IpAddr, u8);

/// What was seen of one pair.
struct Loss {
    domain: DomainId,
    first: Timestamp,
    last: Timestamp,
    pieces: Pieces,
    is_one_member: bool,
    may_be_filtered: bool,
    cited: usize,
    fresh: Vec<Cited>,
}

impl Detector for FragmentsLost {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Derived(Derived::Torn(torn)) => self.torn(torn, cx),
            Observation::Packet(seen) => {
                let layers = &seen.frame.layers;
                // "Fragment reassembly time exceeded" (RFC 792, RFC 4443 section 3.3).
                let quoted = match (layers.icmp(), layers.icmpv6()) {
                    (Some(icmp), _) if (icmp.kind(), icmp.code()) == (11, 1) => icmp.quoted(),
                    (_, Some(icmp)) if (icmp.kind(), icmp.code()) == (3, 1) => icmp.quoted(),
                    _ => return,
                };
                if let Some(quoted) = Quoted::parse(quoted).filter(|_| self.told.len() < MOST) {
                    self.told.insert((quoted.src, quoted.dst));
                }
            }
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(key) = self.deadlines.pop(cx.now) {
            self.look_again(key, cx);
        }
    }
}

impl FragmentsLost {
    fn torn(&mut self, torn: &Torn, cx: &mut Context<'_>) {
        let key = torn.pair;
        if self.pairs.len() >= MOST && !self.pairs.contains_key(&key) {
            return;
        }
        let fresh = || Loss {
            domain: torn.domain,
            first: torn.first,
            last: cx.now,
            pieces: torn.pieces,
            is_one_member: is_one_member(torn, cx),
            may_be_filtered: torn.may_be_filtered,
            cited: 0,
            fresh: Vec::new(),
        };
        let loss = self.pairs.entry(key).or_insert_with(fresh);
        (loss.last, loss.pieces, loss.may_be_filtered) = (cx.now, torn.pieces, torn.may_be_filtered);
        if loss.cited < CITED {
            loss.cited = loss.cited.saturating_add(1);
            loss.fresh.push(torn.cited.clone());
        }
        if loss.pieces.incomplete >= TORN {
            let is_told = self.told.contains(&(key.0, key.1));
            let claim = loss.claim(claim_key(&key, loss.domain, cx), &key, is_told);
            // Two tags leave no room for a piece that fills the link: then the loss is MTU001's.
            let stack = cx.world.domains.stack(torn.domain);
            let tight = stack.outer().filter(|_| stack.depth() > 1 && loss.pieces.first > loss.pieces.last);
            let claim = match tight {
                Some((tpid, vid)) => claim.number("outer", format!("{tpid}:{vid}")),
                None => claim,
            };
            cx.raise(claim.at(torn.vantage));
            self.deadlines.set(key, cx.now.after(WHOLE_FOR));
        }
    }

    /// A minute later: it is over if nearly all packets since were whole.
    fn look_again(&mut self, key: PairKey, cx: &mut Context<'_>) {
        let Some(loss) = self.pairs.get(&key) else { return };
        let now = cx.world.fragments.pieces(&key);
        let whole = now.complete.saturating_sub(loss.pieces.complete);
        let torn = now.incomplete.saturating_sub(loss.pieces.incomplete);
        let is_over = whole > 0 && whole.saturating_mul(100) >= whole.saturating_add(torn).saturating_mul(WHOLE);
        if is_over {
            cx.resolve(claim_key(&key, loss.domain, cx), format!("{whole} packets in pieces arrived whole since"));
            self.pairs.remove(&key);
        } else {
            // Each look waits as long again as all before it: a capture may leap over years.
            self.deadlines.set(key, cx.now.after(cx.now.since(loss.last).max(WHOLE_FOR)));
        }
    }
}

impl Loss {
    fn claim(&mut self, key: Key, (src, dst, protocol): &PairKey, is_told: bool) -> Claim {
        let Pieces { complete, incomplete, first, last, middle, largest } = self.pieces;
        let all = complete.saturating_add(incomplete);
        let is_certain = (incomplete >= CERTAIN && incomplete.saturating_mul(2) >= all) || is_told;
        let may_be_filtered = self.may_be_filtered && !is_told;
        let (confidence, severity) = match is_certain && !self.is_one_member && !may_be_filtered {
            true => (Confidence::Confirmed, Severity::Error),
            false => (Confidence::Likely, Severity::Warning),
        };
        let (which, most) = match first.max(last).max(middle) {
            most if most == first => ("first", first),
            most if most == last => ("last", last),
            most => ("middle", most),
        };
        // A size or a rule takes the same piece of every packet; chance does not.
        let is_rule = most.saturating_mul(10) >= all.saturating_mul(9);
        let why = match which {
            "first" if is_rule => {
                ": the long piece is lost and the short last one arrives, as where a hop takes less than the sender thinks"
            }
            "last" if is_rule => {
                ": the first piece arrives, which has the ports, and the others do not, as behind a firewall that does not put packets together"
            }
            _ => ", as pieces are lost by chance on a bad or a full link",
        };
        let said = if is_told { " The receiver says that it waited in vain." } else { "" };
        let headline = format!(
            "{src} → {dst}: {incomplete} of {all} packets in pieces ({}) lack their {which} piece{why}.{said}",
            protocol_name(*protocol)
        );
        let claim = Claim::new(key, confidence, severity, headline)
            .seen(self.first, incomplete.into())
            .number("incomplete", incomplete)
            .number("complete", complete)
            .number("first_missing", first)
            .number("last_missing", last)
            .number("middle_missing", middle)
            .number("largest_piece_seen", largest)
            .proved_by(self.fresh.drain(..))
            .filter(filter(*src, *dst));
        let claim = if !is_rule {
            claim
                .cause("loss on the way, which a packet in pieces meets once for each piece")
                .cause("the pieces take different members of a bond, and one of them loses frames")
        } else if which == "last" {
            claim
                .cause("a firewall or security group that judges by ports, which only the first piece has")
                .cause("the pieces take different members of a bond, and one of them loses frames")
        } else {
            claim
                .cause("a hop on the way takes less than the sender thinks (MTU001, MTU003, MTU007)")
                .cause("a firewall that drops pieces")
        };
        let claim = if self.is_one_member {
            claim.assuming("this is one member of a bond: the other pieces may travel on another")
        } else {
            claim
        };
        let claim = if may_be_filtered {
            claim.assuming(
                "the capture was not filtered by ports: only first pieces have them, and nothing without was seen here",
            )
        } else {
            claim
        };
        claim
            .step("See whether the receiver waits in vain", "nstat -az | grep -i reasm")
            .step("Find the size that passes whole", Command::with("ping -M do -c 3 -s 1472 {}", &[&dst]))
            .step("Avoid pieces: NFS over TCP, a smaller MTU for the tunnel's inner network; or let them through the firewall", "")
    }
}

/// Whether the piece was seen on a member of a bond, by the host's word or, where that is not given, by nothing that speaks against it.
fn is_one_member(torn: &Torn, cx: &Context<'_>) -> bool {
    let name = cx.world.interface(torn.vantage);
    let is_nic = cx.world.vantage(torn.vantage).is_some_and(|vantage| vantage.place == Place::Nic);
    let has_bond = cx.world.vantages().iter().any(|(_, vantage)| vantage.place == Place::Bond);
    is_nic && !has_bond && cx.world.host.master(&name).is_some()
}

fn protocol_name(protocol: u8) -> String {
    match protocol {
        1 => "ICMP".to_owned(),
        6 => "TCP".to_owned(),
        17 => "UDP".to_owned(),
        47 => "GRE".to_owned(),
        58 => "ICMPv6".to_owned(),
        other => format!("protocol {other}"),
    }
}

fn filter(src: IpAddr, dst: IpAddr) -> String {
    if src.is_ipv4() {
        format!("ip.src == {src} && ip.dst == {dst} && (ip.flags.mf == 1 || ip.frag_offset > 0)")
    } else {
        format!("ipv6.src == {src} && ipv6.dst == {dst} && ipv6.fraghdr")
    }
}

fn claim_key((src, dst, protocol): &PairKey, domain: DomainId, cx: &Context<'_>) -> Key {
    Key::new()
        .with("src", src)
        .with("dst", dst)
        .with("protocol", protocol_name(*protocol))
        .with("domain", cx.world.domains.name(domain))
}
